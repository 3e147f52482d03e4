package simulate

import (
	"context"
	"maps"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// judge looks at everything once all is over.
func (w *world) judge(s *script) {
	for _, r := range w.roles {
		if r.up() == nil {
			w.failf("%s did not come back", r.name)
			return
		}
		w.dense(r)
		w.once(r)
	}
	for _, st := range States {
		w.nothingOpen(w.role[string(st)].life)
		w.sameIndex(w.role[string(st)].life)
	}
	for _, c := range w.cards {
		w.fated(c)
	}
	s.oneEach()
	s.arrived()
	s.kept()
	s.noticed()
}

// sameIndex: hub and owner agree on what is in the index, pointer by pointer.
func (w *world) sameIndex(l *life) {
	own := w.held(l.db, `SELECT handle FROM pointer WHERE state = 1`)
	hub := w.held(w.role["hub"].life.db, `SELECT p.handle FROM pointer p WHERE p.state = 1 AND p.owner = $1
		AND NOT EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = 2)`, l.name) // 2: rolled back
	if !maps.Equal(own, hub) {
		w.failf("%s has %d live pointers by its own book and %d by the hub's, and they are not the same", l.name, len(own), len(hub))
	}
	// What was noted to be active or rolled back is so at the hub; the hub may be ahead.
	for _, done := range []string{"1", "2"} {
		query := `SELECT number FROM generation WHERE number > 0 AND state = ` + done
		theirs := w.numbers(w.role["hub"].life.db, query+` AND owner = $1 ORDER BY number`, l.name)
		for _, number := range w.numbers(l.db, query+` ORDER BY number`) {
			if !slices.Contains(theirs, number) {
				w.failf("generation %d of %s is in another state at the hub", number, l.name)
			}
		}
	}
	if n := w.number(l.db, `SELECT CAST(coalesce(sum(missing + withdrawn), 0) AS BIGINT) FROM comparison`); n != 0 {
		w.failf("%s has found %d pointers at the hub that were not as they should be, and mended them", l.name, n)
	}
	if n := w.number(l.db, `SELECT count(*) FROM pointer WHERE state NOT IN (1, 2, 3)`); n != 0 {
		w.failf("%s: %d pointers are neither live nor moved nor withdrawn", l.name, n)
	}
	if n := w.number(l.db, `SELECT count(*) FROM (SELECT record FROM pointer WHERE state = 1 AND alias = 0 GROUP BY record HAVING count(*) > 1) AS double`); n != 0 {
		w.failf("%s: %d records have two pointers", l.name, n)
	}
}

// fated: what was confirmed about a card holds, and a card that is on file is in
// the index unless it was taken out.
func (w *world) fated(c *card) {
	_, filed := w.onFile(c)
	indexed := w.indexed(c)
	switch {
	case c.fate == there && !(filed && indexed):
		w.failf("%s was confirmed: on file %v, in the index %v", c.id, filed, indexed)
	case c.fate == gone && indexed:
		w.failf("%s was withdrawn, and is in the index", c.id)
	case indexed && !filed:
		w.failf("%s is in the index and not on file", c.id)
	}
}

// number runs a query for one number.
func (w *world) number(db *store.DB, query string, args ...any) (n int64) {
	err := db.Read(context.Background(), func(tx *store.Tx) error { return tx.Row(query, args...).Scan(&n) })
	if err != nil {
		w.failf("%s: %v", query, err)
	}
	return n
}

// numbers runs a query for numbers.
func (w *world) numbers(db *store.DB, query string, args ...any) (all []int64) {
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Query(query, args, func(scan func(dest ...any) error) error {
			all = append(all, 0)
			return scan(&all[len(all)-1])
		})
	})
	if err != nil {
		w.failf("%s: %v", query, err)
	}
	return all
}

// dense: a journal has no gap.
func (w *world) dense(r *role) {
	if n := w.number(r.life.db, `SELECT coalesce(max(seq), -1) + 1 - count(*) FROM journal`); n != 0 {
		w.failf("the journal of %s lacks %d entries", r.name, n)
	}
}

// onlyOnce are the kinds of which a ledger has one entry about a ticket at most.
var onlyOnce = []string{"evaluate", "search_first", "search_second", "publish", "withdraw", "activate", "compare", "leave",
	"change_state_of_record", "ask", "outcome", "published", "concluded"}

// once: nothing that is done once for a ticket stands in a ledger twice.
func (w *world) once(r *role) {
	seen := make(map[act]bool)
	r.ledger.committed(func(n noted) {
		if seen[n.act] && slices.Contains(onlyOnce, n.kind) {
			w.failf("%s has two entries %s about the ticket %s", r.name, n.kind, n.ticket)
		}
		seen[n.act] = true
	})
}

// nothingOpen: what was begun has come to an end.
func (w *world) nothingOpen(l *life) {
	open := map[string]string{
		"letters in the outbox":        `SELECT count(*) FROM outbox`,
		"messages held back":           `SELECT count(*) FROM held`,
		"checks that are due":          `SELECT count(*) FROM inquiry WHERE due IS NOT NULL`,
		"publications without an end":  `SELECT count(*) FROM publication`,
		"questions that wait unsealed": `SELECT count(*) FROM ask WHERE state = 0`,
		"permits without an end":       `SELECT count(*) FROM permit`,
		"checks owed without another":  `SELECT count(*) FROM inquiry WHERE state = 3 AND successor IS NULL`,
		"changes not on file":          `SELECT count(*) FROM record_change`,
	}
	for _, what := range slices.Sorted(maps.Keys(open)) {
		if n := w.number(l.db, open[what]); n != 0 {
			w.failf("%s: %d %s", l.name, n, what)
		}
	}
}

// answered: who was asked while the messages could still arrive has answered, but
// for those about whom nobody answers at once.
func (w *world) answered(since int64) {
	for _, st := range States {
		l := w.role[string(st)].life
		err := l.db.Read(context.Background(), func(tx *store.Tx) error {
			return tx.Query(`SELECT i.ticket, a.owner FROM ask a JOIN inquiry i ON i.ticket = a.ticket
				WHERE a.outcome = $1 AND a.refused = '' AND i.created >= $2 AND i.state IN (1, 2)`, []any{waypost.Pending, since}, // searched in full
				func(scan func(dest ...any) error) error {
					var id waypost.TicketID
					var owner string
					err := scan(&id, &owner)
					if err == nil && !w.role[owner].ledger.has(id, "withheld") {
						w.failf("%s has never answered %s under ticket %s", owner, st, id)
					}
					return err
				})
		})
		if err != nil {
			w.failf("%s: %v", st, err)
		}
	}
}

// counted: each ticket is counted once wherever it was admitted. The quota tables
// say how many were counted on a day, and the ledgers which.
func (w *world) counted() {
	for _, r := range w.roles[:1+holders] {
		if r.up() == nil {
			continue
		}
		day := w.now.Unix() / 86400 * 86400
		var admitted int64
		r.ledger.committed(func(n noted) {
			if n.at >= day && n.counted {
				admitted++
			}
		})
		used := w.number(r.life.db, `SELECT CAST(coalesce(sum(used), 0) AS BIGINT) FROM quota WHERE class IN ('tickets', 'follow_ups', 'upkeep') AND starts = $1`, day)
		if used != admitted {
			w.failf("%s has counted %d tickets today, and admitted %d", r.name, used, admitted)
		}
	}
}
