package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// dailyGrace is how long after midnight (UTC) a day is counted, so that what
// was begun before it is in the count.
const dailyGrace = 5 * time.Minute

// A Counter is the opened entry "daily" of one day, for everybody.
type Counter struct {
	Day    string // "2026-01-02"
	Opened []byte // see translog.FormatEntry
}

// counts is how many entries there are by day (counted from 1970-01-01) and
// kind, and the number of the first one of each day.
type counts struct {
	of    map[int64]map[string]uint64
	first map[int64]uint64
}

// Daily appends the entry "daily" of every UTC day that is over and has none
// yet, unless nothing was appended on it: how many entries of each kind stand
// before it in the log with a time on that day. Called again, after a crash
// too, it does what is left to do.
func (j *Journal) Daily(ctx context.Context, now time.Time) error {
	yesterday := now.Add(-dailyGrace).Unix()/int64(day/time.Second) - 1
	var c counts
	var read uint64 // rows that c has counted, from the first that may matter
	var done int64
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		var from uint64
		err := tx.Row("SELECT day, next FROM journal_daily WHERE log = $1 ORDER BY day DESC LIMIT 1", j.log).Scan(&done, &from)
		if errors.Is(err, store.ErrNoRows) {
			done, err = -1, nil
		}
		if err != nil || done >= yesterday {
			return err
		}
		if c, err = j.count(tx, from); err != nil {
			return err
		}
		return tx.Row("SELECT coalesce(max(seq), -1) + 1 FROM journal WHERE log = $1", j.log).Scan(&read)
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, d := range slices.Sorted(maps.Keys(c.of)) {
		if d <= done || d > yesterday {
			continue
		}
		if err := j.db.Write(ctx, func(tx *store.Tx) error { return j.countDay(tx, d, c, read, now) }); err != nil {
			return fmt.Errorf("journal: counting a day: %w", err)
		}
	}
	return nil
}

// countDay appends the entry of one day from what was counted before and what
// came after.
func (j *Journal) countDay(tx *store.Tx, d int64, before counts, from uint64, now time.Time) error {
	var known int
	if err := tx.Row("SELECT count(*) FROM journal_daily WHERE log = $1 AND day >= $2", j.log, d).Scan(&known); err != nil || known > 0 {
		return err
	}
	later, err := j.count(tx, from)
	if err != nil {
		return err
	}
	date := time.Unix(d*int64(day/time.Second), 0).UTC().Format(time.DateOnly)
	fields := []Field{{"day", date}}
	total := maps.Clone(before.of[d])
	for kind, n := range later.of[d] {
		total[kind] += n
	}
	for kind, n := range total {
		fields = append(fields, Field{kind, strconv.FormatUint(n, 10)})
	}
	seq, entry, err := j.noteIn(tx, "daily", now, fields...)
	if err != nil {
		return err
	}
	opened, err := translog.FormatEntry(entry)
	if err != nil {
		return err
	}
	next := seq
	for _, c := range []counts{before, later} {
		for other, first := range c.first {
			if other > d {
				next = min(next, first)
			}
		}
	}
	_, err = tx.Exec("INSERT INTO journal_daily (log, day, seq, next, opened) VALUES ($1, $2, $3, $4, $5)", j.log, d, seq, next, opened)
	return err
}

func (j *Journal) count(tx *store.Tx, from uint64) (counts, error) {
	c := counts{make(map[int64]map[string]uint64), make(map[int64]uint64)}
	err := tx.Query(`SELECT at / 86400, kind, count(*), min(seq) FROM journal WHERE log = $1 AND seq >= $2 GROUP BY 1, 2`, []any{j.log, from},
		func(scan func(...any) error) error {
			var d int64
			var kind string
			var n, first uint64
			if err := scan(&d, &kind, &n, &first); err != nil {
				return err
			}
			if c.of[d] == nil {
				c.of[d], c.first[d] = make(map[string]uint64), first
			}
			c.of[d][kind], c.first[d] = n, min(c.first[d], first)
			return nil
		})
	return c, err
}

// Counters returns the counters of days after the given one ("2026-01-02"; all
// are after ""), oldest first: at most limit, and never more than 1000.
func (j *Journal) Counters(ctx context.Context, after string, limit int) ([]Counter, error) {
	last := int64(-1)
	if after != "" {
		t, err := time.Parse(time.DateOnly, after)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		last = t.Unix() / int64(day/time.Second)
	}
	var page []Counter
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query("SELECT day, opened FROM journal_daily WHERE log = $1 AND day > $2 ORDER BY day LIMIT $3", []any{j.log, last, min(limit, maxPage)},
			func(scan func(...any) error) error {
				var d int64
				var c Counter
				err := scan(&d, &c.Opened)
				c.Day = time.Unix(d*int64(day/time.Second), 0).UTC().Format(time.DateOnly)
				page = append(page, c)
				return err
			})
	})
	return page, err
}
