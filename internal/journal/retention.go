package journal

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// eraseStep is how many rows one transaction of an erasure looks at: some
// milliseconds, in which nobody else can write.
const eraseStep = 64

const year = 8766 * time.Hour // 365.25 days

// LeastKept is for how long any entry must be kept. A ticket is open for a
// month, and auditors come when they can: what could be erased sooner could be
// hidden from them.
const LeastKept = 90 * day

// Retention is how long entries are kept, by kind. Zero means for ever, as for
// a kind that is not there.
type Retention map[string]time.Duration

// DefaultRetention returns what is kept for how long where nothing else is
// configured. What shows who asked about whom and what was answered is kept for
// six years: longer than anybody may sue over a disclosure (18 U.S.C. 2724 and
// 28 U.S.C. 1658: four years). What led to no answer is kept for two. What the
// ledger says about itself names no ticket and stays.
func DefaultRetention() Retention {
	r := Retention{}
	for period, kinds := range map[time.Duration]string{
		6 * year: "ask outcome evaluate search_first search_second deliver notified continue decline disclose withheld misuse opened concluded replied moved change_state_of_record",
		2 * year: "owed abandoned refused refuse publish published withdraw activate compare leave",
		0:        "canary ceremony roster started stopped erase hold release daily receipt_missed receipt_lost successor alarm unlabelled",
	} {
		for kind := range strings.FieldsSeq(kinds) {
			r[kind] = period
		}
	}
	return r
}

// class is the kinds that are kept equally long.
type class struct {
	period time.Duration
	kinds  []string // sorted
}

func (c class) name() string {
	return strconv.FormatInt(int64(c.period/time.Second), 10) + " " + strings.Join(c.kinds, " ")
}

func (r Retention) classes() ([]class, error) {
	byPeriod := make(map[time.Duration][]string)
	known := DefaultRetention()
	for _, kind := range slices.Sorted(maps.Keys(r)) {
		switch period := r[kind]; {
		case !known.has(kind):
			return nil, fmt.Errorf("journal: retention: there is no kind of entry %q", kind)
		case period == 0:
		case period < LeastKept:
			return nil, fmt.Errorf("journal: retention: %q would be kept for %s; %d days is the least", kind, period, LeastKept/day)
		default:
			byPeriod[period] = append(byPeriod[period], kind)
		}
	}
	var classes []class
	for _, period := range slices.Sorted(maps.Keys(byPeriod)) {
		classes = append(classes, class{period, byPeriod[period]})
	}
	return classes, nil
}

func (r Retention) has(kind string) bool {
	_, ok := r[kind]
	return ok
}

// Erase erases every entry of this log whose time is over and that no hold keeps, and
// returns how many that were. It goes in small steps; each is a transaction
// with an entry "erase" of its own that says what it erased, and asks for the
// holds again. A crash between two leaves nothing half done, and the next call
// goes on.
func (j *Journal) Erase(ctx context.Context, r Retention, now time.Time) (erased int, err error) {
	classes, err := r.classes()
	if err != nil {
		return 0, err
	}
	for _, c := range classes {
		s := sweep{class: c, before: now.Add(-c.period), now: now, through: math.MaxInt64}
		for done := false; !done; {
			var n int
			err := j.db.WriteBulk(ctx, func(tx *store.Tx) (err error) {
				n, done, err = j.step(tx, &s)
				return err
			})
			if err != nil {
				return erased, fmt.Errorf("journal: erasing: %w", err)
			}
			erased += n
		}
	}
	return erased, nil
}

// A sweep goes through the journal once for a class. It ends with the first
// page that holds nothing old enough. One row with a time in the future does
// not stop it, though the next sweep begins there.
type sweep struct {
	class
	before, now time.Time
	cursor      uint64 // of the next row to look at
	through     uint64 // as it stands in the database
	early       bool   // a row that is not old enough was passed: through stays
}

// candidate is a row that a sweep looks at.
type candidate struct {
	seq  uint64
	kind string
	at   int64
	size int // of the sealed entry; 0 once it is erased
}

