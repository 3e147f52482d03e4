package move_test

import (
	"context"
	"time"

	"github.com/waypost/waypost"
)

// system is a state's own licensing system: durable by itself.
type system struct {
	people map[string]waypost.Record
	cards  map[string]string
	ended  int // how often a card was set to surrendered
	broken bool
}

var errBroken = waypost.Errorf(waypost.Unavailable, "the licensing system is down")

func (s *system) Record(_ context.Context, id string) (waypost.Record, error) {
	r, ok := s.people[id]
	if !ok {
		return r, waypost.Errorf(waypost.NotFound, "no such record")
	}
	return r, nil
}

func (s *system) ByCard(_ context.Context, number string) (string, error) {
	if id, ok := s.cards[number]; ok {
		return id, nil
	}
	return "", waypost.Errorf(waypost.NotFound, "no such card")
}

func (s *system) Put(_ context.Context, all []waypost.Record) error {
	if s.broken {
		return errBroken
	}
	for _, r := range all {
		s.people[r.ID], s.cards[r.CardNumber] = r, r.ID
	}
	return nil
}

func (s *system) SetStatus(_ context.Context, id string, status waypost.Status, since time.Time) error {
	if s.broken {
		return errBroken
	}
	r := s.people[id]
	if status == waypost.Surrendered && r.Status != status {
		s.ended++
	}
	r.Status, r.Since = status, since
	s.people[id] = r
	return nil
}

func (s *system) Portrait(context.Context, string) ([]byte, error) {
	return nil, waypost.Errorf(waypost.NotFound, "no portrait")
}
