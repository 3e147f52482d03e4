package store

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/waypost/waypost"
)

// A Lock is a read-write lock among the processes that share a database, held while
// others are called. Within a process the caller keeps readers and writers apart; a
// process that dies gives up what it held. Where the database is not shared it does
// nothing.
type Lock struct {
	db   *DB
	name string

	writes *hold

	mu      sync.Mutex
	reads   *hold
	readers int
	asked   time.Time // when it was last seen that nobody waits to write
}

const (
	lockRetry = 50 * time.Millisecond
	// lockTrust is for how long readers come in after others without asking whether
	// a writer of another process waits.
	lockTrust = time.Second
	// lockLimit is longer than anything takes that is done under such a lock, save
	// what stands still.
	lockLimit = 15 * time.Minute
)

// NewLock returns the lock of that name.
func (db *DB) NewLock(name string) *Lock { return &Lock{db: db, name: name} }

// RLock locks it for reading. It is an error if ctx ends first, or after some minutes.
func (l *Lock) RLock(ctx context.Context) error {
	if !l.db.Shared() {
		return nil
	}
	return l.retry(ctx, l.tryRLock)
}

// retry calls try until it has succeeded.
func (l *Lock) retry(ctx context.Context, try func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	for {
		done, err := try(ctx)
		if done || over(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return waypost.Errorf(waypost.Unavailable, "another process is at work on the same and does not come to an end: try again later")
		case <-time.After(lockRetry):
		}
	}
}

func (l *Lock) tryRLock(ctx context.Context) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers > 0 && time.Since(l.asked) < lockTrust {
		l.readers++
		return true, nil
	}
	p := &l.db.place
	if l.readers == 0 {
		if l.reads = p.reserve(l.reading())[0]; l.reads == nil {
			return false, nil
		}
	}
	writer := false
	err := l.db.Write(ctx, func(tx *Tx) (err error) {
		if writer, err = l.others(tx, anyWriter, l.name); err != nil || writer {
			return err
		}
		return p.take(tx, l.reading())
	})
	if writer || err != nil {
		if l.readers == 0 {
			p.forget(l.reads)
		}
		return false, err
	}
	l.readers++
	l.asked = time.Now()
	return true, nil
}

// RUnlock ends what RLock began.
func (l *Lock) RUnlock() {
	if !l.db.Shared() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers--; l.readers == 0 {
		l.db.release(l.db.Write, l.reads)
	}
}

// Lock locks it for writing: readers of other processes end first, and no new ones
// begin. It is an error if ctx ends first, or after some minutes.
func (l *Lock) Lock(ctx context.Context) error {
	if !l.db.Shared() {
		return nil
	}
	h := l.db.place.reserve(l.name)[0]
	if h == nil {
		return waypost.Errorf(waypost.Unavailable, "it is locked in this process")
	}
	err := l.retry(ctx, l.tryLock)
	if err != nil {
		l.db.release(l.db.Write, h)
		return err
	}
	l.writes = h
	return nil
}

func (l *Lock) tryLock(ctx context.Context) (bool, error) {
	waiting := true
	err := l.db.Write(ctx, func(tx *Tx) (err error) {
		if waiting, err = l.others(tx, anyWriter, l.name); err != nil || waiting {
			return err
		}
		if err := l.db.place.take(tx, l.name); err != nil {
			return err
		}
		waiting, err = l.others(tx, anyReader, l.name+" ")
		return err
	})
	return !waiting && err == nil, err
}

// Unlock ends what Lock began.
func (l *Lock) Unlock() {
	if l.db.Shared() {
		l.db.release(l.db.Write, l.writes)
	}
}

// reading is the lease of this process as a reader.
func (l *Lock) reading() string { return l.name + " " + strconv.FormatInt(l.db.place.number, 10) }

// Who else, of those that live, holds the lease of a writer, and those of readers.
const (
	anyWriter = `SELECT count(*) FROM store_lease l JOIN store_process p ON p.number = l.process AND p.token = l.token
		WHERE l.name = $1 AND l.process <> $2`
	anyReader = `SELECT count(*) FROM store_lease l JOIN store_process p ON p.number = l.process AND p.token = l.token
		WHERE substr(l.name, 1, length($1)) = $1 AND l.process <> $2`
)

// others reports whether another process holds such a lease.
func (l *Lock) others(tx *Tx, query, name string) (bool, error) {
	var n int
	err := tx.Row(query, name, l.db.place.number).Scan(&n)
	return n > 0, err
}

// over reports that nothing will be written any more: what waits need not.
func over(err error) bool { return errors.Is(err, ErrClosed) || errors.Is(err, ErrReplaced) }
