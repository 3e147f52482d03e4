package turns_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/turns"
	"github.com/waypost/waypost/toprf"
)

// TestTurns: as many batches as processors, while a check never waits.
func TestTurns(t *testing.T) {
	places := turns.New()
	var in, most atomic.Int64
	full, checked := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range 3 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			_ = places.Take(1000, func(opts ...toprf.Option) error {
				if len(opts) != 1 {
					t.Error("a batch that does not pause")
				}
				n := in.Add(1)
				defer in.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if int(n) == runtime.GOMAXPROCS(0) && most.Load() == n {
					select {
					case full <- struct{}{}:
					case <-checked:
					}
				}
				<-checked
				return nil
			})
		})
	}
	<-full // every place is taken
	failed := errors.New("no")
	if err := places.Take(waypost.CheckElements, func(opts ...toprf.Option) error {
		if len(opts) != 0 {
			t.Error("a check pauses")
		}
		return failed
	}); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	close(checked)
	all.Wait()
	if int(most.Load()) != runtime.GOMAXPROCS(0) {
		t.Errorf("%d batches at once", most.Load())
	}
}
