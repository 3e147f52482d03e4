package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An opener opens a fresh database on one engine; a second call of the
// returned function opens the same one again.
type opener func(t *testing.T) func(opts ...Option) *DB

// TestConformance is what every engine must do alike.
func TestConformance(t *testing.T) {
	for engine, open := range map[string]opener{"sqlite": sqliteOpener} {
		t.Run(engine, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, func(...Option) *DB){
				"values":            testValues,
				"row":               testRow,
				"query":             testQuery,
				"mismatch":          testMismatch,
				"sticky failure":    testStickyFailure,
				"isolation":         testRollbackIsolation,
				"panic":             testPanic,
				"goexit":            testGoexit,
				"kept transaction":  testKeptTx,
				"reader changes":    testReaderCannotWrite,
				"snapshot":          testSnapshot,
				"read your writes":  testReadYourWrites,
				"context":           testContext,
				"back-pressure":     testBackPressure,
				"close drains":      testCloseDrains,
				"faults":            testFaults,
				"fault is a crash":  testLostGroup,
				"concurrency":       testConcurrency,
				"group limit":       testGroupLimit,
				"many statements":   testManyStatements,
				"reader pool":       testReaderPool,
				"reopen":            testReopen,
				"error is discreet": testDiscreetErrors,
			} {
				t.Run(name, func(t *testing.T) { test(t, open(t)) })
			}
		})
	}
}

var ctx = context.Background()

func sqliteOpener(t *testing.T) func(...Option) *DB {
	url := "sqlite:" + t.TempDir() + "/test.db"
	return func(opts ...Option) *DB { return openURL(t, url, opts...) }
}

