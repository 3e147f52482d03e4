package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
)

var (
	soakStates  = []waypost.Jurisdiction{"AZ", "CA", "NV"}
	soakPurpose = waypost.IssueRealID
)

const (
	soakHolders, soakThreshold = 5, 3
	soakRate                   = 18 // checks a second
	soakLate                   = 40 // records of each state that are loaded while roles are killed
)

// soak is an exchange of real processes under traffic, whose roles are killed.
type soak struct {
	dir      string
	seed     uint64
	program  string
	roles    *cluster.Processes
	counters map[waypost.Jurisdiction]waypostv1connect.CounterClient
	people   soakPeople
	failed   func(format string, args ...any)

	answers   []soakAnswer // one for each case
	owed      atomic.Int64 // answers that said so at first
	again     atomic.Int64 // attempts at a check that got no answer
	killed    map[string]int
	cutStarts int // kills of those while a role was starting
}

// soakAnswer is what a clerk has in the end.
type soakAnswer struct {
	waypost.Answer
	state        waypost.Jurisdiction
	acknowledged []waypost.TicketID // every ticket that the counter ever named
}

// TestSoak: an honest exchange whose processes are killed at random, again and
// again, answers every check as the truth about the people wants it, and its
// ledgers reconcile to zero. WAYPOST_SOAK is how many checks to make, and
// WAYPOST_SOAK_SEED the order of the killings.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	checks, calm := 150, 600*time.Millisecond
	if text := os.Getenv("WAYPOST_SOAK"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("WAYPOST_SOAK=%s is not a number of checks", text)
		}
		checks, calm = n, 2*time.Second
	}
	s := &soak{dir: t.TempDir(), seed: rand.Uint64(), failed: t.Errorf, killed: make(map[string]int)}
	if text := os.Getenv("WAYPOST_SOAK_SEED"); text != "" {
		var err error
		if s.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("WAYPOST_SOAK=%d WAYPOST_SOAK_SEED=%d", checks, s.seed)
	start := time.Now()
	s.open(t)
	s.traffic(t.Context(), checks, calm)
	if t.Failed() {
		return
	}
	s.settle(t)
	if err := s.roles.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start).Round(time.Second)
	report := s.reconcile(t)
	s.compare(t)
	t.Logf("%d checks in %v; %d owed at first, %d attempts repeated by clerks; %d tickets, %d entries, %d open, %d findings",
		checks, took, s.owed.Load(), s.again.Load(), report.Tickets, report.Entries, report.Open, int64(len(report.Findings))+report.Omitted)
	total := 0
	for _, name := range slices.Sorted(maps.Keys(s.killed)) {
		t.Logf("%-12s killed %d times", name, s.killed[name])
		total += s.killed[name]
	}
	t.Logf("%d kills, %d of them at a start", total, s.cutStarts)
	t.Logf("entries: %v", report.Counters)
}

// open builds the program as it is shipped, without the race detector, makes
// an exchange and loads its people.
func (s *soak) open(t *testing.T) {
	t.Helper()
	s.program = filepath.Join(t.TempDir(), "waypost")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("the program cannot be built: %v\n%s", err, out)
	}
	var err error
	s.roles, err = cluster.OpenProcesses(t.Context(), cluster.Config{
		Dir: s.dir, States: soakStates, Holders: soakHolders, Threshold: soakThreshold, Log: slog.New(slog.DiscardHandler),
	}, func(args ...string) *exec.Cmd { return exec.Command(s.program, args...) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.roles.Close(); err != nil {
			t.Error(err)
		}
		s.keepLogs(t)
	})
	if s.people, err = newSoakPeople(); err != nil {
		t.Fatal(err)
	}
	s.counters = make(map[waypost.Jurisdiction]waypostv1connect.CounterClient)
	for _, state := range soakStates {
		if s.counters[state], _, err = cluster.Counter(s.dir, state); err != nil {
			t.Fatal(err)
		}
		s.load(t.Context(), state, s.people.early[state])
	}
}

// keepLogs shows what the roles of a failed run have said.
func (s *soak) keepLogs(t *testing.T) {
	if !t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*", "process.log"))
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		t.Logf("%s ends with:\n%s", filepath.Base(filepath.Dir(name)), text[max(0, len(text)-2000):])
	}
	if keep := os.Getenv("WAYPOST_SOAK_KEEP"); keep != "" {
		if err := os.CopyFS(keep, os.DirFS(s.dir)); err != nil {
			t.Log(err)
		}
	}
}

