package witness

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// issued is a cosignature that left the witness.
type issued struct {
	branch int
	size   int64
	at     int64
}

// submitter publishes one branch of a log, as a member would that shows
// different trees to different people: told the size that is known, it goes on
// from there.
type submitter struct {
	log     *testLog
	branch  int
	targets []int64
}

func (s submitter) run(t testing.TB, w *Server) (got []issued) {
	known := int64(0)
	for _, target := range s.targets {
		for range 4 {
			if known > target {
				break
			}
			line, err := w.add(ctx, s.log.body(t, known, target))
			if refusal, ok := errors.AsType[*conflict](err); ok && refusal.size != known {
				known = refusal.size
				continue
			}
			if err == nil {
				known = target
				got = append(got, issued{s.branch, target, cosigned(t, w.VerifierKey(), s.log.checkpoint(t, target), line)})
			}
			break
		}
	}
	return got
}

// dying is a store.Fault that fails at one hit of a point and ever after, as a
// process that is killed there.
type dying struct {
	point string
	after int64
	dead  atomic.Bool
	hits  atomic.Int64
}

var errDead = errors.New("killed")

func (d *dying) fault(point string) error {
	if point == d.point && d.hits.Add(1) > d.after {
		d.dead.Store(true)
	}
	if d.dead.Load() {
		return errDead
	}
	return nil
}

// TestNeverForks: whatever is submitted at once from two branches of a log,
// wherever the process dies and whatever its clock says, the cosignatures that
// left the witness lie on one branch, and a greater tree has no earlier time.
func TestNeverForks(t *testing.T) {
	const leaves = 24
	r := newRig(t)
	cases := 0
	rapid.Check(t, func(rt *rapid.T) {
		cases++ // each has a log of its own in one database
		honest := newLog(t, fmt.Sprintf("waypost.test/CA/%d", cases), leaves)
		r.logs[honest.origin] = honest.verifier(t)
		common := rapid.Int64Range(0, leaves-1).Draw(rt, "common")
		branches := []*testLog{honest, honest.fork(t, common, int(leaves-common))}
		var all []issued
		for range rapid.IntRange(1, 2).Draw(rt, "lives") {
			d := &dying{
				point: rapid.SampledFrom([]string{"begin", "commit", "committed", "never"}).Draw(rt, "point"),
				after: rapid.Int64Range(0, 4).Draw(rt, "after"),
			}
			r.fault.Store(d)
			r.clock.Add(rapid.Int64Range(-100, 100).Draw(rt, "seconds"))
			all = append(all, together(t, rt, r, branches)...)
			r.fault.Store(nil)
			if d.dead.Load() {
				r.restart()
			}
		}
		check(rt, all, common)
		afterwards(t, rt, r, branches)
	})
}

// together runs three submitters at once.
func together(t testing.TB, rt *rapid.T, r *rig, branches []*testLog) (all []issued) {
	var mu sync.Mutex
	var running sync.WaitGroup
	for range 3 {
		b := rapid.IntRange(0, 1).Draw(rt, "branch")
		targets := rapid.SliceOfN(rapid.Int64Range(0, branches[b].size), 1, 4).Draw(rt, "targets")
		slices.Sort(targets)
		s := submitter{branches[b], b, targets}
		running.Go(func() {
			got := s.run(t, r.Server)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
		})
	}
	running.Wait()
	return all
}

func check(rt *rapid.T, all []issued, common int64) {
	side := -1
	for _, a := range all {
		if a.size > common {
			if side >= 0 && a.branch != side {
				rt.Fatalf("both branches were cosigned beyond %d: %+v", common, all)
			}
			side = a.branch
		}
		for _, b := range all {
			if a.size < b.size && a.at > b.at {
				rt.Fatalf("size %d was cosigned at %d and size %d at %d", a.size, a.at, b.size, b.at)
			}
		}
	}
}

// afterwards: the branch that was cosigned can go on, and only that.
func afterwards(t testing.TB, rt *rapid.T, r *rig, branches []*testLog) {
	known, err := r.last(ctx, branches[0].origin)
	must(t, err)
	for _, b := range branches {
		_, err := r.add(ctx, b.body(t, known.N, b.size))
		if continues := b.root(t, known.N) == known.Hash; continues != (err == nil) {
			rt.Fatalf("from size %d, continues %t: %v", known.N, continues, err)
		}
		if err == nil {
			return
		}
	}
}
