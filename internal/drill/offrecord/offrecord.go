// Package offrecord is the drill of those who answer a friend and write nothing down:
// a hub, a state of record, a key holder, alone or together with the state that asks.
package offrecord

import (
	"context"
	"fmt"
	"math"
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
	// bound is within how long a cheat must be named.
	bound = 10 * time.Minute
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
	talk, err := p.talk(ctx)
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
		p.stage.Add(c.c.Line(drill.Line{Party: c.party, Attempted: c.attempted, Obtained: c.obtained}, bound))
	}
	p.between(talk)
	if err := p.sample(ctx, hidden); err != nil {
		return err
	}
	p.stage.Add(p.watch.Innocent())
	p.without(cheats)
	return p.alone(ctx)
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