// load publishes records, as a loader does that goes on after whatever happens.
func (s *soak) load(ctx context.Context, state waypost.Jurisdiction, records []waypost.Record) {
	for batch := range slices.Chunk(records, 20) {
		req := &waypostv1.LoadRequest{}
		for _, r := range batch {
			req.Records = append(req.Records, gateway.RecordToProto(r))
		}
		for ctx.Err() == nil {
			res, err := s.counters[state].Load(ctx, req)
			if err == nil {
				if len(res.Rejected) > 0 {
					s.failed("%s rejects %d records: %s", state, len(res.Rejected), res.Rejected[0].Reason)
				}
				break
			}
			if !passing(err) {
				s.failed("loading %s: %v", state, err)
				return
			}
			rest(ctx, time.Second)
		}
	}
}

// traffic makes the checks at a steady rate, with loads beside them, while roles
// are killed; it ends when every clerk has a complete answer.
func (s *soak) traffic(ctx context.Context, checks int, calm time.Duration) {
	order := rand.New(rand.NewPCG(s.seed, 1))
	s.answers = make([]soakAnswer, checks)
	killing, stop := context.WithCancel(ctx)
	var killer, clerks sync.WaitGroup
	killer.Go(func() { s.kill(killing, calm) })
	for _, state := range soakStates {
		clerks.Go(func() { s.load(ctx, state, s.people.late[state]) })
	}
	tick := time.NewTicker(time.Second / soakRate)
	defer tick.Stop()
	limit, cancel := context.WithTimeout(ctx, 5*time.Minute+time.Duration(checks)*time.Second)
	defer cancel()
	for i := range checks {
		who := s.people.applicants[order.IntN(len(s.people.applicants))]
		clerks.Go(func() { s.answers[i] = s.clerk(limit, who, fmt.Sprintf("SOAK-%06d", i)) })
		<-tick.C
	}
	stop()
	killer.Wait()
	// The rest is made in peace. A gateway takes up what is owed when it starts.
	for _, state := range soakStates {
		if err := s.roles.Stop(string(state)); err != nil {
			s.failed("%v", err)
		}
		s.start(string(state))
	}
	clerks.Wait()
}

// clerk asks about one applicant until there is a complete answer: by ticket
// where the counter has named one, else by the case, with a new check.
func (s *soak) clerk(ctx context.Context, who soakApplicant, reference string) (a soakAnswer) {
	a.state = who.ask
	counter := s.counters[who.ask]
	for wait := time.Second; ; wait = min(2*wait, 8*time.Second) {
		var raw *waypostv1.CheckAnswer
		var err error
		if len(a.acknowledged) == 0 {
			raw, err = counter.Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: who.person}, soakPurpose, reference))
		} else {
			raw, err = counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: hex.EncodeToString(a.acknowledged[0][:])})
		}
		switch {
		case ctx.Err() != nil:
			s.failed("%s at %s has no complete answer in the end: %+v", reference, who.ask, a.Answer)
			return a
		case err != nil && !passing(err):
			s.failed("%s at %s: %v", reference, who.ask, err)
			return a
		case err != nil:
			if len(a.acknowledged) == 0 {
				s.again.Add(1)
			}
			rest(ctx, 300*time.Millisecond)
			continue
		}
		if a.Answer = gateway.AnswerFromProto(raw); a.Owed && len(a.acknowledged) == 0 {
			s.owed.Add(1)
		}
		if len(a.acknowledged) == 0 || a.acknowledged[len(a.acknowledged)-1] != a.Ticket {
			a.acknowledged = append(a.acknowledged, a.Ticket)
		}
		if a.Complete {
			if wrong := who.wrong(a.Answer); wrong != "" {
				s.failed("%s at %s: %s", reference, who.ask, wrong)
			}
			return a
		}
		rest(ctx, wait)
	}
}

