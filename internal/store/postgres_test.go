package store

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestFirstOpens: several processes make the tables of one database at once.
func TestFirstOpens(t *testing.T) {
	url := pgtest.Shared(t).URL()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := Open(ctx, url, "test")
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	refused(t, url, "keyholder", "of a test, not of a keyholder")
}

func TestServerOfAnother(t *testing.T) {
	c := pgtest.Shared(t)
	url := c.URL()
	c.SQL(name(url), "CREATE TABLE bookmarks (url TEXT)")
	refused(t, url, "test", "another program")
	c.SQL(name(url), "DROP TABLE bookmarks")
	must(t, openURL(t, url).Close()) // and nothing was changed
	c.SQL(name(url), "INSERT INTO schema_version_journal (version_id, is_applied) VALUES (99, true)")
	refused(t, url, "test", "version 99")

	refused(t, strings.Replace(url, "waypost:", "nobody:", 1), "test", "28P01")
	refused(t, strings.Replace(url, name(url), "nothing", 1), "test", "create it first")
	latin := "latin_" + name(url) // another one each time, where the test runs twice
	c.SQL("postgres", "CREATE DATABASE "+latin+" ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER 'libc' TEMPLATE template0")
	refused(t, strings.Replace(url, name(url), latin, 1), "test", "UTF8")
}

// name is that of the database in a URL of pgtest.
func name(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	_, rest, _ = strings.Cut(rest, "/")
	name, _, _ := strings.Cut(rest, "?")
	return name
}

// TestServerSettings: durability, and that nobody waits for ever, rest on these.
func TestServerSettings(t *testing.T) {
	db := openURL(t, pgtest.Shared(t).URL())
	show := func(tx *Tx, name string) (value string) {
		must(t, tx.Row("SELECT current_setting(CAST($1 AS TEXT))", name).Scan(&value))
		return value
	}
	must(t, db.Write(ctx, func(tx *Tx) error {
		for name, want := range map[string]string{"synchronous_commit": "on", "transaction_isolation": "read committed",
			"idle_in_transaction_session_timeout": "10s", "lock_timeout": "20s", "application_name": "waypost test"} {
			if got := show(tx, name); got != want {
				t.Errorf("a writer has %s = %s", name, got)
			}
		}
		return nil
	}))
	must(t, db.Read(ctx, func(tx *Tx) error {
		for name, want := range map[string]string{"transaction_isolation": "repeatable read", "transaction_read_only": "on"} {
			if got := show(tx, name); got != want {
				t.Errorf("a reader has %s = %s", name, got)
			}
		}
		return nil
	}))
}

// TestByteOrder: text has the order of its bytes whatever the server's language.
func TestByteOrder(t *testing.T) {
	db := openURL(t, pgtest.Shared(t).URL())
	var got []string
	must(t, db.Write(ctx, func(tx *Tx) error {
		for _, n := range []string{"b", "a", "B", "é", "_"} {
			if _, err := tx.Exec("INSERT INTO counter (name, value) VALUES ($1, 0)", n); err != nil {
				return err
			}
		}
		return tx.Query("SELECT name FROM counter ORDER BY name", nil, func(scan func(...any) error) error {
			got = append(got, "")
			return scan(&got[len(got)-1])
		})
	}))
	if fmt.Sprint(got) != "[B _ a b é]" {
		t.Errorf("the order is %v", got)
	}
}

// TestServerRestarts: a database goes on when its server does, without being opened
// again, and says in between that nothing was done.
func TestServerRestarts(t *testing.T) {
	server := pgtest.Start(t, 1)[0]
	db := openURL(t, server.URL(), WithReaders(2))
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 1) }))
	for round := range 2 {
		count(t, db) // a reader that is connected
		server.Kill()
		if round == 0 { // in the second nobody notices that it was gone
			if err := db.Write(ctx, func(tx *Tx) error { return add(tx, 2) }); err == nil || errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("a write to no server: %v", err)
			}
			if err := db.Read(ctx, func(tx *Tx) error { return tx.Row("SELECT 1").Scan(new(int)) }); err == nil {
				t.Error("a read from no server")
			}
		}
		server.Begin()
		must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 10+round) }))
		if n := count(t, db); n != 2+round {
			t.Errorf("%d rows after start %d", n, round)
		}
	}
}

// TestServerKilled: what Write acknowledged is there after a crash of the server in
// the middle of groups, what it refused is not, and what it is not sure of is there
// as a whole or not at all.
func TestServerKilled(t *testing.T) {
	server := pgtest.Start(t, 1)[0]
	db := openURL(t, server.URL())
	var mu sync.Mutex
	outcomes := make(map[int]error)
	var next atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := int(next.Add(1))
				err := db.Write(ctx, func(tx *Tx) error {
					if err := add(tx, 2*n); err != nil {
						return err
					}
					if n%5 == 0 {
						return errNo
					}
					return add(tx, 2*n+1)
				})
				mu.Lock()
				outcomes[n] = err
				mu.Unlock()
				if err != nil && err != errNo {
					time.Sleep(5 * time.Millisecond) // the server is away
				}
			}
		})
	}
	for round := range 4 {
		time.Sleep(time.Duration(30+20*round) * time.Millisecond)
		server.Kill()
		server.Begin()
	}
	time.Sleep(50 * time.Millisecond)
	eventually(t, func() bool { // on a busy machine they are not connected again so soon
		mu.Lock()
		defer mu.Unlock()
		for _, err := range outcomes {
			if err == nil {
				return true
			}
		}
		return false
	})
	close(stop)
	wg.Wait()

	have := make(map[int]int)
	must(t, db.Read(ctx, func(tx *Tx) error {
		return tx.Query("SELECT n FROM item", nil, func(scan func(...any) error) error {
			var n int
			err := scan(&n)
			have[n/2]++
			return err
		})
	}))
	kept, undone, unsure := 0, 0, 0
	for n, err := range outcomes {
		want := 0
		switch {
		case err == nil:
			kept, want = kept+1, 2
		case errors.Is(err, ErrUnknownOutcome):
			unsure, want = unsure+1, have[n]&2
		default:
			undone++
		}
		if have[n] != want {
			t.Errorf("%d: %d of 2 rows after %v", n, have[n], err)
		}
	}
	t.Logf("%d kept, %d undone, %d unsure", kept, undone, unsure)
	if kept == 0 || undone == 0 {
		t.Error("the server was not killed in the middle of anything")
	}
}
