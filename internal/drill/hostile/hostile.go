// Package hostile is the drill of hostile bytes: every call of every role, and every
// other door, under a fuzzer, signed nonsense, slow clients and floods, while honest
// checks go on. Which calls there are is read from the services' descriptors, so that a
// new one is attacked without being listed here.
package hostile

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/notice"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/internal/hub"
)

// Drill attacks every door.
var Drill = drill.Drill{
	Name:  "hostile",
	Title: "Hostile bytes",
	About: "Members, operators and strangers send garbage, signed nonsense, giant frames, slow bytes and floods to every door, while honest checks go on.",
	Run:   run,
}

const (
	// rogueState is a member that attacks the hub and the key holders; its gateway is
	// stopped.
	rogueState = waypost.Jurisdiction("NY")
	// besieged is the state whose own operator attacks its gateway.
	besieged = waypost.Jurisdiction("NV")
	// asking makes the honest checks, about people of holding.
	asking  = waypost.Jurisdiction("AZ")
	holding = waypost.Jurisdiction("CA")
)

// play is one exchange under attack.
type play struct {
	*drill.Exchange
	stage  *drill.Stage
	faults *faults
	plant  plant
	rogue  *rogue.Gateway
	doors  map[string]*door
	origin string // of the hub's ledger
	known  []waypost.Record
	honest honest
}

func run(ctx context.Context, s *drill.Stage) error {
	p := &play{stage: s, faults: &faults{Handler: s.Log.Handler()}}
	inner := *s
	inner.Log = slog.New(p.faults)
	x, err := inner.Open(ctx, "exchange", s.Size.Pick(24, 60, 400), cluster.Config{Hub: func(d *hub.Deps) { d.Around = p.plant.around }})
	if err != nil {
		return err
	}
	p.Exchange = x
	defer x.Close()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	checks := s.Size.Pick(12, 100, 2000)
	before := p.checks(ctx, checks, nil)
	used := memory()
	siege, stop := context.WithCancel(ctx)
	defer stop()
	watch := p.watchMemory(siege)
	results, over := p.attack(siege)
	during := p.checks(ctx, checks, over)
	<-over
	stop()
	peak := <-watch
	after := p.checks(ctx, checks, nil)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, r := range *results {
		r.again(ctx, lastPatience)
		r.report(s)
	}
	p.reportHonest(before, during, after, used, peak)
	if err := p.reportLost(ctx); err != nil {
		return err
	}
	return p.planted(ctx)
}

// prepare finds people to ask about, takes the rogue state's place and gives the hub a
// door for its metrics.
func (p *play) prepare(ctx context.Context) error {
	for _, r := range p.Records[holding] {
		if len(p.known) == 5 {
			break
		}
		a, err := p.Check(ctx, asking, r.Person, waypost.IssueRealID, "CASE")
		if err != nil {
			return err
		}
		if len(a.Candidates) == 1 && a.Best() == waypost.Match {
			p.known = append(p.known, r)
		}
	}
	if len(p.known) == 0 {
		return fmt.Errorf("nobody of %s has one record that is found", holding)
	}
	folder := p.Role(string(rogueState)).Folder
	if err := p.Stop(string(rogueState)); err != nil {
		return err
	}
	metrics, err := p.openMetrics(ctx)
	if err != nil {
		return err
	}
	if p.rogue, err = rogue.New(ctx, folder, p.Clock.Now); err != nil {
		return err
	}
	p.origin = p.Role("hub").Journal.Origin()
	p.doors, err = p.findDoors(metrics)
	return err
}

// result is what came of one attack.
type result struct {
	mu               sync.Mutex
	party, attempted string
	target           string
	sent             int
	counts           map[string]int // of each way in which it ended
	bad              []string       // what should not have happened
	note             string
	baseline         string
	calls            []call          // that were to be attacked
	served           map[string]bool // by URL
	late             []shot          // to be asked again when there is quiet
}

func newResult() *result { return &result{counts: make(map[string]int), served: make(map[string]bool)} }

func (r *result) counted(how string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[how]
}

func (r *result) count(how string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	r.counts[how]++
}

func (r *result) wrongf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad = append(r.bad, fmt.Sprintf(format, args...))
}

func (r *result) report(s *drill.Stage) {
	n := float64(len(r.bad))
	var how []string
	for _, name := range sorted(r.counts) {
		how = append(how, fmt.Sprintf("%d %s", r.counts[name], name))
	}
	l := drill.Line{
		Party: r.party, Attempted: r.attempted, Obtained: fmt.Sprintf("%d sent: %s", r.sent, strings.Join(how, ", ")) + r.note,
		Noticed: "refused on the spot", Baseline: "not applicable: " + r.baseline, Target: r.target, OK: r.sent > 0,
		Figure: &drill.Figure{Name: "times it should not have ended so", Value: n, Low: n, High: n, Bound: 0, AtMost: true},
	}
	if n > 0 {
		l.Obtained += "; WRONG: " + strings.Join(r.bad[:min(len(r.bad), 4)], "; ")
	}
	s.Add(l)
}

