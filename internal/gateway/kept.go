package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// kept is what the database holds of an inquiry.
type kept struct {
	ticket    waypost.SignedTicket
	receipts  [][]byte // of the key holders
	elements  []byte
	tags      []byte
	seed      [32]byte
	applicant *waypostv1.CheckRequest
	caseRef   string
	operator  string
	state     int
	tooMany   bool
	own       []waypost.OwnRecord
	coverage  waypost.Coverage // zero until the search is over
	successor waypost.TicketID // that took its place, or zero
}

func (s *Server) inquiryOf(ctx context.Context, id waypost.TicketID) (kept, error) {
	k := kept{applicant: &waypostv1.CheckRequest{}}
	var signed, receipts, applicant, own, coverage, successor []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT signed, receipts, elements, tags, seed, applicant, case_reference, operator, state, too_many, own, coverage, successor
			FROM inquiry WHERE ticket = $1`, id[:]).
			Scan(&signed, &receipts, &k.elements, &k.tags, &k.seed, &applicant, &k.caseRef, &k.operator, &k.state, &k.tooMany, &own, &coverage, &successor)
	})
	if errors.Is(err, store.ErrNoRows) {
		return k, waypost.Errorf(waypost.NotFound, "no check with this ticket was made here")
	}
	if err != nil {
		return k, err
	}
	copy(k.successor[:], successor)
	var legs waypostv1.FirstLeg
	if k.ticket, err = waypost.ParseTicket(signed); err == nil {
		err = errors.Join(proto.Unmarshal(receipts, &legs), proto.Unmarshal(applicant, k.applicant))
	}
	for _, column := range []struct {
		raw  []byte
		into any
	}{{own, &k.own}, {coverage, &k.coverage}} {
		if err == nil && len(column.raw) > 0 {
			err = json.Unmarshal(column.raw, column.into)
		}
	}
	k.receipts = legs.Receipts
	return k, err
}

// changes wakes the checks that wait for answers. A ring is a hint: who wakes
// reads the database.
type changes struct {
	mu      sync.Mutex
	waiting map[waypost.TicketID]chan struct{}
}

func newChanges() *changes { return &changes{waiting: make(map[waypost.TicketID]chan struct{})} }

func (c *changes) listen(id waypost.TicketID) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, ok := c.waiting[id]
	if !ok {
		ch = make(chan struct{})
		c.waiting[id] = ch
	}
	return ch
}

// forget drops what listen made, when nobody waits any more.
func (c *changes) forget(id waypost.TicketID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *changes) ring(id waypost.TicketID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch, ok := c.waiting[id]; ok {
		close(ch)
		delete(c.waiting, id)
	}
}
