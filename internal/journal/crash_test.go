package journal

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// TestMain also serves as the program of the process that TestKill9 kills.
func TestMain(m *testing.M) {
	if url := os.Getenv("JOURNAL_TEST_URL"); url != "" {
		fmt.Println(appendForever(url))
		os.Exit(1)
	}
	// Each check of a property makes dozens of durable writes. The command line
	// can ask for more.
	if err := errors.Join(flag.Set("rapid.checks", "12"), flag.Set("rapid.steps", "20")); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// appendForever appends from several goroutines, each entry with a change of
// state, and prints the number of each entry once it is durable.
func appendForever(url string) error {
	db, err := store.Open(ctx, url, "test")
	if err != nil {
		return err
	}
	recipients, err := ParseRecipients(os.Getenv("JOURNAL_TEST_READER"))
	if err != nil {
		return err
	}
	j, err := Open(ctx, db, origin, recipients...)
	if err != nil {
		return err
	}
	const writers = 8
	failed := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := 0; ; i++ {
				seq, err := appendWithState(db, j, byte(w), i%5 == 4)
				if err == errUndo {
					continue
				}
				if err != nil {
					failed <- err
					return
				}
				fmt.Println(seq)
			}
		}()
	}
	return <-failed
}

func appendWithState(db *store.DB, j *Journal, ticket byte, undo bool) (seq uint64, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		if seq, err = j.Append(tx, Entry{Kind: "evaluate", Ticket: [32]byte{ticket, 1}, Tau: [32]byte{ticket, 2}, At: now}); err != nil {
			return err
		}
		if undo {
			return errUndo
		}
		_, err := tx.Exec("INSERT INTO item (id, n) VALUES ($1, $2)", fmt.Append(nil, seq), seq)
		return err
	})
	return seq, err
}

// TestKill9: after a kill at any moment the journal is dense, holds all that
// was acknowledged, and agrees with the state one to one.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []uint64
	for round := range 5 {
		acknowledged = append(acknowledged, killAppender(t, dir, time.Duration(20+round*40)*time.Millisecond)...)

		db := openDB(t, dir)
		entries := all(t, openJournal(t, db))
		checkStored(t, "test", entries)
		for _, seq := range acknowledged {
			if seq >= uint64(len(entries)) {
				t.Errorf("round %d: entry %d was acknowledged and is gone", round, seq)
			}
		}
		var items, joined int
		must(t, db.Read(ctx, func(tx *store.Tx) error {
			return tx.Row("SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM item JOIN journal ON seq = n)").Scan(&items, &joined)
		}))
		if items != len(entries) || joined != items {
			t.Errorf("round %d: %d entries, %d changes of state, %d in common", round, len(entries), items, joined)
		}
		must(t, db.Close())
	}
	seen := map[uint64]bool{}
	for _, seq := range acknowledged {
		if seen[seq] {
			t.Errorf("entry %d was acknowledged twice", seq)
		}
		seen[seq] = true
	}
	t.Logf("%d entries acknowledged before five kills", len(acknowledged))
}

func killAppender(t *testing.T, dir string, after time.Duration) (acknowledged []uint64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "JOURNAL_TEST_URL="+storetest.URL(t, dir+"/test.db", "test"), "JOURNAL_TEST_READER="+reader.Recipient().String())
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		once.Do(func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) })
		var seq uint64
		if _, err := fmt.Sscan(lines.Text(), &seq); err != nil {
			t.Fatalf("the appender said %q", lines.Text())
		}
		acknowledged = append(acknowledged, seq)
	}
	if err := child.Wait(); err == nil {
		t.Error("the appender ended by itself")
	}
	return acknowledged
}
