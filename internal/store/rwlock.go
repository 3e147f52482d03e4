package store

import (
	"errors"
	"strconv"
	"sync"
	"time"
)

// A Lock is a read-write lock among the processes that share a database, held while
// others are called. Within a process the caller keeps readers and writers apart; a
// process that dies gives up what it held. Where the database is not shared it does
// nothing.
type Lock struct {
	db   *DB
	name string

	mu      sync.Mutex
	readers int
	asked   time.Time // when it was last seen that nobody waits to write
}

const (
	lockRetry = 50 * time.Millisecond
	// lockTrust is for how long readers come in after others without asking whether
	// a writer of another process waits.
	lockTrust = time.Second
)

// NewLock returns the lock of that name.
func (db *DB) NewLock(name string) *Lock { return &Lock{db: db, name: name} }

// RLock locks it for reading.
func (l *Lock) RLock() {
	for l.db.Shared() && !l.tryRLock() {
		time.Sleep(lockRetry)
	}
}

func (l *Lock) tryRLock() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers > 0 && time.Since(l.asked) < lockTrust {
		l.readers++
		return true
	}
	writer := false
	err := l.db.Write(background, func(tx *Tx) (err error) {
		if writer, err = l.others(tx, anyWriter, l.name); err != nil || writer {
			return err
		}
		return l.db.place.take(tx, l.reading())
	})
	if writer || err != nil && !over(err) {
		return false
	}
	l.readers++
	l.asked = time.Now()
	return true
}

// RUnlock ends what RLock began.
func (l *Lock) RUnlock() {
	if !l.db.Shared() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers--; l.readers == 0 {
		l.db.release(l.reading())
	}
}

// Lock locks it for writing: readers of other processes end first, and no new ones
// begin.
func (l *Lock) Lock() {
	if !l.db.Shared() {
		return
	}
	for waiting := true; waiting; {
		err := l.db.Write(background, func(tx *Tx) (err error) {
			if waiting, err = l.others(tx, anyWriter, l.name); err != nil || waiting {
				return err
			}
			if err := l.db.place.take(tx, l.name); err != nil {
				return err
			}
			waiting, err = l.others(tx, anyReader, l.name+" ")
			return err
		})
		if over(err) {
			return
		}
		if waiting = waiting || err != nil; waiting {
			time.Sleep(lockRetry)
		}
	}
}

// Unlock ends what Lock began.
func (l *Lock) Unlock() {
	if l.db.Shared() {
		l.db.release(l.name)
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
