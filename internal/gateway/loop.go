package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/move"
)

// A Loop is what a simulation runs a gateway on. Nothing is then done side by
// side: what would be goroutines is done in turn, and who waits lets the loop go
// on meanwhile. Step, Deliver and Collect stand in the place of Run.
type Loop interface {
	// Wait returns when changed is closed or when d is over by the clock of
	// Deps.Now, or with the error of a context that has ended.
	Wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error
}

// Run delivers what is in the outbox, announces the encryption key, works through
// the mailbox and keeps house until the context ends; of several processes each does
// the first and one the rest.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() { s.deliver(ctx) })
	tasks.Go(func() { s.watchOthers(ctx) })
	tasks.Go(func() { s.DB.Lead(ctx, houseLease, s.lead) })
	tasks.Wait()
	return nil
}

// Step does once whatever is due of what Run does from time to time.
func (s *Server) Step(ctx context.Context) error {
	return errors.Join(s.careForKeys(ctx), s.sweepStuck(ctx), s.tidy(ctx), s.makeGood(ctx), s.tendCanary(ctx), s.file.Step(ctx), s.stepRooms(ctx))
}

// Deliver sends what was dispatched since the last call. What fails is for Step.
func (s *Server) Deliver(ctx context.Context) {
	for batch := s.batch(); len(batch) > 0; batch = s.batch() {
		s.send(ctx, batch)
	}
}

// Dispatched is how many letters wait for Deliver.
func (s *Server) Dispatched() int { return len(s.outgoing) }

// Collect takes one batch from the mailbox, if there is one, and handles it.
func (s *Server) Collect(ctx context.Context) error { return s.receive(ctx, 0) }

// Desk is the state's driver histories, for who steps the gateway, as are the next.
func (s *Server) Desk() *driver.Desk { return s.rooms.desk }

// Moves is what happens between two states about one record.
func (s *Server) Moves() *move.Moves { return s.rooms.moves }

// Cases are the possible duplicates.
func (s *Server) Cases() *duplicate.Cases { return s.rooms.cases }

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// wait waits for changed to be closed, at most d. Its only error is that of a
// context that has ended.
func (s *Server) wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	if s.Loop != nil {
		return s.Loop.Wait(ctx, changed, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// sideBySide calls do for 0 to n-1, at most limit at once.
func (s *Server) sideBySide(n, limit int, do func(i int)) {
	var doing sync.WaitGroup
	free := make(chan struct{}, limit)
	for i := range n {
		if s.Loop != nil {
			do(i)
			continue
		}
		free <- struct{}{}
		doing.Go(func() {
			defer func() { <-free }()
			do(i)
		})
	}
	doing.Wait()
}
