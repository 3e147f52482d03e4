package journal

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// A Position is how far a log in a database has come: the tree over all its entries.
type Position struct {
	Origin string
	Log    int64
	tlog.Tree
	Last   string    // kind of the last entry; "" where there is none
	LastAt time.Time // and its time
	Closed bool      // it has a successor, and takes no more entries
}

// Positions returns those of all logs that a database keeps, by their numbers. It reads
// every leaf: some million a minute. progress, which may be nil, is told how many it has
// read.
func Positions(ctx context.Context, db *store.DB, progress func(leaves int64)) ([]Position, error) {
	var all []Position
	err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT log, origin, (SELECT count(*) FROM journal_succession AS s WHERE s.log = l.log),
				coalesce((SELECT max(seq) FROM journal AS j WHERE j.log = l.log), -1) + 1
			FROM journal_log AS l ORDER BY log`, nil,
			func(scan func(...any) error) error {
				var p Position
				var closed int64
				err := scan(&p.Log, &p.Origin, &closed, &p.N)
				p.Closed = closed > 0
				all = append(all, p)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	for i := range all {
		p := &all[i]
		if p.Hash, err = RootAt(ctx, db, p.Log, p.N, progress); err != nil {
			return nil, err
		}
		if p.N == 0 {
			continue
		}
		var at int64
		if err := db.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT kind, at FROM journal WHERE log = $1 AND seq = $2`, p.Log, p.N-1).Scan(&p.Last, &at)
		}); err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		p.LastAt = time.Unix(at, 0).UTC()
	}
	return all, nil
}

// RootAt returns the root over the first entries of a log in a database, as many as size.
func RootAt(ctx context.Context, db *store.DB, log, size int64, progress func(leaves int64)) (tlog.Hash, error) {
	var f translog.Frontier
	for f.Size < size {
		before := f.Size
		err := db.Read(ctx, func(tx *store.Tx) error {
			return tx.Query(`SELECT seq, leaf FROM journal WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3`, []any{log, f.Size, min(leafPage, size-f.Size)},
				func(scan func(...any) error) error {
					var seq int64
					var leaf []byte
					if err := scan(&seq, &leaf); err != nil {
						return err
					}
					if seq != f.Size || len(leaf) != translog.LeafSize {
						return fmt.Errorf("entry %d of log %d is missing or damaged", f.Size, log)
					}
					f.Add(leaf)
					return nil
				})
		})
		if err == nil && f.Size == before {
			err = fmt.Errorf("log %d has %d entries, not %d", log, f.Size, size)
		}
		if err != nil {
			return tlog.Hash{}, fmt.Errorf("journal: %w", err)
		}
		if progress != nil {
			progress(f.Size - before)
		}
	}
	return f.Root(), nil
}

const leafPage = 10_000
