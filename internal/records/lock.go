package records

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// lock is a read-write lock that is held while others are called, among all
// processes of the gateway. In a simulation, where everybody is on one loop, who
// waits for it lets the others go on.
type lock struct {
	sync.RWMutex // of this process
	processes    *store.Lock
	pause        func(ctx context.Context, changed <-chan struct{}, d time.Duration) error // nil but in a simulation
}

// Lock locks it for who does something with all pointers.
func (l *lock) Lock(ctx context.Context) error {
	l.wait(l.TryLock, l.RWMutex.Lock)
	err := l.processes.Lock(ctx)
	if err != nil {
		l.RWMutex.Unlock()
	}
	return err
}

// Unlock ends what Lock began.
func (l *lock) Unlock() {
	l.processes.Unlock()
	l.RWMutex.Unlock()
}

// RLock locks it for who writes single pointers.
func (l *lock) RLock(ctx context.Context) error {
	l.wait(l.TryRLock, l.RWMutex.RLock)
	err := l.processes.RLock(ctx)
	if err != nil {
		l.RWMutex.RUnlock()
	}
	return err
}

// RUnlock ends what RLock began.
func (l *lock) RUnlock() {
	l.processes.RUnlock()
	l.RWMutex.RUnlock()
}

func (l *lock) wait(try func() bool, wait func()) {
	if l.pause == nil {
		wait()
		return
	}
	for !try() {
		_ = l.pause(context.Background(), nil, time.Second) // its context does not end
	}
}
