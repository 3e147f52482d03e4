package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// maxPage is the most rows that one call returns.
const maxPage = 1000

// A Row is what the database keeps of an entry, and what is published of it.
type Row struct {
	Seq     uint64 // index of the leaf, dense from 0
	Leaf    []byte // translog.LeafSize bytes
	Kind    string
	Ordinal uint64
	At      time.Time      // UTC, whole seconds
	Sealed  []byte         // see translog.Seal; nil once the entry is erased
	Key     translog.KeyID // of Sealed
}

// Rows returns the committed rows from number from on, in order: at most limit
// of them, and never more than 1000. None means that from is past the end.
func (j *Journal) Rows(ctx context.Context, from uint64, limit int) ([]Row, error) {
	if from > 1<<62 || limit < 1 {
		return nil, nil
	}
	var page []Row
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT seq, leaf, kind, ordinal, at, sealed
			FROM journal WHERE log = $3 AND seq >= $1 ORDER BY seq LIMIT $2`, []any{from, min(limit, maxPage), j.log},
			func(scan func(...any) error) error {
				r, err := scanRow(scan)
				page = append(page, r)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return page, nil
}

func scanRow(scan func(...any) error) (r Row, err error) {
	var at int64
	if err := scan(&r.Seq, &r.Leaf, &r.Kind, &r.Ordinal, &at, &r.Sealed); err != nil {
		return r, err
	}
	r.At = time.Unix(at, 0).UTC()
	if r.Key, err = translog.SealedKey(r.Sealed); r.Sealed == nil {
		err = nil // erased
	}
	if err != nil || len(r.Leaf) != translog.LeafSize {
		return r, fmt.Errorf("entry %d is damaged", r.Seq)
	}
	return r, nil
}

// Size returns the number of committed entries.
func (j *Journal) Size(ctx context.Context) (size uint64, err error) {
	err = j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row("SELECT coalesce(max(seq), -1) + 1 FROM journal WHERE log = $1", j.log).Scan(&size)
	})
	return size, err
}

// WrappedKey returns the data key of that id as age wrapped it, of any log.
func (j *Journal) WrappedKey(ctx context.Context, id translog.KeyID) (wrapped []byte, err error) {
	err = j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row("SELECT wrapped FROM journal_key WHERE id = $1", id[:]).Scan(&wrapped)
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, fmt.Errorf("journal: there is no data key %s", id)
	}
	return wrapped, err
}

// A Stored entry is a row that was opened, as far as that was possible.
type Stored struct {
	Seq    uint64
	Leaf   []byte
	Erased bool // retention has ended: only the leaf is left
	Opened bool
	// Entry is whole where Opened; else it has Kind, Ordinal and At.
	translog.Entry
}

// Read returns entries as [Journal.Rows] returns their rows. It opens those
// that this process wrote today; for the others see [Opener.Read].
func (j *Journal) Read(ctx context.Context, from uint64, limit int) ([]Stored, error) {
	return j.read(ctx, from, limit, func(r Row) (translog.DataKey, bool, error) {
		k, ok := j.keys.holds(r.Key)
		return k, ok, nil
	})
}

func (j *Journal) read(ctx context.Context, from uint64, limit int, key func(Row) (translog.DataKey, bool, error)) ([]Stored, error) {
	rows, err := j.Rows(ctx, from, limit)
	if err != nil {
		return nil, err
	}
	page := make([]Stored, len(rows))
	for i, r := range rows {
		s := Stored{Seq: r.Seq, Leaf: r.Leaf, Entry: translog.Entry{Kind: r.Kind, Ordinal: r.Ordinal, At: r.At}}
		if s.Erased = r.Sealed == nil; !s.Erased {
			k, ok, err := key(r)
			if err != nil {
				return nil, err
			}
			if s.Opened = ok; ok {
				if s.Entry, err = translog.OpenSealed(k, j.role, j.origin, int64(r.Seq), r.Leaf, r.Sealed); err != nil {
					return nil, fmt.Errorf("journal: entry %d is damaged: %w", r.Seq, err)
				}
			}
		}
		page[i] = s
	}
	return page, nil
}