func openURL(t *testing.T, url string, opts ...Option) *DB {
	t.Helper()
	db, err := Open(ctx, url, "test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add inserts one item whose key is n.
func add(tx *Tx, n int) error {
	_, err := tx.Exec("INSERT INTO item (id, n) VALUES ($1, $2)", key(n), n)
	return err
}

func key(n int) [32]byte { return [32]byte{byte(n >> 16), byte(n >> 8), byte(n), 1} }

func count(t *testing.T, db *DB) (n int) {
	t.Helper()
	must(t, db.Read(ctx, func(tx *Tx) error { return tx.Row("SELECT count(*) FROM item").Scan(&n) }))
	return n
}

type (
	stateCode string
	status    uint8
	label     [20]byte
	blob      []byte
)

func testValues(t *testing.T, open func(...Option) *DB) {
	db := open()
	name, null := "O'Brien $1", (*string)(nil)
	cases := []struct {
		column   string
		arg      any
		dest     any
		want     string
		rejected bool
	}{
		{"n", int64(-1 << 63), new(int64), "-9223372036854775808", false},
		{"n", 7, new(int), "7", false},
		{"n", uint64(1<<63 - 1), new(uint64), "9223372036854775807", false},
		{"n", uint64(1 << 63), new(uint64), "", true},
		{"n", uint32(1<<32 - 1), new(uint32), "4294967295", false},
		{"n", status(200), new(status), "200", false},
		{"n", 256, new(status), "", true},
		{"n", -1, new(uint64), "", true},
		{"n", nil, new(int), "", true}, // NOT NULL
		{"n", time.Unix(0, 0), new(int64), "", true},
		{"n", 1.5, new(int64), "", true},
		{"n", "7", new(string), "7", true}, // a string in a BIGINT comes back as a number or not at all
		{"flag", true, new(bool), "true", false},
		{"flag", false, new(bool), "false", false},
		{"flag", 2, new(bool), "", true},
		{"name", name, new(string), name, false},
		{"name", "", new(string), "", false},
		{"name", "nul \x00 inside", new(string), "nul \x00 inside", true}, // PostgreSQL has none
		{"name", stateCode("CA"), new(stateCode), "CA", false},
		{"name", &name, new(*string), name, false},
		{"name", null, new(*string), "<nil>", false},
		{"name", nil, new(string), "", true},
		{"name", nil, new(sql.NullString), "{ false}", false},
		{"name", sql.NullString{String: "x", Valid: true}, new(sql.NullString), "{x true}", false},
		{"data", []byte{0, 1, 255}, new([]byte), "[0 1 255]", false},
		{"data", []byte("123"), new([]byte), "[49 50 51]", false}, // must not turn into a number
		{"data", []byte{}, new([]byte), "[]", false},
		{"data", []byte(nil), new([]byte), "[]", false},
		{"data", blob{9}, new(blob), "[9]", false},
		{"data", label{1}, new(label), fmt.Sprint(label{1}), false},
		{"data", [16]byte{2}, new([16]byte), fmt.Sprint([16]byte{2}), false},
		{"data", [32]byte{2}, new([16]byte), "", true},
		{"data", []byte("x"), new(string), "", true},
	}
	for i, c := range cases {
		err := db.Write(ctx, func(tx *Tx) error {
			query := "INSERT INTO item (id, n, " + c.column + ") VALUES ($1, 0, $2)"
			if c.column == "n" {
				query = "INSERT INTO item (id, n) VALUES ($1, $2)"
			}
			if _, err := tx.Exec(query, key(i), c.arg); err != nil {
				return err
			}
			return tx.Row("SELECT "+c.column+" FROM item WHERE id = $1", key(i)).Scan(c.dest)
		})
		if (err != nil) != c.rejected {
			t.Errorf("case %d, %T into %T: %v", i, c.arg, c.dest, err)
			continue
		}
		if err == nil {
			if got := show(c.dest); got != c.want {
				t.Errorf("case %d, %T into %T: got %s, want %s", i, c.arg, c.dest, got, c.want)
			}
		}
	}
	// Empty and NULL are two things.
	var empty, nothing []byte
	must(t, db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO item (id, n, data) VALUES ($1, 1, $2), ($3, 1, $4)", key(900), []byte{}, key(901), nil); err != nil {
			return err
		}
		if err := tx.Row("SELECT data FROM item WHERE id = $1", key(900)).Scan(&empty); err != nil {
			return err
		}
		return tx.Row("SELECT data FROM item WHERE id = $1", key(901)).Scan(&nothing)
	}))
	if empty == nil || nothing != nil {
		t.Errorf("empty is nil: %v, NULL is nil: %v", empty == nil, nothing == nil)
	}
}

// show prints what a destination holds.
func show(dest any) string {
	switch d := dest.(type) {
	case **string:
		if *d == nil {
			return "<nil>"
		}
		return **d
	default:
		return strings.TrimPrefix(fmt.Sprintf("%v", d), "&")
	case *int64:
		return fmt.Sprint(*d)
	case *int:
		return fmt.Sprint(*d)
	case *uint64:
		return fmt.Sprint(*d)
	case *uint32:
		return fmt.Sprint(*d)
	case *status:
		return fmt.Sprint(*d)
	case *bool:
		return fmt.Sprint(*d)
	case *string:
		return *d
	case *stateCode:
		return string(*d)
	}
}

