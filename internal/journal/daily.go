package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
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

func newCounts() counts {
	return counts{make(map[int64]map[string]uint64), make(map[int64]uint64)}
}

func (c counts) add(day int64, kind string, n, first uint64) {
	if c.of[day] == nil {
		c.of[day], c.first[day] = make(map[string]uint64), first
	}
	c.of[day][kind] += n
	c.first[day] = min(c.first[day], first)
}

// tally is what this process has counted so far, so that every row is read once and not
// again and again until its day is over.
type tally struct {
	mu    sync.Mutex
	begun bool
	done  int64 // the newest day that has its entry, or -1
	counts
	next uint64 // the first row that is not in counts
	page uint64 // how many rows are read at once
}

// tallyAtOnce is how many rows are read at once: a statement is not interrupted, and who
// searches meanwhile waits for the processor.
const tallyAtOnce = 500

// Daily appends the entry "daily" of every UTC day that is over and has none
// yet, unless nothing was appended on it: how many entries of each kind stand
// before it in the log with a time on that day. Called again, after a crash
// too, it does what is left to do.
func (j *Journal) Daily(ctx context.Context, now time.Time) error {
	t := &j.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := j.goOnCounting(ctx, t); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	yesterday := now.Add(-dailyGrace).Unix()/int64(day/time.Second) - 1
	for _, d := range slices.Sorted(maps.Keys(t.of)) {
		if d > yesterday {
			break
		}
		if d > t.done {
			if err := j.db.Write(ctx, func(tx *store.Tx) error { return j.countDay(tx, d, t.counts, t.next, now) }); err != nil {
				return fmt.Errorf("journal: counting a day: %w", err)
			}
			t.done = d
		}
		delete(t.of, d)
		delete(t.first, d)
	}
	return nil
}

// goOnCounting counts what was appended since the last time.
func (j *Journal) goOnCounting(ctx context.Context, t *tally) error {
	if !t.begun {
		if err := j.beginCounting(ctx, t); err != nil {
			return err
		}
	}
	for {
		var c counts
		var end uint64
		err := j.db.Read(ctx, func(tx *store.Tx) (err error) {
			if err := tx.Row("SELECT coalesce(max(seq), -1) + 1 FROM journal WHERE log = $1", j.log).Scan(&end); err != nil {
				return err
			}
			end = min(end, t.next+t.page)
			c, err = j.count(tx, t.next, end)
			return err
		})
		if err != nil || end <= t.next {
			return err
		}
		for d, kinds := range c.of {
			for kind, n := range kinds {
				t.add(d, kind, n, c.first[d])
			}
		}
		t.next = end
	}
}

// beginCounting reads up to which day all is counted, and where the next one begins.
func (j *Journal) beginCounting(ctx context.Context, t *tally) error {
	t.done, t.next, t.counts = -1, 0, newCounts()
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row("SELECT day, next FROM journal_daily WHERE log = $1 ORDER BY day DESC LIMIT 1", j.log).Scan(&t.done, &t.next)
	})
	if errors.Is(err, store.ErrNoRows) {
		err = nil
	}
	t.begun = err == nil
	return err
}

// countDay appends the entry of one day from what was counted before and what
// came after.
func (j *Journal) countDay(tx *store.Tx, d int64, before counts, from uint64, now time.Time) error {
	var known int
	if err := tx.Row("SELECT count(*) FROM journal_daily WHERE log = $1 AND day >= $2", j.log, d).Scan(&known); err != nil || known > 0 {
		return err
	}
	later, err := j.count(tx, from, math.MaxInt64)
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

// count counts the rows from one number up to, and without, another.
func (j *Journal) count(tx *store.Tx, from, end uint64) (counts, error) {
	c := newCounts()
	err := tx.Query(`SELECT at / 86400, kind, count(*), min(seq) FROM journal WHERE log = $1 AND seq >= $2 AND seq < $3 GROUP BY 1, 2`, []any{j.log, from, end},
		func(scan func(...any) error) error {
			var d int64
			var kind string
			var n, first uint64
			err := scan(&d, &kind, &n, &first)
			if err == nil {
				c.add(d, kind, n, first)
			}
			return err
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
