package publisher

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPublish: the log at sizes around the ends of tiles, by one process and by
// a new one each time.
func TestPublish(t *testing.T) {
	for name, restart := range map[string]bool{"one process": false, "restarts": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := r.open()
			r.flush(p) // nothing yet
			if _, err := os.Stat(filepath.Join(r.folder(), "checkpoint")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("an empty journal has a checkpoint: %v", err)
			}
			sizes := []int{1, 2, 255, 256, 257, 511, 512, 1000}
			if restart {
				sizes = append(sizes, 65535, 65537, 65700)
			}
			for _, size := range sizes {
				r.source.append(size - len(r.source.rows))
				if restart {
					p = r.open()
				}
				r.flush(p)
				if c := r.check(); c.N != int64(size) {
					t.Errorf("%d of %d entries are published", c.N, size)
				}
				r.clock.add(time.Second)
			}
			last := int64(sizes[len(sizes)-1])
			if s := p.Status(); s.Published != last || s.Journal != last || s.Err != "" || s.Cosigned.IsZero() || len(s.Witnesses) != 0 {
				t.Errorf("status %+v", s)
			}
			checkLeft(t, r.folder(), int64(sizes[len(sizes)-2]), last)
			if restart {
				fsck(t, r)
			}
		})
	}
}

// checkLeft: of partial objects only those of the last two checkpoints are there.
func checkLeft(t *testing.T, dir string, sizes ...int64) {
	t.Helper()
	keep := make(map[string]bool)
	for _, size := range sizes {
		for _, o := range rightmost(size) {
			keep[o.path()] = true
		}
	}
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if strings.Contains(path, ".p/") && !keep[path] || strings.Contains(path, ".tmp") {
			t.Errorf("%s was left behind", path)
		}
		delete(keep, path)
		return err
	}))
	for path := range keep {
		t.Errorf("%s is missing", path)
	}
}

// TestRun: what is appended while a publisher runs is published in order, in
// several batches where it is much.
func TestRun(t *testing.T) {
	r := newRig(t)
	r.source.append(2*1024 + 300)
	p := r.open()
	p.batch = 1024
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { p.Run(run) })
	for range 50 {
		r.source.append(7)
		time.Sleep(time.Millisecond)
	}
	for want := int64(len(r.source.rows)); p.Status().Published < want; {
		time.Sleep(time.Millisecond)
	}
	stop()
	running.Wait()
	r.check()
}

// TestEveryFault: whichever change of a file fails, the same process goes on
// or a new one takes up, to the same log.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	steps, _ := faultAt(t, 0)
	var failed atomic.Int32
	t.Cleanup(func() {
		if n := failed.Load(); n < 60 {
			t.Errorf("only %d steps have failed", n)
		}
	})
	for at := 1; at <= steps; at++ {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			if _, at := faultAt(t, at); at != "" {
				failed.Add(1)
			}
		})
	}
}

// faultAt publishes three times, and lets one step fail.
func faultAt(t *testing.T, at int) (steps int, failed string) {
	errDisk := errors.New("the disk failed")
	r := newRig(t)
	var mu sync.Mutex
	r.fault = func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if steps++; at > 0 && steps == at {
			failed = step
			return errDisk
		}
		return nil
	}
	p := r.open()
	for round, more := range []int{250, 20, 700} {
		r.source.append(more)
		if round == 1 {
			r.source.erase(3, 240)
		}
		r.clock.add(time.Second)
		err := p.Flush(ctx)
		p.work.Wait()
		if err == nil {
			continue
		}
		if !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		if at%2 == 0 {
			p = r.open()
		}
	}
	mu.Lock()
	at = 0
	mu.Unlock()
	r.flush(p)
	if c := r.check(); c.N != 971 {
		t.Errorf("%d entries after a fault at %q", c.N, failed)
	}
	return steps, failed
}

