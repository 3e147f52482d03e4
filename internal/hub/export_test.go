package hub

import (
	"context"
	"net"

	"github.com/waypost/waypost"
)

// Clean runs the housekeeping of a hub with these dependencies once.
func Clean(ctx context.Context, d Deps) error {
	s, err := New(Config{Name: "hub"}, d)
	if err != nil {
		return err
	}
	return s.Clean(ctx)
}

// RunWithBoxes serves with boxes that hold so many bytes.
func RunWithBoxes(d Deps, limit int64) func(ctx context.Context, l net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		s, err := New(Config{Name: "hub"}, d)
		if err != nil {
			return err
		}
		s.boxLimit = limit
		return s.Run(ctx, l)
	}
}

// Label is where the counter-th pointer of a token stands.
func Label(h [32]byte, t waypost.Token, counter uint8) []byte {
	l := label(&h, t, counter)
	return l[:]
}

const MaxCounter = maxCounter
