package store

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// backend is the number of the server's process behind a transaction.
func backend(t *testing.T, tx *Tx) (pid int64) {
	must(t, tx.Row("SELECT pg_backend_pid()").Scan(&pid))
	return pid
}

// cut ends a connection as the loss of the network does, or of the server's process.
func cut(t *testing.T, db *DB, pid int64) {
	must(t, db.Read(ctx, func(tx *Tx) error {
		var done bool
		return tx.Row("SELECT pg_terminate_backend(CAST($1 AS INTEGER), 5000)", pid).Scan(&done)
	}))
}

// TestCutInside: a connection is cut while a function runs, and between the last
// statement and the COMMIT. What was done is undone, and the next write goes on.
func TestCutInside(t *testing.T) {
	url := pgtest.Shared(t).URL()
	var at string
	var pid int64
	var other *DB
	db := openURL(t, url, WithFault(func(point string) error {
		if at == point {
			at = ""
			cut(t, other, pid)
		}
		return nil
	}))
	other = openURL(t, url)
	err := db.Write(ctx, func(tx *Tx) error {
		must(t, add(tx, 1))
		cut(t, other, backend(t, tx))
		return add(tx, 2)
	})
	if err == nil || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("cut before a statement: %v", err)
	}
	err = db.Write(ctx, func(tx *Tx) error {
		at, pid = "commit", backend(t, tx)
		return add(tx, 3)
	})
	if !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("cut before the COMMIT: %v", err)
	}
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 4) }))
	if n := count(t, other); n != 1 {
		t.Errorf("%d rows", n)
	}
	// In a group: those before it and after it are told, and nothing is left.
	errs := together(db,
		func(tx *Tx) error { return add(tx, 5) },
		func(tx *Tx) error { cut(t, other, backend(t, tx)); return add(tx, 6) },
		func(tx *Tx) error { return add(tx, 7) })
	rows := 1
	for _, err := range errs {
		if err == nil {
			rows++ // its turn came in the next group
		}
	}
	if errs[1] == nil || count(t, other) != rows {
		t.Errorf("%d rows after %v", count(t, other), errs)
	}
}

// TestHolderStops: a process that stands still in the middle of a transaction holds
// the others up until the server cuts it off, and has done nothing.
func TestHolderStops(t *testing.T) {
	limit := writingSettings["idle_in_transaction_session_timeout"]
	writingSettings["idle_in_transaction_session_timeout"] = "300ms"
	url := pgtest.Shared(t).URL()
	stopped := openURL(t, url)
	writingSettings["idle_in_transaction_session_timeout"] = limit // who works slowly is not cut off
	db := openURL(t, url)
	holds, woken := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := stopped.Write(ctx, func(tx *Tx) error {
			err := add(tx, 1)
			close(holds)
			<-woken
			return err
		})
		if err == nil {
			t.Error("it wrote after it had been cut off")
		}
	})
	<-holds
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 2) }))
	close(woken)
	wg.Wait()
	must(t, stopped.Write(ctx, func(tx *Tx) error { return add(tx, 3) }))
	if n := count(t, db); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// TestTwoProcesses: what one reads before it writes nobody else changes in between;
// and without the writers' lock it would show.
func TestTwoProcesses(t *testing.T) {
	url := pgtest.Shared(t).URL()
	for _, locked := range []bool{true, false} {
		a, b := openURL(t, url), openURL(t, url)
		for _, db := range []*DB{a, b} {
			if !locked {
				db.writer.opening = db.writer.opening[:1]
			}
		}
		// b reads when a has, if it can before a has written.
		var wg sync.WaitGroup
		bRead := make(chan struct{})
		add := func(tx *Tx, between func()) error {
			value := 0
			if err := tx.Row("SELECT value FROM counter WHERE name = $1", url).Scan(&value); err != nil && err != ErrNoRows {
				return err
			}
			between()
			_, err := tx.Exec("INSERT INTO counter (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value", url, value+1)
			return err
		}
		must(t, a.Write(ctx, func(tx *Tx) error {
			return add(tx, func() {
				patience := 300 * time.Millisecond
				if !locked {
					patience = time.Minute // nothing keeps b from reading but a busy machine
				}
				wg.Go(func() {
					if err := b.Write(ctx, func(tx *Tx) error { return add(tx, func() { close(bRead) }) }); err != nil {
						t.Error(err)
					}
				})
				select {
				case <-bRead:
				case <-time.After(patience):
				}
			})
		}))
		wg.Wait()
		value := 0
		must(t, a.Read(ctx, func(tx *Tx) error { return tx.Row("SELECT value FROM counter WHERE name = $1", url).Scan(&value) }))
		if want := map[bool]int{true: 2, false: 3}[locked]; value != want { // of two additions, then of two more
			t.Errorf("with the lock: %v; the counter is at %d, want %d", locked, value, want)
		}
	}
}

