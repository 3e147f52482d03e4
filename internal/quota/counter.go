package quota

import (
	"time"

	"github.com/waypost/waypost/internal/store"
)

// counter counts for one member at one time.
type counter struct {
	tx     *store.Tx
	member string
	now    time.Time // UTC
}

// count is one counter and what is added to it.
type count struct {
	class  string
	key    []byte // whose, where a member has several of the class
	window time.Duration
	n      int64 // to add
	limit  int64
	used   int64  // once added
	what   string // in words
}

// add adds to a counter and notes what is used then. One statement that adds to
// all counters of a ticket was measured: SQLite takes a third longer for it.
func (c counter) add(n *count, by int64) error {
	return c.tx.Row(`INSERT INTO quota (member, class, key, starts, used) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (member, class, key, starts) DO UPDATE SET used = quota.used + excluded.used RETURNING used`,
		c.member, n.class, notNull(n.key), c.starts(n.window), by).Scan(&n.used)
}

// once notes something in the window, and reports whether it was not there.
func (c counter) once(class string, key []byte, window time.Duration, used int64) (first bool, err error) {
	n, err := c.tx.Exec(`INSERT INTO quota (member, class, key, starts, used) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (member, class, key, starts) DO NOTHING`, c.member, class, key, c.starts(window), used)
	return n == 1, err
}

// starts is when the window began, in Unix seconds; 0 for what never ends.
func (c counter) starts(window time.Duration) int64 {
	if window == ever {
		return 0
	}
	return c.now.Truncate(window).Unix()
}

func notNull(key []byte) []byte {
	if key == nil {
		return []byte{}
	}
	return key
}

// expireAtOnce bounds what one call of Expire deletes: everybody else's commits
// wait for it. In a day that is several times what the largest exchange adds.
const expireAtOnce = 1000

// Expire deletes windows that ended two days ago or earlier, some at each call:
// it is called every minute.
func Expire(tx *store.Tx, now time.Time) error {
	_, err := tx.Exec(`DELETE FROM quota WHERE (member, class, key, starts) IN
		(SELECT member, class, key, starts FROM quota WHERE starts > 0 AND starts < $1 LIMIT $2)`, now.Add(-3*day).Unix(), expireAtOnce)
	return err
}