// attack begins all attacks at once and closes over when they have ended.
func (p *play) attack(ctx context.Context) (all *[]*result, over chan struct{}) {
	all, over = new([]*result), make(chan struct{})
	var running sync.WaitGroup
	for _, a := range p.attacks() {
		r := newResult()
		r.party, r.attempted, r.target, r.baseline = a.party, a.attempted, a.target, a.baseline
		*all = append(*all, r)
		running.Go(func() { a.run(ctx, r) })
	}
	go func() {
		running.Wait()
		close(over)
	}()
	return all, over
}

// attack is one kind of attack.
type attack struct {
	party, attempted, target string
	baseline                 string // why the two baselines cannot be attacked so
	run                      func(ctx context.Context, r *result)
}

func (p *play) attacks() []attack {
	const noDoors, noTickets = "they are tables without doors", "they have no tickets, and answer whoever holds them"
	return []attack{
		{"members and operators", fmt.Sprintf("a fuzzer on all %d calls of all services, at two gateways", p.calls()), "every call is answered without a fault, or when asked again after the siege", noDoors, p.fuzz},
		{"strangers", "a fuzzer on the published ledgers, rosters, witnesses and metrics", "no fault, and nothing that is not public", noDoors, p.fuzzPublic},
		{"strangers", "the hub's own checkpoints with one thing changed, to a witness that stands alone and to a key holder's", "none is cosigned, and the good one is", "they have no ledgers and no witnesses", p.fuzzWitnesses},
		{"a member state", "signed tickets over elements that are none, too many or too few, of another time, environment, key or roster", "each is refused for its own reason, and one without fault answered", noTickets, p.spoil},
		{"a member state and a key holder", "good chains of tickets and receipts with one field, receipt, token or record changed, signed again, and sealed letters over garbage to three gateways",
			"each is refused for its own reason, those by the rules answered, and no gateway falls over", noTickets, p.bendChains},
		{"a member state", "one good ticket, many times at once", "one answer, byte for byte", noTickets, p.replay},
		{"members and operators", "bodies without end", "cut off at the limit on every door", noDoors, p.giants},
		{"strangers", "no certificate, a stranger's, an expired one with the right key, garbage in place of TLS", "none is let in", noDoors, p.intrude},
		{"strangers", "slow handshakes, slow headers, slow bodies, calls that are given up at once, and connections without number", "every door answers an honest caller meanwhile", noDoors, p.flood},
	}
}

// reportLost says whether everything that was acknowledged is there, from the ledgers.
func (p *play) reportLost(ctx context.Context) error {
	report, err := notice.Reconcile(ctx, p.Exchange)
	if err != nil {
		return err
	}
	var others []string
	attackers := 0
	for _, f := range report.Findings {
		if f.Member == string(rogueState) {
			attackers++
		} else {
			others = append(others, f.Member+" "+f.Kind)
		}
	}
	missing := p.honest.unanswered(ctx, p)
	p.stage.Add(drill.Line{
		Party: "all of them", Attempted: "make the exchange lose what it has acknowledged",
		Obtained: fmt.Sprintf("%d of %d honest checks without their whole answer; the ledgers of %d entries agree but for %d findings about the attacking state%s",
			missing, len(p.honest.asked), report.Entries, attackers, listed(others)),
		Noticed: fmt.Sprintf("reconciliation names the attacking state (%s among others)", audit.EvaluationWithoutOwner),
		Target:  "nothing acknowledged is lost; reconciliation finds the attackers only", OK: len(others) == 0 && attackers > 0,
		Figure: &drill.Figure{Name: "honest checks lost", Value: float64(missing), Low: float64(missing), High: float64(missing), Bound: 0, AtMost: true},
	})
	n := float64(p.faults.n.Load())
	p.stage.Add(drill.Line{
		Party: "all of them", Attempted: "make a handler panic, or a role end",
		Obtained: fmt.Sprintf("%.0f panics in the logs of all roles; %d roles were running at the end", n, p.running()),
		Target:   "no panic, and every role runs", OK: p.running() == p.doorsOfRoles(),
		Figure: &drill.Figure{Name: "panics", Value: n, Low: n, High: n, Bound: 0, AtMost: true},
	})
	return nil
}

// running counts the roles that run, and doorsOfRoles those that should.
func (p *play) running() (n int) {
	for _, m := range p.Roster().Members {
		if p.Role(m.Name) != nil {
			n++
		}
	}
	return n
}

func (p *play) doorsOfRoles() int { return len(p.Roster().Members) - 1 }

func listed(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "; and " + strings.Join(words[:min(len(words), 5)], ", ")
}
