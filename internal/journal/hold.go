package journal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// maxReason is the longest reason of a hold, in bytes.
const maxReason = 1000

// A Scope is which entries a hold keeps.
type Scope struct {
	Kinds []string  // none means all
	From  time.Time // of the entry, inclusive; zero means since the beginning
	Until time.Time // exclusive; zero means for ever
}

// A Hold keeps entries beyond their retention, because a court or a statute
// asks for it.
type Hold struct {
	ID int64
	Scope
	Reason   string // for people, such as the number of a case
	Made     time.Time
	Released time.Time // zero while it is in force
}

// Hold keeps what is in the scope, in all logs of the database, until
// [Journal.Release], and returns the number of the hold. It is an entry of this log. Once Hold has returned, no erasure takes
// anything in the scope; what was erased before is gone.
func (j *Journal) Hold(ctx context.Context, s Scope, reason string, now time.Time) (id int64, err error) {
	begins, ends, err := s.check()
	if err != nil {
		return 0, err
	}
	if reason == "" || len(reason) > maxReason {
		return 0, waypost.Errorf(waypost.InvalidArgument, "a hold needs a reason of at most %d bytes: the case or the order behind it", maxReason)
	}
	kinds := strings.Join(s.Kinds, " ")
	err = j.db.Write(ctx, func(tx *store.Tx) error {
		if err := tx.Row("SELECT coalesce(max(id), 0) + 1 FROM journal_hold").Scan(&id); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO journal_hold (id, kinds, begins, ends, reason, made) VALUES ($1, $2, $3, $4, $5, $6)",
			id, kinds, begins, ends, reason, now.Unix()); err != nil {
			return err
		}
		return j.noteHold(tx, "hold", id, s, reason, now)
	})
	return id, err
}

// Release ends a hold: what it kept beyond its retention is erased at the next
// [Journal.Erase]. It is an entry.
func (j *Journal) Release(ctx context.Context, id int64, now time.Time) error {
	return j.db.Write(ctx, func(tx *store.Tx) error {
		holds, err := j.holdsIn(tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(holds, func(h *heldBack) bool { return h.ID == id })
		if i < 0 {
			return waypost.Errorf(waypost.NotFound, "there is no hold %d in force", id)
		}
		h := holds[i]
		if _, err := tx.Exec("UPDATE journal_hold SET released = $1 WHERE id = $2", now.Unix(), id); err != nil {
			return err
		}
		// Erasure has passed by what only this hold kept, and must look again.
		if _, err := tx.Exec(`UPDATE journal_retention SET through = (SELECT seq FROM journal_skipped s WHERE s.hold = $1 AND s.log = journal_retention.log)
			WHERE through > (SELECT seq FROM journal_skipped s WHERE s.hold = $1 AND s.log = journal_retention.log)`, id); err != nil {
			return err
		}
		return j.noteHold(tx, "release", id, h.Scope, h.Reason, now)
	})
}

// Holds returns all holds, also those that were released, oldest first.
func (j *Journal) Holds(ctx context.Context) (all []Hold, err error) {
	err = j.db.Read(ctx, func(tx *store.Tx) error {
		holds, err := scanHolds(tx, "SELECT id, kinds, begins, ends, reason, made, released, NULL FROM journal_hold ORDER BY id")
		for _, h := range holds {
			all = append(all, h.Hold)
		}
		return err
	})
	return all, err
}

func (j *Journal) noteHold(tx *store.Tx, kind string, id int64, s Scope, reason string, now time.Time) error {
	_, _, err := j.noteIn(tx, kind, now, Field{"id", strconv.FormatInt(id, 10)}, Field{"scope", s.words()}, Field{"reason", reason})
	return err
}

// check returns the bounds in Unix seconds. A kind that does not exist would
// keep nothing, and nobody would notice.
func (s Scope) check() (begins, ends int64, err error) {
	known := DefaultRetention()
	for _, kind := range s.Kinds {
		if !known.has(kind) {
			return 0, 0, waypost.Errorf(waypost.InvalidArgument, "there is no kind of entry %q", kind)
		}
	}
	ends = math.MaxInt64
	if !s.From.IsZero() {
		begins = s.From.Unix()
	}
	if !s.Until.IsZero() {
		ends = s.Until.Unix()
	}
	if begins >= ends {
		return 0, 0, waypost.Errorf(waypost.InvalidArgument, "a hold must end after it begins")
	}
	return begins, ends, nil
}

// words says the scope as it stands in an entry.
func (s Scope) words() string {
	words := "all"
	if len(s.Kinds) > 0 {
		words = strings.Join(s.Kinds, " ")
	}
	if !s.From.IsZero() {
		words += fmt.Sprintf(" from %d", s.From.Unix())
	}
	if !s.Until.IsZero() {
		words += fmt.Sprintf(" until %d", s.Until.Unix())
	}
	return words
}

// heldBack is a hold, and the lowest row of this log that it has kept from being
// erased.
type heldBack struct {
	Hold
	begins, ends int64
	skipped      *uint64
	changed      bool
}

// held reports whether a hold keeps the row, and remembers it with every hold
// that does.
func held(c candidate, holds []*heldBack) (kept bool) {
	for _, h := range holds {
		if c.at < h.begins || c.at >= h.ends || len(h.Kinds) > 0 && !slices.Contains(h.Kinds, c.kind) {
			continue
		}
		kept = true
		if h.skipped == nil || c.seq < *h.skipped {
			h.skipped, h.changed = &c.seq, true
		}
	}
	return kept
}

// holdsIn returns the holds in force.
func (j *Journal) holdsIn(tx *store.Tx) ([]*heldBack, error) {
	return scanHolds(tx, `SELECT id, kinds, begins, ends, reason, made, released, seq FROM journal_hold
		LEFT JOIN journal_skipped ON hold = id AND log = $1 WHERE released IS NULL ORDER BY id`, j.log)
}

func (j *Journal) saveSkipped(tx *store.Tx, holds []*heldBack) error {
	for _, h := range holds {
		if !h.changed {
			continue
		}
		if _, err := tx.Exec(`INSERT INTO journal_skipped (hold, log, seq) VALUES ($1, $2, $3)
			ON CONFLICT (hold, log) DO UPDATE SET seq = excluded.seq`, h.ID, j.log, *h.skipped); err != nil {
			return err
		}
	}
	return nil
}

func scanHolds(tx *store.Tx, query string, args ...any) (holds []*heldBack, err error) {
	err = tx.Query(query, args, func(scan func(...any) error) error {
		h := &heldBack{}
		var kinds string
		var made int64
		var released *int64
		if err := scan(&h.ID, &kinds, &h.begins, &h.ends, &h.Reason, &made, &released, &h.skipped); err != nil {
			return err
		}
		if h.Kinds, h.Made = strings.Fields(kinds), time.Unix(made, 0).UTC(); released != nil {
			h.Released = time.Unix(*released, 0).UTC()
		}
		if h.begins > 0 {
			h.From = time.Unix(h.begins, 0).UTC()
		}
		if h.ends < math.MaxInt64 {
			h.Until = time.Unix(h.ends, 0).UTC()
		}
		holds = append(holds, h)
		return nil
	})
	return holds, err
}
