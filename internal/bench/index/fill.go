package index

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math/bits"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Filled is what filling took, all in all and for the last call only where an
// earlier one was cut off.
type Filled struct {
	Seconds         float64 `json:"seconds"`
	LabelsPerSecond float64 `json:"labels_per_second"`
	BytesPerLabel   float64 `json:"bytes_per_label"`
	BytesPerPointer float64 `json:"bytes_per_pointer"` // the pointer's own row and index
}

// fillAtOnce is how many rows one transaction writes.
const fillAtOnce = 50_000

// fill writes n live pointers with ten labels each, as random as real ones and as
// evenly spread, but drawn in the order of the table: the k-th label is a random one
// of the k-th part of all there are. So no memory is needed to sort them, and where a
// fill was cut off is seen from the last one.
func fill(ctx context.Context, db *store.DB, n int, progress func(string, int, int)) (f Filled, err error) {
	start := time.Now()
	labels := n * waypost.RecordElements
	sizes := [3]int64{}
	if sizes[0], err = db.Size(ctx); err != nil {
		return f, err
	}
	first, err := from(ctx, db, `SELECT label FROM label ORDER BY label DESC LIMIT 1`, func(last []byte) int {
		return slotOf(binary.BigEndian.Uint64(last[1:9]), labels) + 1
	})
	if err != nil {
		return f, err
	}
	err = table(ctx, db, "label", []string{"label", "pointer"}, first, labels, progress, func(k int) []any {
		label := make([]byte, 16)
		_, _ = rand.Read(label) // never fails (Go 1.24)
		label[0] = 1            // the epoch
		binary.BigEndian.PutUint64(label[1:], within(k, labels, binary.BigEndian.Uint64(label[8:])))
		return []any{label, pointerID(shuffled(k, labels)/waypost.RecordElements, n)}
	})
	if err != nil {
		return f, err
	}
	if sizes[1], err = db.Size(ctx); err != nil {
		return f, err
	}
	f.LabelsPerSecond = float64(labels-first) / time.Since(start).Seconds()
	next, err := from(ctx, db, `SELECT handle FROM pointer ORDER BY owner DESC, handle DESC LIMIT 1`, func(last []byte) int {
		return slotOf(binary.BigEndian.Uint64(last)<<1, n) + 1
	})
	if err != nil {
		return f, err
	}
	now := time.Now().Unix()
	columns := []string{"id", "owner", "handle", "state", "generation", "version", "epoch", "receipt", "changed"}
	err = table(ctx, db, "pointer", columns, next, n, progress, func(i int) []any {
		id := pointerID(i, n)
		handle := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(id)), ^uint64(id))
		return []any{id, string(owner), handle, 1, 0, 1, 1, [16]byte{}, now}
	})
	if err != nil {
		return f, err
	}
	sizes[2], err = db.Size(ctx)
	f.Seconds = time.Since(start).Seconds()
	f.BytesPerLabel = float64(sizes[1]-sizes[0]) / float64(max(labels-first, 1))
	f.BytesPerPointer = float64(sizes[2]-sizes[1]) / float64(max(n-next, 1))
	return f, err
}

// table copies rows first to n into a table.
func table(ctx context.Context, db *store.DB, name string, columns []string, first, n int, progress func(string, int, int), row func(i int) []any) error {
	for lo := first; lo < n; lo += fillAtOnce {
		rows := make([][]any, min(fillAtOnce, n-lo))
		for i := range rows {
			rows[i] = row(lo + i)
		}
		if err := db.WriteBulk(ctx, func(tx *store.Tx) error { return tx.Copy(name, columns, rows) }); err != nil {
			return err
		}
		progress("filling "+name, lo+len(rows), n)
	}
	return nil
}

// from is where a fill goes on after the last key that is there.
func from(ctx context.Context, db *store.DB, query string, after func(last []byte) int) (next int, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		var last []byte
		err := tx.Row(query).Scan(&last)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		next = after(last)
		return err
	})
	return next, err
}

// within is a place in the k-th of n equal parts of 64 bits.
func within(k, n int, random uint64) uint64 {
	step := ^uint64(0) / uint64(n)
	return uint64(k)*step + random%step
}

// slotOf is the part that a place is in.
func slotOf(place uint64, n int) int { return int(place / (^uint64(0) / uint64(n))) }

// pointerID is the id of the i-th of n pointers, above zero.
func pointerID(i, n int) int64 { return int64(within(i, n, 2)>>1) + 1 }

// shuffled is a permutation of the numbers below n: it brings the labels of one
// pointer far apart.
func shuffled(k, n int) int {
	const prime = 1<<61 - 1 // divides no n that there is
	hi, lo := bits.Mul64(uint64(k), prime)
	return int(bits.Rem64(hi, lo, uint64(n)))
}
