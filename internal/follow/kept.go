package follow

import (
	"time"

	"github.com/waypost/waypost/internal/store"
)

// A Kept is what a database remembers of a log that is followed, for who looks at it from
// beside.
type Kept struct {
	Origin, Member string
	Since          time.Time
	Cosigned       time.Time // of the newest checkpoint that was verified; zero before the first
	Broken         string    // in words, if the log contradicted itself
	Overdue        int64     // receipts past their deadline whose leaf was not seen
}

// Remembered reads what the database remembers, by origin.
func Remembered(tx *store.Tx) (all []Kept, err error) {
	err = tx.Query(`SELECT l.origin, l.member, l.since, l.cosigned, coalesce(l.broken, ''),
			(SELECT count(*) FROM follow_receipt r WHERE r.origin = l.origin)
		FROM follow_log l ORDER BY l.origin`, nil, func(scan func(...any) error) error {
		var k Kept
		var since, cosigned int64
		if err := scan(&k.Origin, &k.Member, &since, &cosigned, &k.Broken, &k.Overdue); err != nil {
			return err
		}
		k.Since = time.Unix(since, 0).UTC()
		if cosigned > 0 {
			k.Cosigned = time.Unix(cosigned, 0).UTC()
		}
		all = append(all, k)
		return nil
	})
	return all, err
}
