package simulate

import (
	"context"
	"errors"
	"slices"

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

// lines are the cards that belong to one record on its way through the states, as
// far as those journeys took it: of all of them one is the state of record's.
func (s *script) lines(journeys []*journey) [][]*card {
	line := make(map[*card]int) // card -> number of its line
	for n, c := range s.cards {
		line[c] = n
	}
	for range journeys { // until nothing changes any more
		for _, j := range journeys {
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
	for _, line := range s.lines(s.journeys) {
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

// made are the journeys on which a record has gone, by the word of either state. One
// that was given up joins nothing: it may have been to a card that has another
// record's history, which stays where it is.
func (s *script) made() (made []*journey) {
	for _, j := range s.journeys {
		from, to := s.role[string(j.from.state)].life.db, s.role[string(j.to.state)].life.db
		left := s.number(from, `SELECT count(*) FROM moving WHERE record = $1 AND receiver = $2 AND state IN (1, 2)`, j.from.id, j.to.state)
		if left > 0 || s.number(to, `SELECT count(*) FROM move WHERE id = $1 AND state = $2`, j.id[:], moveDone) > 0 {
			made = append(made, j)
		}
	}
	return made
}

// kept: an item that a state of record has accepted is with the state of record
// now. A card that was prepared for a record which never came accepts nothing.
func (s *script) kept() {
	made := s.made()
	lines := s.lines(made)
	for _, i := range s.items {
		if !i.own && !s.accepted(i) {
			continue
		}
		s.result.Items++
		if !i.card.first && !slices.ContainsFunc(made, func(j *journey) bool { return j.to == i.card }) {
			s.failf("the item %x was accepted for %s, which was never a record", i.id[:4], i.card.id)
		}
		for _, line := range lines {
			if slices.Contains(line, i.card) {
				s.with(i, line)
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

// with: whoever has the record now has the item.
func (s *script) with(i *item, line []*card) {
	now := s.current(line)
	for _, c := range now {
		if s.number(s.role[string(c.state)].life.db, `SELECT count(*) FROM driver_item WHERE record = $1 AND id = $2`, c.id, i.id[:]) == 1 {
			return
		}
	}
	if len(now) > 0 {
		s.failf("the item %x, which was accepted for %s, is not with %v, which is the record now", i.id[:4], i.card.id, names(now))
	}
}

// current are the cards of a line that are the record now: the one in the index, or
// where it was taken out, the one that has not gone elsewhere. Where a line began as
// two cards, those are two records, and nobody knows whose item it is.
func (s *script) current(line []*card) []*card {
	first := 0
	var indexed, here []*card
	for _, c := range line {
		if c.first {
			first++
		}
		if s.indexed(c) {
			indexed = append(indexed, c)
		}
		if n := s.number(s.role[string(c.state)].life.db, `SELECT count(*) FROM pointer WHERE record = $1 AND state = 2`, c.id); n == 0 || s.indexed(c) {
			here = append(here, c)
		}
	}
	if first == 1 && len(indexed) > 0 {
		return indexed
	}
	return here
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
