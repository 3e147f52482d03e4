package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	queueLimit = 1024                  // writes waiting; further ones wait to enter the queue
	groupLimit = 256                   // functions in one transaction
	groupTime  = 20 * time.Millisecond // after which a group takes no more
	bulkTime   = 5 * time.Millisecond  // the same for what nobody waits for
)

// A request is one function on its way through the writer.
type request struct {
	fn    func(*Tx) error
	state atomic.Int32
	err   error // what fn came to, held back until the group is durable
	done  chan error
	then  func(error) // told, too, where there is one
}

const (
	waiting   int32 = iota
	taken           // by the writer: what it reports is what happened
	abandoned       // by the caller, before the writer came to it
)

var errGoexit = errors.New("store: a function ended the goroutine it ran on, and its whole group was undone")

// Write runs fn in a transaction that changes the database and returns after
// the change is durable. fn runs on the writer's goroutine, one at a time, so
// it must be quick and must not call Write. An error or a panic in fn undoes
// what fn did and is returned. If ctx ends before fn starts, fn never runs;
// after that Write waits and returns what happened.
func (db *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	return db.write(ctx, db.queue, fn)
}

// WriteBulk is Write for what nobody waits for at a counter, such as a part of a
// load. It shares no transaction with what Write was given: after each of those
// comes one of bulk, which ends as soon as somebody waits. So no one is kept longer
// than by one fn and its commit, and fn must be small.
func (db *DB) WriteBulk(ctx context.Context, fn func(tx *Tx) error) error {
	return db.write(ctx, db.bulk, fn)
}

func (db *DB) write(ctx context.Context, lane chan *request, fn func(tx *Tx) error) error {
	r := &request{fn: fn, done: make(chan error, 1)}
	if err := db.enqueue(ctx, lane, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		return <-r.done
	}
}

func (db *DB) enqueue(ctx context.Context, lane chan *request, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	select {
	case lane <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the writer: it ends when both queues are closed and empty. A function
// may end its goroutine (runtime.Goexit, as a failing test does); its group is
// settled by then and another goroutine takes over.
func (db *DB) run() {
	drained := false
	defer func() {
		if drained {
			close(db.stopped)
		} else {
			go db.run()
		}
	}()
	for lanes := [2]chan *request{db.queue, db.bulk}; lanes[0] != nil || lanes[1] != nil; {
		idle := true
		for i, lane := range lanes { // a group of each in turn
			select {
			case r, ok := <-lane:
				idle = false
				db.serve(&lanes[i], r, ok)
			default:
			}
		}
		if idle {
			select {
			case r, ok := <-lanes[0]:
				db.serve(&lanes[0], r, ok)
			case r, ok := <-lanes[1]:
				db.serve(&lanes[1], r, ok)
			}
		}
	}
	drained = true
}

// serve does what came out of a queue: a group of it, or nothing more once it is
// closed.
func (db *DB) serve(lane *chan *request, first *request, ok bool) {
	if !ok {
		*lane = nil
		return
	}
	db.group(*lane, first)
}

// group runs first and whatever else is waiting in its queue in one transaction, and
// only then tells every caller how it went.
func (db *DB) group(lane chan *request, first *request) {
	if !first.state.CompareAndSwap(waiting, taken) {
		return
	}
	members := []*request{first}
	err := errGoexit
	defer func() {
		db.writer.rollback()
		db.settle(members, err)
	}()
	err = db.transact(lane, &members)
}

// transact runs the members, takes more while they are waiting, and commits.
// A nil result means that all is durable, save for members with an error of
// their own; any other result is that of every member.
func (db *DB) transact(lane chan *request, members *[]*request) error {
	if db.broken != nil {
		return fmt.Errorf("store: no writing after a failed commit; restart: %w", db.broken)
	}
	if err := db.hit("begin"); err != nil {
		return err
	}
	db.writer.begin()
	kept := 0
	limit := db.groupFor
	if lane == db.bulk {
		limit = bulkTime
	}
	deadline := time.Now().Add(limit)
	for i := 0; i < len(*members); i++ {
		r := (*members)[i]
		var lost error
		if r.err, lost = db.attempt(r.fn, kept > 0); lost != nil {
			return lost
		}
		if r.err == nil {
			kept++
		}
		if next := db.next(lane, i+1, deadline); next != nil {
			*members = append(*members, next)
		} else if i+1 == len(*members) {
			*members = append(*members, db.takeLater()...) // once empty, the loop ends
		}
	}
	if err := db.hit("commit"); err != nil {
		return err
	}
	if kept == 0 {
		return nil // nothing to make durable: group rolls back
	}
	if err := db.commit(); err != nil {
		return err
	}
	select {
	case db.committed <- struct{}{}:
	default: // it is there
	}
	db.groups.Add(1)
	db.writes.Add(uint64(kept))
	db.largest.Store(max(db.largest.Load(), uint64(len(*members))))
	return db.hit("committed")
}

// next takes a waiting request into a group that has n, or returns nil where
// none waits or the group is full: a lone write never waits for company, and none
// for bulk.
func (db *DB) next(lane chan *request, n int, deadline time.Time) *request {
	for n < groupLimit && time.Now().Before(deadline) && (lane == db.queue || len(db.queue) == 0) {
		select {
		case r, ok := <-lane:
			if !ok {
				return nil
			}
			if r.state.CompareAndSwap(waiting, taken) {
				return r
			}
		default:
			return nil
		}
	}
	return nil
}

// attempt runs fn. failed is fn's error, whose effects are undone: back to a
// savepoint where others are to be kept, else with the whole transaction, and
// another begins. lost means that the transaction is no more.
func (db *DB) attempt(fn func(*Tx) error, others bool) (failed, lost error) {
	c := db.writer
	if others {
		c.mark()
	}
	failed = c.call(fn)
	switch {
	case c.lost != nil:
		return nil, c.lost
	case failed == nil:
	case others:
		c.undo()
	default:
		c.rollback()
		c.begin()
	}
	return failed, nil
}

// commit makes the transaction durable. Where the engine cannot say what is on
// the disk, nothing may be written over it: the database refuses all further
// writes until it has been reopened.
func (db *DB) commit() error {
	err := db.writer.commit()
	if err == nil {
		return nil
	}
	unknown, broken := db.engine.doubt(err)
	if broken {
		db.broken = err
	}
	if unknown {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// settle tells the callers. An error of a member's own waits until here, too:
// what the member saw may have come from another one of the group, so it is
// only true if the group is.
func (db *DB) settle(members []*request, err error) {
	for _, r := range members {
		if err != nil {
			r.err = err
		}
		if r.err != nil {
			db.failed.Add(1)
		}
		r.done <- r.err
		if r.then != nil {
			r.then(r.err)
		}
	}
}

// hit calls the fault hook, if there is one.
func (db *DB) hit(point string) (err error) {
	if db.fault == nil {
		return nil
	}
	defer contain(&err)
	return db.fault(point)
}
