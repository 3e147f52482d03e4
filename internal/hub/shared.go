package hub

import (
	"context"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// boxesEvery is how soon mail that another process of the hub has committed is
// noticed here.
const boxesEvery = 100 * time.Millisecond

// watchBoxes wakes those who wait here for mail that another process has committed.
func (s *Server) watchBoxes(ctx context.Context) {
	if !s.DB.Shared() {
		return
	}
	tick := time.NewTicker(boxesEvery)
	defer tick.Stop()
	known := make(map[string]uint64) // the last number of each box
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		last, err := s.lastNumbers(ctx)
		if err != nil {
			continue // who asks for mail is told
		}
		for member, n := range last {
			if n > known[member] && !s.boxes.given(member, n) {
				s.boxes.ring(member)
			}
		}
		known = last
	}
}

func (s *Server) lastNumbers(ctx context.Context) (map[string]uint64, error) {
	last := make(map[string]uint64)
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT recipient, last FROM box`, nil, func(scan func(dest ...any) error) error {
			var recipient string
			var n uint64
			err := scan(&recipient, &n)
			last[recipient] = n
			return err
		})
	})
	return last, err
}
