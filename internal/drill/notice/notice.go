// Package notice measures who notices a cheat, by what, and after how long. It lets
// the clock of an exchange run in steps. In each step all members publish, look at
// each other's ledgers and publish what they saw, as they do by themselves every few
// seconds, and an auditor reads what is new.
package notice

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/drill"
)

// step is what [Watch.Step] is at first.
const step = 30 * time.Second

// Case is one cheat, and what was noticed of it.
type Case struct {
	Ticket waypost.TicketID // zero where it is about a ledger as such
	Guilty []string         // the members who did it together
	// Kinds are the findings about a ledger as such that belong to the case. A receipt
	// that was not kept always may.
	Kinds []string
	// What is waited for: a finding of the auditor, evidence that a member has published,
	// that the members do not rely on the first of the guilty any more. A case for which
	// none is set may pass unnoticed.
	Auditor, Evidence, Shunned bool

	at   time.Time
	Seen []Seen // the first of each kind, in order of time
}

// Seen is one way in which a case was noticed.
type Seen struct {
	By    string        // "the auditor", or the member that has published evidence
	What  string        // kind of the finding, or claim of the evidence
	Named string        // the member against whom it is
	After time.Duration // by the clock of the exchange
}

const (
	auditor = "the auditor"
	shunned = "shunned"
)

// Named is when the case was first named, by the auditor or in evidence of a member, or
// false if it never was. That somebody is not relied on names nobody.
func (c *Case) Named() (Seen, bool) {
	for _, s := range c.Seen {
		if s.What != shunned {
			return s, true
		}
	}
	return Seen{}, false
}

// Words tell who noticed the case and after how long. Evidence of several members
// that says the same is told once.
func (c *Case) Words() string {
	if len(c.Seen) == 0 {
		return "nobody"
	}
	var words []string
	for _, s := range c.Seen {
		what := "finds " + strings.ReplaceAll(s.What, "_", " ") + " of " + s.Named
		switch {
		case s.What == shunned:
			what = "does not rely on " + s.Named + " any more"
		case s.By != auditor:
			what = "has evidence against " + s.Named + " (" + strings.ReplaceAll(s.What, "_", " ") + ")"
		}
		words = append(words, fmt.Sprintf("%s %s after %v", s.By, what, s.After))
	}
	return strings.Join(words, "; ")
}

// Done reports whether all that is waited for was noticed.
func (c *Case) Done() bool { return len(c.awaited(false)) == 0 }

// awaited is what is waited for, in words: all of it, or what has not come.
func (c *Case) awaited(all bool) (words []string) {
	for _, w := range []struct {
		waits bool
		words string
		is    func(Seen) bool
	}{
		{c.Auditor, "the auditor's finding", func(s Seen) bool { return s.What != shunned && s.By == auditor }},
		{c.Evidence, "evidence of a member", func(s Seen) bool { return s.What != shunned && s.By != auditor }},
		{c.Shunned, "no reliance on it any more", func(s Seen) bool { return s.What == shunned }},
	} {
		if w.waits && (all || !slices.ContainsFunc(c.Seen, w.is)) {
			words = append(words, w.words)
		}
	}
	return words
}

func (c *Case) see(s Seen) {
	same := func(o Seen) bool {
		return o.What == s.What && o.Named == s.Named && (o.By == auditor) == (s.By == auditor)
	}
	if !slices.ContainsFunc(c.Seen, same) {
		c.Seen = append(c.Seen, s)
	}
}

// Watch watches one exchange.
type Watch struct {
	x           *drill.Exchange
	state, work string // of the auditor: a file, a folder
	known       map[string]bool
	cases       []*Case

	// Step is by how much the clock is set forward between two looks: no time that is
	// measured is more exact.
	Step time.Duration
	// Framed are accusations of members that had no part in what they are accused of.
	Framed []string
	// What the auditor has done: how often it has read what was new, how many entries
	// that were, and how long it took.
	Audits  int
	Entries int64
	Took    time.Duration
}

// New begins to watch an exchange in which nobody has cheated so far. It returns an
// error if anything is found.
func New(ctx context.Context, s *drill.Stage, x *drill.Exchange) (*Watch, error) {
	work, err := s.Dir("auditor")
	if err != nil {
		return nil, err
	}
	w := &Watch{x: x, state: filepath.Join(work, "state"), work: work, known: make(map[string]bool), Step: step}
	x.Clock.Advance(12 * time.Minute)
	open := int64(1)
	for n := 0; open > 0 && n < 20; n++ { // a state may just be comparing its pointers with the hub's
		if open, err = w.look(ctx); err != nil {
			return nil, err
		}
	}
	if len(w.Framed) > 0 || open > 0 {
		return nil, fmt.Errorf("before anybody cheats %d tickets are open, and this is found: %s", open, strings.Join(w.Framed, "; "))
	}
	return w, nil
}

// Add has a cheat that was just played watched.
func (w *Watch) Add(c *Case) *Case {
	c.at = w.x.Clock.Now()
	w.cases = append(w.cases, c)
	return c
}

// Run lets time pass until all that is waited for was noticed, but no more than the
// horizon.
func (w *Watch) Run(ctx context.Context, s *drill.Stage, horizon time.Duration) error {
	steps := int(horizon / w.Step)
	for n := range steps {
		if !slices.ContainsFunc(w.cases, func(c *Case) bool { return !c.Done() }) {
			break
		}
		w.x.Clock.Advance(w.Step)
		if _, err := w.look(ctx); err != nil {
			return err
		}
		s.Progress("watching", n+1, steps)
	}
	return nil
}

