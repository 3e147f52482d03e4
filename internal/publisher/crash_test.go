package publisher

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/translog"
)

func openJournal(url string) (*store.DB, *journal.Journal, error) {
	db, err := store.Open(ctx, url, "test")
	if err != nil {
		return nil, nil, err
	}
	j, err := journal.Open(ctx, db, origin, journaltest.Recipient())
	return db, j, err
}

// publishForever appends and publishes at once, and prints the size of each
// checkpoint that is shown.
func publishForever(dir, url string) error {
	db, j, err := openJournal(url)
	if err != nil {
		return err
	}
	failed := make(chan error, 4)
	for w := range 3 {
		go func() {
			for i := 0; ; i++ {
				if err := db.Write(ctx, func(tx *store.Tx) error {
					for range 1 + i%40 {
						if _, err := j.Append(tx, journal.Entry{Kind: "evaluate", Ticket: [32]byte{byte(w), 1}, Tau: [32]byte{byte(w), 2}, At: time.Now()}); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					failed <- err
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	p, err := New(Config{Origin: origin, Dir: dir}, Deps{
		Source: j, Key: testKey("log"), Now: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Witnesses: func() []Witness { return nil },
		Policy:    func() (translog.Policy, error) { return logPolicy() },
	})
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := p.step(ctx); err != nil {
				failed <- err
				return
			}
			if n := p.Status().Published; n > 0 {
				fmt.Println(n)
			}
		}
	}()
	return <-failed
}

func logPolicy() (translog.Policy, error) {
	v, err := translog.LogVerifier(origin, logPublic())
	return translog.Policy{Origin: origin, Log: v}, err
}

// TestKill9: a process that appends and publishes is killed at any moment, over
// and over, while a reader looks on. The reader sees checkpoints that continue
// each other, each whole; after each kill the published log is the journal's;
// and what was signed never shrinks.
func TestKill9(t *testing.T) {
	dir := t.TempDir()
	url := storetest.URL(t, dir+"/test.db", "test")
	folder := filepath.Join(dir, "hub", "1")
	policy, err := logPolicy()
	must(t, err)
	var signed tlog.Tree
	for round := range 6 {
		printed := killPublisher(t, dir, url, folder, policy, time.Duration(15+round*45)*time.Millisecond)
		db, j, err := openJournal(url)
		must(t, err)
		c := checkLog(t, folder, policy, j)
		if c.N < printed {
			t.Errorf("round %d: %d entries were said to be published, %d are", round, printed, c.N)
		}
		file, err := os.ReadFile(folder + "/signed")
		must(t, err)
		now, err := parseTree(file, origin)
		must(t, err)
		size, err := j.Size(ctx)
		must(t, err)
		if now.N < signed.N || now.N < c.N || uint64(now.N) > size || now.N == signed.N && now != signed {
			t.Errorf("round %d: signed %d, then %d; published %d; committed %d", round, signed.N, now.N, c.N, size)
		}
		signed = now
		must(t, db.Close())
	}
	t.Logf("%d entries signed over six kills", signed.N)
}

// killPublisher runs a publisher for a while and returns the last size it said
// was published.
func killPublisher(t *testing.T, dir, url, folder string, policy translog.Policy, after time.Duration) (published int64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "PUBLISHER_TEST_DIR="+dir, "PUBLISHER_TEST_URL="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { readOn(t, folder, policy, stop) })
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		once.Do(func() { time.AfterFunc(after, func() { _ = child.Process.Kill() }) })
		if _, err := fmt.Sscan(lines.Text(), &published); err != nil {
			t.Fatalf("the publisher said %q", lines.Text())
		}
	}
	close(stop)
	reading.Wait()
	if err := child.Wait(); err == nil {
		t.Error("the publisher ended by itself")
	}
	return published
}

// readOn reads as the public does: each checkpoint continues the one before,
// and its right edge is there.
func readOn(t *testing.T, folder string, policy translog.Policy, stop chan struct{}) {
	f := openFolder(folder, nil)
	var last tlog.Tree
	for seen := 0; ; seen++ {
		select {
		case <-stop:
			if seen == 0 {
				t.Error("nothing was read")
			}
			return
		default:
		}
		signed, err := f.read("checkpoint")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		c, err := policy.Verify(signed)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := readEdge(f, c.Tree); err != nil {
			t.Errorf("at %d entries: %v", c.N, err)
		}
		if last.N > 0 && c.N != last.N {
			proof, err := tlog.ProveTree(c.N, last.N, f.hashes(c.Tree))
			if err == nil {
				err = tlog.CheckTree(proof, c.N, c.Hash, last.N, last.Hash)
			}
			if err != nil {
				t.Errorf("from %d to %d entries: %v", last.N, c.N, err)
			}
		}
		last = c.Tree
	}
}

// BenchmarkPublish publishes a journal of 200,000 rows in a database.
func BenchmarkPublish(b *testing.B) {
	const rows = 200_000
	dir := b.TempDir()
	db, j, err := openJournal(storetest.URL(b, dir+"/test.db", "test"))
	must(b, err)
	defer db.Close()
	for range rows / 2000 {
		must(b, db.Write(ctx, func(tx *store.Tx) error {
			for range 2000 {
				if _, err := j.Append(tx, journal.Entry{Kind: "evaluate", At: time.Now(), Body: make([]byte, 400)}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for b.Loop() {
		p, err := New(Config{Origin: origin, Dir: b.TempDir()}, Deps{
			Source: j, Key: testKey("log"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Witnesses: func() []Witness { return nil },
			Policy:    func() (translog.Policy, error) { return logPolicy() },
		})
		must(b, err)
		must(b, p.Flush(ctx))
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
}

// BenchmarkRound publishes ten new entries at a time, as a quiet role does
// every two seconds.
func BenchmarkRound(b *testing.B) {
	r := newRig(b)
	r.source.append(100_000)
	p := r.open()
	must(b, p.Flush(ctx))
	for b.Loop() {
		r.source.append(10)
		must(b, p.Flush(ctx))
	}
}
