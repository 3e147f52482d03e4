package follow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

const (
	// seekAfter is how old the cosignatures of a log are when a successor is looked for,
	// and seekEvery how often it is.
	seekAfter = 3 * time.Minute
	seekEvery = time.Minute
	// maxSought is the highest instance in which a successor is looked for, unless one is
	// followed that is higher.
	maxSought = 16
)

// closure is what a successor has said of a log.
type closure struct {
	at       time.Time
	restored tlog.Tree // what is left of it
	place    string    // where the successor says so
}

// seekSuccessors looks whether logs that cannot be read, or stand still, were closed
// because a backup was restored. Without that the member would not be used again.
func (f *Follower) seekSuccessors(ctx context.Context) error {
	var errs []error
	now := f.Now()
	for _, l := range f.sorted() {
		still := l.failed != nil || l.seen.Note != nil && now.Sub(l.seen.Cosigned) > seekAfter
		if l.broken != "" || l.closed != nil || !still || !f.follows(l.member) || now.Sub(l.sought).Abs() < seekEvery {
			continue
		}
		l.sought = now
		limited, stop := context.WithTimeout(ctx, lookTime)
		err := f.seek(limited, l)
		stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sorted are the logs by origin: what is found in one may change what is done with another.
func (f *Follower) sorted() []*log {
	all := make([]*log, 0, len(f.logs))
	for _, l := range f.logs {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *log) int { return cmp.Compare(a.origin, b.origin) })
	return all
}

// seek reads what other logs of the member say of this one. An error is about the own
// database; what cannot be read is looked for again.
func (f *Follower) seek(ctx context.Context, l *log) error {
	last := maxSought
	for _, other := range f.logs {
		if n, err := strconv.Atoi(other.instance); other.member == l.member && err == nil {
			last = max(last, n)
		}
	}
	for n := 1; n <= last && ctx.Err() == nil; n++ {
		instance := strconv.Itoa(n)
		if instance == l.instance {
			continue
		}
		s, place, err := f.declared(ctx, l, instance)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f.tell("the successor of "+l.origin, err)
		if err != nil {
			continue
		}
		return f.close(ctx, l, s, place, instance)
	}
	return nil
}

// declared reads what one log of the member says of another, and holds it against what was
// seen here.
func (f *Follower) declared(ctx context.Context, l *log, instance string) (s journal.Succession, place string, err error) {
	current := f.Roster.Current()
	m, ok := current.Member(l.member)
	if !ok {
		return s, "", fs.ErrNotExist
	}
	policy, err := Policy(current, m, f.originOf(l.member, instance))
	if err != nil {
		return s, "", err
	}
	reader, err := f.Open(l.member, instance)
	if err != nil {
		return s, "", err
	}
	cp, err := translog.Fetch(ctx, reader, policy)
	if err != nil {
		return s, "", err
	}
	var rosters []*roster.Roster
	for version := range current.Version {
		if known := f.Roster.Version(version + 1); known != nil {
			rosters = append(rosters, known)
		}
	}
	s, index, err := Declared(ctx, reader, cp, rosters, l.member, l.origin)
	return s, l.member + "/" + instance + ":" + strconv.FormatInt(index, 10), err
}

// Declared reads what one log of a member, verified up to cp, says of another that it has
// succeeded, and at which of its entries; an error that is fs.ErrNotExist says that it says
// nothing. The checkpoint of the closed log is cosigned on the day of the declaration and
// never again, whatever becomes of its witnesses: it has to satisfy the newest of the
// rosters, which are given oldest first, or one that was good on that day.
func Declared(ctx context.Context, r translog.Reader, cp translog.Checkpoint, rosters []*roster.Roster, member, origin string) (s journal.Succession, index int64, err error) {
	first, tried := fs.ErrNotExist, false
	for _, known := range slices.Backward(rosters) {
		m, ok := known.Member(member)
		if !ok || tried && (s.At.Before(known.NotBefore) || s.At.After(known.NotAfter)) {
			continue
		}
		policy, err := Policy(known, m, origin)
		if err == nil {
			s, index, err = journal.ReadSuccession(ctx, r, cp, string(m.Role), policy)
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
			return s, index, err
		}
		if !tried {
			first, tried = err, true
		}
	}
	return s, 0, first
}

// close remembers that the log has a successor, which is followed from now on; or that what
// it says of the log is not what was seen here, which is never forgiven.
func (f *Follower) close(ctx context.Context, l *log, s journal.Succession, place, instance string) error {
	if words, err := f.contradicts(ctx, l, s); err != nil {
		f.tell("the successor of "+l.origin, err)
		return nil // it is looked at again
	} else if words != "" {
		l.broken, l.shown = fmt.Sprintf("the ledger of %s %s, seen %s", l.member, words, clock(f.Now())), true
		f.Log.Error("a ledger contradicts what was seen of it", "member", l.member, "words", l.broken)
		return f.write(ctx, `UPDATE follow_log SET broken = $1, shown = 1 WHERE origin = $2 AND broken IS NULL`, l.broken, l.origin)
	}
	if m, ok := f.Roster.Member(l.member); ok {
		if next := f.named(m, f.originOf(l.member, instance)); next != nil {
			if err := f.add(ctx, []*log{next}); err != nil {
				return err
			}
		}
	}
	if err := f.write(ctx, `UPDATE follow_log SET closed = $1, restored = $2, restored_root = $3, successor = $4 WHERE origin = $5`,
		s.At.Unix(), s.Restored.N, s.Restored.Hash[:], place, l.origin); err != nil {
		return err
	}
	l.closed, l.tried = &closure{at: s.At, restored: s.Restored, place: place}, translog.Checkpoint{}
	f.Log.Warn("a member has restored a backup and closed its ledger", "log", l.origin, "entries", s.Restored.N, "lost", max(0, s.Seen.N-s.Restored.N), "successor", place)
	return nil
}

func (f *Follower) write(ctx context.Context, statement string, args ...any) error {
	if err := f.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	}); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	return nil
}