// TestTrips: how often a transaction waits for the server.
func TestTrips(t *testing.T) {
	db := openURL(t, pgtest.Shared(t).URL(), WithReaders(1), unhurried)
	trips := func(c *conn, do func() error) int {
		must(t, do()) // prepared from here on
		before := c.s.(*wire).trips
		must(t, do())
		return c.s.(*wire).trips - before
	}
	n := 0
	next := func(tx *Tx) error { n++; return add(tx, n) }
	reader := <-db.readers
	db.readers <- reader
	for what, c := range map[string]struct {
		want int
		on   *conn
		do   func() error
	}{
		"a write of nothing": {0, db.writer, func() error { return db.Write(ctx, func(*Tx) error { return nil }) }},
		"a write of one row": {2, db.writer, func() error { return db.Write(ctx, next) }},
		"a write of three": {4, db.writer, func() error {
			return db.Write(ctx, func(tx *Tx) error { return errors.Join(next(tx), next(tx), next(tx)) })
		}},
		"a group of 1 + 8":        {9, db.writer, func() error { return errors.Join(together(db, next, next, next, next, next, next, next, next)...) }},
		"a write of 100, by Many": {2, db.writer, func() error { return db.Write(ctx, func(tx *Tx) error { return hundred(tx, &n) }) }},
		"a read of one row":       {1, reader, func() error { count(t, db); return nil }},
		"a write that is undone":  {2, db.writer, func() error { _ = db.Write(ctx, func(tx *Tx) error { must(t, next(tx)); return errNo }); return nil }},
		"a group with one failing": {4, db.writer, func() error {
			together(db, next, func(tx *Tx) error { must(t, next(tx)); return errNo }, next)
			return nil
		}},
	} {
		if got := trips(c.on, c.do); got != c.want {
			t.Errorf("%s waits %d times, want %d", what, got, c.want)
		}
	}
}

func hundred(tx *Tx, n *int) error {
	var lists [][]any
	for range 100 {
		*n++
		lists = append(lists, []any{key(*n), *n})
	}
	return tx.Many("INSERT INTO item (id, n) VALUES ($1, $2)", lists, nil)
}

// TestCommitOfFailed: a server answers the COMMIT of what had failed with a ROLLBACK
// and no error, which must not pass for success.
func TestCommitOfFailed(t *testing.T) {
	db := openURL(t, pgtest.Shared(t).URL())
	s, err := db.engine.connect(ctx, true)
	must(t, err)
	defer s.close(nil)
	must(t, s.control([]string{"BEGIN"}))
	if _, err := s.prepare("SELECT nothing"); err == nil {
		t.Fatal("there is a column of that name")
	}
	if err := s.control([]string{"COMMIT"}); !errors.Is(err, errRolledBack) {
		t.Errorf("got %v", err)
	}
}

// TestSchemaChanges: a statement that a newer program's schema has outdated is
// prepared anew, at the price of one error.
func TestSchemaChanges(t *testing.T) {
	c := pgtest.Shared(t)
	url := c.URL()
	db := openURL(t, url)
	read := func() error {
		return db.Write(ctx, func(tx *Tx) error {
			var value int64
			err := tx.Row("SELECT value FROM counter WHERE name = 'a'").Scan(&value)
			if err == ErrNoRows {
				return nil
			}
			return err
		})
	}
	must(t, read())
	c.SQL(name(url), "ALTER TABLE counter ALTER COLUMN value TYPE INTEGER")
	if err := read(); err == nil || !strings.Contains(err.Error(), "0A000") {
		t.Errorf("got %v", err)
	}
	must(t, read())
}

// TestPlans: whoever asks is told how the server means to run a statement.
func TestPlans(t *testing.T) {
	plans := make(map[string]string)
	db := openURL(t, pgtest.Shared(t).URL(), WithPlans(func(statement string, plan []string) { plans[statement] = strings.Join(plan, "\n") }))
	one, all := "SELECT n FROM item WHERE id = $1", "SELECT n FROM item WHERE n = $1"
	must(t, db.Write(ctx, func(tx *Tx) error {
		var n int
		if err := tx.Row(one, key(1)).Scan(&n); err != ErrNoRows {
			return err
		}
		if err := tx.Row(all, 1).Scan(&n); err != ErrNoRows {
			return err
		}
		return nil
	}))
	if !strings.HasPrefix(plans[one], "SEARCH item USING INDEX item_pkey (id = $1)") || !strings.HasPrefix(plans[all], "SCAN item") {
		t.Errorf("the plans are %q", plans)
	}
}

