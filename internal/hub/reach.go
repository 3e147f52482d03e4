package hub

import (
	"context"
	"errors"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/shards"
	"github.com/waypost/waypost/internal/store"
)

// reach is what is known of the servers of labels: [shards.Reach], or a test's.
type reach interface {
	Whole() bool
	Find(ctx context.Context, label []byte) (pointer int64, err error)
	Watch(ctx context.Context)
}

// lookUpInReach is lookUpWhole as far as servers answer. Each label is looked up on a
// snapshot of its own, so that what is superseded meanwhile may be found neither as
// it was nor as it is. With tokens that were not looked up, the search is owed
// anyway; where there are none, the servers that it needs answer, and it is made on
// one snapshot.
func (s *Server) lookUpInReach(ctx context.Context, t waypost.Ticket, id waypost.TicketID, keys []key) (all []found, unreached int, err error) {
	hits, unreached, err := s.hitsInReach(ctx, keys)
	if err != nil {
		return nil, 0, err
	}
	if unreached == 0 {
		all, err = s.lookUpWhole(ctx, t, id, keys)
		return all, 0, err
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		all, err = s.seen(tx, t, id, hits)
		return err
	})
	return all, unreached, err
}

// hitsInReach counts, while a server of labels does not answer, for each pointer
// the tokens that hit it, as far as the others know, and the tokens that were not
// looked up in full.
func (s *Server) hitsInReach(ctx context.Context, keys []key) (hits map[int64]int, unreached int, err error) {
	hits = make(map[int64]int)
	for _, k := range keys {
		whole, err := s.walkInReach(ctx, k, func(pointer int64) { hits[pointer]++ })
		if err != nil {
			return nil, 0, err
		}
		if !whole {
			unreached++
		}
	}
	return hits, unreached, nil
}

// walkInReach is walk as far as servers answer. The first two labels of a token are
// looked up whether there is anything or not: how many tokens were not looked up
// must not tell what is in the index.
func (s *Server) walkInReach(ctx context.Context, k key, each func(pointer int64)) (whole bool, err error) {
	whole = true
	for counter := range uint8(maxCounter) {
		at := label(&s.LabelKey, k, counter)
		pointer, err := s.reach.Find(ctx, at[:])
		found := err == nil
		switch {
		case found:
			each(pointer)
		case shards.Unreachable(err):
			whole = false
		case !errors.Is(err, store.ErrNoRows):
			return false, err
		}
		if counter > 0 && !found {
			break
		}
	}
	return whole, nil
}
