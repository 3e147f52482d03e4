package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
	"github.com/waypost/waypost/toprf"
)

// How far a question about one of this state's records has come.
const (
	noticed = iota
	declined
	continued
	disclosed
	misused
	withheld // until the special unit answers
)

// noticeRow is what this state knows of one question, and the record that it is
// about.
type noticeRow struct {
	asking   waypost.Jurisdiction
	state    int
	agreed   uint32 // a bit for each slot
	signed   []byte // the ticket, from the first leg on
	handle   waypost.Handle
	tau      []byte // as the hub gave it
	question []byte // the second leg, where it waits for a person
}

// onNotice keeps the hub's word that a search found one of our records. Only
// with it can the question that follows be answered.
func (s *Server) onNotice(ctx context.Context, m seal.Message) error {
	var notice waypostv1.Notice
	if err := proto.Unmarshal(m.Body, &notice); err != nil {
		return malformed(m)
	}
	if sender, ok := s.Roster.Member(m.Sender); !ok || sender.Name != s.Roster.Current().Hub().Name {
		return waypost.Errorf(waypost.PermissionDenied, "%s sent a notice, which only the hub may", m.Sender)
	}
	asking, err := waypost.ParseJurisdiction(notice.StateOfInquiry)
	if err != nil || len(notice.Reference) != len(waypost.Reference{}) || len(notice.Handle) != len(waypost.Handle{}) || len(notice.Tau) != len(waypost.Ticket{}.Tau) {
		return malformed(m)
	}
	said := sha256.Sum256(m.Statement)
	body, err := journal.Body(journal.Field{Name: "soi", Value: string(asking)}, journal.Field{Name: "notice", Value: hex.EncodeToString(said[:])},
		s.file.Subject(waypost.Handle(notice.Handle), m.Ticket))
	if err != nil {
		return err
	}
	entry := journal.Entry{Kind: "notified", Ticket: m.Ticket, Tau: [32]byte(notice.Tau), At: s.Now(), Body: body}
	isNew := false
	err = s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		isNew, err = one(tx.Exec(`INSERT INTO notice (ticket, reference, handle, asking, state, agreed, signed, question, told, applicant, tau, statement, at)
			VALUES ($1, $2, $3, $4, $5, 0, $6, $6, '', $6, $7, $8, $9) ON CONFLICT (ticket, reference) DO NOTHING`,
			m.Ticket[:], notice.Reference, notice.Handle, asking, noticed, []byte{}, notice.Tau, m.Statement, s.Now().Unix()))
		if err == nil && isNew {
			_, err = s.Journal.Append(tx, entry)
		}
		return isNew, err
	})
	if err == nil && isNew {
		s.notices.put(question{m.Ticket, waypost.Reference(notice.Reference)},
			noticeRow{asking: asking, state: noticed, handle: waypost.Handle(notice.Handle), tau: notice.Tau})
	}
	return err
}

// onFirstLeg answers with one bit: which of the record's own keys agree is seen
// here, whose they are is not.
func (s *Server) onFirstLeg(ctx context.Context, m seal.Message) error {
	var leg waypostv1.FirstLeg
	if err := proto.Unmarshal(m.Body, &leg); err != nil || len(leg.Reference) != len(waypost.Reference{}) {
		return malformed(m)
	}
	if err := s.hubUsable(); err != nil {
		return err // the question waits
	}
	ticket, row, err := s.admit(ctx, m, &leg)
	var agreed uint32
	var goOn bool
	if err == nil {
		agreed, goOn, err = s.weigh(ctx, ticket, row, &leg)
	}
	if err != nil {
		return s.refuse(ctx, m, waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{Reference: leg.Reference, Refused: err.Error()}, err)
	}
	state, kind, more := declined, "decline", []journal.Field{s.file.Subject(row.handle, ticket.ID), {Name: "leg", Value: "1"}}
	if goOn {
		state, kind, more = continued, "continue", more[:1]
	}
	answer, err := s.reply(ctx, m, waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{Reference: leg.Reference, Continue: goOn})
	if err != nil {
		return err
	}
	answered := false
	err = s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		if goOn {
			if err := s.stillFirst(tx, ticket.ID, row.handle, leg.Reference); err != nil {
				return false, err
			}
		}
		answered, err = one(tx.Exec(`UPDATE notice SET state = $1, agreed = $2, signed = $3 WHERE ticket = $4 AND reference = $5 AND state = $6`,
			state, agreed, ticket.Bytes(), m.Ticket[:], leg.Reference, noticed))
		if err != nil || !answered {
			return false, err
		}
		if err := s.Journal.KeepReceipts(tx, ticket, leg.Receipts); err != nil {
			return false, err
		}
		return true, s.log(tx, ticket, kind, more...)
	}, answer)
	if err == nil && answered && goOn {
		row.state, row.agreed, row.signed = state, agreed, ticket.Bytes()
		s.notices.put(question{m.Ticket, waypost.Reference(leg.Reference)}, row)
	}
	return err
}

