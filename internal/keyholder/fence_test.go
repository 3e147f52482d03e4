package keyholder_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/rpc/rpctest"
)

// TestFence: a key holder whose database came back from a backup answers no ticket that it
// may have counted before, known to it or not, and all that were issued later.
func TestFence(t *testing.T) {
	r := newRig(t, rpctest.Ample)
	known, unknown := r.ask(), r.ask()
	r.good(known)
	before := r.entries()
	r.fence = r.Now().Add(30 * time.Second)
	r.restart()
	for name, q := range map[string]question{"known": known, "unknown": unknown} {
		r.refused(name, r.arizona, q.request(), waypost.Unavailable, "was restored from a backup")
	}
	if n := r.entries(); n != before {
		t.Errorf("%d entries about tickets of before", n-before)
	}
	r.Advance(31 * time.Second)
	r.good(r.ask())
}
