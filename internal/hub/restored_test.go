package hub_test

import (
	"context"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/store"
)

// TestSkipNumbers: one backup is restored over and over. Who acknowledges a message of a
// life that is over loses none of this one, and the box can be emptied as before.
func TestSkipNumbers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send("AZ", r.letter("AZ", "CA", "before the backup"))
	last := r.mail("CA", 0)[0].Sequence // as it is in the backup
	for _, life := range []struct {
		number int64
		after  time.Duration
	}{{2, 0}, {2, time.Second}, {3, -time.Hour}, {4, time.Hour}} {
		r.halt()
		db, err := store.Open(context.Background(), r.url, "hub")
		must(t, err)
		must(t, db.Write(context.Background(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`DELETE FROM mailbox`); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE box SET last = 1, bytes = 0 WHERE recipient = 'CA'`)
			return err
		}))
		must(t, hub.SkipNumbers(context.Background(), db, []string{"CA", "NV"}, life.number, r.Now().Add(life.after)))
		must(t, db.Close())
		r.start()
		r.send("AZ", r.letter("AZ", "CA", "one"))
		box := r.mail("CA", last)
		if len(box) != 1 || box[0].Sequence <= last {
			t.Fatalf("in life %d %d letters are there after %d was acknowledged", life.number, len(box), last)
		}
		for range 40 { // the numbers of the next life begin beyond these, too
			r.send("AZ", r.letter("AZ", "CA", "more"))
		}
		box = r.mail("CA", 0)
		last = box[len(box)-1].Sequence
		if rest := r.mail("CA", last-1); len(rest) != 1 {
			t.Errorf("in life %d %d letters are left of one", life.number, len(rest))
		}
	}
}

// TestSkipNumbersForward: a box whose numbers are higher already goes on where it is.
func TestSkipNumbersForward(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := r.Now()
	must(t, hub.SkipNumbers(context.Background(), r.db, []string{"CA"}, 3, at))
	high := r.count(`SELECT last FROM box WHERE recipient = 'CA'`)
	must(t, hub.SkipNumbers(context.Background(), r.db, []string{"CA"}, 2, at.Add(time.Hour)))
	if now := r.count(`SELECT last FROM box WHERE recipient = 'CA'`); now != high || high <= 0 {
		t.Errorf("the numbers went from %d to %d", high, now)
	}
	must(t, hub.SkipNumbers(context.Background(), r.db, []string{"CA"}, store.MaxProcess, time.Unix(1<<32-1, 0)))
	if now := r.count(`SELECT last FROM box WHERE recipient = 'CA'`); now <= high {
		t.Errorf("the last number that a process can have gives %d", now)
	}
}
