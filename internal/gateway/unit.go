package gateway

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// unit are the questions of checks about protected persons.
type unit struct{ *Server }

// Waiting implements records.Unit.
func (u unit) Waiting(ctx context.Context) (all []records.Waiting, err error) {
	err = u.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT n.ticket, n.reference, n.asking, n.signed, n.at, p.record FROM notice n JOIN pointer p ON p.handle = n.handle
			WHERE n.state = $1 ORDER BY n.at, n.ticket, n.reference`, []any{withheld}, func(scan func(dest ...any) error) error {
			var id, reference, signed []byte
			var at int64
			w := records.Waiting{Kind: waypost.KindCheck}
			if err := scan(&id, &reference, &w.Asking, &signed, &at, &w.Record); err != nil {
				return err
			}
			ticket, err := waypost.ParseTicket(signed)
			w.ID, w.Purpose, w.Since = hex.EncodeToString(id)+"."+hex.EncodeToString(reference), ticket.Purpose, time.Unix(at, 0).UTC()
			all = append(all, w)
			return err
		})
	})
	return all, err
}

// Answer implements records.Unit: a question that is released is compared as any
// other, and one that is declined looks like no match.
func (u unit) Answer(ctx context.Context, id string, release bool) error {
	s := u.Server
	ticketHex, referenceHex, _ := strings.Cut(id, ".")
	check, err := parseTicketID(ticketHex)
	if err != nil {
		return err
	}
	var reference waypost.Reference
	if err := reference.UnmarshalText([]byte(referenceHex)); err != nil {
		return err
	}
	row, err := s.noticeOf(ctx, check, reference[:])
	if err != nil {
		return err
	}
	if row.state != withheld {
		return waypost.Errorf(waypost.NotFound, "this question does not wait any more")
	}
	ticket, err := waypost.ParseTicket(row.signed)
	if err != nil {
		return err
	}
	told := waypost.Disclosure{Outcome: waypost.NoMatch}
	var leg waypostv1.SecondLeg
	if err := proto.Unmarshal(row.question, &leg); err != nil {
		return err
	}
	if release {
		who, err := fromProto(leg.Applicant)
		if err != nil {
			return err
		}
		found, err := s.file.Find(ctx, row.handle)
		if err != nil {
			return err
		}
		found.Agreed = row.agreed
		if told, err = s.disclosure(ctx, ticket, who, found); err != nil {
			return err
		}
	}
	answer, err := s.reply(ctx, seal.Message{Sender: string(row.asking), Ticket: check}, waypost.MessageSecondAnswer, secondAnswer(reference[:], told))
	if err != nil {
		return err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		changed, err := s.tell(tx, ticket, row, &leg, told, withheld)
		if err == nil && !changed {
			err = waypost.Errorf(waypost.NotFound, "this question does not wait any more")
		}
		if err != nil {
			return err
		}
		return s.post(tx, answer)
	})
	if err == nil {
		s.dispatch(answer)
	}
	return err
}

func secondAnswer(reference []byte, told waypost.Disclosure) *waypostv1.SecondAnswer {
	return &waypostv1.SecondAnswer{Reference: reference, Outcome: string(told.Outcome), Status: string(told.Status),
		CardKind: string(told.CardKind), TerminationRequired: told.TerminationRequired}
}

// tell commits what is told to a second leg, from the state in which the question
// is: the entry, and the applicant where that is not no match.
func (s *Server) tell(tx *store.Tx, t waypost.SignedTicket, row noticeRow, leg *waypostv1.SecondLeg, told waypost.Disclosure, from int) (changed bool, err error) {
	kind, applicant := "decline", []byte{}
	if told.Outcome != waypost.NoMatch {
		kind = "disclose"
		if applicant, err = proto.Marshal(leg.Applicant); err != nil {
			return false, err
		}
	}
	changed, err = one(tx.Exec(`UPDATE notice SET state = $1, told = $2, applicant = $3, question = $4 WHERE ticket = $5 AND reference = $6 AND state = $7`,
		disclosed, told.Outcome, applicant, []byte{}, t.ID[:], leg.Reference, from))
	if err != nil || !changed {
		return false, err
	}
	return true, s.log(tx, t, kind, journal.Field{Name: "leg", Value: "2"}, journal.Field{Name: "outcome", Value: string(told.Outcome)},
		journal.Field{Name: "policy", Value: s.Policy.Version()}, s.file.Subject(row.handle, t.ID))
}
