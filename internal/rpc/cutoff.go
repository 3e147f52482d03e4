package rpc

import (
	"context"
	"sync"

	"github.com/waypost/waypost/internal/roster"
)

// openCalls are the calls that are being answered. A long poll may wait for
// half a minute: a member that is removed meanwhile is cut off at once.
type openCalls struct {
	mu   sync.Mutex
	open map[*openCall]struct{}
}

type openCall struct {
	member roster.Member
	cancel context.CancelCauseFunc
}

// watchMembers ends the calls of members whom a new roster no longer admits,
// with the reason as the cause.
func watchMembers(view *roster.View) *openCalls {
	c := &openCalls{open: make(map[*openCall]struct{})}
	view.OnChange(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for call := range c.open {
			if err := view.Allowed(call.member); err != nil {
				call.cancel(err)
			}
		}
	})
	return c
}

// begin counts a call until done is called. One that came in with the roster
// before, while the new one was installed, is judged again here.
func (c *openCalls) begin(ctx context.Context, member roster.Member, view *roster.View) (inner context.Context, done func()) {
	inner, cancel := context.WithCancelCause(ctx)
	call := &openCall{member, cancel}
	c.mu.Lock()
	c.open[call] = struct{}{}
	c.mu.Unlock()
	if err := view.Allowed(member); err != nil {
		cancel(err)
	}
	return inner, func() {
		c.mu.Lock()
		delete(c.open, call)
		c.mu.Unlock()
		cancel(nil)
	}
}
