package demo

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
)

// result is one line of the engineer's table.
type result struct {
	name, asked, outcome string
	candidates           int
	took                 time.Duration
	ok                   bool
	note                 string
}

// Play plays every scene and every attempt and returns an error that counts
// what differed from the truth.
func (d *Demo) Play(ctx context.Context) error {
	var results []result
	fmt.Fprintf(d.options.Out, "\nAT THE COUNTER\n")
	for _, scene := range d.people.Scenarios() {
		r, err := d.scene(ctx, scene)
		if err != nil {
			return fmt.Errorf("%s: %w", scene.Name, err)
		}
		results = append(results, r)
	}
	crowd, err := d.crowd(ctx)
	if err != nil {
		return fmt.Errorf("the crowd: %w", err)
	}
	results = append(results, crowd)
	fmt.Fprintf(d.options.Out, "\nWHAT MUST BE REFUSED\n")
	attempts, err := d.cheat(ctx)
	if err != nil {
		return fmt.Errorf("the attempts: %w", err)
	}
	results = append(results, attempts...)
	audited, err := d.audit(ctx)
	if err != nil {
		return fmt.Errorf("the audit: %w", err)
	}
	results = append(results, audited)
	if err := d.table(ctx, results); err != nil {
		return err
	}
	wrong := 0
	for _, r := range results {
		if !r.ok {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d results differ from the truth; the table says which", wrong, len(results))
	}
	fmt.Fprintf(d.options.Out, "\nAll %d results agree with the truth.\n", len(results))
	return nil
}

// scene plays one check over the counter door, as a clerk's terminal would.
func (d *Demo) scene(ctx context.Context, s population.Scenario) (result, error) {
	out := d.options.Out
	fmt.Fprintf(out, "\n%s, counter. %s\n", s.Ask, s.Story)
	if s.Down {
		fmt.Fprintf(out, "    (%s is shut down.)\n", s.Holder)
		if err := d.exchange.Stop(string(s.Holder)); err != nil {
			return result{}, err
		}
	}
	start := time.Now()
	answer, err := d.check(ctx, s.Ask, s.Applicant, "DEMO-"+s.Name)
	took := time.Since(start)
	if err != nil {
		return result{}, err
	}
	tell(out, answer)
	r := result{name: s.Name, asked: string(s.Ask), took: took, candidates: len(answer.Candidates)}
	if s.Down {
		if got := outcomeAt(answer, s.Holder); got != waypost.Pending || answer.Complete {
			r.note = fmt.Sprintf("while %s was down the answer was %q", s.Holder, got)
		}
		if answer, err = d.lateAnswer(ctx, s, answer); err != nil {
			return result{}, err
		}
	} else if !answer.Complete { // the machine is busy
		if answer, err = d.last(ctx, s.Ask, answer); err != nil {
			return result{}, err
		}
		r.candidates = len(answer.Candidates)
	}
	got := answer.Best()
	if s.RecordID != "" {
		got = outcomeAt(answer, s.Holder)
	}
	r.outcome = string(got)
	r.ok = got == s.Expect && answer.Complete && r.note == ""
	if !r.ok && r.note == "" {
		r.note = fmt.Sprintf("expected %s, complete", s.Expect)
	}
	return r, nil
}

// lateAnswer starts the state that was down and waits for its answer.
func (d *Demo) lateAnswer(ctx context.Context, s population.Scenario, before waypost.Answer) (waypost.Answer, error) {
	fmt.Fprintf(d.options.Out, "    (%s is started again.)\n", s.Holder)
	if err := d.exchange.Start(ctx, string(s.Holder)); err != nil {
		return before, err
	}
	return d.last(ctx, s.Ask, before)
}

// last waits until an answer is complete, and tells it. One that stays incomplete the scene
// counts as wrong.
func (d *Demo) last(ctx context.Context, ask waypost.Jurisdiction, before waypost.Answer) (waypost.Answer, error) {
	answer, err := d.until(ctx, ask, before, func(a waypost.Answer) bool { return a.Complete })
	if err == nil && answer.Complete {
		tell(d.options.Out, answer)
	}
	return answer, err
}

// patience is how long somebody waits for an answer that was not there at once. What a
// machine is too busy to search is made again after half a minute.
const patience = 2 * time.Minute

// until asks for an answer again until it is enough.
func (d *Demo) until(ctx context.Context, ask waypost.Jurisdiction, a waypost.Answer, enough func(waypost.Answer) bool) (waypost.Answer, error) {
	counter, _, err := cluster.Counter(d.options.Dir, ask)
	for deadline := time.Now().Add(patience); err == nil && !enough(a) && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		var raw *waypostv1.CheckAnswer
		if raw, err = counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: a.TicketHex}); err == nil {
			a = gateway.AnswerFromProto(raw)
		}
	}
	return a, err
}

