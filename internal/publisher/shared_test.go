package publisher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// TestTakenOver: a process whose log another has taken over, while it was paused, signs
// and shows nothing more, whatever the lock of the folder says.
func TestTakenOver(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	mine := true
	p := r.open()
	p.Holds = func(context.Context) (bool, error) { return mine, nil }
	r.flush(p)
	before := make(map[string]string)
	for _, name := range []string{"signed", "checkpoint"} {
		raw, err := os.ReadFile(filepath.Join(r.folder(), name))
		must(t, err)
		before[name] = string(raw)
	}
	mine = false
	r.source.append(100)
	r.clock.add(2 * refresh)
	for range 2 { // what is new, then what is old and to be confirmed again
		if err := p.Flush(ctx); err == nil || !strings.Contains(err.Error(), "another process has taken "+origin+" over") {
			t.Errorf("it goes on: %v", err)
		}
		r.source.rows = r.source.rows[:300]
	}
	p.work.Wait()
	for name, was := range before {
		if raw, err := os.ReadFile(filepath.Join(r.folder(), name)); err != nil || string(raw) != was {
			t.Errorf("%s was written again: %v", name, err)
		}
	}
	mine = true
	r.source.append(7)
	r.flush(p)
	if c := r.check(); c.N != 307 {
		t.Errorf("%d entries are published", c.N)
	}
}

// TestHeldFolder: what a process says that cannot publish because another one, which
// stands still, holds the folder.
func TestHeldFolder(t *testing.T) {
	r := newRig(t)
	r.source.append(3)
	still, next := r.open(), r.open()
	still.config.Shared, next.config.Shared = true, true
	r.flush(still)
	r.source.append(3)
	if err := next.Flush(ctx); err == nil || !strings.Contains(err.Error(), "paused or stopped, kill it") || !strings.Contains(next.Status().Err, "holds the folder of "+origin) {
		t.Errorf("%v, %q", err, next.Status().Err)
	}
	must(t, still.Close())
	r.flush(next)
	must(t, next.Close())
}

// TestLimitsOfAll: what a member may store in a day, and how many logs it may have, hold
// for all processes of a hub together, and for those that come after them.
func TestLimitsOfAll(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	put := func(s *Store, instance int, name string) error {
		policy := r.policy()
		policy.Origin = fmt.Sprintf("waypost.test/hub/%d", instance)
		return s.Put(ctx, "hub", policy, []Object{{Path: "seen/a/" + name, Content: []byte("x")}}, nil)
	}
	refused := func(err error) bool {
		var e *waypost.Error
		return errors.As(err, &e) && e.Code == waypost.QuotaExceeded
	}
	var both [2]*Store
	for i := range both {
		both[i] = NewStore(dir, true, r.clock.now)
		both[i].limit = 4 * smallest
	}
	counted, first := filepath.Join(dir, "hub", grownFile), filepath.Join(dir, "first")
	for i := range 4 {
		must(t, put(both[i%2], 1, fmt.Sprint(i)))
		if i == 0 {
			must(t, os.Link(counted, first))
		}
	}
	if words, err := os.ReadFile(first); err != nil || !strings.HasSuffix(string(words), fmt.Sprintf(" %d\n", smallest)) {
		t.Errorf("the file that counts is written over, and a process that is killed then leaves it empty: %q, %v", words, err)
	}
	after := NewStore(dir, true, r.clock.now)
	after.limit = 4 * smallest
	for i, s := range []*Store{both[0], both[1], after} {
		if err := put(s, 1, "more"); !refused(err) {
			t.Errorf("process %d lets the limit be passed: %v", i, err)
		}
	}
	r.clock.add(24 * time.Hour)
	must(t, put(after, 1, "more"))

	for _, s := range both {
		s.limit = dayLimit
	}
	taken := 1
	for i := range 2 * maxLogs {
		if err := put(both[i%2], i+2, "1"); err == nil {
			taken++
		} else if !refused(err) {
			t.Fatal(err)
		}
	}
	if dirs, err := filepath.Glob(filepath.Join(dir, "hub", "[0-9]*")); err != nil || taken != maxLogs || len(dirs) != maxLogs {
		t.Errorf("%d logs, %d on disk, %v", taken, len(dirs), err)
	}
}