func testRow(t *testing.T, open func(...Option) *DB) {
	db := open()
	must(t, db.Write(ctx, func(tx *Tx) error {
		var n int
		if err := tx.Row("SELECT n FROM item WHERE id = $1", key(1)).Scan(&n); err != ErrNoRows {
			return fmt.Errorf("no row gave %w", err)
		}
		// ErrNoRows does not end the transaction, and a parameter may be
		// used twice.
		if err := tx.Row("INSERT INTO counter (name, value) VALUES ($1, 1) RETURNING value", "a").Scan(&n); err != nil || n != 1 {
			return fmt.Errorf("RETURNING gave %d: %w", n, err)
		}
		if err := tx.Row(`INSERT INTO counter (name, value) VALUES ($2, $1) ON CONFLICT (name)
			DO UPDATE SET value = counter.value + $1 RETURNING value`, 5, "a").Scan(&n); err != nil || n != 6 {
			return fmt.Errorf("ON CONFLICT gave %d: %w", n, err)
		}
		changed, err := tx.Exec("INSERT INTO counter (name, value) VALUES ($1, 1) ON CONFLICT DO NOTHING", "a")
		if err != nil || changed != 0 {
			return fmt.Errorf("DO NOTHING changed %d: %w", changed, err)
		}
		changed, err = tx.Exec("UPDATE counter SET value = 9")
		if err != nil || changed != 1 {
			return fmt.Errorf("UPDATE changed %d: %w", changed, err)
		}
		return nil
	}))
}

func testQuery(t *testing.T, open func(...Option) *DB) {
	db := open()
	must(t, db.Write(ctx, func(tx *Tx) error {
		for n := range 10 {
			if err := add(tx, n); err != nil {
				return err
			}
		}
		return nil
	}))
	enough := errors.New("enough")
	must(t, db.Read(ctx, func(tx *Tx) error {
		var got []int
		err := tx.Query("SELECT n FROM item WHERE n >= $1 ORDER BY n", []any{3}, func(scan func(...any) error) error {
			var n int
			if err := scan(&n); err != nil {
				return err
			}
			got = append(got, n)
			if n == 6 {
				return enough
			}
			return nil
		})
		if err != enough || fmt.Sprint(got) != "[3 4 5 6]" {
			return fmt.Errorf("got %v: %w", got, err)
		}
		// Stopping early ends the query, not the transaction.
		var n int
		return tx.Row("SELECT count(*) FROM item").Scan(&n)
	}))
	// A statement inside the loop is refused on every engine alike.
	err := db.Read(ctx, func(tx *Tx) error {
		return tx.Query("SELECT n FROM item", nil, func(func(...any) error) error {
			var n int
			_ = tx.Row("SELECT 1").Scan(&n)
			return nil
		})
	})
	if err != errBusy {
		t.Errorf("nested statement: %v", err)
	}
}