// passing reports whether an error is what a clerk sees of a gateway that is
// down, or goes down.
func passing(err error) bool { return waypost.CodeOf(err) == waypost.Unavailable }

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// reconcile is what an auditor does with the folder of the stopped exchange.
func (s *soak) reconcile(t *testing.T) (report audit.Report) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.program, "audit", "reconcile", "--dir", s.dir, "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		t.Fatalf("reconcile: %v, %v\n%s", err, jsonErr, out)
	}
	if err != nil || len(report.Findings) > 0 || report.Open > 0 {
		t.Errorf("reconcile: %v; %d tickets are open still, though all roles have stopped with nothing left to do", err, report.Open)
	}
	kinds := make(map[string]int)
	for _, f := range report.Findings {
		name := f.Member + " " + f.Kind
		if kinds[name]++; kinds[name] <= 3 {
			t.Errorf("%s: %s %v", name, f.Words, f.Evidence)
		}
	}
	if len(kinds) > 0 {
		t.Errorf("findings: %v", kinds)
	}
	if len(report.Logs) != len(s.roles.Names())-1 { // the witness outside has none
		t.Errorf("%d ledgers were read", len(report.Logs))
	}
	return report
}

// soakPeople are the people of the exchange: those loaded before, those loaded
// while roles are killed, and who comes to the counters.
type soakPeople struct {
	early, late map[waypost.Jurisdiction][]waypost.Record
	applicants  []soakApplicant
}

// soakApplicant is somebody at the counter of one state, with the truth about
// them.
type soakApplicant struct {
	ask    waypost.Jurisdiction
	person waypost.Person
	card   *waypost.Record // in another state; nil where there is none in any
	holder waypost.Jurisdiction
}

// newSoakPeople draws applicants of whom half have a card in another state.
func newSoakPeople() (p soakPeople, err error) {
	const perState = 140
	p.early, p.late = make(map[waypost.Jurisdiction][]waypost.Record), make(map[waypost.Jurisdiction][]waypost.Record)
	crowd, err := population.Generate(population.Config{States: soakStates, PerState: perState, Seed: 1})
	if err != nil {
		return p, err
	}
	double := make(map[string]bool)
	if err := crowd.EachTruth(func(t population.Truth) error {
		double[t.A], double[t.B] = true, true
		return nil
	}); err != nil {
		return p, err
	}
	strangers, err := population.Generate(population.Config{States: soakStates, PerState: perState, Seed: 2})
	if err != nil {
		return p, err
	}
	for at, holder := range soakStates {
		n := 0
		err = crowd.Each(holder, func(r waypost.Record) error {
			if n++; n > perState-soakLate {
				p.late[holder] = append(p.late[holder], r)
				return nil
			}
			p.early[holder] = append(p.early[holder], r)
			if !double[r.ID] && !r.Protected { // a special unit answers for those, not a program
				p.applicants = append(p.applicants, soakApplicant{soakStates[(at+1+n%2)%3], r.Person, &r, holder})
			}
			return nil
		})
		if err != nil {
			return p, err
		}
		n = 0
		err = strangers.Each(holder, func(r waypost.Record) error {
			if n++; n > population.MinPerState && n <= perState-soakLate { // the scenarios' people are the same for every seed
				p.applicants = append(p.applicants, soakApplicant{ask: holder, person: r.Person})
			}
			return nil
		})
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// wrong says in what a complete answer differs from the truth.
func (who soakApplicant) wrong(a waypost.Answer) string {
	if a.Owed || len(a.Coverage.Searched) != len(soakStates)-1 || len(a.Coverage.Unanswered) > 0 || len(a.Own) > 0 {
		return fmt.Sprintf("complete, but %+v", a)
	}
	found := false
	for _, c := range a.Candidates {
		switch {
		case c.Refused != "" || c.Outcome == waypost.Pending:
			return fmt.Sprintf("%s has not answered: %q", c.State, c.Refused)
		case c.Outcome == waypost.NoMatch:
		case who.card == nil || c.State != who.holder:
			return fmt.Sprintf("%s knows somebody (%s) who has no card there", c.State, c.Outcome)
		case c.Outcome == waypost.Match && (c.Status != who.card.Status || c.CardKind != who.card.Kind):
			return fmt.Sprintf("%s says %s %s, the card is %s %s", c.State, c.Status, c.CardKind, who.card.Status, who.card.Kind)
		default:
			found = true
		}
	}
	if !found && who.card != nil {
		return fmt.Sprintf("the card %s was not found: %+v", who.card.ID, a)
	}
	return ""
}
