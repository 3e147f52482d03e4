package records

import (
	"context"
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// loading keeps loads in one process of the gateway at a time, so that two that load
// the same records do not wait for each other all the time.
type loading struct {
	mu      sync.Mutex
	under   int // way
	release func()
}

const loadLease = "load"

// begin returns what ends a load, or Unavailable while another process has one.
func (l *loading) begin(ctx context.Context, db *store.DB) (end func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under == 0 {
		if l.release = db.Claim(ctx, loadLease); l.release == nil {
			return nil, waypost.Errorf(waypost.Unavailable, "records are being loaded at another process of this gateway: load these there, or try again")
		}
	}
	l.under++
	return l.end, nil
}

func (l *loading) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under--; l.under == 0 {
		l.release()
	}
}
