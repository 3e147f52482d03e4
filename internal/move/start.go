package move

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// Start is what a clerk asks for.
type Start struct {
	Check          waypost.TicketID
	Reference      waypost.Reference
	Record         string // this state's own id, new or of a record of the same person
	CardNumber     string
	CardKind       waypost.CardKind // Licence where it is empty
	RealID         bool
	Told, Language string // what the resident was told before choosing this state
	Operator       string
}

// Start makes this state the state of record of one that a check of its own has
// found. The move goes on by itself. InvalidArgument, NotFound or PermissionDenied
// say what is wrong; AlreadyExists where the same record is on its way already.
func (m *Moves) Start(ctx context.Context, s Start) (id [16]byte, err error) {
	if err := s.check(); err != nil {
		return id, err
	}
	have, err := m.File.Record(ctx, s.Record)
	if err != nil && waypost.CodeOf(err) != waypost.NotFound {
		return id, err
	}
	exists := err == nil
	id = newID()
	return id, m.DB.Write(ctx, func(tx *store.Tx) error {
		found, err := m.File.Asked(tx, s.Check, s.Reference)
		if err != nil {
			return err
		}
		if found.Outcome != waypost.Match || !waypost.KindChangeSOR.Allows(found.Purpose) {
			return waypost.Errorf(waypost.PermissionDenied, "only a record that a check for an issue purpose found to be this person's can be moved here")
		}
		if exists && have.Born.String() != found.Applicant.GetBorn() {
			return waypost.Errorf(waypost.InvalidArgument, "the record %s is another person's: name a new one, or this person's", s.Record)
		}
		before, err := arrivals(tx, `WHERE (ticket = $1 AND reference = $2 OR record = $3) AND state NOT IN ($4, $5, $6)`,
			s.Check[:], s.Reference[:], s.Record, int(done), int(cancelled), int(ended))
		if err != nil {
			return err
		}
		if len(before) > 0 {
			return waypost.Errorf(waypost.AlreadyExists, "this record is on its way here already")
		}
		person, err := proto.Marshal(&waypostv1.CheckRequest{Applicant: found.Applicant, Ssn5: found.SSN5})
		if err != nil {
			return err
		}
		return m.ask(tx, arrival{
			id: id, check: s.Check, reference: s.Reference, owner: found.Owner, record: s.Record, person: person,
			cardNumber: s.CardNumber, cardKind: s.CardKind, realID: s.RealID, operator: s.Operator, purpose: found.Purpose,
			caseReference: found.Case, told: s.Told, language: s.Language, begun: m.Now().Unix(),
		})
	})
}

func (s *Start) check() error {
	if s.CardKind == "" {
		s.CardKind = waypost.Licence
	}
	switch {
	case s.Record == "" || len(s.Record) > 64 || clean(s.Record) != s.Record:
		return waypost.Errorf(waypost.InvalidArgument, "the record is named by this state's own id, of at most 64 characters")
	case len(s.CardNumber) > 40 || clean(s.CardNumber) != s.CardNumber:
		return waypost.Errorf(waypost.InvalidArgument, "a card number has at most 40 characters")
	}
	return checkConsent(s.Told, s.Language)
}

// Cancel gives a move up. It cannot be given up once the hub may have passed the
// pointers.
func (m *Moves) Cancel(ctx context.Context, id [16]byte) error {
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		a, err := arrivalIn(tx, id)
		switch {
		case err != nil:
			return err
		case a.state.over():
			return waypost.Errorf(waypost.InvalidArgument, "this move is over: %s", a.state)
		case a.state >= passing && !planted.Bug("cancel-after-swap"):
			return waypost.Errorf(waypost.InvalidArgument, "the hub was asked to pass the pointers: that cannot be taken back, and is found out by itself")
		case a.state == asked:
			if err := m.Errands.Cancel(tx, a.change); err != nil {
				return err
			}
		}
		return m.finish(tx, a, cancelled, "")
	})
}