// TestMany: what it does and tells is what the statements do and tell one by one.
func TestMany(t *testing.T) {
	for engine, url := range map[string]string{"sqlite": "sqlite:" + t.TempDir() + "/test.db", "postgres": pgtest.Shared(t).URL()} {
		t.Run(engine, func(t *testing.T) {
			db := openURL(t, url)
			rapid.Check(t, func(r *rapid.T) { manyIsOneByOne(t, r, db) })
		})
	}
}

func manyIsOneByOne(t *testing.T, r *rapid.T, db *DB) {
	keys := rapid.SliceOfN(rapid.IntRange(1, 8), 0, 20).Draw(r, "keys")
	var lists [][]any
	for i, k := range keys {
		lists = append(lists, []any{key(k), i, []byte{byte(i)}})
	}
	const upsert = `INSERT INTO item (id, n, data) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET data = excluded.data
		WHERE item.n % 2 = 0 RETURNING n, data`
	type row struct {
		list, n int
		data    byte
	}
	var got, want []row
	take := func(rows *[]row, i int, scan func(...any) error) error {
		var n int
		var data []byte
		err := scan(&n, &data)
		*rows = append(*rows, row{i, n, data[0]})
		return err
	}
	undone := func(fn func(tx *Tx) error) {
		if err := db.Write(ctx, func(tx *Tx) error { return errors.Join(fn(tx), errNo) }); err == nil || strings.Contains(err.Error(), "store:") {
			r.Fatal(err)
		}
	}
	undone(func(tx *Tx) error {
		return tx.Many(upsert, lists, func(i int, scan func(...any) error) error { return take(&got, i, scan) })
	})
	undone(func(tx *Tx) error {
		for i, args := range lists {
			if err := tx.Query(upsert, args, func(scan func(...any) error) error { return take(&want, i, scan) }); err != nil {
				return err
			}
		}
		return nil
	})
	if len(got) != len(want) {
		r.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			r.Fatalf("row %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// TestManyFails: one list that fails takes the function with it, and an error from
// each does too.
func TestManyFails(t *testing.T) {
	for engine, url := range map[string]string{"sqlite": "sqlite:" + t.TempDir() + "/test.db", "postgres": pgtest.Shared(t).URL()} {
		db := openURL(t, url)
		lists := [][]any{{key(1), 1}, {key(2), 2}, {key(1), 3}}
		if err := db.Write(ctx, func(tx *Tx) error {
			_ = tx.Many("INSERT INTO item (id, n) VALUES ($1, $2)", lists, nil)
			return nil
		}); err == nil {
			t.Errorf("%s: a row was put in twice", engine)
		}
		if err := db.Write(ctx, func(tx *Tx) error {
			_ = tx.Many("INSERT INTO item (id, n) VALUES ($1, $2) RETURNING n", lists[:2], func(int, func(...any) error) error { return errNo })
			return nil
		}); !errors.Is(err, errNo) {
			t.Errorf("%s: got %v", engine, err)
		}
		if err := db.Write(ctx, func(tx *Tx) error {
			return tx.Many("INSERT INTO item (id, n) VALUES ($1, $2)", [][]any{{key(1), 1}, {key(2)}}, nil)
		}); err == nil || !strings.Contains(err.Error(), "1 arguments for 2 parameters") {
			t.Errorf("%s: got %v", engine, err)
		}
		if n := count(t, db); n != 0 {
			t.Errorf("%s: %d rows", engine, n)
		}
	}
}

// TestWaits: who waits in vain for the writers' lock is told, and goes on later.
func TestWaits(t *testing.T) {
	limit := writingSettings["lock_timeout"]
	writingSettings["lock_timeout"] = "100ms"
	defer func() { writingSettings["lock_timeout"] = limit }()
	url := pgtest.Shared(t).URL()
	holder, db := openURL(t, url), openURL(t, url)
	must(t, holder.Write(ctx, func(tx *Tx) error {
		must(t, add(tx, 1))
		began := time.Now()
		for i, err := range together(db, func(tx *Tx) error { return add(tx, 2) }, func(tx *Tx) error { return add(tx, 3) }) {
			if err == nil || !strings.Contains(err.Error(), "55P03") {
				t.Errorf("%d: %v", i, err)
			}
		}
		if time.Since(began) > 20*time.Second {
			t.Error("each waited for itself")
		}
		return nil
	}))
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 4) }))
	if n := count(t, db); n != 2 {
		t.Errorf("%d rows", n)
	}
}
