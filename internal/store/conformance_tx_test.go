package store

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func testStickyFailure(t *testing.T, open func(...Option) *DB) {
	db := open()
	err := db.Write(ctx, func(tx *Tx) error {
		must(t, add(tx, 1))
		first := add(tx, 1) // violates the primary key
		second := add(tx, 2)
		if first == nil || second != first {
			t.Errorf("first %v, second %v", first, second)
		}
		return nil // the failure is not mentioned
	})
	if err == nil {
		t.Error("a write with a failed statement succeeded")
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows of a failed write are there", n)
	}
}

// unhurried has a group take in all who wait, however slow the machine is.
func unhurried(db *DB) { db.groupFor = time.Hour }

// together submits the functions so that they share one group, if that is not in a
// hurry: the first one holds the writer until all others wait.
func together(db *DB, fns ...func(*Tx) error) []error {
	errs := make([]error, len(fns))
	hold := make(chan struct{})
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = db.Write(ctx, func(*Tx) error { close(started); <-hold; return nil })
	})
	<-started
	for i, fn := range fns {
		wg.Go(func() { ; errs[i] = db.Write(ctx, fn) })
		for len(db.queue) < i+1 {
			runtime.Gosched()
		}
	}
	close(hold)
	wg.Wait()
	return errs
}

func testRollbackIsolation(t *testing.T, open func(...Option) *DB) {
	db := open(unhurried)
	no := errors.New("no")
	before := db.Stats().Groups
	errs := together(db,
		func(tx *Tx) error { return add(tx, 1) },
		func(tx *Tx) error { must(t, add(tx, 2)); must(t, add(tx, 3)); return no },
		func(tx *Tx) error { must(t, add(tx, 4)); return add(tx, 1) }, // conflicts with the first
		func(tx *Tx) error { return add(tx, 2) },                      // free again
		func(tx *Tx) error { panic("five") },
		func(tx *Tx) error { return add(tx, 5) },
	)
	for i, want := range []bool{true, false, false, true, false, true} {
		if (errs[i] == nil) != want {
			t.Errorf("function %d: %v", i+1, errs[i])
		}
	}
	if errs[1] != no {
		t.Errorf("the function's own error came back as %v", errs[1])
	}
	var got []int
	must(t, db.Read(ctx, func(tx *Tx) error {
		return tx.Query("SELECT n FROM item ORDER BY n", nil, func(scan func(...any) error) error {
			got = append(got, 0)
			return scan(&got[len(got)-1])
		})
	}))
	if fmt.Sprint(got) != "[1 2 5]" {
		t.Errorf("rows %v", got)
	}
	if s := db.Stats(); s.Groups != before+1 || s.Largest != 7 { // with the one that holds the writer
		t.Errorf("not one group: %+v", s)
	}
}

func testPanic(t *testing.T, open func(...Option) *DB) {
	db := open()
	secret := "Jane Roe 1970-01-01"
	err := db.Write(ctx, func(tx *Tx) error { must(t, add(tx, 1)); panic(secret) })
	if err == nil || strings.Contains(err.Error(), "Jane") || !strings.Contains(err.Error(), "testPanic") {
		t.Errorf("panic gave %v", err)
	}
	err = db.Read(ctx, func(tx *Tx) error { var a []int; _ = a[len(t.Name())]; return nil })
	if err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("runtime panic gave %v", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows", n)
	}
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 1) }))
}

func testGoexit(t *testing.T, open func(...Option) *DB) {
	db := open()
	err := db.Write(ctx, func(tx *Tx) error { must(t, add(tx, 1)); runtime.Goexit(); return nil })
	if err != errGoexit {
		t.Errorf("got %v", err)
	}
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 1) }))
	done := make(chan struct{})
	for range cap(db.readers) + 1 {
		go func() {
			defer func() { done <- struct{}{} }()
			_ = db.Read(ctx, func(tx *Tx) error { runtime.Goexit(); return nil })
		}()
		<-done
	}
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func testKeptTx(t *testing.T, open func(...Option) *DB) {
	db := open()
	var kept *Tx
	must(t, db.Write(ctx, func(tx *Tx) error { kept = tx; return nil }))
	if err := add(kept, 1); err != errOver {
		t.Errorf("got %v", err)
	}
	var n int
	if err := kept.Row("SELECT 1").Scan(&n); err != errOver {
		t.Errorf("got %v", err)
	}
}

func testReaderCannotWrite(t *testing.T, open func(...Option) *DB) {
	db := open()
	if err := db.Read(ctx, func(tx *Tx) error { return add(tx, 1) }); err == nil {
		t.Error("a reader wrote")
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func testSnapshot(t *testing.T, open func(...Option) *DB) {
	db := open(WithReaders(2))
	must(t, db.Read(ctx, func(tx *Tx) error {
		var before, after int
		if err := tx.Row("SELECT count(*) FROM item").Scan(&before); err != nil {
			return err
		}
		if err := db.Write(ctx, func(tx *Tx) error { return add(tx, 1) }); err != nil {
			return err // a reader must not keep the writer from committing
		}
		if err := tx.Row("SELECT count(*) FROM item").Scan(&after); err != nil {
			return err
		}
		if before != after {
			t.Errorf("the snapshot went from %d to %d rows", before, after)
		}
		return nil
	}))
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows after it", n)
	}
}

func testReadYourWrites(t *testing.T, open func(...Option) *DB) {
	db := open()
	for n := range 200 {
		must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, n) }))
		if got := count(t, db); got != n+1 {
			t.Fatalf("%d rows after %d writes", got, n+1)
		}
	}
}