func (j *Journal) step(tx *store.Tx, s *sweep) (erased int, done bool, err error) {
	var through uint64
	if err := tx.Row("SELECT coalesce((SELECT through FROM journal_retention WHERE log = $1 AND class = $2), 0)", j.log, s.name()).Scan(&through); err != nil {
		return 0, false, err
	}
	if through < s.through { // the beginning, or a hold was released meanwhile
		s.cursor, s.through, s.early = through, through, false
	}
	page, err := j.candidates(tx, s.cursor)
	if err != nil {
		return 0, false, err
	}
	holds, err := j.holdsIn(tx)
	if err != nil {
		return 0, false, err
	}
	due, done := s.due(page, holds)
	if err := j.blank(tx, due, s.before, s.now); err != nil {
		return 0, false, err
	}
	if err := j.saveSkipped(tx, holds); err != nil {
		return 0, false, err
	}
	if s.through != through {
		_, err = tx.Exec(`INSERT INTO journal_retention (log, class, through) VALUES ($1, $2, $3)
			ON CONFLICT (log, class) DO UPDATE SET through = excluded.through`, j.log, s.name(), s.through)
	}
	return len(due), done, err
}

// due moves the sweep over a page and returns what is to be erased of it, and
// whether the sweep is over.
func (s *sweep) due(page []candidate, holds []*heldBack) (due []candidate, done bool) {
	done = true
	for _, c := range page {
		s.cursor = c.seq + 1
		if c.at >= s.before.Unix() {
			s.early = true
			continue
		}
		done = false
		if !s.early {
			s.through = s.cursor
		}
		if c.size > 0 && slices.Contains(s.kinds, c.kind) && !held(c, holds) {
			due = append(due, c)
		}
	}
	return due, done
}

func (j *Journal) candidates(tx *store.Tx, from uint64) (page []candidate, err error) {
	err = tx.Query(`SELECT seq, kind, at, coalesce(length(sealed), 0)
		FROM journal WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3`, []any{j.log, from, j.page},
		func(scan func(...any) error) error {
			var c candidate
			err := scan(&c.seq, &c.kind, &c.at, &c.size)
			page = append(page, c)
			return err
		})
	return page, err
}

// blank erases the rows and says so in an entry.
func (j *Journal) blank(tx *store.Tx, due []candidate, before, now time.Time) error {
	if len(due) == 0 {
		return nil
	}
	kinds := make(map[string]bool)
	for _, c := range due {
		kinds[c.kind] = true
	}
	by, _, err := j.noteIn(tx, "erase", now,
		Field{"kinds", strings.Join(slices.Sorted(maps.Keys(kinds)), " ")},
		Field{"before", strconv.FormatInt(before.Unix(), 10)},
		Field{"entries", strconv.Itoa(len(due))})
	if err != nil {
		return err
	}
	for _, c := range due {
		// First with zeros of the same length, which take its place in the file;
		// what NULL alone frees would keep the ciphertext until it is used again.
		if _, err := tx.Exec("UPDATE journal SET sealed = $1 WHERE log = $2 AND seq = $3", make([]byte, c.size), j.log, c.seq); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE journal SET sealed = NULL, family = NULL, erased = $1 WHERE log = $2 AND seq = $3", by, j.log, c.seq); err != nil {
			return err
		}
	}
	return nil
}

// A Mark is one erased entry. Marks are ordered by Erasure, then Entry; the
// zero mark is before all.
type Mark struct {
	Erasure uint64 `json:"erasure"` // number of the entry that says so
	Entry   uint64 `json:"entry"`   // number of the entry that was erased
}

// Erasures returns what was erased after the mark, oldest first: at most limit,
// and never more than 1000.
func (j *Journal) Erasures(ctx context.Context, after Mark, limit int) ([]Mark, error) {
	var page []Mark
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT erased, seq FROM journal WHERE log = $1 AND erased IS NOT NULL AND (erased, seq) > ($2, $3)
			ORDER BY erased, seq LIMIT $4`, []any{j.log, after.Erasure, after.Entry, min(limit, maxPage)},
			func(scan func(...any) error) error {
				var m Mark
				err := scan(&m.Erasure, &m.Entry)
				page = append(page, m)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return page, nil
}
