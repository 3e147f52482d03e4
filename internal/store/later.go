package store

import (
	"context"
	"sync"
	"time"
)

const (
	laterWait  = 250 * time.Millisecond // before Later makes a transaction of its own
	laterLimit = 512                    // functions that one transaction takes in
)

// laters are functions that wait for a transaction to ride in.
type laters struct {
	mu      sync.Mutex
	waiting []*request
	timer   *time.Timer
}

// Later has fn run in a transaction that is made anyway, or in one of its own
// after a quarter of a second: nobody waits for it, and it costs no disk sync
// of its own. A crash may lose it and an error in it is only counted, so it is
// for what does no harm if it never happens, such as deleting what is done
// with. After Close began it does nothing.
func (db *DB) Later(fn func(tx *Tx) error) { db.LaterThen(fn, nil) }

// LaterThen is Later, and tells done how it went once that is settled: what
// [DB.Write] would have returned, also where the transaction was lost before fn ran.
// done must not wait for a transaction.
func (db *DB) LaterThen(fn func(tx *Tx) error, done func(err error)) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return
	}
	r := &request{fn: fn, done: make(chan error, 1), then: done}
	r.state.Store(taken)
	l := &db.later
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, r)
	if l.timer == nil && !db.simulated {
		l.timer = time.AfterFunc(laterWait, db.flush)
	}
}

// flush makes a transaction for what waits.
func (db *DB) flush() {
	// An error means that the database is closed, and Close has flushed.
	_ = db.Write(context.Background(), func(*Tx) error { return nil })
}

// takeLater returns what may ride in the transaction at hand.
func (db *DB) takeLater() []*request {
	l := &db.later
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), laterLimit)
	taken := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if len(l.waiting) > 0 && !db.simulated {
		l.timer = time.AfterFunc(laterWait, db.flush)
	}
	return taken
}
