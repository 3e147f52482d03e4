package bench

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const tick = 100 * time.Millisecond

// TestOnSchedule: a slow check delays no other, and each is measured from the
// moment it was due.
func TestOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var began []time.Duration
		finished := 0
		shots := onSchedule(t.Context(), 5, 10, func(_ context.Context, i int) shot {
			mu.Lock()
			began = append(began, time.Since(start))
			mu.Unlock()
			if i == 1 {
				time.Sleep(10 * tick)
			} else {
				time.Sleep(tick / 2)
			}
			return shot{candidates: i}
		}, func(done int) {
			mu.Lock()
			finished = max(finished, done)
			mu.Unlock()
		})
		if want := []time.Duration{0, tick, 2 * tick, 3 * tick, 4 * tick}; !slices.Equal(began, want) {
			t.Errorf("began at %v, want %v", began, want)
		}
		for i, s := range shots {
			want := tick / 2
			if i == 1 {
				want = 10 * tick
			}
			if s.took != want || s.candidates != i {
				t.Errorf("check %d: %+v, want %v", i, s, want)
			}
		}
		if finished != 5 || time.Since(start) != 11*tick {
			t.Errorf("%d done after %v", finished, time.Since(start))
		}
	})
}

func TestSaturated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		underWay, most := 0, 0
		var mu sync.Mutex
		check := func(context.Context, int) shot {
			mu.Lock()
			underWay++
			most = max(most, underWay)
			mu.Unlock()
			time.Sleep(tick)
			mu.Lock()
			underWay--
			mu.Unlock()
			return shot{}
		}
		shots, took := saturated(t.Context(), 1000, 3, 10*tick, check, func(time.Duration) {})
		if len(shots) != 30 || took != 10*tick || most != 3 {
			t.Errorf("%d checks in %v, %d at once; want 30 in %v, 3 at once", len(shots), took, most, 10*tick)
		}
		for _, s := range shots {
			if s.took != tick {
				t.Errorf("took %v", s.took)
			}
		}
		if shots, took = saturated(t.Context(), 7, 3, 10*tick, check, func(time.Duration) {}); len(shots) != 7 || took != 3*tick {
			t.Errorf("of 7 applicants %d were checked in %v", len(shots), took)
		}
	})
}

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2, 3, 4}, 0.5, 2},
		{[]time.Duration{1, 2, 3, 4}, 0.51, 3},
		{[]time.Duration{1, 2, 3, 4}, 0.99, 4},
		{[]time.Duration{1, 2, 3, 4}, 1, 4},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.values, c.q, got, c.want)
		}
	}
}

func TestHardware(t *testing.T) {
	h, err := hardware(t.TempDir())
	if err != nil || h.Cores < 1 || h.Go == "" || h.System == "" || h.Fsync < 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := hardware("/nowhere/at/all"); err == nil {
		t.Error("a disk that is not there was measured")
	}
}

// TestProcessorTime: work shows, and a process that is not there does not.
func TestProcessorTime(t *testing.T) {
	first, ok := ProcessorTime(os.Getpid())
	if _, err := os.Stat("/proc/self/stat"); (err == nil) != ok {
		t.Fatalf("processor time known: %v; /proc: %v", ok, err)
	}
	if !ok {
		t.Skip("this system has no /proc: the report goes without processor time")
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		if now, _ := ProcessorTime(os.Getpid()); now > first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("30 s of work, and no processor time")
		}
	}
	if _, ok := ProcessorTime(-1); ok {
		t.Error("process -1 has processor time")
	}
}