// admit verifies the chain of authorisation and that the hub announced exactly
// this question.
func (s *Server) admit(ctx context.Context, m seal.Message, leg *waypostv1.FirstLeg) (waypost.SignedTicket, noticeRow, error) {
	ticket, receipts, err := waypost.ParseChain(leg.Ticket, leg.Receipts)
	if err != nil {
		return ticket, noticeRow{}, err
	}
	if ticket.ID != m.Ticket || string(ticket.SOI) != m.Sender || ticket.Kind != waypost.KindCheck {
		return ticket, noticeRow{}, waypost.Errorf(waypost.PermissionDenied, "the ticket is not a check of %s", m.Sender)
	}
	if err := waypost.VerifyChain(ticket, receipts, s.Roster); err != nil {
		return ticket, noticeRow{}, err
	}
	if len(leg.Tags) != waypost.CheckElements*tagSize {
		return ticket, noticeRow{}, waypost.Errorf(waypost.InvalidArgument, "a first leg brings %d tags", waypost.CheckElements)
	}
	row, err := s.noticeIn(ctx, noticed, m.Ticket, leg.Reference)
	if err != nil {
		return ticket, row, err
	}
	if subtle.ConstantTimeCompare(row.tau, ticket.Tau[:]) != 1 {
		return ticket, row, waypost.Errorf(waypost.PermissionDenied, "the hub's notice carries another audit secret than the ticket")
	}
	if row.asking != ticket.SOI || row.state != noticed {
		return ticket, row, waypost.Errorf(waypost.PermissionDenied, "this question has been answered, or was announced for another state")
	}
	return ticket, row, nil
}

// noticeIn is noticeOf for who expects the question in a state, in which it may
// have been left a moment ago.
func (s *Server) noticeIn(ctx context.Context, state int, ticket waypost.TicketID, reference []byte) (noticeRow, error) {
	if row, ok := s.notices.take(question{ticket, waypost.Reference(reference)}); ok && row.state == state {
		return row, nil
	}
	return s.noticeOf(ctx, ticket, reference)
}

func (s *Server) noticeOf(ctx context.Context, ticket [32]byte, reference []byte) (noticeRow, error) {
	var row noticeRow
	var held int
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`SELECT asking, state, agreed, signed, handle, tau, question FROM notice WHERE ticket = $1 AND reference = $2`, ticket[:], reference).
			Scan(&row.asking, &row.state, &row.agreed, &row.signed, &row.handle, &row.tau, &row.question)
		if errors.Is(err, store.ErrNoRows) {
			return errors.Join(err, tx.Row(`SELECT count(*) FROM (SELECT 1 FROM held LIMIT 1) AS any_held`).Scan(&held))
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNoRows) && held > 0:
		return row, waypost.Errorf(waypost.Unavailable, "the hub's notice may be among the messages that are held back")
	case errors.Is(err, store.ErrNoRows):
		return row, waypost.Errorf(waypost.PermissionDenied, "the hub has announced no such question")
	}
	return row, err
}

// weigh finds the slots in which the record agrees with the question, and applies
// the first-leg rule. One record answers one ticket once: by whichever of its names
// it was found first.
func (s *Server) weigh(ctx context.Context, t waypost.SignedTicket, row noticeRow, leg *waypostv1.FirstLeg) (agreed uint32, goOn bool, err error) {
	found, err := s.file.Weigh(ctx, row.handle, t.ID, t.Epoch, leg.Tags)
	if err != nil {
		return 0, false, err
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		goOn, err = s.isFirst(tx, t.ID, found.Record.ID, leg.Reference)
		return err
	})
	return found.Agreed, goOn && found.Continue(), err
}

