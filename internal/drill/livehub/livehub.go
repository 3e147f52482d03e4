// Package livehub is the drill of a hub that runs a program of its own: it answers as
// the honest one does and writes down all that it sees, for a month of visits at the
// counters.
//
//	watch.go    the hub's program with one change
//	traffic.go  a month at the counters, and the truth about it
//	openly.go   the same month on the baselines
//	livehub.go  the table: what the hub learns, in numbers
//	names.go    whom it can name: alone, with t-1 shares, with one state
package livehub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/estimate"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/population"
)

// Drill is the live hub.
var Drill = drill.Drill{
	Name:  "livehub",
	Title: "A live hub that writes everything down",
	About: "The hub's operator has its program log all that it sees for a month of visits, and puts together what it learns; alone, with t-1 shares of the key, and with one state.",
	Run:   run,
}

// listener is the hub's operator with what was written down, and the truth.
type listener struct {
	*drill.Stage
	*watch
	month
	days int
	than elsewhere
}

func run(ctx context.Context, s *drill.Stage) error {
	l := &listener{Stage: s, watch: newWatch(), days: s.Size.Pick(3, 30, 30)}
	x, err := s.Open(ctx, "exchange", s.Size.Pick(40, 300, 10_000), cluster.Config{Hub: func(deps *hub.Deps) {
		deps.Around = func(honest waypostv1connect.HubHandler) waypostv1connect.HubHandler {
			l.HubHandler = honest
			return l.watch
		}
	}})
	if err != nil {
		return err
	}
	if l.month, err = newMonth(x, s); err == nil {
		err = l.play(ctx, l.days, s.Size.Pick(6, 8, 200))
	}
	if err = errors.Join(err, x.Close()); err != nil {
		return err
	}
	l.openly()
	for _, learn := range []func() error{l.counts, l.twice, l.candidates, l.letters, l.moved, l.published, l.fewShares, l.oneState, l.enough} {
		if err := errors.Join(ctx.Err(), learn()); err != nil {
			return err
		}
	}
	return nil
}

// newMonth gathers who can come to a counter: people with one valid card, and newcomers.
func newMonth(x *drill.Exchange, s *drill.Stage) (month, error) {
	m := month{x: x, stage: s, dice: rand.New(rand.NewPCG(s.Seed, 0x6d6f6e7468))}
	double := make(map[string]bool)
	if err := x.People.EachTruth(func(t population.Truth) error {
		double[t.A], double[t.B] = true, true
		return nil
	}); err != nil {
		return m, err
	}
	known := make(map[drill.PlainRow]bool)
	bare := func(p waypost.Person) drill.PlainRow {
		r := drill.RowOf(p, "")
		r.SSN5 = ""
		return r
	}
	for _, state := range drill.States {
		for _, r := range x.Records[state] {
			known[bare(r.Person)] = true
			if r.Status == waypost.Valid && !r.Protected && !double[r.ID] {
				m.people, m.home = append(m.people, r), append(m.home, state)
			}
		}
	}
	m.first, m.next = len(m.people), len(m.people)
	others, err := population.Generate(population.Config{States: drill.States, PerState: len(x.Records["CA"]), Seed: s.Seed + 1})
	if err != nil {
		return m, err
	}
	err = others.Each("CA", func(r waypost.Record) error {
		if !known[bare(r.Person)] && !r.Protected {
			r.Status = waypost.Valid
			m.people, m.home = append(m.people, r), append(m.home, "")
		}
		return nil
	})
	return m, errors.Join(err, m.dial())
}

const (
	unnoticed = "by nobody: it keeps every rule that others can see"
	conceded  = "conceded: the hub sees it while it runs, about nobody by name; shown where it gets nine of ten, and one wrong for ten"
)

// finding is something that the hub learns without a name.
type finding struct {
	what, obtained string
	right, all     int // of all that there is, what it got right
	wrong          int // what it takes for such and is not
}

// learnt adds a line about it. It is conceded, and so must succeed: a listener that
// hears nothing shows nothing.
func (l *listener) learnt(f finding) {
	e := estimate.Share(f.right, f.all)
	l.Add(drill.Line{Party: "the hub's operator", Attempted: f.what, Obtained: f.obtained, Noticed: unnoticed, Baseline: l.than.words(), Target: conceded, Planted: true,
		OK:     f.all > 0 && 10*f.right >= 9*f.all && 10*f.wrong <= f.all,
		Figure: &drill.Figure{Name: f.what, Value: e.Value, Low: e.Low, High: e.High, Bound: 0.9}})
}

// counts: searches by state, day, purpose and operator.
func (l *listener) counts() error {
	type cell struct {
		state   waypost.Jurisdiction
		purpose waypost.Purpose
	}
	truth, seen := make(map[cell]int), make(map[cell]int)
	for _, v := range l.visits {
		truth[cell{v.state, v.purpose}]++
	}
	operators := make(map[[32]byte]bool)
	for _, s := range l.searches {
		seen[cell{s.ticket.SOI, s.ticket.Purpose}]++
		operators[s.ticket.Operator] = true
	}
	right := 0
	for c, n := range truth {
		right += min(n, seen[c])
	}
	l.learnt(finding{"count searches by state and purpose", fmt.Sprintf("%d of %d visits of %d days, each with its state, purpose and minute, by %d operators' tags", right, len(l.visits), l.days, len(operators)), right, len(l.visits), len(l.searches) - right})
	return nil
}

