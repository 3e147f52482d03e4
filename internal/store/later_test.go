package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// TestLater: what is done later rides in somebody else's transaction, or goes
// by itself after a while, or at Close; and its failure is nobody's.
func TestLater(t *testing.T) {
	ctx := context.Background()
	url := "sqlite:" + filepath.Join(t.TempDir(), "later.db")
	open := func() *store.DB {
		db, err := store.Open(ctx, url, "test")
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	put := func(key int64) func(tx *store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO item (id, n) VALUES ($1, $2)`, []byte{byte(key)}, key)
			return err
		}
	}
	count := func(db *store.DB) (n int) {
		err := db.Read(ctx, func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM item`).Scan(&n) })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	db := open()
	groups, begun := db.Stats().Groups, time.Now()
	db.Later(put(1))
	db.Later(put(1)) // fails: the key is taken
	if err := db.Write(ctx, put(2)); err != nil {
		t.Fatal(err)
	}
	// Where the machine took longer than a quarter of a second, they have gone by themselves.
	inTime := time.Since(begun) < 250*time.Millisecond
	if n, g := count(db), db.Stats().Groups-groups; n != 2 || inTime && g != 1 {
		t.Errorf("%d rows after %d transactions, want 2 after 1", n, g)
	}
	db.Later(put(3))
	for deadline := time.Now().Add(time.Minute); count(db) != 3 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := count(db); n != 3 {
		t.Errorf("%d rows although nothing else was written for long, want 3", n)
	}
	if f := db.Stats().Failed; f != 1 {
		t.Errorf("%d failures counted, want 1", f)
	}
	db.Later(put(4))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db.Later(put(5)) // nothing
	db = open()
	defer db.Close()
	if n := count(db); n != 4 {
		t.Errorf("%d rows after Close, want 4", n)
	}
}

// TestSimulated: in a simulation no timer makes a transaction.
func TestSimulated(t *testing.T) {
	ctx := context.Background()
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "simulated.db"), "test", store.ForSimulation())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	groups := db.Stats().Groups
	db.Later(func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO item (id, n) VALUES ($1, $2)`, []byte{1}, 1)
		return err
	})
	time.Sleep(400 * time.Millisecond) // longer than Later waits
	if n := db.Stats().Groups - groups; n != 0 {
		t.Errorf("%d transactions that nobody asked for", n)
	}
	if err := db.Write(ctx, func(*store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().Writes; n == 0 {
		t.Error("what was to be done later did not ride in the next transaction")
	}
}
