// Package compelled is the drill of an order: served on each party alone, and on each
// two together, to hand over all that they have. What comes out is what can be taken
// from their real folders, with their keys, by programs that look everywhere.
//
//	scene.go      an exchange with a past
//	extract.go    what comes out of the folders of those who are served
//	compelled.go  the table
package compelled

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/install"
)

// Drill is the compelled disclosure.
var Drill = drill.Drill{
	Name:  "compelled",
	Title: "A compelled disclosure",
	About: "Each party alone, and each two together, hand over all that they have: what is in it, as a table for the register of legal demands.",
	Run:   run,
}

// theState is the state that is served; another is served beside it.
const (
	theState = waypost.Jurisdiction("CA")
	another  = waypost.Jurisdiction("AZ")
	auditor  = "governance" // the folder with the auditor's key
)

// parties are those that can be served, by their folders, and as the table names them.
var parties = []struct{ folder, words string }{
	{string(theState), "a state"}, {string(another), "another state"}, {"hub", "the hub"}, {"keyholder-1", "a key holder"}, {"keyholder-2", "another key holder"},
	{"witness-1", "a witness"}, {auditor, "an auditor"},
}

func run(ctx context.Context, s *drill.Stage) error {
	c, err := play(ctx, s)
	if err != nil {
		return err
	}
	f, err := install.OpenFolder(filepath.Join(c.x.Dir, "hub"), c.x.Clock.Now)
	if err != nil {
		return err
	}
	c.threshold = f.Roster.Current().Threshold
	for _, m := range f.Roster.Current().Members {
		c.members = append(c.members, m.Name)
	}
	c.plain()
	n := 0
	for i, p := range parties {
		if !strings.HasPrefix(p.words, "another") {
			if err := c.order(ctx, p.words, p.folder); err != nil {
				return err
			}
		}
		for _, q := range parties[i+1:] {
			if strings.HasPrefix(p.words, "another") || strings.HasPrefix(q.words, "another") && "another"+p.words[1:] != q.words {
				continue // with the first of its kind
			}
			s.Progress("orders", n, 21)
			n++
			if err := c.order(ctx, p.words+" and "+q.words, p.folder, q.folder); err != nil {
				return err
			}
		}
	}
	all := []string{"hub"}
	for j := range c.threshold {
		all = append(all, fmt.Sprintf("keyholder-%d", j+1))
	}
	return c.order(ctx, fmt.Sprintf("the hub and %d key holders (conceded)", c.threshold), all...)
}

// The columns of the table.
const (
	listedOwn     = "listed: people of its own files and counters"
	listedOthers  = "listed: others"
	confirmOwn    = "confirmed if named: its own"
	confirmOthers = "confirmed if named: cards of other states"
	namedChecks   = "past checks with names"
	bareChecks    = "past checks without"
	ssnOwn        = "SSN on file or not: its own"
	ssnOthers     = "SSN on file or not: others"
	portraits     = "portraits"
)

// plain is what the same order on the plain index brings out.
func (c *scene) plain() {
	n, none := 0, 0
	for _, p := range c.people {
		if len(p.records) > 0 {
			n++
			if p.SSN5 == "" {
				none++
			}
		}
	}
	c.Add(drill.Line{Party: "the operator of today's index (baseline)", Attempted: "hand over all that it has",
		Obtained: fmt.Sprintf("%d card holders by name, all at once, %d of them marked as without an SSN", n, none),
		Noticed:  "by nobody", Target: "everybody is listed", OK: n > 0 && none > 0, Planted: true,
		Figure: &drill.Figure{Name: "people of other states, by name", Value: float64(n), Low: float64(n), High: float64(n), Bound: 1,
			Others: []drill.Other{{Name: listedOwn}, {Name: listedOthers, Value: float64(n)}, {Name: confirmOwn}, {Name: confirmOthers, Value: float64(n)}, {Name: namedChecks}, {Name: bareChecks},
				{Name: ssnOwn}, {Name: ssnOthers, Value: float64(n)}, {Name: portraits}}}})
}

