package move_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost/internal/store"
)

// While a release is sealed the former state shows the hub the pointer under the next
// key. The release is made again: the new state is told of every key under which the
// hub may know tokens, and that it was not heard to have taken them.
func TestOfferedMeanwhile(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	az, ca := w.state("AZ"), w.state("CA")
	h := ca.hold(person())
	check, reference := az.check(ca, "CA-1", h)
	m, err := az.start(check, reference, "AZ-7")
	must(t, err)
	seals := 0
	w.sealing = func(from *state) {
		if from != ca {
			return
		}
		if seals++; seals > 1 {
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
	w.settle()
	w.pass(time.Hour)
	w.settle()
	if got := az.get(m); got.State != "done" {
		t.Fatalf("after %d releases the move is %v", seals, got)
	}
	type stand struct{ Epoch, Next, Reached, Passed int }
	var got stand
	az.read(func(tx *store.Tx) error {
		return tx.Row(`SELECT epoch, next_epoch, reached, passed FROM pointer`).Scan(&got.Epoch, &got.Next, &got.Reached, &got.Passed)
	})
	if d := cmp.Diff(stand{Epoch: 1, Next: 2, Reached: 1, Passed: 2}, got); d != "" || seals != 2 {
		t.Errorf("after %d releases: %s", seals, d)
	}
}
