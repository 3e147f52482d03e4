package hub

import (
	"context"

	"github.com/waypost/waypost/internal/store"
)

// skipped is how many numbers of messages are passed over in each box after a restore.
const skipped = 1 << 32

// SkipNumbers prepares the database of a hub that has come back from a backup: in the box
// of each of these recipients the numbers go on beyond any that were given out since. Else
// who acknowledged a message of then would have one of now deleted that it never read.
func SkipNumbers(ctx context.Context, db *store.DB, recipients []string) error {
	return db.Write(ctx, func(tx *store.Tx) error {
		for _, name := range recipients {
			if _, err := tx.Exec(`INSERT INTO box (recipient, last, bytes) VALUES ($1, $2, 0)
				ON CONFLICT (recipient) DO UPDATE SET last = box.last + $2`, name, int64(skipped)); err != nil {
				return err
			}
		}
		return nil
	})
}
