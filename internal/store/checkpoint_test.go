package store

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestCheckpointsBesideTheWriter: a log that grows long is copied into the file and
// begun anew, while readers and the writer go on, well before the writer would do it.
func TestCheckpointsBesideTheWriter(t *testing.T) {
	path := t.TempDir() + "/test.db"
	db := openURL(t, "sqlite:"+path)
	pages := func(name string) int64 {
		info, err := os.Stat(name)
		must(t, err)
		return info.Size() / 4096
	}
	raw, err := (&sqliteFile{path: path}).open(ctx, checkpointSettings)
	must(t, err)
	log := &sqliteSession{raw: raw}
	stop := make(chan struct{})
	reading := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				reading <- nil
				return
			default:
			}
			if err := db.Read(ctx, func(tx *Tx) error {
				var n int64
				return tx.Row("SELECT count(*) FROM item WHERE id < $1", key(100)).Scan(&n)
			}); err != nil {
				reading <- err
				return
			}
		}
	}()
	const rows = 500_000 // of more pages than four logs
	for from := 0; from < rows; from += 500 {
		must(t, db.Write(ctx, func(tx *Tx) error {
			for n := from; n < from+500; n++ {
				if err := add(tx, n); err != nil {
					return err
				}
			}
			return nil
		}))
		time.Sleep(time.Millisecond)
		giveTime(t, db, log)
	}
	close(stop)
	must(t, errors.Join(<-reading, log.close(nil)))
	if file := pages(path); file < checkpointAt/2 {
		t.Errorf("%d pages are in the file", file)
	}
	if log := pages(path + "-wal"); log > 15_000 {
		t.Errorf("the log has %d pages", log)
	}
	must(t, db.Close())
	db = openURL(t, "sqlite:"+path)
	must(t, db.Read(ctx, func(tx *Tx) error {
		var n int64
		if err := tx.Row("SELECT count(*) FROM item").Scan(&n); err != nil || n != rows {
			t.Errorf("%d rows, %v", n, err)
		}
		return nil
	}))
}

// giveTime waits while the log is about to be longer than the test allows, as it may be on a
// busy machine: the copying gets the time that it lacked. It goes on after commits.
func giveTime(t *testing.T, db *DB, log *sqliteSession) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(250 * time.Millisecond) {
		pages, _, err := log.checkpoint("NOOP") // counts, and copies nothing
		must(t, err)
		if pages < anewAt+4*checkpointAt {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log has %d pages, and nobody begins it anew", pages)
		}
		must(t, db.Write(ctx, func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO counter (name, value) VALUES ('a', 1) ON CONFLICT (name) DO UPDATE SET value = counter.value + 1")
			return err
		}))
	}
}
