package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func testContext(t *testing.T, open func(...Option) *DB) {
	db := open(WithReaders(1))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Write(gone, func(tx *Tx) error { return add(tx, 1) }); err != context.Canceled {
		t.Errorf("write: %v", err)
	}
	if err := db.Read(gone, func(tx *Tx) error { return nil }); err != context.Canceled {
		t.Errorf("read: %v", err)
	}
	// Cancelled while it waits for the writer: it never runs.
	late, cancel := context.WithCancel(ctx)
	var ran atomic.Bool
	must(t, db.Write(ctx, func(tx *Tx) error {
		result := make(chan error)
		go func() { result <- db.Write(late, func(*Tx) error { ran.Store(true); return nil }) }()
		for len(db.queue) == 0 {
			runtime.Gosched()
		}
		cancel()
		if err := <-result; err != context.Canceled {
			t.Errorf("waiting write: %v", err)
		}
		return nil
	}))
	must(t, db.Write(ctx, func(tx *Tx) error { return nil })) // the queue has moved past it
	if ran.Load() {
		t.Error("a cancelled write ran")
	}
	// Cancelled after it began: it commits, and says so.
	late, cancel = context.WithCancel(ctx)
	must(t, db.Write(late, func(tx *Tx) error { cancel(); return add(tx, 2) }))
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows", n)
	}
	// A reader that waits for its turn goes when its context does.
	must(t, db.Read(ctx, func(tx *Tx) error {
		late, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := db.Read(late, func(*Tx) error { return nil }); err != context.DeadlineExceeded {
			t.Errorf("waiting read: %v", err)
		}
		return nil
	}))
}

func testBackPressure(t *testing.T, open func(...Option) *DB) {
	db := open()
	var wg sync.WaitGroup
	must(t, db.Write(ctx, func(tx *Tx) error {
		for n := range queueLimit {
			wg.Go(func() {
				if err := db.Write(ctx, func(tx *Tx) error { return add(tx, n) }); err != nil {
					t.Error(err)
				}
			})
		}
		for len(db.queue) < queueLimit {
			runtime.Gosched()
		}
		full, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := db.Write(full, func(*Tx) error { return nil }); err != context.DeadlineExceeded {
			t.Errorf("a full queue took one more: %v", err)
		}
		return nil
	}))
	wg.Wait()
	if n := count(t, db); n != queueLimit {
		t.Errorf("%d rows", n)
	}
}

func testCloseDrains(t *testing.T, open func(...Option) *DB) {
	db := open()
	var ok atomic.Int64
	closed := make(chan error, 1)
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			for i := 0; ; i++ {
				err := db.Write(ctx, func(tx *Tx) error { return add(tx, n*10000+i) })
				if err == ErrClosed {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if ok.Add(1) == 200 {
					go func() { closed <- db.Close() }()
				}
			}
		})
	}
	wg.Wait()
	if err := db.Close(); err != ErrClosed {
		t.Errorf("second close: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	again := open()
	if n := count(t, again); int64(n) != ok.Load() {
		t.Errorf("%d rows, %d acknowledged", n, ok.Load())
	}
	if err := db.Read(ctx, func(*Tx) error { return nil }); err != ErrClosed {
		t.Errorf("read after close: %v", err)
	}
}

func testFaults(t *testing.T, open func(...Option) *DB) {
	var at string
	var panics bool
	stop := errors.New("injected")
	db := open(WithFault(func(point string) error {
		if point != at {
			return nil
		}
		if panics {
			panic("injected")
		}
		return stop
	}))
	n := 0
	for _, panics = range []bool{false, true} {
		for _, point := range []string{"begin", "commit", "committed"} {
			before := count(t, db)
			at = point
			err := db.Write(ctx, func(tx *Tx) error { n++; return add(tx, n) })
			at = ""
			if err == nil || (!panics && err != stop) {
				t.Errorf("%s: %v", point, err)
			}
			want := before
			if point == "committed" {
				want++
			}
			if got := count(t, db); got != want {
				t.Errorf("%s: %d rows became %d", point, before, got)
			}
			n++
			must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, n) })) // it goes on
		}
	}
}

// testLostGroup: what one function learnt from another of its group is not
// told to anybody if the group is lost.
func testLostGroup(t *testing.T, open func(...Option) *DB) {
	var lose atomic.Bool
	stop := errors.New("injected")
	db := open(unhurried, WithFault(func(point string) error {
		if point == "commit" && lose.Load() {
			return stop
		}
		return nil
	}))
	exists := errors.New("already exists")
	lose.Store(true)
	errs := together(db,
		func(tx *Tx) error { return add(tx, 1) },
		func(tx *Tx) error {
			var n int
			if tx.Row("SELECT n FROM item WHERE id = $1", key(1)).Scan(&n) == nil {
				return exists
			}
			return nil
		})
	if errs[0] != stop || errs[1] != stop {
		t.Errorf("got %v", errs)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func testConcurrency(t *testing.T, open func(...Option) *DB) {
	db := open()
	must(t, db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO counter (name, value) VALUES ('a', 500), ('b', 500)")
		return err
	}))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				err := db.Write(ctx, func(tx *Tx) error {
					from, to := "a", "b"
					if w%2 == 1 {
						from, to = to, from
					}
					if _, err := tx.Exec("UPDATE counter SET value = value + $1 WHERE name = $2", 1, to); err != nil {
						return err
					}
					if i%7 == 3 {
						return errNo
					}
					_, err := tx.Exec("UPDATE counter SET value = value - $1 WHERE name = $2", 1, from)
					return err
				})
				if (i%7 == 3) != (err == errNo) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 40 {
				err := db.Read(ctx, func(tx *Tx) error {
					var a, b int
					if err := tx.Row("SELECT value FROM counter WHERE name = 'a'").Scan(&a); err != nil {
						return err
					}
					if err := tx.Row("SELECT value FROM counter WHERE name = 'b'").Scan(&b); err != nil {
						return err
					}
					if a+b != 1000 {
						t.Errorf("a reader saw %d + %d", a, b)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := db.Stats(); s.Writes != 1+8*34 || s.Failed != 8*6 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

var errNo = errors.New("no")

func testGroupLimit(t *testing.T, open func(...Option) *DB) {
	db := open()
	fns := make([]func(*Tx) error, groupLimit+50)
	for i := range fns {
		fns[i] = func(tx *Tx) error { return add(tx, i) }
	}
	for i, err := range together(db, fns...) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if s := db.Stats(); s.Largest > groupLimit || s.Groups < 2 {
		t.Errorf("%+v", s)
	}
}