// twice: that two searches are about one person.
func (l *listener) twice() error {
	who := l.whoBySearch()
	pairs := l.repeats()
	right, all := 0, 0
	for i := range l.searches {
		for j := range i {
			if who[i] == who[j] {
				all++
				if pairs[[2]int{i, j}] {
					right++
				}
			}
		}
	}
	l.learnt(finding{"know that two searches are about one person", fmt.Sprintf("%d of %d such pairs, and %d pairs of others", right, all, len(pairs)-right), right, all, len(pairs) - right})
	return nil
}

// whoBySearch is the truth about each search.
func (l *listener) whoBySearch() []int {
	by := make(map[waypost.TicketID]int)
	for _, v := range l.visits {
		by[v.ticket] = v.who
	}
	who := make([]int, len(l.searches))
	for i, s := range l.searches {
		at, ok := by[s.id]
		if !ok {
			at = -1 - i // nobody else's
		}
		who[i] = at
	}
	return who
}

// candidates: in which states there may be a record.
func (l *listener) candidates() error {
	held, found, others := 0, 0, 0
	for _, v := range l.visits {
		s := l.byTicket[v.ticket]
		if s == nil || v.held == "" {
			continue
		}
		held++
		for _, owner := range slices.Compact(slices.Sorted(slices.Values(s.owners))) {
			if owner == v.held {
				found++
			} else if !slices.Contains(v.matched, owner) {
				others++
			}
		}
	}
	l.learnt(finding{"know in which state the person who is asked about has a record",
		fmt.Sprintf("of %d of %d, among the candidate states; %d other states were candidates beside", found, held, others), found, held, 0})
	return nil
}

// letters: to which candidates a second leg went, and what that says.
func (l *listener) letters() error {
	sent, seen, wrong, matched, right := 0, 0, 0, 0, 0
	for i, s := range l.searches {
		at := slices.IndexFunc(l.visits, func(v *visit) bool { return v.ticket == s.id })
		if at < 0 {
			continue
		}
		v, legs := l.visits[at], l.secondLegs(i)
		sent, matched = sent+len(v.second), matched+len(v.matched)
		for owner, more := range legs {
			switch {
			case !more:
			case v.second[owner]:
				seen++
			default:
				wrong++
			}
			if more && slices.Contains(v.matched, owner) {
				right++
			}
		}
	}
	l.learnt(finding{"count second legs by the number of letters, while nobody else asks", fmt.Sprintf("%d of %d that were sent, and %d that were not", seen, sent, wrong), seen, sent, wrong})
	e := estimate.Share(right, seen+wrong)
	l.Add(drill.Line{Party: "the hub's operator", Attempted: "know from a second leg that the candidate was the person",
		Obtained: fmt.Sprintf("all %d matches came after one, but not every one was a match: of %d it saw, %d were", right, seen+wrong, right),
		Noticed:  unnoticed, Baseline: l.than.words(), Planted: true,
		Target: "conceded: a second leg says that the first one agreed, and that is mostly the person; an upper bound, while nobody else asks",
		OK:     matched > 0 && 10*right >= 9*matched,
		Figure: &drill.Figure{Name: "share of second legs after which there was a match", Value: e.Value, Low: e.Low, High: e.High, Bound: 0.5}})
	return nil
}

// moved: which check a change of state of record belongs to.
func (l *listener) moved() error {
	all, right, wrong := 0, 0, 0
	moves := make(map[waypost.TicketID]bool)
	for _, v := range l.visits {
		if v.moved {
			all++
			moves[v.ticket] = true
		}
	}
	named := make(map[waypost.TicketID]bool)
	for _, p := range l.passings {
		r := l.records[string(p.from)+string(p.old[:])]
		if r == nil {
			continue // made before the hub began to write
		}
		switch s := l.lookBefore(r, p.to, p.after); {
		case s == nil || named[s.id]:
		case moves[s.id]:
			named[s.id] = true
			right++
		default:
			wrong++
		}
	}
	l.learnt(finding{"know which check a change of state of record came of", fmt.Sprintf("of %d of %d moves, by tokens of the pointer that passed; %d that it held for one were none", right, all, wrong), right, all, wrong})
	return nil
}

// published: which records of two states are one person's.
func (l *listener) published() error {
	records := make(map[string]string) // what a handle is about
	for _, state := range drill.States {
		if err := l.handles(state, func(handle, id string) { records[string(state)+handle] = id }); err != nil {
			return err
		}
	}
	truth := make(map[[2]string]bool)
	if err := l.month.x.People.EachTruth(func(t population.Truth) error {
		truth[[2]string{t.A, t.B}], truth[[2]string{t.B, t.A}] = true, true
		return nil
	}); err != nil {
		return err
	}
	right, wrong := 0, 0
	for pair, n := range l.shared() {
		a, b := pair[0], pair[1]
		if n < 2 {
			continue
		}
		if truth[[2]string{records[string(a.owner)+string(a.handle[:])], records[string(b.owner)+string(b.handle[:])]}] {
			right++
		} else {
			wrong++
		}
	}
	l.learnt(finding{"know that records of two states are one person's, by two tokens or more in common when they were published",
		fmt.Sprintf("%d of %d such pairs, and %d pairs of others", right, len(truth)/2, wrong), right, len(truth) / 2, wrong})
	return nil
}
