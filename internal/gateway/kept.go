package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
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
	asked     []ask
}

func (s *Server) inquiryOf(ctx context.Context, id waypost.TicketID) (kept, error) {
	k := kept{applicant: &waypostv1.CheckRequest{}}
	var signed, receipts, applicant, own, coverage, successor []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`SELECT signed, receipts, elements, tags, seed, applicant, case_reference, operator, state, too_many, own, coverage, successor
			FROM inquiry WHERE ticket = $1`, id[:]).
			Scan(&signed, &receipts, &k.elements, &k.tags, &k.seed, &applicant, &k.caseRef, &k.operator, &k.state, &k.tooMany, &own, &coverage, &successor)
		if err == nil {
			k.asked, err = askedIn(tx, id)
		}
		return err
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

// ask finds the candidate that a message answers; the sender must be its owner.
func (k kept) ask(sender string, reference []byte) (ask, error) {
	for _, a := range k.asked {
		if string(a.reference[:]) == string(reference) && string(a.State) == sender {
			return a, nil
		}
	}
	return ask{}, waypost.Errorf(waypost.PermissionDenied, "%s answered a question that it was not asked", sender)
}

// watch is what the checks that somebody waits for know of themselves and of their
// candidates, so that neither waiting nor an answer that comes meanwhile costs a
// look into the database. It may miss a change that was committed: then the wait is
// longer, and what is committed and told, for which the database decides, is the
// same.
type watch struct {
	mu     sync.Mutex
	checks map[waypost.TicketID]*watched
}

type watched struct {
	kept    kept // without what is known only later
	asked   []ask
	changed chan struct{} // closed at the next change
}

func newWatch() *watch { return &watch{checks: make(map[waypost.TicketID]*watched)} }

// begin and end enclose the time in which somebody waits.
func (w *watch) begin(q *inquiry) {
	known := kept{
		ticket: q.ticket, elements: toprf.EncodeElements(q.blinding.Elements()), seed: q.seed,
		applicant: &waypostv1.CheckRequest{Applicant: toProto(q.who), Ssn5: q.who.SSN5}, state: inquiryOpen,
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checks[q.ticket.ID] = &watched{kept: known, changed: make(chan struct{})}
}

func (w *watch) end(id waypost.TicketID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.checks, id)
}

// question returns a check that somebody waits for and the candidate that a
// member answers for, where that one is in the state given as far as known here.
func (w *watch) question(id waypost.TicketID, sender string, reference []byte, state int) (kept, ask, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.checks[id]
	if c == nil {
		return kept{}, ask{}, false
	}
	known := c.kept
	known.asked = c.asked
	a, err := known.ask(sender, reference)
	return known, a, err == nil && a.state == state
}

// note tells how far a candidate has come. News that is older than what is
// known is passed over.
func (w *watch) note(id waypost.TicketID, news ...ask) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.checks[id]
	if c == nil {
		return
	}
	c.asked = slices.Clone(c.asked) // waiters hold the old list
	for _, a := range news {
		switch i := slices.IndexFunc(c.asked, func(b ask) bool { return a.reference == b.reference }); {
		case i < 0:
			c.asked = append(c.asked, a)
		case c.asked[i].state <= a.state:
			c.asked[i] = a
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// look returns the candidates, and what is closed when they change.
func (w *watch) look(id waypost.TicketID) ([]ask, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.checks[id]
	return c.asked, c.changed
}
