package records_test

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// TestForget: tokens of checks are kept for a day, and for a month where a card was found,
// whatever comes in between; what was looked at and left goes when its month is over.
func TestForget(t *testing.T) {
	r := newRig(t)
	born := make(map[waypost.TicketID]time.Time)
	used := make(map[waypost.TicketID]bool)
	check := func(n int) {
		id := waypost.TicketID(sha256.Sum256([]byte(strconv.Itoa(n))))
		outcome := []waypost.Outcome{waypost.Match, waypost.NoMatch, waypost.NoMatch, waypost.Possible}[n%4]
		born[id], used[id] = r.now, outcome != waypost.NoMatch
		if err := r.db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`INSERT INTO check_token (ticket, tokens, epoch, next_epoch, at) VALUES ($1, $2, 1, 0, $3)`, id[:], make([]byte, 320), r.now.Unix()); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO ask (ticket, reference, owner, state, outcome, status, card_kind, termination_required, refused, statement)
				VALUES ($1, $1, 'AZ', 3, $2, '', '', 0, '', $3)`, id[:], string(outcome), []byte{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() (ids map[waypost.TicketID]bool) {
		ids = make(map[waypost.TicketID]bool)
		if err := r.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Query(`SELECT ticket FROM check_token`, nil, func(scan func(dest ...any) error) error {
				var id waypost.TicketID
				err := scan(&id)
				ids[id] = true
				return err
			})
		}); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	n := 0
	for step := range 70 {
		for range []int{1, 100, 0, 33}[step%4] {
			check(n)
			n++
		}
		if step == 30 {
			r.restart()
		}
		r.now = r.now.Add([]time.Duration{time.Minute, 9 * time.Hour, 20 * time.Hour}[step%3])
		if err := r.file.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if step%3 == 0 {
			continue // it was looked a minute ago
		}
		ids := kept()
		for id, at := range born {
			life := 24 * time.Hour
			if used[id] {
				life *= 30
			}
			if want := !at.Before(r.now.Add(-life)); ids[id] != want {
				t.Fatalf("step %d: tokens of %v ago, of a check with a card: %v, kept: %v", step, r.now.Sub(at), used[id], ids[id])
			}
		}
	}
	if len(born) != n || n < 2000 {
		t.Errorf("%d checks of %d", len(born), n)
	}
	planned := 0
	r.plans.Range(func(statement, plan any) bool {
		if text := statement.(string); strings.Contains(text, "FROM check_token c") {
			if planned++; !strings.Contains(strings.Join(plan.([]string), "\n"), "check_token_at") {
				t.Errorf("%s\n%v", text, plan)
			}
		}
		return true
	})
	if planned != 1 {
		t.Errorf("%d statements look for what is kept no longer", planned)
	}
}
