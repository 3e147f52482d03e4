package turns

import (
	"runtime"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// TestPace: a batch gives way to other processes where it was stopped for them, and while
// checks come; a load alone never rests.
func TestPace(t *testing.T) {
	runtime.LockOSThread() // whose processor time counts
	defer runtime.UnlockOSThread()
	places := New()
	nothing := func(...toprf.Option) error { return nil }
	stopped := &pace{turns: places, began: time.Now().Add(-time.Second), worked: threadTime() - time.Millisecond}
	worked := &pace{turns: places, began: time.Now(), worked: threadTime() - time.Hour}
	if first := (&pace{turns: places}); first.felt() || !stopped.felt() || worked.felt() {
		t.Error("felt: before the first step, a step that was stopped, one that worked all the time:", first.felt(), stopped.felt(), worked.felt())
	}
	_ = places.Take(1000, nothing)
	if places.busy() {
		t.Error("a load is taken for checks")
	}
	_ = places.Take(waypost.CheckElements, nothing)
	if !places.busy() {
		t.Error("a check is not noticed")
	}
	rested := func(p *pace) time.Duration {
		before := time.Now()
		p.pause()
		return time.Since(before)
	}
	places.started = places.started.Add(-time.Hour) // the check was an hour ago
	if places.busy() {
		t.Error("a check of an hour ago counts")
	}
	_ = places.Take(1, nothing)
	if got := rested(stopped); got < longestRest {
		t.Errorf("who was stopped for a second while checks come rests for %v", got)
	}
	if stopped.began.IsZero() || time.Since(stopped.began) > time.Minute {
		t.Error("no new step begins")
	}
}