func (d *Demo) check(ctx context.Context, state waypost.Jurisdiction, p waypost.Person, reference string) (waypost.Answer, error) {
	counter, _, err := cluster.Counter(d.options.Dir, state)
	if err != nil {
		return waypost.Answer{}, err
	}
	raw, err := counter.Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: p}, waypost.IssueRealID, reference))
	if err != nil {
		return waypost.Answer{}, err
	}
	return gateway.AnswerFromProto(raw), nil
}

func tell(out interface{ Write([]byte) (int, error) }, a waypost.Answer) {
	for line := range strings.Lines(a.Words()) {
		fmt.Fprintf(out, "    %s", line)
	}
}

// outcomeAt is the strongest outcome among a state's candidates.
func outcomeAt(a waypost.Answer, state waypost.Jurisdiction) waypost.Outcome {
	var at waypost.Answer
	for _, c := range a.Candidates {
		if c.State == state {
			at.Candidates = append(at.Candidates, c)
		}
	}
	return at.Best()
}

// crowdSize is how many pairs of the population's truth are checked besides
// the named people, and how many of them must be found: names and dates in the
// crowd have errors, some on purpose too large to find.
const (
	crowdSize  = 60
	crowdFound = 0.9
)

// crowd checks people of whom the truth says that another state knows them.
func (d *Demo) crowd(ctx context.Context) (result, error) {
	pairs, err := d.truth(crowdSize)
	if err != nil {
		return result{}, err
	}
	start, found := time.Now(), 0
	for i, pair := range pairs {
		ask, other := waypost.Jurisdiction(pair.a.ID[:2]), waypost.Jurisdiction(pair.b.ID[:2])
		answer, err := d.check(ctx, ask, pair.a.Person, fmt.Sprintf("DEMO-CROWD-%d", i))
		if err == nil && !pair.b.Protected { // about those a person answers, later
			answer, err = d.until(ctx, ask, answer, func(a waypost.Answer) bool { return !a.Owed && outcomeAt(a, other) != waypost.Pending })
		}
		if err != nil {
			return result{}, err
		}
		if o := outcomeAt(answer, other); o == waypost.Match || o == waypost.Possible {
			found++
		}
	}
	share := float64(found) / float64(max(len(pairs), 1))
	fmt.Fprintf(d.options.Out, "\nAnd %d others who have a card in two states, with the usual errors in their records: %d found.\n", len(pairs), found)
	return result{
		name: "crowd", asked: "all", outcome: fmt.Sprintf("%d of %d found", found, len(pairs)), candidates: found,
		took: time.Since(start) / time.Duration(max(len(pairs), 1)), ok: share >= crowdFound || len(pairs) == 0,
	}, nil
}

type recordPair struct{ a, b waypost.Record }

// truth returns the first n pairs of records that are one person.
func (d *Demo) truth(n int) ([]recordPair, error) {
	wanted := make(map[string]*waypost.Record)
	var pairs []population.Truth
	err := d.people.EachTruth(func(t population.Truth) error {
		if len(pairs) < n {
			pairs = append(pairs, t)
			wanted[t.A], wanted[t.B] = nil, nil
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, state := range d.people.States() {
		err := d.people.Each(state, func(r waypost.Record) error {
			if _, ok := wanted[r.ID]; ok {
				wanted[r.ID] = &r
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var out []recordPair
	for _, t := range pairs {
		if a, b := wanted[t.A], wanted[t.B]; a != nil && b != nil {
			out = append(out, recordPair{*a, *b})
		}
	}
	return out, nil
}

// table prints what an engineer wants to see.
func (d *Demo) table(ctx context.Context, results []result) error {
	fmt.Fprintf(d.options.Out, "\nFOR THE ENGINEER\n\n")
	w := tabwriter.NewWriter(d.options.Out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(w, "scene\tasked\toutcome\tcandidates\tms\tas it should be")
	for _, r := range results {
		mark := "yes"
		if !r.ok {
			mark = "NO: " + r.note
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.0f\t%s\n", r.name, r.asked, r.outcome, r.candidates, float64(r.took.Microseconds())/1000, mark)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nledger\tentries\tby kind")
	for _, name := range d.roles() {
		total, kinds, err := d.entries(ctx, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", name, total, kinds)
	}
	return w.Flush()
}

func (d *Demo) roles() []string {
	r := d.exchange.Roster()
	names := []string{r.Hub().Name}
	for _, h := range r.Holders() {
		names = append(names, h.Name)
	}
	for _, g := range r.Gateways() {
		names = append(names, g.Name)
	}
	return names
}
