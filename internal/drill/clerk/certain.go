package clerk

import (
	"context"
	"fmt"
	"math"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
)

// asker is what a replaced gateway knows of a list, and whom it asks about next. Each part
// of a ticket tells it how many records its people have together, and nothing of one alone.
// So it asks about groups: of one without any record it is certain of everybody, any other
// it divides in two, and what it learns of one half it knows of the other.
type asker struct {
	list []listed
	// group is how many are asked about together at first; 0 fills every part, and divides
	// nothing.
	group int
	next  int
	open  []pot
	sure  map[int]bool // place in the list: whether there is a record; of those of whom it is certain
}

// pot is a group of whom it is known how many records they have together.
type pot struct {
	who []int
	has int
}

// question is one part of a ticket: a group, and where it was one half, the other half with
// what both have together.
type question struct {
	who   []int
	other []int
	both  int
}

// newAsker asks about a list of which it believes that this share has a record. A group is
// best where it is as likely to have none as to have one.
func newAsker(list []listed, share float64) *asker {
	a := &asker{list: list, sure: make(map[int]bool)}
	if share > 0 {
		a.group = max(2, int(math.Round(math.Ln2/share)))
	}
	return a
}

// ask is the next question, of so many people at most.
func (a *asker) ask(most int) question {
	if n := len(a.open); n > 0 {
		p := a.open[n-1]
		a.open = a.open[:n-1]
		half := min(len(p.who)/2, most)
		return question{who: p.who[:half], other: p.who[half:], both: p.has}
	}
	n := most
	if a.group > 0 {
		n = min(most, a.group)
	}
	var q question
	for ; n > 0 && (a.group == 0 || a.next < len(a.list)); n-- {
		q.who = append(q.who, a.next%len(a.list))
		a.next++
	}
	return q
}

// learn takes in how many records were found.
func (a *asker) learn(q question, found int) {
	a.put(pot{q.who, found})
	if len(q.other) > 0 {
		a.put(pot{q.other, q.both - found})
	}
}

func (a *asker) put(p pot) {
	switch {
	case len(p.who) == 0:
	case p.has <= 0 || len(p.who) == 1:
		for _, n := range p.who {
			a.sure[n] = p.has > 0
		}
	case a.group > 0:
		a.open = append(a.open, p)
	}
}

// judge holds what it is certain of against the truth.
func (a *asker) judge() (holders, wrong int) {
	for n, has := range a.sure {
		if has {
			holders++
		}
		if has != a.list[n].known {
			wrong++
		}
	}
	return holders, wrong
}

// certainties are lists of which a replaced gateway wants to be certain of single names: the
// long list, of whom half have a record, and one of whom few have, in full tickets and in
// groups that it divides.
func (p *play) certainties(ctx context.Context) error {
	for _, each := range []struct {
		list  []listed
		share float64
		full  bool
	}{{p.list, 0.5, false}, {p.rare, rareShare, true}, {p.rare, rareShare, false}} {
		how, groups := "asks about groups, and divides those that have one", each.share
		if each.full {
			how, groups = "fills tickets with them", 0
		}
		h := help{party: "a state whose gateway was replaced", asker: newAsker(each.list, groups)}
		l, found, err := p.trial(ctx, h)
		if err != nil {
			return err
		}
		certain := len(h.asker.sure)
		holders, wrong := h.asker.judge()
		most := p.bound(h) * waypost.CheckElements
		line := drill.Line{
			Party:     h.party,
			Attempted: fmt.Sprintf("wants to be certain of single names of a list of whom %.0f %% have a card elsewhere: %s, until refused", 100*each.share, how),
			Obtained: fmt.Sprintf("certain of %d names in %d tickets, %.1f a ticket: %d with a card, %d without any; wrong about %d",
				certain, l.searched, float64(certain)/float64(max(1, l.searched)), holders, certain-holders, wrong),
			Noticed:  found.words(l),
			Baseline: p.inBaselines(),
			Target: fmt.Sprintf("conceded: more than one name a ticket, and never more than its %d elements, %d a day; refused at %d tickets, every candidate told to its state, the state named by the auditor",
				waypost.CheckElements, most, p.bound(h)),
			// An attack that were certain of no more than an honest counter would show nothing.
			OK: certain > l.searched && holders < certain && holders > 0 == !each.full && wrong*100 <= certain && l.searched <= p.bound(h) && p.refused(l) && found.well(),
			Figure: &drill.Figure{Name: "names certain in a day", Value: float64(certain), Low: float64(certain), High: float64(certain), Bound: float64(most), AtMost: true,
				Others: append([]drill.Other{{Name: "one person a ticket", Value: float64(l.searched)}}, p.others()...)},
		}
		line.NoticedSeconds = l.alarm.seconds()
		p.Add(line)
	}
	return nil
}
