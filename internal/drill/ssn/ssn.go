// Package ssn is the drill of a state that wants to know who in another state has no
// SSN, by tickets: with a program in the place of its gateway, and at the counter of an
// honest one. People who have an SSN and people from whom it was taken by lot are asked
// about in the same ways, one after the other in mixed order, and from what comes back
// the attacker guesses who is who.
//
//	ssn.go      the exchange, and the lines in their order
//	people.go   who has an SSN, by lot; a state that tells
//	probe.go    what a replaced gateway can ask about one person
//	counter.go  what can be asked at a counter
//	guess.go    from what was seen to a guess, and how much better than chance it is
//	guessing.go trying the endings of SSNs
package ssn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/internal/gateway"
)

// Drill is the ticket aimed at SSN status.
var Drill = drill.Drill{
	Name:  "ssn",
	Title: "A ticket aimed at SSN status",
	About: "A state asks about people of another, in every way that a ticket allows, to learn who has no SSN.",
	Run:   run,
}

const (
	asking  = waypost.Jurisdiction("AZ") // the attacker
	honest  = waypost.Jurisdiction("CA")
	telling = waypost.Jurisdiction("NY") // has the planted weakness
)

// play is one run of the drill.
type play struct {
	*drill.Stage
	x       *drill.Exchange
	planted planted
	people  map[waypost.Jurisdiction][]*subject
	// elsewhere is what the same question obtains of the baselines.
	elsewhere map[waypost.Jurisdiction]baselines
	secret    [32]byte // of the honest state's gateway: the attacker does not have it
}

func run(ctx context.Context, s *drill.Stage) (err error) {
	p := &play{Stage: s, people: make(map[waypost.Jurisdiction][]*subject), elsewhere: make(map[waypost.Jurisdiction]baselines)}
	p.x, err = s.Open(ctx, "exchange", 20, cluster.Config{Gateways: func(state waypost.Jurisdiction, d *gateway.Deps) {
		switch state {
		case telling:
			p.planted.System, d.People = d.People, &p.planted
		case honest:
			p.secret = d.Secret
		}
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.x.Close()) }()
	if err := p.populate(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{p.byTickets, p.atTheCounter} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// byTickets replaces the gateway of the state that asks.
func (p *play) byTickets(ctx context.Context) error {
	folder := p.x.Role(string(asking)).Folder
	if err := p.x.Stop(string(asking)); err != nil {
		return err
	}
	g, err := rogue.New(ctx, folder, p.x.Clock.Now)
	if err != nil {
		return err
	}
	if err := p.probeAll(ctx, g); err != nil {
		return err
	}
	p.wordLines()
	if err := p.timeLines(ctx, g); err != nil {
		return err
	}
	if err := p.tryAll(ctx, g); err != nil {
		return err
	}
	return p.x.Start(ctx, string(asking))
}

// unseen is what a line says where nothing tells anybody.
const unseen = "each look stands in the ledgers, with who asked; the drill clerk says how an enumeration is noticed"

// bound is the advantage below which the interval of n people must reach. Each of the
// dozen lines would miss zero once in twenty times by the chance of the lot; together
// they miss this about once in twenty.
func bound(n int) float64 { return 0.85 / math.Sqrt(float64(n)) }

// asked is one way of asking.
type asked struct {
	what string
	of   waypost.Jurisdiction
	n    int // people asked about
	full int // of whom there was an answer to it: where few are answered nothing is told, and nothing shown
}

// line is one way of asking and what it told, as the advantage of the guess over
// chance.
func (p *play) line(w asked, a advantage) {
	than := p.elsewhere[w.of]
	l := drill.Line{
		Party:     "a state, by tickets",
		Attempted: fmt.Sprintf("%s; %d people of %s, half of them without an SSN by lot", w.what, w.n, w.of),
		Obtained:  fmt.Sprintf("advantage over guessing %.3f (95 %%: %.3f to %.3f), by the answers of %d", a.Value, a.Low, a.High, w.full),
		Noticed:   unseen, Baseline: fmt.Sprintf("plain index: the column says 99999, advantage %.3f; unkeyed index: one guess each, 99999, advantage %.3f", than.plain.Value, than.unkeyed.Value),
		Target: fmt.Sprintf("none: the interval reaches zero, or by chance below %.2f; and at least nine of ten are answered", bound(w.n)),
		OK:     w.n > 0 && 10*w.full >= 9*w.n && than.plain.Low > plantedBound && than.unkeyed.Low > plantedBound,
		Figure: &drill.Figure{Name: "advantage over guessing", Value: a.Value, Low: a.Low, High: a.High, Bound: bound(w.n), AtMost: true,
			Others: []drill.Other{{Name: "plain index", Value: than.plain.Value}, {Name: "unkeyed index", Value: than.unkeyed.Value}}},
	}
	if w.of == telling {
		l.Planted, l.Party = true, "a state, by tickets, of a state of record with a planted weakness"
		l.Target = fmt.Sprintf("found: the interval lies above %.1f", plantedBound)
		l.Figure.Bound, l.Figure.AtMost = plantedBound, false
		l.OK = a.Low > plantedBound
	}
	p.Add(l)
}

// byWords is a way of asking that is told by words.
func (p *play) byWords(what, name string, of waypost.Jurisdiction) {
	full := 0
	for _, s := range p.people[of] {
		if s.full[name] {
			full++
		}
	}
	p.line(asked{what, of, len(p.people[of]), full}, p.byWord(of, name))
}

// plantedBound is the advantage that the planted weaknesses must give.
const plantedBound = 0.3

// wordLines are the lines about what was answered, and how large it was.
func (p *play) wordLines() {
	for _, w := range []struct{ what, name string }{
		{"single-kind probes: one key of the name in part one, keys that anybody can derive in part two; the first leg", "single"},
		{"the first leg and no second", "first"},
		{"outcome and all that is told: the right name, a slip in the given name, a slip in the date, the card shown", "told"},
		{"sizes of the answers", "size"},
	} {
		p.byWords(w.what, w.name, honest)
		if w.name == "told" {
			p.byWords("the same", w.name, telling)
		}
	}
}

// timeLines are about how long answers take. A difference that one series shows must be in
// three more to count: each shows one once in sixty times by chance. Of the state that tells, series are added until it is
// found out, or there were ten.
func (p *play) timeLines(ctx context.Context, g *rogue.Gateway) error {
	repeats := p.Size.Pick(2, 4, 20)
	for _, of := range []waypost.Jurisdiction{honest, telling} {
		series, a := 0, advantage{}
		for more := true; more; series++ {
			if err := p.timeAll(ctx, g, of, repeats, of == telling); err != nil {
				return err
			}
			a = p.byTime(of)
			more = of == honest && series < 3 && a.Low > bound(len(p.people[of])) || of == telling && series < 9 && a.Low <= plantedBound
		}
		what := fmt.Sprintf("how long search and both legs take: the shortest of %d tickets for each, in mixed order", repeats)
		if of == telling {
			what = fmt.Sprintf("the same, the shortest of %d tickets for each", series*repeats)
		}
		p.line(asked{what, of, len(p.people[of]), len(p.people[of])}, a)
	}
	return nil
}

// plantedDelay is by how much the licensing system of the telling state is slower where
// there is an SSN.
const plantedDelay = 100 * time.Millisecond
