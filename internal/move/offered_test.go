package move_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// While a release is sealed the former state shows the hub the pointer under the next
// key. The release is made again: the new state is told of every key under which the
// hub may know tokens, and that it was not heard to have taken them.
func TestOfferedMeanwhile(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	w.x.Announce().Begin(1000)
	w.now = w.x.Now().Truncate(time.Second)
	w.signed = w.now
	az := w.state("AZ")
	m, seals := offeredMeanwhile(t, w)
	w.settle()
	w.pass(time.Hour)
	w.settle()
	if got := az.get(m); got.State != "done" {
		t.Fatalf("after %d releases the move is %v", *seals, got)
	}
	type stand struct{ Epoch, Next, Reached, Passed int }
	var got stand
	az.read(func(tx *store.Tx) error {
		return tx.Row(`SELECT epoch, next_epoch, reached, passed FROM pointer`).Scan(&got.Epoch, &got.Next, &got.Reached, &got.Passed)
	})
	if d := cmp.Diff(stand{Epoch: 1, Next: 2, Reached: 1, Passed: 2}, got); d != "" || *seals != 2 {
		t.Errorf("after %d releases: %s", *seals, d)
	}
}

// Under a key that is not there yet nobody has offered anything: who says so keeps the
// person from being found under it for good, and the release is not used.
func TestOfferedUnderNoKey(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	m, _ := offeredMeanwhile(t, w)
	w.settle()
	w.pass(time.Hour)
	w.settle()
	if got := w.state("AZ").get(m); got.State != "ended" || !strings.Contains(got.Words, "it has tokens of key epoch 2, and the newest is 1") {
		t.Errorf("the move is %v", got)
	}
}

// offeredMeanwhile begins a move from CA to AZ, in which CA puts tokens of epoch 2 beside
// those of the pointer while it seals its release; seals counts how often it does that.
func offeredMeanwhile(t *testing.T, w *world) (m *waypostv1.Move, seals *int) {
	az, ca := w.state("AZ"), w.state("CA")
	h := ca.hold(person())
	check, reference := az.check(ca, "CA-1", h)
	m, err := az.start(check, reference, "AZ-7")
	must(t, err)
	seals = new(int)
	w.sealing = func(from *state) {
		if from != ca {
			return
		}
		if *seals++; *seals > 1 {
			return
		}
		from.write(func(tx *store.Tx) error {
			var tokens []byte
			if err := tx.Row(`SELECT tokens FROM pointer`).Scan(&tokens); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE pointer SET tokens = $1, next_epoch = 2`, slices.Concat(tokens, tokens))
			return err
		})
	}
	return m, seals
}
