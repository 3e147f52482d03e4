package store

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/pgtest"
)

func openFaulty(t *testing.T, url string, n int, f Fault) *DB {
	t.Helper()
	db, err := Open(t.Context(), url, "test", AsProcess(n), WithFault(f))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestClaimAfterALostAnswer: the commit of a claim took effect and nobody heard of it:
// the process that lives can claim the lease again at once, and others soon.
func TestClaimAfterALostAnswer(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	var fail atomic.Bool
	db := openFaulty(t, url, 1, func(point string) error {
		if point == "committed" && fail.Load() {
			return errors.New("the answer is lost")
		}
		return nil
	})
	other := openAs(t, url, 2)
	lose := func() {
		t.Helper()
		fail.Store(true)
		defer fail.Store(false)
		if db.Claim(t.Context(), "x") != nil {
			t.Fatal("a claim without an answer is one")
		}
	}
	lose()
	again := db.Claim(t.Context(), "x")
	if again == nil {
		t.Fatal("this process cannot claim its own lease again")
	}
	if other.Claim(t.Context(), "x") != nil || db.Claim(t.Context(), "x") != nil {
		t.Fatal("a lease has two holders")
	}
	time.Sleep(2 * beatEvery)
	if other.Claim(t.Context(), "x") != nil {
		t.Fatal("a beat has given away what is held")
	}
	again()
	lose()
	eventually(t, func() bool {
		release := other.Claim(t.Context(), "x")
		if release != nil {
			release()
		}
		return release != nil
	})
}

// TestClaimAll: of many leases those are had that are free, and only those.
func TestClaimAll(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	dbs := []*DB{openAs(t, url, 1), openAs(t, url, 2)}
	first, release, err := dbs[0].ClaimAll(t.Context(), []string{"a", "b"})
	must(t, err)
	second, leave, err := dbs[1].ClaimAll(t.Context(), []string{"b", "c"})
	must(t, err)
	if !first[0] || !first[1] || second[0] || !second[1] {
		t.Fatalf("the first has %v, the second %v", first, second)
	}
	leave()
	release()
	third, leave, err := dbs[1].ClaimAll(t.Context(), []string{"a", "b", "c"})
	must(t, err)
	if !third[0] || !third[1] || !third[2] {
		t.Fatalf("of those given back it has %v", third)
	}
	leave()
}

// TestLockAfterAFailedRelease: a reader whose release failed holds nobody up, and who
// waits for a lock waits no longer than its context.
func TestLockAfterAFailedRelease(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	var fail atomic.Bool
	a := openAs(t, url, 1)
	b := openFaulty(t, url, 2, func(point string) error {
		if point == "begin" && fail.Load() {
			return errors.New("the server restarts")
		}
		return nil
	})
	la, lb := a.NewLock("pointers"), b.NewLock("pointers")
	must(t, lb.RLock(t.Context()))
	short, cancel := context.WithTimeout(t.Context(), 4*lockRetry)
	defer cancel()
	if la.Lock(short) == nil {
		t.Fatal("a writer came in beside a reader")
	}
	fail.Store(true)
	lb.RUnlock()
	fail.Store(false)
	short, cancel = context.WithTimeout(t.Context(), 60*beatEvery)
	defer cancel()
	must(t, la.Lock(short))
	read := make(chan error)
	go func() { read <- lb.RLock(t.Context()) }()
	la.Unlock()
	must(t, <-read)
	lb.RUnlock()
}
