package gateway

import (
	"context"
	"sync"
	"time"
)

// courtesy is why the counter keeps its pace while a load runs for a weekend: a
// batch is not begun while a check is in flight. It waits for a bounded time only,
// so that a load gets on where there is always somebody at some counter.
type courtesy struct {
	mu     sync.Mutex
	checks int           // in flight
	idle   chan struct{} // closed when there are none; nil while there are none
}

// courtesyWait is longer than most checks take.
const courtesyWait = 250 * time.Millisecond

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
		if c.checks--; c.checks == 0 {
			close(c.idle)
			c.idle = nil
		}
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
