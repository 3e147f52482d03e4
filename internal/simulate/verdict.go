package simulate

import (
	"context"
	"errors"

	"github.com/waypost/waypost/internal/store"
)

// What must have become of what happened between two states.

// How journeys, reports and endings stand in the tables of the rooms.
const (
	moveArrived                    = 1
	movePassing, moveDone          = 3, 5 // above: given up
	reportDeciding, reportSent     = 2, 4
	reportDone                     = 5
	endingClosed, noticePeriodDays = 3, 15
)

// lines are the cards that belong to one record on its way through the states: of
// all of them one is the state of record's.
func (s *script) lines() [][]*card {
	line := make(map[*card]int) // card -> number of its line
	for n, c := range s.cards {
		line[c] = n
	}
	for range s.journeys { // until nothing changes any more
		for _, j := range s.journeys {
			n := min(line[j.from], line[j.to])
			line[j.from], line[j.to] = n, n
		}
	}
	all := make([][]*card, len(s.cards))
	for _, c := range s.cards {
		all[line[c]] = append(all[line[c]], c)
	}
	return all
}

// oneEach: of the cards of a line one is in the index, wherever it has gone, unless
// it was taken out or ended.
func (s *script) oneEach() {
	for _, line := range s.lines() {
		if len(line) < 2 {
			continue // see fated
		}
		first, current, out := 0, 0, false
		for _, c := range line {
			if c.first {
				first++
			}
			if s.indexed(c) {
				current++
			}
			out = out || c.out
		}
		if current > first || current < 1 && !out {
			s.failf("%d of the cards %v are in the index, which began as %d", current, names(line), first)
		}
	}
}

func names(line []*card) (ids []string) {
	for _, c := range line {
		ids = append(ids, c.id)
	}
	return ids
}

// arrived: each journey has come to its end.
func (s *script) arrived() {
	for _, j := range s.journeys {
		state := s.number(s.role[string(j.to.state)].life.db, `SELECT coalesce((SELECT state FROM move WHERE id = $1), 6)`, j.id[:])
		switch {
		case state < moveDone:
			s.failf("the move of %s to %s has not come to its end: %d", j.from.id, j.to.id, state)
		case state == moveDone:
			s.result.Moves++
		}
	}
}

// kept: an item that a state of record has accepted is with the state of record
// now.
func (s *script) kept() {
	lines := s.lines()
	for _, i := range s.items {
		if !i.own && !s.accepted(i) {
			continue
		}
		s.result.Items++
		for _, line := range lines {
			for _, c := range line {
				if c == i.card {
					s.with(i, line)
				}
			}
		}
	}
}

// accepted reports whether the reporter was told so in the end.
func (s *script) accepted(i *item) bool {
	db := s.role[string(i.reporter)].life.db
	var state int
	var word string
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row(`SELECT state, word FROM driver_report WHERE item = $1`, i.id[:]).Scan(&state, &word)
	})
	switch {
	case errors.Is(err, store.ErrNoRows):
		return false // it died before the report was begun
	case err != nil:
		s.failf("%v", err)
	case state < reportDone && state != reportDeciding:
		s.failf("the report %x of %s has not come to its end: %d %q", i.id[:4], i.reporter, state, word)
	}
	return word == "accepted"
}

// with: whoever has the record now has the item. Where a line began as two cards,
// one of those who have them.
func (s *script) with(i *item, line []*card) {
	var without []*card
	for _, c := range line {
		if !s.indexed(c) {
			continue
		}
		if n := s.number(s.role[string(c.state)].life.db, `SELECT count(*) FROM driver_item WHERE record = $1 AND id = $2`, c.id, i.id[:]); n == 1 {
			return
		}
		without = append(without, c)
	}
	if len(without) > 0 {
		s.failf("the item %x, which was accepted for %s, is not with %v, which is the record now", i.id[:4], i.card.id, names(without))
	}
}

// noticed: no card was ended before its holder had the time to object, unless they
// had surrendered it, or had it moved.
func (s *script) noticed() {
	for _, st := range States {
		l := s.role[string(st)].life
		if n := s.number(l.db, `SELECT count(*) FROM ending e WHERE e.state = $1 AND e.surrendered = 0 AND e.objection = '' AND NOT EXISTS
			(SELECT 1 FROM letter l WHERE l.id = e.letter AND l.mailed IS NOT NULL AND l.mailed + $2 <= e.changed) AND NOT EXISTS
			(SELECT 1 FROM moving m WHERE m.record = e.record AND m.state IN (1, 2))`,
			endingClosed, noticePeriodDays*86400); n != 0 {
			s.failf("%s has ended %d cards without the notice that is due", st, n)
		}
		s.result.Ended += int(s.number(l.db, `SELECT count(*) FROM ending WHERE state = $1`, endingClosed))
	}
}
