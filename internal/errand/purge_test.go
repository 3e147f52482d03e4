package errand_test

import (
	"errors"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// What is forgotten is forgotten once, and soon after a clock that was ahead is
// right again.
func TestPurge(t *testing.T) {
	r := newRig(t)
	s := r.ca
	right := r.now
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	question := func(id byte, finished time.Time) {
		must(s.db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO question (asking, id, kind, digest, body, ticket, evaluations, statement, replies, failures, due, at, finished)
				VALUES ('AZ', $1, 'status', $2, $3, $2, '', $3, 1, 0, NULL, $4, $4)`, make16(id), []byte{}, []byte("somebody"), finished.Unix())
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO question_reply (asking, id, number, ticket, word, final, body, refused, handle, policy)
				VALUES ('AZ', $1, 1, $2, 'valid', 1, $3, '', $2, '')`, make16(id), []byte{}, []byte("somebody"))
			return err
		}))
	}
	left := func() (bodies, replies int) {
		must(s.db.Read(t.Context(), func(tx *store.Tx) error {
			if err := tx.Row(`SELECT count(*) FROM question WHERE body <> $1`, []byte{}).Scan(&bodies); err != nil {
				return err
			}
			return tx.Row(`SELECT count(*) FROM question_reply`).Scan(&replies)
		}))
		return bodies, replies
	}
	r.now = right.AddDate(0, 1, 0)
	must(s.engine.Step(t.Context()))
	r.now = right
	question(1, right.AddDate(0, 0, -1))
	question(2, right.AddDate(0, 0, -29))
	question(3, right.AddDate(0, 0, -200))
	// As after an outage: more than one transaction takes.
	must(s.db.Write(t.Context(), func(tx *store.Tx) (err error) {
		for i := range 600 {
			id := append(make([]byte, 13), 1, byte(i>>8), byte(i))
			_, e1 := tx.Exec(`INSERT INTO question (asking, id, kind, digest, body, ticket, evaluations, statement, replies, failures, due, at, finished)
				VALUES ('AZ', $1, 'status', $2, $3, $2, '', $3, 1, 0, NULL, $4, $4)`, id, []byte{}, []byte("somebody"), right.AddDate(0, 0, -29-170*(i%2)).Unix())
			_, e2 := tx.Exec(`INSERT INTO question_ticket (asking, ticket, at) VALUES ('AZ', $1, $2)`, id, right.AddDate(0, 0, -200).Unix())
			_, e3 := tx.Exec(`INSERT INTO errand_ticket (ticket, errand, signed, request, evaluations, state, at) VALUES ($1, $1, $2, $2, '', 1, 0)`, id, []byte{})
			_, e4 := tx.Exec(`INSERT INTO errand (id, kind, purpose, recipient, cites, operator, class, case_reference, body, state, tries, failures, taken, begun, ended, reason)
				VALUES ($1, 'status', '', 'AZ', $2, '', '', '', $2, 1, 0, 0, 0, 0, $3, '')`, id, []byte{}, right.AddDate(0, 0, -40).Unix())
			if err = errors.Join(err, e1, e2, e3, e4); err != nil {
				return err
			}
		}
		return nil
	}))
	groups := s.db.Stats().Groups
	must(s.engine.Step(t.Context()))
	if n := s.db.Stats().Groups - groups; n < 3+3+2+3 {
		t.Errorf("%d transactions took 600 rows of each kind", n)
	}
	must(s.db.Read(t.Context(), func(tx *store.Tx) error {
		for _, count := range []string{`SELECT count(*) FROM errand`, `SELECT count(*) FROM errand_ticket`, `SELECT count(*) FROM question_ticket`,
			`SELECT count(*) - 302 FROM question`} {
			var n int
			if err := tx.Row(count).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d are left: %v", count, n, err)
			}
		}
		return nil
	}))
	if bodies, replies := left(); bodies != 1 || replies != 2 {
		t.Errorf("%d questions can be read, and %d replies are kept", bodies, replies)
	}
}

func make16(b byte) []byte { return append(make([]byte, 15), b) }