// isFirst reports whether no other question of the ticket about the same record
// was answered before.
func (s *Server) isFirst(tx *store.Tx, id waypost.TicketID, recordID string, reference []byte) (bool, error) {
	var others int
	err := tx.Row(`SELECT count(*) FROM notice n JOIN pointer p ON p.handle = n.handle
		WHERE n.ticket = $1 AND n.reference <> $2 AND p.record = $3 AND n.state <> $4`, id[:], reference, recordID, noticed).Scan(&others)
	return others == 0, err
}

// onSecondLeg sees the applicant in clear, if the ticket was for this applicant,
// and answers with the minimum that the disclosure table allows.
func (s *Server) onSecondLeg(ctx context.Context, m seal.Message) error {
	var leg waypostv1.SecondLeg
	if err := proto.Unmarshal(m.Body, &leg); err != nil || len(leg.Reference) != len(waypost.Reference{}) {
		return malformed(m)
	}
	if err := s.hubUsable(); err != nil {
		return err // the question waits
	}
	row, ticket, who, err := s.examine(ctx, m, &leg)
	if waypost.CodeOf(err) == waypost.Misuse {
		return s.reportMisuse(ctx, m, ticket, row, &leg, err)
	}
	var found records.Found
	if err == nil {
		found, err = s.file.Find(ctx, row.handle)
	}
	if err != nil {
		return s.refuse(ctx, m, waypost.MessageSecondAnswer, &waypostv1.SecondAnswer{Reference: leg.Reference, Refused: err.Error()}, err)
	}
	if found.Record.Protected {
		return s.withhold(ctx, m, ticket, row, leg.Reference)
	}
	found.Agreed = row.agreed
	told, err := s.disclosure(ctx, ticket, who, found)
	if err != nil {
		return err
	}
	answer, err := s.reply(ctx, m, waypost.MessageSecondAnswer, secondAnswer(leg.Reference, told))
	if err != nil {
		return err
	}
	return s.once(ctx, m, func(tx *store.Tx) (bool, error) { return s.tell(tx, ticket, row, &leg, told, continued) }, answer)
}

// stillFirst is Unavailable where another question about the same record was
// answered while this one was weighed: it is weighed again.
func (s *Server) stillFirst(tx *store.Tx, id waypost.TicketID, h waypost.Handle, reference []byte) error {
	p, err := s.file.ByHandle(tx, h)
	if err != nil {
		return err
	}
	first, err := s.isFirst(tx, id, p.Record, reference)
	if err == nil && !first {
		err = waypost.Errorf(waypost.Unavailable, "another question about this record has just been answered")
	}
	return err
}

// examine checks that this question may be asked in clear now, and that the
// ticket's name probes were made from this applicant.
func (s *Server) examine(ctx context.Context, m seal.Message, leg *waypostv1.SecondLeg) (noticeRow, waypost.SignedTicket, Applicant, error) {
	row, err := s.noticeIn(ctx, continued, m.Ticket, leg.Reference)
	if err != nil {
		return row, waypost.SignedTicket{}, Applicant{}, err
	}
	if string(row.asking) != m.Sender || row.state != continued {
		return row, waypost.SignedTicket{}, Applicant{}, waypost.Errorf(waypost.PermissionDenied, "a second leg comes after continue, once, from the state that asked")
	}
	ticket, err := waypost.ParseTicket(row.signed)
	if err != nil {
		return row, ticket, Applicant{}, err
	}
	if tagsOnly(ticket) {
		return row, ticket, Applicant{}, waypost.Errorf(waypost.PermissionDenied, "a check that no person sits at names nobody")
	}
	who, err := fromProto(leg.Applicant)
	if err != nil {
		return row, ticket, who, err
	}
	return row, ticket, who, checkProbes(ticket.Ticket, who.Person, leg)
}

