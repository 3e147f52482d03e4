package errand_test

import (
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
	must(s.engine.Step(t.Context()))
	if bodies, replies := left(); bodies != 1 || replies != 2 {
		t.Errorf("%d questions can be read, and %d replies are kept", bodies, replies)
	}
}

func make16(b byte) []byte { return append(make([]byte, 15), b) }
