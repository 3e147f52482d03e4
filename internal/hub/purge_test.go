package hub_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/store"
)

// All labels of an epoch go, in few steps whether there are many, a few or none, and
// no other epoch's.
func TestPurgeEpoch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	count := func() (n int) {
		must(t, r.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM label`).Scan(&n) }))
		return n
	}
	for _, test := range []struct {
		epoch        byte
		labels, most int
	}{{7, 0, 7}, {7, 3, 20}, {255, 3000, 40 + 2*3000/hub.CleanAtOnce}, {2, 700, 40 + 2*700/hub.CleanAtOnce}} {
		must(t, r.db.Write(t.Context(), func(tx *store.Tx) error {
			var lists [][]any
			for n := range test.labels {
				sum := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(n)))
				lists = append(lists, []any{append([]byte{test.epoch}, sum[:15]...), n})
			}
			for _, beside := range [][]byte{edge(test.epoch-1, 0xff), edge(test.epoch+1, 0)} {
				lists = append(lists, []any{beside, 1})
			}
			return tx.Many(`INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT DO NOTHING`, lists, nil)
		}))
		before := count()
		left, err := hub.PurgeEpoch(t.Context(), r.deps(), test.epoch, 1000)
		must(t, err)
		if n := before - count(); n != test.labels || 1000-left > test.most {
			t.Errorf("epoch %d: %d of %d labels were deleted, in %d steps of at most %d", test.epoch, n, test.labels, 1000-left, test.most)
		}
	}
}

// edge is the first label of an epoch, or the last.
func edge(epoch, rest byte) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = rest
	}
	b[0] = epoch
	return b
}
