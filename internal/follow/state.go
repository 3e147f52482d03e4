package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"filippo.io/torchwood"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// load reads what the database remembers.
func (f *Follower) load(ctx context.Context) (map[string]*log, error) {
	logs := make(map[string]*log)
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.Query(`SELECT origin, member, since, checkpoint, cosigned, coalesce(broken, ''), contradiction, shown,
				closed, coalesce(restored, 0), restored_root, coalesce(successor, '') FROM follow_log`, nil,
			func(scan func(...any) error) error {
				var l log
				var since, cosigned int64
				var checkpoint, root []byte
				var closed *int64
				var c closure
				if err := scan(&l.origin, &l.member, &since, &checkpoint, &cosigned, &l.broken, &l.contradiction, &l.shown,
					&closed, &c.restored.N, &root, &c.place); err != nil {
					return err
				}
				if closed != nil {
					c.at, c.restored.Hash = time.Unix(*closed, 0).UTC(), tlog.Hash(root)
					l.closed = &c
				}
				l.since = time.Unix(since, 0).UTC()
				var err error
				if _, l.instance, err = splitOrigin(l.origin, l.member); err != nil {
					return err
				}
				if checkpoint != nil {
					if l.seen, err = reread(checkpoint); err != nil {
						return fmt.Errorf("the checkpoint kept of %s: %w", l.origin, err)
					}
					l.seen.Cosigned = time.Unix(cosigned, 0).UTC()
				}
				logs[l.origin] = &l
				return nil
			})
		if err != nil {
			return err
		}
		for _, l := range logs {
			if err := l.readOwing(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	return logs, nil
}

// reread takes a checkpoint that was verified before it was stored.
func reread(signed []byte) (translog.Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList())
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		n = unverified.Note
	} else if err != nil {
		return translog.Checkpoint{}, err
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	return translog.Checkpoint{Origin: c.Origin, Tree: c.Tree, Note: signed}, err
}

// readOwing looks up the earliest deadline that is waiting.
func (l *log) readOwing(tx *store.Tx) error {
	var deadline *int64
	if err := tx.Row("SELECT min(deadline) FROM follow_receipt WHERE origin = $1", l.origin).Scan(&deadline); err != nil {
		return err
	}
	if l.owing = (time.Time{}); deadline != nil {
		l.owing = time.Unix(*deadline, 0).UTC()
	}
	return nil
}

// enlist follows the first log of every hub and key holder of the current
// roster, from now on where that is new.
func (f *Follower) enlist(ctx context.Context) error {
	current := f.Roster.Current()
	var added []*log
	for _, m := range append(current.KeyHolders(), current.Hub()) {
		if l := f.named(m, f.originOf(m.Name, firstInstance)); l != nil {
			added = append(added, l)
		}
	}
	return f.add(ctx, added)
}

// named returns a log of the member that is not followed yet, or nil.
func (f *Follower) named(m roster.Member, origin string) *log {
	_, instance, err := splitOrigin(origin, m.Name)
	if err != nil || f.logs[origin] != nil || m.Name == f.config.Member {
		return nil
	}
	return &log{origin: origin, member: m.Name, instance: instance, since: f.Now().UTC().Truncate(time.Second)}
}

func (f *Follower) add(ctx context.Context, added []*log) error {
	if len(added) == 0 {
		return nil
	}
	err := f.DB.Write(ctx, func(tx *store.Tx) error {
		for _, l := range added {
			if _, err := tx.Exec(`INSERT INTO follow_log (origin, member, since, cosigned, shown) VALUES ($1, $2, $3, 0, 0)
				ON CONFLICT (origin) DO NOTHING`, l.origin, l.member, l.since.Unix()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	for _, l := range added {
		f.logs[l.origin] = l
	}
	return nil
}

// save writes down what was seen. What contradicts it is kept beside it.
func (s *sight) save(tx *store.Tx, now time.Time) (err error) {
	switch {
	case s.failed != nil || s.newer.Note == nil:
	case s.broken != "":
		_, err = tx.Exec(`UPDATE follow_log SET broken = $1, contradiction = $2 WHERE origin = $3 AND broken IS NULL`,
			s.words(now), s.newer.Note, s.origin)
	default:
		_, err = tx.Exec(`UPDATE follow_log SET checkpoint = $1, cosigned = $2 WHERE origin = $3`,
			s.newer.Note, s.newer.Cosigned.Unix(), s.origin)
	}
	return err
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