// TestRefuses: what contradicts the published log is refused in words, and
// nothing is signed.
func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		name, words string
		change      func(r *rig)
	}{
		{"an older database", "older than what was published", func(r *rig) { r.source.rows = r.source.rows[:900] }},
		{"an older database that grew again", "entry 1000 is not the one", func(r *rig) {
			for i := range r.source.rows[1000:] {
				r.source.rows[1000+i] = testRow(1000+i, "other")
			}
			for i := range 500 {
				r.source.rows = append(r.source.rows, testRow(1500+i, "other"))
			}
		}},
		{"an edited row at the end", "entry 1499 is not", func(r *rig) { r.source.rows[1499] = testRow(1499, "edited") }},
		{"an edited row long ago", "entry 3 is not", func(r *rig) { r.source.rows[3] = testRow(3, "edited") }},
		{"a row that is missing", "entry 1200 is not", func(r *rig) {
			r.source.rows = append(r.source.rows[:1200], r.source.rows[1201:]...)
			r.source.append(1)
		}},
		{"a damaged file of signatures", "is damaged", func(r *rig) { must(r.t, os.WriteFile(r.folder()+"/signed", []byte("no note"), 0o600)) }},
		{"another log's folder", "of the log", func(r *rig) {
			signed, err := os.ReadFile(r.folder() + "/signed")
			must(r.t, err)
			must(r.t, os.WriteFile(r.folder()+"/signed", []byte(strings.Replace(string(signed), origin, "waypost.test/hub/2", 1)), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.source.append(1500)
			r.flush(r.open())
			before := r.check()
			c.change(r)
			p := r.open()
			var err error
			for range 10 { // the older rows are looked at one bundle a round
				if err = p.Flush(ctx); err != nil {
					break
				}
			}
			p.work.Wait()
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("want %q, have %v", c.words, err)
			}
			if s := p.Status(); !strings.Contains(s.Err, c.words) {
				t.Errorf("the status says %q", s.Err)
			}
			for _, w := range r.witnesses {
				if w.tree != before.Tree || w.fork != nil {
					t.Errorf("%s has seen %v: %v", w.name, w.tree, w.fork)
				}
			}
		})
	}
}

// TestEditedInMemory: a row edited while the process runs is found by the
// rounds, wherever it is.
func TestEditedInMemory(t *testing.T) {
	r := newRig(t)
	r.source.append(1500)
	p := r.open()
	r.flush(p)
	r.source.rows[3] = testRow(3, "edited")
	var err error
	for range 6 {
		if err = p.Flush(ctx); err != nil {
			break
		}
	}
	if !errors.Is(err, errContradicts) {
		t.Errorf("the edited row was not found: %v", err)
	}
}

// TestCopiedBack: where folder and database both come from an older copy, only
// the witnesses know, and are asked before anything is signed.
func TestCopiedBack(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	r.flush(r.open())
	old := t.TempDir()
	must(t, os.CopyFS(old, os.DirFS(r.dir)))
	r.source.append(100)
	r.flush(r.open())
	seen := r.witnesses[0].tree

	r.dir = old
	r.source.rows = r.source.rows[:300]
	for i := range 50 {
		r.source.rows = append(r.source.rows, testRow(300+i, "other"))
	}
	p := r.open()
	for range 3 {
		err := p.Flush(ctx)
		if !errors.Is(err, errOutrun) || !strings.Contains(err.Error(), "400 entries") {
			t.Errorf("the older copies were not found out: %v", err)
		}
	}
	p.work.Wait()
	if p.Status().Signed != 300 {
		t.Errorf("%d entries are signed, 300 were", p.Status().Signed)
	}
	if r.witnesses[0].tree != seen || r.witnesses[0].fork != nil {
		t.Error("a witness was shown a fork")
	}
}

// TestRebuild: files that are lost or damaged are made again from the journal,
// the same.
func TestRebuild(t *testing.T) {
	damage := func(name string) error { return os.WriteFile(name, []byte("x"), 0o644) }
	for _, c := range []struct {
		how, path string
		spoil     func(string) error
	}{
		{"lost", "tile", os.RemoveAll}, {"lost", "tile/0", os.RemoveAll}, {"lost", "tile/0/001", os.Remove},
		{"lost", "tile/1/000.p/5", os.Remove}, {"lost", "tile/entries/000", os.Remove},
		{"lost", "sealed", os.RemoveAll}, {"lost", "sealed/002", os.Remove}, {"lost", "keys", os.RemoveAll},
		{"damaged", "tile/0/001", damage}, {"damaged", "tile/0/005.p/220", damage},
		{"damaged", "tile/entries/000", damage}, {"damaged", "sealed/002", damage},
	} {
		t.Run(c.how+" "+c.path, func(t *testing.T) {
			r := newRig(t)
			r.source.append(1500)
			r.flush(r.open())
			must(t, c.spoil(filepath.Join(r.folder(), filepath.FromSlash(c.path))))
			r.source.append(10)
			p := r.open()
			for range 7 { // the older files are looked at one bundle a round
				r.flush(p)
			}
			r.check()
		})
	}
}