// Later lets more time pass at once and has everybody look again: long enough for
// whatever may come in of the tickets so far to be in.
func (w *Watch) Later(ctx context.Context) error {
	w.x.Clock.Advance(20 * time.Minute)
	_, err := w.look(ctx)
	return err
}

// look is what happens in one step.
func (w *Watch) look(ctx context.Context) (open int64, err error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	settle(ctx, w.x)
	w.shun()
	if err := w.evidence(); err != nil {
		return 0, err
	}
	return w.audit(ctx)
}

// settle has all members publish, look at each other's ledgers, and publish what they
// saw. What a cheat cannot publish any more it need not; nor need it look at others.
func settle(ctx context.Context, x *drill.Exchange) {
	_ = x.Publish(ctx)
	var looking sync.WaitGroup
	for _, m := range x.Roster().Members {
		if r := x.Role(m.Name); r != nil && r.Follower != nil {
			looking.Go(func() { _ = r.Follower.Round(ctx) })
		}
	}
	looking.Wait()
	_ = x.Publish(ctx)
}

// shun asks members whether they still rely on those whose ledgers as such are not in
// order. Who had no part in anything must be relied on throughout.
func (w *Watch) shun() {
	for _, c := range w.cases {
		if c.Ticket != (waypost.TicketID{}) {
			continue
		}
		for _, m := range w.x.Roster().Members {
			if r := w.x.Role(m.Name); r != nil && r.Follower != nil && !slices.Contains(c.Guilty, m.Name) && r.Follower.Usable(c.Guilty[0]) != nil {
				c.see(Seen{By: m.Name, What: shunned, Named: c.Guilty[0], After: w.since(c)})
				break
			}
		}
	}
}

func (w *Watch) since(c *Case) time.Duration { return w.x.Clock.Now().Sub(c.at).Round(time.Second) }

// audit reads what is new and attributes what is found.
func (w *Watch) audit(ctx context.Context) (open int64, err error) {
	o, err := audit.FromDir(w.x.Dir)
	if err != nil {
		return 0, err
	}
	o.State, o.WorkDir, o.Now = w.state, w.work, w.x.Clock.Now()
	began := time.Now()
	report, err := audit.Reconcile(ctx, o)
	if err != nil {
		return 0, err
	}
	w.Audits, w.Entries, w.Took = w.Audits+1, w.Entries+report.Entries, w.Took+time.Since(began)
	for _, f := range report.Findings {
		w.attribute(f.Evidence["ticket"], append([]string{f.Member}, strings.Fields(f.Evidence["or"])...), Seen{By: auditor, What: f.Kind})
	}
	return report.Open, nil
}

// evidence reads what members have published of it since.
func (w *Watch) evidence() error {
	files, err := filepath.Glob(filepath.Join(w.x.Dir, "*", "log", "*", "*", "evidence", "*.json"))
	if err != nil {
		return err
	}
	for _, name := range files {
		accuser := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(name))))
		key := accuser + " " + filepath.Base(name) // the hub has a copy of what a gateway says
		if w.known[key] {
			continue
		}
		w.known[key] = true
		member, ticket, claim, err := w.convicts(name)
		if err != nil {
			return fmt.Errorf("evidence that %s has published does not hold: %w", accuser, err)
		}
		w.attribute(ticket, []string{member}, Seen{By: accuser, What: string(claim)})
	}
	return nil
}

// attribute puts an accusation to the case that it is about. Each accused must have
// had a part in it, or else be one of several of whom one did.
func (w *Watch) attribute(ticket string, accused []string, s Seen) {
	for _, c := range w.candidates() {
		if !c.about(ticket, s.What) {
			continue
		}
		for _, member := range accused {
			if slices.Contains(c.Guilty, member) {
				s.Named, s.After = member, w.since(c)
				c.see(s)
				return
			}
		}
	}
	w.Framed = append(w.Framed, fmt.Sprintf("%s says %s of %s", s.By, s.What, strings.Join(accused, " or ")))
}

// candidates are the cases in the order in which an accusation is held against them.
// What is said of a ledger as such is about what its owner did last.
func (w *Watch) candidates() []*Case {
	whole := func(c *Case) bool { return c.Ticket == waypost.TicketID{} }
	list := slices.DeleteFunc(slices.Clone(w.cases), func(c *Case) bool { return !whole(c) })
	slices.Reverse(list)
	return append(list, slices.DeleteFunc(slices.Clone(w.cases), whole)...)
}

// about reports whether an accusation may be about the case.
func (c *Case) about(ticket, kind string) bool {
	if ticket == "" {
		return slices.Contains(c.Kinds, kind) || kind == audit.ReceiptMissed && c.Ticket != waypost.TicketID{}
	}
	return ticket == hex.EncodeToString(c.Ticket[:])
}

// Reconcile lets so much time pass that whatever is promised is due, has everybody
// publish, look at each other and publish what they saw, and audits all ledgers from
// the beginning.
func Reconcile(ctx context.Context, x *drill.Exchange) (*audit.Report, error) {
	x.Clock.Advance(20 * time.Minute)
	settle(ctx, x)
	o, err := audit.FromDir(x.Dir)
	if err != nil {
		return nil, err
	}
	o.Now = x.Clock.Now()
	return audit.Reconcile(ctx, o)
}
