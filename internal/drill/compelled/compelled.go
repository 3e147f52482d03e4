// Package compelled is the drill of an order: served on each party alone, and on each
// two together, to hand over all that they have. What comes out is what can be taken
// from their real folders, with their keys, by programs that look everywhere.
//
//	scene.go      an exchange with a past
//	extract.go    what comes out of the folders of those who are served
//	together.go   what several have, put together
//	plain.go      the same order on the two baselines
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
	if err := c.plain(ctx); err != nil {
		return err
	}
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
	ssnAlike      = "the same SSN on file elsewhere or not: records of other states of its own people"
	portraits     = "portraits"
)

var columns = []string{listedOwn, listedOthers, confirmOwn, confirmOthers, namedChecks, bareChecks, ssnOwn, ssnOthers, ssnAlike, portraits}

// numbers are those of a row, in the order of the columns.
func numbers(t map[string]float64) (row []drill.Other) {
	for _, name := range columns {
		row = append(row, drill.Other{Name: name, Value: t[name]})
	}
	return row
}

// order serves parties together and adds the line.
func (c *scene) order(ctx context.Context, words string, folders ...string) error {
	o, err := serve(ctx, c, folders...)
	if err != nil {
		return fmt.Errorf("%s: %w", words, err)
	}
	t := o.tally()
	states := len(o.states) > 0
	line := drill.Line{Party: words, Attempted: "hand over all that they have, be searched, and be asked about everybody by name",
		Obtained: fmt.Sprintf("listed: %.0f of their own and %.0f others; confirmed if named: %.0f of their own, %.0f cards of other states; checks: %.0f with names, %.0f without; SSN on file or not: %.0f and %.0f others; %.0f portraits",
			t[listedOwn], t[listedOthers], t[confirmOwn], t[confirmOthers], t[namedChecks], t[bareChecks], t[ssnOwn], t[ssnOthers], t[portraits]),
		Noticed:  "an order is told in the register of legal demands, unless it forbids that",
		Baseline: "plain: the operator lists everybody, with the mark for no SSN; unkeyed: it confirms everybody, and who has no SSN at once",
		Target:   "nobody is listed but the state's own people and who stood at its counters, and whether there is an SSN is said of nobody else; without a state nobody is listed or confirmed",
		OK:       t[portraits] == 0 || states}
	figure := t[listedOthers] + t[ssnOthers]
	if states {
		line.OK = line.OK && t[listedOwn] > 0 && t[namedChecks] > 0 && t[ssnOwn] > 0 // the search can find
	} else {
		figure += t[listedOwn] + t[confirmOwn] + t[confirmOthers] + t[namedChecks] + t[ssnOwn] + t[ssnAlike]
	}
	line.Figure = &drill.Figure{Name: "people of others, by name or by whether there is an SSN", Value: figure, Low: figure, High: figure, AtMost: true, Others: numbers(t)}
	switch {
	case len(o.shares) >= c.threshold:
		line.Planted, line.Target = true, "conceded: t key holders and the hub confirm everybody whom the order names; they list nobody"
		line.Figure = &drill.Figure{Name: "cards confirmed", Value: t[confirmOthers], Low: t[confirmOthers], High: t[confirmOthers], Bound: float64(c.cards()), Others: numbers(t)}
	case states && o.index != nil:
		o.opened(&line)
	}
	c.Add(line)
	return nil
}

// opened adds to the line of a state and the hub what only the two together can try:
// opening the letters that wait, and laying the state's tokens beside the index.
func (o *holding) opened(line *drill.Line) {
	v := o.compared()
	line.Obtained += fmt.Sprintf("; %d letters that waited at the hub opened, %d not; of %d records of other states of people whose SSN the state knows: %d have the same, %d another or none (%d none), %d told wrongly",
		o.letters, o.closed, v.same+v.other+v.wrong, v.same, v.other, v.none, v.wrong)
	line.Target += ". Conceded: records of other states of the state's own people, and whether those have the SSN that it knows itself"
	line.OK = line.OK && o.letters > 0 && o.closed == 0 && v.same > 0 && v.none > 0 && v.wrong == 0
}

// cards are all cards in the exchange, of different people at a state.
func (c *scene) cards() (n int) {
	for _, p := range c.people {
		n += len(p.records)
	}
	return n
}

// serves reports whether a state is among those that are served.
func (o *holding) serves(state waypost.Jurisdiction) bool { return slices.Contains(o.states, state) }

// tally counts a holding.
func (o *holding) tally() map[string]float64 {
	t := make(map[string]float64)
	own := func(p *person) bool {
		for _, s := range o.states {
			if p.holds(s) || p.counters[s] {
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
			if p.holds(s) {
				t[confirmOwn]++
			}
		}
	}
	for p, cards := range o.confirmed {
		for s := range cards {
			if !o.serves(s) && p.holds(s) {
				t[confirmOthers]++
			}
		}
	}
	v := o.compared()
	t[ssnAlike] = float64(v.same + v.other)
	t[namedChecks], t[portraits] = float64(len(o.named)), float64(len(o.portraits))
	for ticket := range o.bare {
		if !o.named["asked "+ticket] && !o.named["found "+ticket] {
			t[bareChecks]++
		}
	}
	return t
}
