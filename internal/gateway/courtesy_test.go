package gateway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestCourtesy: a batch waits for the checks in flight, all of them, and no
// longer than is agreed; without checks it does not wait.
func TestCourtesy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waited := func(ctx context.Context, c *courtesy) time.Duration {
			start := time.Now()
			c.wait(ctx)
			return time.Since(start)
		}
		c := new(courtesy)
		if d := waited(t.Context(), c); d != 0 {
			t.Errorf("nobody is at the counter, and a batch waits for %v", d)
		}
		first, second := c.begin(), c.begin()
		time.AfterFunc(10*time.Millisecond, first)
		time.AfterFunc(40*time.Millisecond, second)
		if d := waited(t.Context(), c); d != 40*time.Millisecond {
			t.Errorf("the last check is over after 40 ms, and a batch waits for %v", d)
		}
		third := c.begin()
		if d := waited(t.Context(), c); d != courtesyWait {
			t.Errorf("a check does not end, and a batch waits for %v", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d := waited(ctx, c); d != 0 {
			t.Errorf("nobody waits for the batch any more, and it waits for %v", d)
		}
		third()
		if d := waited(t.Context(), c); d != 0 {
			t.Errorf("the counter is idle again, and a batch waits for %v", d)
		}
	})
}

// TestBatches: beside checks few batches are under way, and without them as many as
// come.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourtesy()
		for range 3 * besideChecks {
			defer c.batch(t.Context())() // nobody is at the counter, and none waits
		}
		check := c.begin()
		start, under := time.Now(), 0
		var ends []func()
		for range besideChecks {
			ends = append(ends, c.batch(t.Context()))
		}
		if d := time.Since(start); d != besideChecks*courtesyWait {
			t.Errorf("they begin after %v", d)
		}
		go func() {
			end := c.batch(t.Context())
			under++
			end()
		}()
		time.Sleep(10 * courtesyWait)
		if under != 0 {
			t.Error("more than a few are under way")
		}
		ends[0]()
		synctest.Wait()
		if under != 1 {
			t.Error("where one is over no other begins")
		}
		check()
		time.Sleep(quiet)
		for range besideChecks {
			defer c.batch(t.Context())()
		}
		ends[1]()
	})
}
