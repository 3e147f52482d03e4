package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// An opener opens a fresh database on one engine; a second call of the
// returned function opens the same one again.
type opener func(t *testing.T) func(opts ...Option) *DB

// TestConformance is what every engine must do alike.
func TestConformance(t *testing.T) {
	for engine, open := range map[string]opener{"sqlite": sqliteOpener, "postgres": postgresOpener(t)} {
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

func postgresOpener(t *testing.T) opener {
	cluster := pgtest.Start(t, 1)[0]
	return func(t *testing.T) func(...Option) *DB {
		url, _ := cluster.Like("test", func(url string) error {
			db, err := Open(ctx, url, "test")
			if err != nil {
				return err
			}
			return db.Close()
		})
		return func(opts ...Option) *DB { return openURL(t, url, opts...) }
	}
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
