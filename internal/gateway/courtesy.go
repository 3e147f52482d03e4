package gateway

import (
	"context"
	"sync"
	"time"
)

// courtesy is why the counter keeps its pace while a load runs for a weekend: a
// batch is not begun while a check is in flight. It waits for a bounded time only,
// so that a load gets on where there is always somebody at some counter; but then
// few batches are under way.
type courtesy struct {
	few    chan struct{} // a place for each batch beside checks
	mu     sync.Mutex
	last   time.Time     // when a check was last in flight
	checks int           // in flight
	idle   chan struct{} // closed when there are none; nil while there are none
}

// courtesyWait is longer than most checks take.
const courtesyWait = 250 * time.Millisecond

const (
	// besideChecks is how many batches are under way where checks come.
	besideChecks = 2
	// quiet is for how long none must have come that there may be more.
	quiet = 2 * time.Second
)

func newCourtesy() *courtesy { return &courtesy{few: make(chan struct{}, besideChecks)} }

// begin notes a check; the caller calls the returned function when it is over.
func (c *courtesy) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checks++; c.checks == 1 {
		c.idle = make(chan struct{})
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = time.Now()
		if c.checks--; c.checks == 0 {
			close(c.idle)
			c.idle = nil
		}
	}
}

// batch lets a batch begin; the caller calls the returned function when it is over.
func (c *courtesy) batch(ctx context.Context) (end func()) {
	c.wait(ctx)
	c.mu.Lock()
	beside := c.checks > 0 || time.Since(c.last) < quiet
	c.mu.Unlock()
	if !beside {
		return func() {}
	}
	select {
	case c.few <- struct{}{}:
		return func() { <-c.few }
	case <-ctx.Done():
		return func() {}
	}
}

// wait returns when no check is in flight, the wait is over or the context ends.
func (c *courtesy) wait(ctx context.Context) {
	c.mu.Lock()
	idle := c.idle
	c.mu.Unlock()
	if idle == nil {
		return
	}
	over := time.NewTimer(courtesyWait)
	defer over.Stop()
	select {
	case <-idle:
	case <-over.C:
	case <-ctx.Done():
	}
}