// order serves parties together and adds the line.
func (c *scene) order(ctx context.Context, words string, folders ...string) error {
	o, err := serve(ctx, c, folders...)
	if err != nil {
		return fmt.Errorf("%s: %w", words, err)
	}
	t := o.tally()
	conceded := len(o.shares) >= c.threshold
	states := len(o.states) > 0
	line := drill.Line{Party: words, Attempted: "hand over all that they have, be searched, and be asked about everybody by name",
		Obtained: fmt.Sprintf("listed: %.0f of their own and %.0f others; confirmed if named: %.0f of their own, %.0f cards of other states; checks: %.0f with names, %.0f without; SSN on file or not: %.0f and %.0f others; %.0f portraits",
			t[listedOwn], t[listedOthers], t[confirmOwn], t[confirmOthers], t[namedChecks], t[bareChecks], t[ssnOwn], t[ssnOthers], t[portraits]),
		Noticed:  "an order is told in the register of legal demands, unless it forbids that",
		Baseline: "plain: the operator lists everybody, with the mark for no SSN",
		Target:   "nobody is listed but the state's own people and who stood at its counters; without a state nobody is listed or confirmed",
		OK:       t[portraits] == 0 || states,
		Figure:   &drill.Figure{Name: "people of others, by name", Value: t[listedOthers], Low: t[listedOthers], High: t[listedOthers], AtMost: true}}
	if !states {
		all := t[listedOwn] + t[listedOthers] + t[confirmOwn] + t[confirmOthers] + t[namedChecks] + t[ssnOwn] + t[ssnOthers]
		line.Figure.Value, line.Figure.Low, line.Figure.High = all, all, all
	} else {
		line.OK = line.OK && t[listedOwn] > 0 && t[namedChecks] > 0 // the search can find
	}
	if conceded {
		line.Planted, line.Target = true, "conceded: t key holders and the hub confirm everybody whom the order names; they list nobody"
		line.Figure = &drill.Figure{Name: "cards confirmed", Value: t[confirmOthers], Low: t[confirmOthers], High: t[confirmOthers], Bound: float64(c.cards())}
	}
	for _, name := range []string{listedOwn, listedOthers, confirmOwn, confirmOthers, namedChecks, bareChecks, ssnOwn, ssnOthers, portraits} {
		line.Figure.Others = append(line.Figure.Others, drill.Other{Name: name, Value: t[name]})
	}
	c.Add(line)
	return nil
}

// cards are all cards in the exchange, of different people at a state.
func (c *scene) cards() (n int) {
	for _, p := range c.people {
		n += len(p.records)
	}
	return n
}

// tally counts a holding.
func (o *holding) tally() map[string]float64 {
	t := make(map[string]float64)
	own := func(p *person) bool {
		for _, s := range o.states {
			if p.records[s] || p.counters[s] {
				return true
			}
		}
		return false
	}
	count := func(set map[*person]bool, mine, others string) {
		for p := range set {
			if own(p) {
				t[mine]++
			} else {
				t[others]++
			}
		}
	}
	count(o.listed, listedOwn, listedOthers)
	count(o.ssn, ssnOwn, ssnOthers)
	for p := range o.listed {
		for _, s := range o.states {
			if p.records[s] {
				t[confirmOwn]++
			}
		}
	}
	for p, cards := range o.confirmed {
		for s := range cards {
			if !slices.Contains(o.states, s) && p.records[s] {
				t[confirmOthers]++
			}
		}
	}
	t[namedChecks], t[portraits] = float64(len(o.named)), float64(len(o.portraits))
	for ticket := range o.bare {
		if !o.named["asked "+ticket] && !o.named["found "+ticket] {
			t[bareChecks]++
		}
	}
	return t
}