// contradicts says in words how what a successor says of a log differs from what was seen
// of it here; an error means that it cannot be told now.
func (f *Follower) contradicts(ctx context.Context, l *log, s journal.Succession) (words string, err error) {
	switch {
	case l.seen.Note == nil:
		return "", nil
	case s.Seen.N < l.seen.N:
		return fmt.Sprintf("says that %d entries of %s were seen, and %d were seen here", s.Seen.N, l.origin, l.seen.N), nil
	case s.Seen.N == l.seen.N && s.Seen.Hash != l.seen.Hash:
		return fmt.Sprintf("had other entries in %s than it says, at %d", l.origin, l.seen.N), nil
	case l.seen.N > s.Restored.N:
		return "", nil // that part is lost
	}
	reader, err := f.Open(l.member, l.instance)
	if err != nil {
		return "", err
	}
	err = translog.CheckConsistency(ctx, reader, l.seen, translog.Checkpoint{Origin: l.origin, Tree: s.Restored})
	if errors.Is(err, translog.ErrFork) {
		return fmt.Sprintf("has restored other entries of %s than it had, at %d", l.origin, l.seen.N), nil
	}
	return "", err
}

// judgeClosed is judgeDue for a log that has a successor: a leaf is in what was restored,
// or it was declared lost, if it was promised before. What was promised later is owed. A
// leaf other than the promised one is held against the signer where a checkpoint seen here
// has it.
func (f *Follower) judgeClosed(ctx context.Context, l *log, list []due) (v verdict, err error) {
	slices.SortFunc(list, func(a, b due) int { return cmp.Compare(a.promise.receipt.Sequence, b.promise.receipt.Sequence) })
	end, _ := slices.BinarySearchFunc(list, uint64(l.closed.restored.N), func(d due, n uint64) int { return cmp.Compare(d.promise.receipt.Sequence, n) })
	limited, stop := context.WithTimeout(ctx, lookTime)
	defer stop()
	leaves, err := f.leaves(limited, l, translog.Checkpoint{Origin: l.origin, Tree: l.closed.restored}, list[:end])
	var suspect []due
	for _, d := range list[:end] {
		tag, leaf := d.tag(), leaves[int64(d.promise.receipt.Sequence)]
		switch {
		case bytes.HasPrefix(leaf, tag[:]):
			v.kept = append(v.kept, d)
		case leaf != nil && d.promise.receipt.Sequence < uint64(l.seen.N): // another one, under a checkpoint
			suspect = append(suspect, d)
		default:
			v.wait = append(v.wait, d)
		}
	}
	promised := l.closed.at.Add(journal.MergeDelay + time.Second)
	for _, d := range list[end:] {
		if d.promise.receipt.Deadline.After(promised) {
			v.wait = append(v.wait, d)
		} else {
			v.lost = append(v.lost, d)
		}
	}
	if len(suspect) == 0 {
		return v, err
	}
	return v, errors.Join(err, f.accuse(limited, &v, l, suspect))
}

// enterLost makes the entry receipt_lost, once.
func (f *Follower) enterLost(tx *store.Tx, l *log, d due) error {
	added, err := tx.Exec("INSERT INTO follow_missed (member, evidence) VALUES ($1, $2) ON CONFLICT (member, evidence) DO NOTHING",
		l.origin, hex.EncodeToString(d.id[:]))
	if err != nil || added == 0 {
		return err
	}
	place, err := d.promise.receipt.Place()
	if err != nil {
		return err
	}
	body, err := journal.Body(journal.Field{Name: "signer", Value: l.member}, journal.Field{Name: "place", Value: place},
		journal.Field{Name: "successor", Value: l.closed.place})
	if err != nil {
		return err
	}
	_, err = f.Journal.Append(tx, journal.Entry{Kind: "receipt_lost", At: f.Now(), Body: body})
	return err
}