// checkProbes recomputes the blinded name probes from the applicant. A ticket
// made for anybody else is misuse.
func checkProbes(t waypost.Ticket, who waypost.Person, leg *waypostv1.SecondLeg) error {
	if err := t.CoversProbes(leg.Elements); err != nil {
		return waypost.Errorf(waypost.Misuse, "the probes shown are not the ones that the ticket was signed over")
	}
	if len(leg.Order) != waypost.NameElements || len(leg.Blinds) != waypost.NameElements*toprf.ScalarSize {
		return waypost.Errorf(waypost.InvalidArgument, "a second leg opens exactly %d blinds", waypost.NameElements)
	}
	keys := matchkey.NameKeys(who)
	var seen [waypost.NameElements]bool
	for position, key := range leg.Order {
		if int(key) >= waypost.NameElements || seen[key] {
			return waypost.Errorf(waypost.InvalidArgument, "the order of the probes is not a permutation")
		}
		seen[key] = true
		blind, err := toprf.DecodeScalar(leg.Blinds[position*toprf.ScalarSize : (position+1)*toprf.ScalarSize])
		if err != nil {
			return waypost.Errorf(waypost.InvalidArgument, "a blind is not a canonical scalar")
		}
		blinded, err := toprf.Blind(keys[key], blind)
		if err != nil {
			return waypost.Errorf(waypost.InvalidArgument, "a blind cannot be used")
		}
		if string(blinded.Bytes()) != string(leg.Elements[position*toprf.ElementSize:(position+1)*toprf.ElementSize]) {
			return waypost.Errorf(waypost.Misuse, "the ticket was made for another person than the applicant named")
		}
	}
	return nil
}

// disclosure compares in clear and applies the disclosure table.
func (s *Server) disclosure(ctx context.Context, t waypost.SignedTicket, who Applicant, found records.Found) (waypost.Disclosure, error) {
	outcome, err := s.compare(ctx, t.SOI, who, found)
	record := found.Record
	return s.Policy.Apply(t.Kind, t.Purpose, t.SOI, waypost.Disclosure{
		Outcome: outcome, Status: record.Status, CardKind: record.Kind,
		TerminationRequired: policy.TerminationRequired(t.Purpose, record.Kind, record.Status, record.RealID),
	}), err
}

// withhold leaves a question about a protected person to the special unit. Who
// asks cannot tell this from a state that is slow.
func (s *Server) withhold(ctx context.Context, m seal.Message, t waypost.SignedTicket, row noticeRow, reference []byte) error {
	s.Log.Warn("a question waits for the special unit", "ticket", t.ID, "asking", m.Sender)
	return s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		changed, err := one(tx.Exec(`UPDATE notice SET state = $1, question = $2 WHERE ticket = $3 AND reference = $4 AND state = $5`,
			withheld, m.Body, m.Ticket[:], reference, continued))
		if err != nil || !changed {
			return false, err
		}
		return true, s.log(tx, t, "withheld", s.file.Subject(row.handle, t.ID))
	})
}

// reportMisuse logs a ticket that was for somebody else, refuses it and closes
// the question.
func (s *Server) reportMisuse(ctx context.Context, m seal.Message, t waypost.SignedTicket, row noticeRow, leg *waypostv1.SecondLeg, cause error) error {
	s.Log.Warn("misuse: a ticket was for another person than the one named", "asking", m.Sender, "ticket", t.ID)
	answer, err := s.reply(ctx, m, waypost.MessageSecondAnswer, &waypostv1.SecondAnswer{Reference: leg.Reference, Refused: cause.Error()})
	if err != nil {
		return err
	}
	return s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		changed, err := one(tx.Exec(`UPDATE notice SET state = $1 WHERE ticket = $2 AND reference = $3 AND state = $4`,
			misused, m.Ticket[:], leg.Reference, continued))
		if err != nil || !changed {
			return false, err
		}
		return true, s.log(tx, t, "misuse", s.file.Subject(row.handle, t.ID))
	}, answer)
}

// refuse answers in words where the question cannot be admitted. A fault of our
// own is not an answer: it is returned, and the message is tried again.
func (s *Server) refuse(ctx context.Context, m seal.Message, messageType string, refusal proto.Message, cause error) error {
	if tryAgain(cause) {
		return cause
	}
	answer, err := s.reply(ctx, m, messageType, refusal)
	if err != nil {
		return err
	}
	body, err := journal.Body(journal.Field{Name: "soi", Value: m.Sender}, journal.Field{Name: "code", Value: string(waypost.CodeOf(cause))})
	if err != nil {
		return err
	}
	return s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		entry := journal.Entry{Kind: "refuse", At: s.Now(), Body: body}
		// A question that no notice announced brings no audit secret that could be
		// believed: the entry then stands by itself.
		var tau []byte
		err := tx.Row(`SELECT tau FROM notice WHERE ticket = $1 LIMIT 1`, m.Ticket[:]).Scan(&tau)
		if err == nil {
			entry.Ticket, entry.Tau = m.Ticket, [32]byte(tau)
		} else if !errors.Is(err, store.ErrNoRows) {
			return false, err
		}
		_, err = s.Journal.Append(tx, entry)
		return true, err
	}, answer)
}
