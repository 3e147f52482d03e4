// Package rewritten is the drill of those who change what they have written: a fork, a
// rollback, an entry that is dropped or dated back, a ledger or a roster that is
// withheld.
package rewritten

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/hands"
	"github.com/waypost/waypost/internal/drill/notice"
)

// Drill rewrites history in each way that there is.
var Drill = drill.Drill{
	Name:  "rewritten",
	Title: "History rewritten",
	About: "Members fork, roll back, drop, date back and withhold what is in their ledgers, and withhold a roster: how long until they are named, and by whom.",
	Run:   run,
}

// holders is how many key holders there are, any three of which suffice: each attack
// on a ledger takes one out.
const holders = 7

// The key holders that cheat, each in its own way.
const (
	forger   = "keyholder-1"
	returner = "keyholder-2"
	dater    = "keyholder-3"
	deafest  = "keyholder-4"
	hider    = "keyholder-5"
)

// asking is the state that asks for the checks in which members cheat.
const asking = waypost.Jurisdiction("AZ")

// play is one exchange in which all of it happens.
type play struct {
	*drill.Exchange
	stage *drill.Stage
	hands hands.Hands
	watch *notice.Watch
	known []waypost.Record // people of whom a check finds one record, of CA
	asked int
}

// attack is one way to rewrite history, and what came of it.
type attack struct {
	party, attempted string
	play             func(ctx context.Context, a *attack) error
	within           time.Duration // it must be noticed; zero: conceded
	quiet            time.Duration // passes at once, before anybody looks

	obtained string
	c        *notice.Case
	unseen   bool // it was watched to the end, and nobody noticed
}

func run(ctx context.Context, s *drill.Stage) (err error) {
	p := &play{stage: s}
	c := p.hands.Config()
	c.Holders, c.Threshold = holders, 3
	x, err := s.Open(ctx, "exchange", s.Size.Pick(24, 60, 400), c)
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
	attacks := p.attacks()
	for i := range attacks {
		a := &attacks[i]
		s.Progress("rewriting", i, len(attacks))
		if err := a.play(ctx, a); err != nil {
			return fmt.Errorf("%s: %w", a.attempted, err)
		}
		if err := p.watchOne(ctx, a); err != nil {
			return err
		}
		p.report(*a)
	}
	s.Add(p.watch.Innocent())
	p.without()
	return p.forgetful(ctx)
}

// watchOne lets time pass until an attack is named, or for long enough where it is
// conceded that it is not.
func (p *play) watchOne(ctx context.Context, a *attack) error {
	if a.c == nil {
		return nil
	}
	if a.within == 0 {
		err := p.watch.Later(ctx)
		a.unseen = len(a.c.Seen) == 0
		return err
	}
	p.Clock.Advance(a.quiet)
	left := a.within - a.quiet
	switch p.watch.Step = 30 * time.Second; {
	case left > time.Hour:
		p.watch.Step = 5 * time.Minute
	case left > 5*time.Minute:
		p.watch.Step = time.Minute
	}
	return p.watch.Run(ctx, p.stage, left+p.watch.Step)
}

func (p *play) report(a attack) {
	if a.c == nil {
		return // it has its own line
	}
	l := drill.Line{Party: a.party, Attempted: a.attempted, Obtained: a.obtained}
	if a.within > 0 {
		p.stage.Add(a.c.Line(l, a.within))
		return
	}
	l.Noticed, l.Baseline = a.c.Words(), notice.NoTrace
	l.Target, l.OK = "conceded: clocks that are honest may differ by five minutes", a.unseen
	p.stage.Add(l)
}

// honest makes checks until enough people are known of whom one record is found.
func (p *play) honest(ctx context.Context) error {
	for _, r := range p.Records["CA"] {
		if len(p.known) == 4 {
			break
		}
		a, err := p.Check(ctx, asking, r.Person, waypost.IssueRealID, "CASE")
		if err != nil {
			return err
		}
		if len(a.Candidates) == 1 && a.Candidates[0].Outcome == waypost.Match && a.Complete && len(a.Own) == 0 {
			p.known = append(p.known, r)
		}
	}
	if len(p.known) == 0 {
		return errors.New("nobody of CA has one record that is found")
	}
	return nil
}

// ask is a check of a person whom California knows; it must say match.
func (p *play) ask(ctx context.Context) (waypost.Answer, error) {
	p.asked++
	a, err := p.Whole(ctx, asking, p.known[p.asked%len(p.known)].Person, waypost.IssueRealID, fmt.Sprint("CASE-", p.asked))
	if err == nil && (a.Owed || !a.Complete || a.Best() != waypost.Match) {
		err = fmt.Errorf("an honest check says %q, owed %t, complete %t", a.Best(), a.Owed, a.Complete)
	}
	return a, err
}
