package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestSnapshot: a copy that is made while the role writes holds whole transactions, and
// opens as a database of its own.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "it's one.db")
	db, err := Open(t.Context(), url, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	begun := make(chan bool)
	writing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := db.Write(context.Background(), func(tx *Tx) error { // two rows, or none
				for j := range 2 {
					if _, err := tx.Exec("INSERT INTO store_lease (name, process, token) VALUES ($1, $2, 1)", fmt.Sprintf("%d-%d", i, j), i); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
				return
			}
			if i == 100 {
				close(begun)
			}
		}
	})
	<-begun
	for i := range 3 {
		to := filepath.Join(dir, fmt.Sprintf("copy '%d.db", i))
		if err := Snapshot(t.Context(), url, to); err != nil {
			t.Fatal(err)
		}
		if err := Snapshot(t.Context(), url, to); err == nil {
			t.Error("a file that was there was overwritten")
		}
		whole(t, to)
	}
	stop()
	writing.Wait()
	if err := Snapshot(t.Context(), "sqlite:"+filepath.Join(dir, "none.db"), filepath.Join(dir, "x.db")); err == nil {
		t.Error("nothing was copied")
	}
}

func whole(t *testing.T, path string) {
	t.Helper()
	db, err := Open(t.Context(), "sqlite:"+path, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows, halves int
	var mode string
	if err := db.Read(t.Context(), func(tx *Tx) error {
		if err := tx.Row("SELECT count(*) FROM store_lease").Scan(&rows); err != nil {
			return err
		}
		if err := tx.Row("SELECT journal_mode FROM pragma_journal_mode").Scan(&mode); err != nil {
			return err
		}
		return tx.Row("SELECT count(*) FROM (SELECT process FROM store_lease GROUP BY process HAVING count(*) <> 2) AS h").Scan(&halves)
	}); err != nil {
		t.Fatal(err)
	}
	if rows < 200 || halves != 0 || !strings.EqualFold(mode, "wal") {
		t.Errorf("%d rows, %d transactions by half, journal %s", rows, halves, mode)
	}
}

// TestRetired: a number that was taken out of use is given to no process again.
func TestRetired(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t, 1)[0].URL()
	first := openAs(t, url, 1)
	must(t, first.Write(t.Context(), func(tx *Tx) error { return Retire(tx, 2) }))
	if db, err := Open(t.Context(), url, "test", AsProcess(2)); err == nil || !strings.Contains(err.Error(), "out of use") {
		t.Errorf("number 2: %v, %v", db, err)
	}
	if free := openAs(t, url, 0); free.Process() != 3 {
		t.Errorf("the lowest that is free is %d, and 2 is out of use", free.Process())
	}
	var lives []Life
	must(t, first.Read(t.Context(), func(tx *Tx) (err error) { lives, err = Lives(tx); return err }))
	if len(lives) != 2 || lives[0].Number != 1 || lives[1].Number != 3 || !lives[0].Alive || !lives[1].Alive {
		t.Errorf("with number 2 out of use the processes are %+v", lives)
	}
}
