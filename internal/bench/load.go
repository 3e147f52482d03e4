package bench

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// shot is one check as its caller saw it.
type shot struct {
	took       time.Duration
	candidates int
	found      bool // the true candidate, by a complete answer
	stages     map[string]time.Duration
	err        error
}

// onSchedule starts check i at i/rate seconds, whether or not the earlier ones
// have come back, and measures each from the moment it was due: a delay of one
// is a delay of those behind it too, as it would be for people in a queue.
func onSchedule(ctx context.Context, n int, rate float64, check func(context.Context, int) shot, done func(int)) []shot {
	shots := make([]shot, n)
	var finished atomic.Int64
	var checking sync.WaitGroup
	start := time.Now()
	for i := range shots {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
		}
		checking.Go(func() {
			shots[i] = check(ctx, i)
			shots[i].took = time.Since(due)
			done(int(finished.Add(1)))
		})
	}
	checking.Wait()
	return shots
}

// saturated has each worker make check after check until the time is over or n
// are made. It returns the checks and how long they took together.
func saturated(ctx context.Context, n, workers int, budget time.Duration, check func(context.Context, int) shot, done func(time.Duration)) ([]shot, time.Duration) {
	shots := make([]shot, n)
	var next atomic.Int64
	var working sync.WaitGroup
	start := time.Now()
	for range workers {
		working.Go(func() {
			for time.Since(start) < budget && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				began := time.Now()
				shots[i] = check(ctx, i)
				shots[i].took = time.Since(began)
				done(time.Since(start))
			}
		})
	}
	working.Wait()
	return shots[:min(n, int(next.Load()))], time.Since(start)
}

// quantile is the nearest-rank quantile of sorted values, 0 where there are
// none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
