package store

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// openAs opens a database as one of several processes would.
func openAs(t *testing.T, url string, n int) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, "test", AsProcess(n))
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

// halt stops the beat of a process, as kill -9 does, and leaves it its connections,
// as SIGSTOP does.
func halt(db *DB) { db.leaving.Do(func() { close(db.stopping) }) }

func touch(db *DB) error {
	return db.Write(context.Background(), func(tx *Tx) error {
		_, err := tx.Exec("UPDATE store_process SET beat = beat WHERE number = 0")
		return err
	})
}

// TestProcesses: two processes of a role have two numbers; the number of one that
// stands still is taken by the next, and it can write no more when it wakes up.
func TestProcesses(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	first, second := openAs(t, url, 1), openAs(t, url, 0)
	if first.Process() != 1 || second.Process() != 2 || !first.Shared() {
		t.Fatalf("the processes have the numbers %d and %d", first.Process(), second.Process())
	}
	if _, err := Open(t.Context(), url, "test", AsProcess(2)); err == nil || !strings.Contains(err.Error(), "process 2 of this role is running") {
		t.Fatalf("a second process 2: %v", err)
	}
	must(t, errors.Join(touch(first), touch(second)))
	began := time.Now()
	must(t, second.Write(t.Context(), second.beat)) // its last, or the last but one
	halt(second)
	third := openAs(t, url, 0) // it prefers the number of the dead to a third one
	if waited := time.Since(began); third.Process() != 2 || waited < deadAfter {
		t.Fatalf("the next process is number %d after %v", third.Process(), waited)
	}
	if err := touch(second); !errors.Is(err, ErrReplaced) {
		t.Errorf("the process that woke up writes: %v", err)
	}
	must(t, errors.Join(touch(first), touch(third)))
	eventually(t, func() bool { return len(first.Living()) == 2 })
	must(t, third.Close())
	eventually(t, func() bool { return len(first.Living()) == 1 })
	if again := openAs(t, url, 2); again.Process() != 2 {
		t.Error("a number that was given back is not free")
	}
	for _, n := range []int{-1, MaxProcess + 1} {
		if _, err := Open(t.Context(), url, "test", AsProcess(n)); err == nil {
			t.Errorf("there is a process %d", n)
		}
	}
}

// TestReplaced: who was taken for dead is told so.
func TestReplaced(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	db := openAs(t, url, 1)
	other := openAs(t, url, 2)
	must(t, other.Write(t.Context(), func(tx *Tx) error { return end(tx, 1, db.place.token) }))
	select {
	case <-db.Replaced():
	case <-time.After(60 * beatEvery):
		t.Error("it does not know")
	}
}

// TestLead: one process at a time does the work, another does it when that one has
// ended or is dead, and who seizes a lease stops who had it.
func TestLead(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	dbs := []*DB{openAs(t, url, 1), openAs(t, url, 2)}
	var working, most atomic.Int32
	var now atomic.Int64
	ctxs, stops := make([]context.Context, 2), make([]context.CancelFunc, 2)
	for i, db := range dbs {
		ctxs[i], stops[i] = context.WithCancel(t.Context()) //nolint:fatcontext // one for each process
		defer stops[i]()
		go db.Lead(ctxs[i], "work", func(ctx context.Context) {
			most.Store(max(most.Load(), working.Add(1)))
			now.Store(db.Process())
			<-ctx.Done()
			working.Add(-1)
		})
	}
	holds := func(i int) (held bool) {
		must(t, dbs[i].Write(t.Context(), func(tx *Tx) (err error) { held, err = dbs[i].Holds(tx, "work"); return err }))
		return held
	}
	eventually(t, func() bool { return now.Load() > 0 })
	leader := int(now.Load() - 1)
	if !holds(leader) || holds(1-leader) {
		t.Error("who works does not hold the lease, or the other does")
	}
	stops[leader]()
	eventually(t, func() bool { return now.Load() == int64(2-leader) && working.Load() == 1 })
	must(t, dbs[leader].Seize(t.Context(), "work"))
	eventually(t, func() bool { return working.Load() == 0 })
	if holds(1-leader) || !holds(leader) {
		t.Error("a lease that was seized is held by who had it")
	}
	halt(dbs[leader]) // who has seized it dies: the other works again
	eventually(t, func() bool { return working.Load() == 1 })
	if most.Load() != 1 {
		t.Errorf("%d processes worked at once", most.Load())
	}
}

// TestWaitingWritesNothing: a process that waits for leases of another one beats, and
// makes no other transaction that writes.
func TestWaitingWritesNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	holder, waiter := openAs(t, url, 1), openAs(t, url, 2)
	names := []string{"house", "follow", "log a", "log b"}
	for _, name := range names {
		must(t, holder.Seize(t.Context(), name))
	}
	beats := func() (n uint64) {
		must(t, waiter.Read(t.Context(), func(tx *Tx) error {
			return tx.Row("SELECT beat FROM store_process WHERE number = $1", waiter.Process()).Scan(&n)
		}))
		return n
	}
	beaten, before := beats(), waiter.Stats().Writes // a beat in between is counted below
	for _, name := range names {
		go waiter.Lead(t.Context(), name, func(context.Context) { t.Errorf("%s was taken from who lives", name) })
	}
	time.Sleep(3 * leaseEvery)
	n := waiter.Stats().Writes - before
	if most := beats() - beaten + 1; n > most { // one may have been written before, and counted since
		t.Errorf("%d writes while it waited, %d beats", n, most)
	}
}

// TestAlone: a database in a file has one process, which leads at once.
func TestAlone(t *testing.T) {
	db, err := Open(t.Context(), "sqlite:"+t.TempDir()+"/test.db", "test", AsProcess(3))
	must(t, err)
	defer db.Close()
	done := false
	db.Lead(t.Context(), "work", func(context.Context) { done = true })
	if !done || db.Shared() || db.Process() != 3 || len(db.Living()) != 1 {
		t.Errorf("process %d of %v, shared %v, did its work: %v", db.Process(), db.Living(), db.Shared(), done)
	}
}

func eventually(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !what(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// TestLock: readers of several processes go together, a writer alone, and one that
// dies holds nobody up for ever.
func TestLock(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	dbs := []*DB{openAs(t, url, 1), openAs(t, url, 2)}
	locks := []*Lock{dbs[0].NewLock("index"), dbs[1].NewLock("index")}
	must(t, errors.Join(locks[0].RLock(ctx), locks[1].RLock(ctx), locks[1].RLock(ctx)))
	var inside atomic.Bool
	done := make(chan struct{})
	go func() {
		locks[0].RUnlock()
		if err := locks[0].Lock(ctx); err != nil {
			t.Error(err)
		}
		inside.Store(true)
		close(done)
	}()
	time.Sleep(4 * lockRetry)
	locks[1].RUnlock()
	if inside.Load() {
		t.Fatal("a writer came in beside a reader")
	}
	locks[1].RUnlock()
	<-done
	reads := make(chan struct{})
	go func() {
		defer close(reads)
		if err := locks[1].RLock(ctx); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-reads:
		t.Fatal("a reader came in beside the writer")
	case <-time.After(4 * lockRetry):
	}
	halt(dbs[0]) // and never unlocks
	select {
	case <-reads:
	case <-time.After(2 * time.Minute):
		t.Fatal("the lock of a dead process is not freed")
	}
	locks[1].RUnlock()
}
