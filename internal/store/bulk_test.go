package store

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func TestBulk(t *testing.T) {
	for engine, open := range map[string]opener{"sqlite": sqliteOpener, "postgres": postgresOpener(t)} {
		t.Run(engine, func(t *testing.T) {
			t.Run("lanes", func(t *testing.T) { testLanes(t, open(t)(unhurried)) })
			t.Run("counted", func(t *testing.T) { testExecMany(t, open(t)()) })
			t.Run("copied", func(t *testing.T) { testCopy(t, open(t)()) })
		})
	}
}

// testLanes: bulk waits for everybody, everybody for one of bulk at most, and bulk
// gets its turn after each group.
func testLanes(t *testing.T, db *DB) {
	var order []string // written by the writer's goroutine only
	note := func(name string, then func()) func(*Tx) error {
		return func(tx *Tx) error {
			order = append(order, name)
			then()
			return add(tx, len(order))
		}
	}
	var all sync.WaitGroup
	enqueue := func(lane chan *request, name string, then func()) {
		before := len(lane)
		all.Go(func() {
			if err := db.write(ctx, lane, note(name, then)); err != nil {
				t.Error(err)
			}
		})
		for len(lane) == before {
			runtime.Gosched()
		}
	}
	nothing := func() {}
	must(t, db.Write(ctx, note("first", func() {
		enqueue(db.bulk, "bulk 1", func() {
			enqueue(db.queue, "third", func() { enqueue(db.queue, "with it", nothing) })
		})
		enqueue(db.bulk, "bulk 2", nothing)
		enqueue(db.bulk, "bulk 3", nothing)
		enqueue(db.queue, "second", nothing)
	})))
	all.Wait()
	if want := []string{"first", "second", "bulk 1", "third", "with it", "bulk 2", "bulk 3"}; !slices.Equal(order, want) {
		t.Errorf("the order is %q, want %q", order, want)
	}
	if n := count(t, db); n != 7 {
		t.Errorf("%d rows, want 7", n)
	}
	failed := errors.New("no")
	if err := db.WriteBulk(ctx, func(tx *Tx) error { return errors.Join(add(tx, 100), failed) }); !errors.Is(err, failed) {
		t.Errorf("a function that fails: %v", err)
	}
	if n := count(t, db); n != 7 {
		t.Errorf("%d rows, what failed is there", n)
	}
	must(t, db.Close())
	if err := db.WriteBulk(ctx, func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// testExecMany: each list is counted for itself, beyond what is under way at once.
func testExecMany(t *testing.T, db *DB) {
	const n = manyAtOnce + 7
	lists := make([][]any, n)
	for i := range lists {
		lists[i] = []any{key(i / 2), i} // each key twice
	}
	must(t, db.Write(ctx, func(tx *Tx) error {
		changed, err := tx.ExecMany("INSERT INTO item (id, n) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", lists)
		for i, c := range changed {
			if want := int64(1 - i%2); c != want {
				t.Errorf("list %d changed %d rows, want %d", i, c, want)
			}
		}
		if err == nil && len(changed) != n {
			t.Errorf("%d counts", len(changed))
		}
		return err
	}))
	if got := count(t, db); got != (n+1)/2 {
		t.Errorf("%d rows, want %d", got, (n+1)/2)
	}
	must(t, db.Write(ctx, func(tx *Tx) error {
		changed, err := tx.ExecMany("DELETE FROM item WHERE n = $1", nil)
		if len(changed) != 0 {
			t.Errorf("no lists, and %v", changed)
		}
		return err
	}))
	if err := db.Write(ctx, func(tx *Tx) error {
		_, err := tx.ExecMany("INSERT INTO item (id, n) VALUES ($1, $2)", [][]any{{key(5000), 1}, {key(5000), 2}})
		return err
	}); err == nil {
		t.Error("one key twice is no error")
	}
	if got := count(t, db); got != (n+1)/2 {
		t.Errorf("%d rows, what failed is there", got)
	}
}

// testCopy: more rows than go at once, NULL and all; one that is there undoes all.
func testCopy(t *testing.T, db *DB) {
	rows := make([][]any, 2500)
	for i := range rows {
		rows[i] = []any{key(i), i}
	}
	columns := []string{"id", "n"}
	must(t, db.WriteBulk(ctx, func(tx *Tx) error { return tx.Copy("item", columns, rows) }))
	must(t, db.Write(ctx, func(tx *Tx) error {
		return errors.Join(tx.Copy("item", columns, nil), tx.Copy("item", columns, [][]any{{key(9000), 9000}}))
	}))
	var sum, n int
	must(t, db.Read(ctx, func(tx *Tx) error {
		return tx.Row("SELECT count(*), CAST(SUM(n) AS BIGINT) FROM item").Scan(&n, &sum)
	}))
	if n != 2501 || sum != 2499*2500/2+9000 {
		t.Errorf("%d rows, sum %d", n, sum)
	}
	if size, err := db.Size(ctx); err != nil || size < 2501*20 {
		t.Errorf("the database has %d bytes: %v", size, err)
	}
	for name, bad := range map[string]func(tx *Tx) error{
		"a row that is there": func(tx *Tx) error {
			return tx.Copy("item", columns, [][]any{{key(5000), 1}, {key(5001), 1}, {key(7), 1}})
		},
		"a value short": func(tx *Tx) error { return tx.Copy("item", columns, [][]any{{key(5000), 1}, {key(5001)}}) },
		"no such name":  func(tx *Tx) error { return tx.Copy("item; DROP", columns, rows) },
	} {
		if err := db.Write(ctx, bad); err == nil {
			t.Errorf("%s is no error", name)
		}
		if got := count(t, db); got != 2501 {
			t.Errorf("%s: %d rows", name, got)
		}
	}
}
