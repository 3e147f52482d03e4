package journal

import (
	"errors"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// A State is how far a log in a database has come, for who looks at it from beside.
type State struct {
	Origin  string
	Entries int64
	// Next is when the entry with the number was committed that was asked for; zero
	// where there is none.
	Next time.Time
}

// States reads the logs of a database; published says of a log how many of its entries
// others can read, and so what the number of the next one is.
func States(tx *store.Tx, published func(origin string) int64) ([]State, error) {
	var all []State
	var logs []int64
	if err := tx.Query(`SELECT log, origin FROM journal_log ORDER BY log`, nil, func(scan func(...any) error) error {
		var log int64
		var s State
		err := scan(&log, &s.Origin)
		all, logs = append(all, s), append(logs, log)
		return err
	}); err != nil {
		return nil, err
	}
	for i, log := range logs {
		s := &all[i]
		if err := tx.Row(`SELECT coalesce(max(seq) + 1, 0) FROM journal WHERE log = $1`, log).Scan(&s.Entries); err != nil {
			return nil, err
		}
		var at int64
		err := tx.Row(`SELECT at FROM journal WHERE log = $1 AND seq = $2`, log, published(s.Origin)).Scan(&at)
		if err == nil {
			s.Next = time.Unix(at, 0).UTC()
		} else if !errors.Is(err, store.ErrNoRows) {
			return nil, err
		}
	}
	return all, nil
}
