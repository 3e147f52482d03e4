package index

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/bench"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

func short(dir string) Config {
	return Config{Dir: dir, Pointers: 3000, Searches: 40, Published: 100, Duration: time.Second, Log: slog.New(slog.DiscardHandler),
		Progress: func(string, int, int) {}}
}

func check(t *testing.T, r Report) {
	t.Helper()
	if len(r.Phases) != 4 {
		t.Fatalf("%+v", r)
	}
	for i, p := range r.Phases {
		searches, published := i != 2, i != 1
		if (p.Searches == 40) != searches || (p.Published > 0) != published || p.Seconds <= 0 {
			t.Errorf("%+v", p)
		}
		if searches && (p.P50 <= 0 || p.P50 > p.P99 || p.P99 > p.Max) || published && (p.PublishP50 <= 0 || p.PublishP50 > p.PublishP99) {
			t.Errorf("%+v", p)
		}
		if _, known := bench.BusyTime(); known && p.CPU <= 0 {
			t.Errorf("%+v", p)
		}
	}
	if f := r.Filled; f.LabelsPerSecond <= 0 || f.BytesPerLabel < 24 || f.BytesPerLabel > 400 || f.BytesPerPointer < 40 {
		t.Errorf("%+v", f)
	}
}

// TestRun: everybody is found among thousands, and a second run fills nothing.
func TestRun(t *testing.T) {
	c := short(t.TempDir())
	first, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	check(t, first)
	again, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if again.Filled != first.Filled {
		t.Errorf("filled again: %+v", again.Filled)
	}
	c.Servers = "servers.json"
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "--hub-database") {
		t.Errorf("labels of a database in a file over servers: %v", err)
	}
	c.Servers, c.Warm, c.Database = "", true, "postgres://nobody@localhost/none"
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "held in memory") {
		t.Errorf("a server held in memory: %v", err)
	}
	c.Warm, c.Database, c.Pointers = false, "", 0
	if _, err := Run(t.Context(), c); err == nil {
		t.Error("no pointers, and no error")
	}
}

// TestRunPostgres is the same on a server.
func TestRunPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts PostgreSQL")
	}
	c := short(t.TempDir())
	c.Database = pgtest.Start(t, 1)[0].URL()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	check(t, r)
}

// TestFill: wherever it is cut off, every pointer has its ten labels in the end.
func TestFill(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/hub.db", "hub")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const n = 12_000 // three transactions of labels
	for cut := 1; ; cut++ {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := fill(ctx, db, n, func(string, int, int) { cancel() })
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || cut > 5 {
			t.Fatal(err)
		}
	}
	var labels, pointers, odd int
	err = db.Read(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.Row(`SELECT count(*) FROM label`).Scan(&labels), tx.Row(`SELECT count(*) FROM pointer`).Scan(&pointers),
			tx.Row(`SELECT count(*) FROM pointer p WHERE (SELECT count(*) FROM label l WHERE l.pointer = p.id) <> 10 AND p.id < $1`, pointerID(40, n)).Scan(&odd))
	})
	if err != nil || labels != 10*n || pointers != n || odd != 0 {
		t.Errorf("%d labels, %d pointers, %d of the first forty without ten labels: %v", labels, pointers, odd, err)
	}
}

// TestHold: a file is held, and read as before; what cannot be is an error in words.
func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	release, err := holdFile(path)
	if runtime.GOOS != "linux" {
		if err == nil {
			t.Error("held, where nothing can be")
		}
		return
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOMEM) {
		t.Skip("nothing may be locked into memory here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) != 10_000 {
		t.Error(len(b), err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := holdFile(path + "?"); err == nil {
		t.Error("a file that is not there is held")
	}
}