func testMismatch(t *testing.T, open func(...Option) *DB) {
	db := open()
	var a, b int
	for name, fn := range map[string]func(tx *Tx) error{
		"too few variables":  func(tx *Tx) error { return tx.Row("SELECT 1, 2").Scan(&a) },
		"too many variables": func(tx *Tx) error { return tx.Row("SELECT 1").Scan(&a, &b) },
		"no pointer":         func(tx *Tx) error { return tx.Row("SELECT 1").Scan(a) },
		"nil pointer":        func(tx *Tx) error { return tx.Row("SELECT 1").Scan((*int)(nil)) },
		"too few arguments":  func(tx *Tx) error { return tx.Row("SELECT n FROM item WHERE n = $1 AND n = $2", 1).Scan(&a) },
		"too many arguments": func(tx *Tx) error { return tx.Row("SELECT n FROM item WHERE n = $1", 1, 2).Scan(&a) },
		"syntax":             func(tx *Tx) error { return tx.Row("SELEKT 1").Scan(&a) },
		"two statements":     func(tx *Tx) error { _, err := tx.Exec("DELETE FROM item; DELETE FROM item"); return err },
		"no statement":       func(tx *Tx) error { _, err := tx.Exec(" -- nothing"); return err },
		"begin":              func(tx *Tx) error { _, err := tx.Exec("COMMIT"); return err },
	} {
		if err := db.Write(ctx, fn); err == nil || errors.Is(err, ErrNoRows) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

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

// together submits the functions so that they share one group: the first one
// holds the writer until all others wait.
func together(db *DB, fns ...func(*Tx) error) []error {
	errs := make([]error, len(fns))
	hold := make(chan struct{})
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		_ = db.Write(ctx, func(*Tx) error { close(started); <-hold; return nil })
	}()
	<-started
	for i, fn := range fns {
		wg.Add(1)
		go func() { defer wg.Done(); errs[i] = db.Write(ctx, fn) }()
		for len(db.queue) < i+1 {
			runtime.Gosched()
		}
	}
	close(hold)
	wg.Wait()
	return errs
}

func testRollbackIsolation(t *testing.T, open func(...Option) *DB) {
	db := open()
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
	if s := db.Stats(); s.Groups > before+2 || s.Largest < 6 {
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
	var done, ok atomic.Int64
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
				ok.Add(1)
				if done.Add(1) == 200 {
					go func() { _ = db.Close() }()
				}
			}
		})
	}
	wg.Wait()
	if err := db.Close(); err != ErrClosed {
		t.Errorf("second close: %v", err)
	}
	<-db.stopped
	for f, tries := open, 0; ; tries++ {
		again, err := Open(ctx, "sqlite:"+db.engine.(*sqliteFile).path, "test")
		if err != nil && tries < 1000 { // the first Close is still at it
			time.Sleep(time.Millisecond)
			continue
		}
		must(t, err)
		_ = f
		if n := count(t, again); int64(n) != ok.Load() {
			t.Errorf("%d rows, %d acknowledged", n, ok.Load())
		}
		must(t, again.Close())
		break
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
	db := open(WithFault(func(point string) error {
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

func testManyStatements(t *testing.T, open func(...Option) *DB) {
	db := open()
	must(t, db.Write(ctx, func(tx *Tx) error {
		for i := range stmtLimit + 20 {
			var n int
			if err := tx.Row(fmt.Sprintf("SELECT %d", i)).Scan(&n); err != nil || n != i {
				return fmt.Errorf("%d: %d %w", i, n, err)
			}
			if _, err := tx.Exec(fmt.Sprintf("UPDATE item SET n = %d", i)); err != nil {
				return err
			}
		}
		return nil
	}))
	if n := len(db.writer.stmts); n != stmtLimit {
		t.Errorf("%d statements kept", n)
	}
}

func testReaderPool(t *testing.T, open func(...Option) *DB) {
	db := open(WithReaders(3))
	var in, most atomic.Int64
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if err := db.Read(ctx, func(tx *Tx) error {
				most.Store(max(most.Load(), in.Add(1)))
				defer in.Add(-1)
				var n int
				return tx.Row("SELECT count(*) FROM item").Scan(&n)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d readers at once", most.Load())
	}
}

func testReopen(t *testing.T, open func(...Option) *DB) {
	db := open()
	data := bytes.Repeat([]byte{7}, 100_000)
	must(t, db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO item (id, n, data) VALUES ($1, 1, $2)", key(1), data)
		return err
	}))
	must(t, db.Close())
	db = open()
	var got []byte
	must(t, db.Read(ctx, func(tx *Tx) error { return tx.Row("SELECT data FROM item").Scan(&got) }))
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back", len(got))
	}
}

func testDiscreetErrors(t *testing.T, open func(...Option) *DB) {
	db := open()
	secret := "Jane Roe"
	var n int
	for name, fn := range map[string]func(tx *Tx) error{
		"constraint": func(tx *Tx) error {
			for range 2 {
				if _, err := tx.Exec("INSERT INTO counter (name, value) VALUES ($1, 1)", secret); err != nil {
					return err
				}
			}
			return nil
		},
		"type": func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO item (id, n) VALUES ($1, $2)", key(1), secret)
			return err
		},
		"scan":    func(tx *Tx) error { return tx.Row("SELECT CAST($1 AS TEXT)", secret).Scan(&n) },
		"scanner": func(tx *Tx) error { return tx.Row("SELECT CAST($1 AS TEXT)", secret).Scan(new(sql.NullInt64)) },
	} {
		err := db.Write(ctx, fn)
		if err == nil || strings.Contains(err.Error(), "Jane") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
