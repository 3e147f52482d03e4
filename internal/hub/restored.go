package hub

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// SkipNumbers prepares the database of a hub that has come back from a backup, and goes on
// as process number of its role from the time at on: in the box of each of these recipients
// the numbers of messages go on beyond any that were given out since the backup. Else who
// acknowledges a message of then would have one of now deleted that it never read.
//
// Each restore has another number, but for one whose hub ended before anybody saw its log;
// of those the later begins beyond the earlier, as long as a box gets less than a million
// messages a second.
func SkipNumbers(ctx context.Context, db *store.DB, recipients []string, number int64, at time.Time) error {
	first := number<<52 | at.Unix()<<20 // number is below 1000, and the seconds below 1<<32
	return db.Write(ctx, func(tx *store.Tx) error {
		for _, name := range recipients {
			if _, err := tx.Exec(`INSERT INTO box (recipient, last, bytes) VALUES ($1, $2, 0)
				ON CONFLICT (recipient) DO UPDATE SET last = CASE WHEN box.last < excluded.last THEN excluded.last ELSE box.last END`, name, first); err != nil {
				return err
			}
		}
		return nil
	})
}
