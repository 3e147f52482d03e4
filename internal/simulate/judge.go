package simulate

import (
	"context"

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
	}
	for _, st := range States {
		w.nothingOpen(w.role[string(st)].life)
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

// dense: a journal has no gap.
func (w *world) dense(r *role) {
	if n := w.number(r.life.db, `SELECT coalesce(max(seq), -1) + 1 - count(*) FROM journal`); n != 0 {
		w.failf("the journal of %s lacks %d entries", r.name, n)
	}
}

// nothingOpen: what was begun has come to an end.
func (w *world) nothingOpen(l *life) {
	for what, query := range map[string]string{
		"letters in the outbox":        `SELECT count(*) FROM outbox`,
		"messages held back":           `SELECT count(*) FROM held`,
		"checks that are due":          `SELECT count(*) FROM inquiry WHERE due IS NOT NULL`,
		"publications without an end":  `SELECT count(*) FROM publication`,
		"questions that wait unsealed": `SELECT count(*) FROM ask WHERE state = 0`,
	} {
		if n := w.number(l.db, query); n != 0 {
			w.failf("%s: %d %s", l.name, n, what)
		}
	}
}
