package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also serves as the program of the processes that tests kill.
func TestMain(m *testing.M) {
	url := os.Getenv("STORE_TEST_URL")
	switch os.Getenv("STORE_TEST_CHILD") {
	case "open":
		if _, err := Open(ctx, url, "test"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	case "write":
		fmt.Println(writeForever(url))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// writeForever writes pairs of rows from several goroutines and prints the
// number of each pair once it is acknowledged. It returns only on an error.
func writeForever(url string) error {
	db, err := Open(ctx, url, "test")
	if err != nil {
		return err
	}
	first := 0
	if err := db.Read(ctx, func(tx *Tx) error {
		return tx.Row("SELECT coalesce(max(n), 0) + 1 FROM item").Scan(&first)
	}); err != nil {
		return err
	}
	const writers = 8
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			for n := first + w; ; n += writers {
				err := db.Write(ctx, func(tx *Tx) error {
					if err := add(tx, n); err != nil {
						return err
					}
					_, err := tx.Exec(`INSERT INTO counter (name, value) VALUES ('pairs', 1)
						ON CONFLICT (name) DO UPDATE SET value = counter.value + 1`)
					return err
				})
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(n) // one system call: a line is printed whole or not at all
			}
		}()
	}
	return <-failed
}

// TestKill9: whatever a process acknowledged before it was killed is there,
// and of what it did not, all or nothing.
func TestKill9(t *testing.T) {
	url := "sqlite:" + t.TempDir() + "/test.db"
	acknowledged := map[int]bool{}
	for round := range 6 {
		killWriter(t, url, time.Duration(20+round*35)*time.Millisecond, acknowledged)

		db := openURL(t, url)
		have := map[int]bool{}
		pairs := 0
		must(t, db.Read(ctx, func(tx *Tx) error {
			if err := tx.Row("SELECT value FROM counter WHERE name = 'pairs'").Scan(&pairs); err != nil {
				return err
			}
			return tx.Query("SELECT n FROM item", nil, func(scan func(...any) error) error {
				var n int
				err := scan(&n)
				have[n] = true
				return err
			})
		}))
		for n := range acknowledged {
			if !have[n] {
				t.Errorf("round %d: %d was acknowledged and is gone", round, n)
			}
		}
		if len(have) != pairs {
			t.Errorf("round %d: %d rows and %d counted", round, len(have), pairs)
		}
		must(t, db.Close())
	}
	t.Logf("%d writes acknowledged before six kills", len(acknowledged))
}

// killWriter runs a writer for a while after its first acknowledgement, kills
// it with SIGKILL and collects what it acknowledged.
func killWriter(t *testing.T, url string, after time.Duration, acknowledged map[int]bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "STORE_TEST_CHILD=write", "STORE_TEST_URL="+url)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var once sync.Once
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		once.Do(func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) })
		var n int
		if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
			t.Fatalf("the writer said %q", lines.Text())
		}
		acknowledged[n] = true
	}
	if err := child.Wait(); err == nil {
		t.Error("the writer ended by itself")
	}
}
