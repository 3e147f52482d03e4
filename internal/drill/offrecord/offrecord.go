// Package offrecord is the drill of those who answer a friend and write nothing down:
// a hub, a state of record, a key holder, alone or together with the state that asks.
package offrecord

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/hands"
	"github.com/waypost/waypost/internal/drill/notice"
)

// Drill has each role answer off the record.
var Drill = drill.Drill{
	Name:  "offrecord",
	Title: "Off the record",
	About: "A hub, a state of record and a key holder each answer a friend and write nothing down, also where the friend keeps silent: how long until they are named.",
	Run:   run,
}

const (
	// asking is the friend, or an honest state that is answered off the record without
	// knowing it.
	asking = waypost.Jurisdiction("AZ")
	// horizon is for how long a cheat is watched.
	horizon = 20 * time.Minute
	// bound is within how long a cheat must be named, in minutes.
	bound = 10
)

// play is one exchange in which the cheats are played.
type play struct {
	*drill.Exchange
	stage *drill.Stage
	hands hands.Hands
	watch *notice.Watch
	// known are people with a record in one other state that answers match, by state.
	known map[waypost.Jurisdiction][]waypost.Record
	asked int // people who were asked about so far
}

func run(ctx context.Context, s *drill.Stage) error {
	p := &play{stage: s, known: make(map[waypost.Jurisdiction][]waypost.Record)}
	x, err := s.Open(ctx, "exchange", s.Size.Pick(24, 60, 400), p.hands.Config())
	if err != nil {
		return err
	}
	p.Exchange = x
	defer x.Close()
	if err := p.honest(ctx); err != nil {
		return err
	}
	if p.watch, err = notice.New(ctx, s, x); err != nil {
		return err
	}
	cheats := p.cheats()
	for i := range cheats {
		s.Progress("cheating", i, len(cheats))
		if err := cheats[i].play(ctx, &cheats[i]); err != nil {
			return fmt.Errorf("%s: %w", cheats[i].attempted, err)
		}
		if _, _, err := p.ask(ctx, "NY", "CA"); err != nil { // honest traffic goes on
			return err
		}
	}
	hidden, err := p.lookUnseen(ctx, s.Size.Pick(6, 120, 1000))
	if err != nil {
		return err
	}
	if err := p.watch.Run(ctx, s, horizon); err != nil {
		return err
	}
	if err := p.watch.Later(ctx); err != nil {
		return err
	}
	for _, c := range cheats {
		p.report(c)
	}
	if err := p.sample(ctx, hidden); err != nil {
		return err
	}
	p.innocent()
	p.without(cheats)
	return p.alone(ctx)
}

// report makes a line of a cheat that must be named.
func (p *play) report(c cheat) {
	first, seen := c.c.First()
	l := drill.Line{
		Party: c.party, Attempted: c.attempted, Obtained: c.obtained, Noticed: c.c.Words(),
		Baseline: "plain and unkeyed index: nobody, ever",
		Target:   fmt.Sprintf("named within %d minutes by the clock of the exchange", bound), OK: seen,
	}
	if seen {
		minutes, seconds := first.After.Minutes(), first.After.Seconds()
		l.NoticedSeconds = &seconds
		l.Figure = &drill.Figure{Name: "minutes until named", Value: minutes, Low: minutes, High: minutes, Bound: bound, AtMost: true}
	}
	p.stage.Add(l)
}

// innocent is the line about those who had no part in any of it.
func (p *play) innocent() {
	n := float64(len(p.watch.Framed))
	p.stage.Add(drill.Line{
		Party: "every honest member", Attempted: "none: checks went on between the cheats",
		Obtained: fmt.Sprintf("%d accusations of somebody who had no part in it%s", len(p.watch.Framed), list(p.watch.Framed)),
		Noticed: fmt.Sprintf("the auditor read what was new %d times, %d entries, in %.1f s of real time",
			p.watch.Audits, p.watch.Entries, p.watch.Took.Seconds()),
		Target: "nobody is named who had no part in it", OK: n == 0,
		Figure: &drill.Figure{Name: "honest members accused", Value: n, Low: n, High: n, Bound: 0, AtMost: true},
	})
}

func list(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return ": " + strings.Join(words[:min(len(words), 5)], "; ")
}

// without are the baselines: the same questions, answered by their operators.
func (p *play) without(cheats []cheat) {
	plain, unkeyed := drill.NewBaselines(p.Records)
	before := len(plain.Rows) + len(unkeyed.Owners)
	found := [2]int{}
	for _, c := range cheats {
		row := drill.RowOf(c.person, "")
		for _, r := range plain.Rows {
			if r.Family == row.Family && r.Given == row.Given && r.Born == row.Born && r.SSN5 == row.SSN5 {
				found[0]++
				break
			}
		}
		if _, ok := unkeyed.Find(row.Family, row.Given, row.Born, row.SSN5); ok {
			found[1]++
		}
	}
	rows := len(plain.Rows) + len(unkeyed.Owners)
	p.stage.Add(drill.Line{
		Party: "the operator of a plain or an unkeyed index", Attempted: fmt.Sprintf("answers a friend about the same %d people", len(cheats)),
		Obtained: fmt.Sprintf("%d and %d of them with name, date, SSN-5 and owner", found[0], found[1]),
		Noticed:  fmt.Sprintf("nobody, ever: the tables had %d rows before and %d after, and there is nothing else", before, rows),
		Target:   "the attack succeeds on the baselines", OK: found[0] == len(cheats) && found[1] == len(cheats) && rows == before, Planted: true,
	})
}

// looksFor is how many looks at one in so many opened give this chance to be drawn.
func looksFor(chance, rate float64) int { return int(math.Ceil(math.Log(1-chance) / math.Log(1-rate))) }
