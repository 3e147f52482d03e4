package gateway

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
)

// How far the question to one candidate has come.
const (
	askUnsent    = iota // the owner's key is not known yet
	askSent             // first leg on its way
	askContinues        // the owner said continue; second leg on its way
	askAnswered
)

// ask is one candidate of an inquiry.
type ask struct {
	reference waypost.Reference
	state     int
	statement []byte // the final answer as its owner signed it; empty before
	waypost.CandidateAnswer
}

// askAll commits the candidates, with a sealed first leg to each. One that
// cannot be sealed yet waits, and does not keep the others waiting.
func (s *Server) askAll(ctx context.Context, q *inquiry, candidates waypost.Candidates) error {
	if len(candidates.List) == 0 {
		return nil
	}
	receipts, tags := receiptBytes(q.receipts), tagsOf(q.tokens, q.ticket.ID)
	asked := make([]ask, len(candidates.List))
	var letters []letter
	for i, c := range candidates.List {
		asked[i] = ask{reference: c.Reference, state: askSent,
			CandidateAnswer: waypost.CandidateAnswer{State: c.Owner, Disclosure: waypost.Disclosure{Outcome: waypost.Pending}}}
		l, err := s.firstLeg(ctx, q.ticket, receipts, tags, c)
		if err != nil {
			s.Log.Warn("a first leg waits: the owner's encryption key cannot be had", "state", c.Owner, "cause", err)
			asked[i].state = askUnsent
			continue
		}
		letters = append(letters, l)
	}
	stored, err := proto.Marshal(&waypostv1.FirstLeg{Receipts: receipts})
	if err != nil {
		return err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, l := range letters {
			if err := s.post(tx, l); err != nil {
				return err
			}
		}
		for _, a := range asked {
			if _, err := tx.Exec(`INSERT INTO ask (ticket, reference, owner, state, outcome, status, card_kind, termination_required, refused, statement)
				VALUES ($1, $2, $3, $4, $5, '', '', 0, '', $6) ON CONFLICT (ticket, reference) DO NOTHING`,
				q.ticket.ID[:], a.reference[:], a.State, a.state, a.Outcome, []byte{}); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE inquiry SET receipts = $1, tags = $2, too_many = CASE WHEN $3 = 1 THEN 1 ELSE too_many END WHERE ticket = $4`,
			stored, tags, candidates.TooMany, q.ticket.ID[:])
		return err
	})
	if err != nil {
		return err
	}
	s.watch.note(q.ticket.ID, asked...)
	s.dispatch(letters...)
	return nil
}

// firstLeg asks without a name.
func (s *Server) firstLeg(ctx context.Context, t waypost.SignedTicket, receipts [][]byte, tags []byte, c waypost.Candidate) (letter, error) {
	body, err := proto.Marshal(&waypostv1.FirstLeg{Ticket: t.Bytes(), Receipts: receipts, Reference: c.Reference[:], Tags: tags})
	if err != nil {
		return letter{}, err
	}
	return s.seal(ctx, string(c.Owner), waypost.MessageFirstLeg, t.ID, body)
}

// onFirstAnswer takes the one bit. On continue the applicant is named, in the
// same transaction that notes it.
func (s *Server) onFirstAnswer(ctx context.Context, m seal.Message) error {
	var answer waypostv1.FirstAnswer
	if err := proto.Unmarshal(m.Body, &answer); err != nil {
		return malformed(m)
	}
	kept, before, err := s.questionOf(ctx, m, answer.Reference, askSent)
	if err != nil || before.state > askSent {
		return err
	}
	switch {
	case answer.Refused != "":
		before.Outcome, before.Refused = waypost.Pending, readable(answer.Refused) // not an answer about the person
		return s.settle(ctx, m, before)
	case !answer.Continue && !planted.Bug("second-leg-without-continue"):
		before.Outcome = waypost.NoMatch
		return s.settle(ctx, m, before)
	}
	if tagsOnly(kept.ticket) {
		before.Outcome = waypost.Pending // nobody is named: there is no more to be heard
		return s.settle(ctx, m, before)
	}
	if kept.state == inquiryOwed || kept.state == inquiryRefused {
		return nil // nobody is named for a check that is not being made
	}
	body, err := secondLeg(kept, answer.Reference)
	if err != nil {
		return err
	}
	second, err := s.seal(ctx, m.Sender, waypost.MessageSecondLeg, m.Ticket, body)
	if err != nil {
		return err
	}
	err = s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		return one(tx.Exec(`UPDATE ask SET state = $1 WHERE ticket = $2 AND reference = $3 AND state < $1`,
			askContinues, m.Ticket[:], answer.Reference))
	}, second)
	if err == nil {
		before.state = askContinues
		s.watch.note(m.Ticket, before)
	}
	return err
}

// secondLeg names the applicant, without the SSN, and opens the blinds of the
// name probes so that the owner can see the ticket was for this person.
func secondLeg(kept kept, reference []byte) ([]byte, error) {
	order, blinds := nameBlinds(kept.seed)
	return proto.Marshal(&waypostv1.SecondLeg{
		Reference: reference, Applicant: kept.applicant.Applicant, Elements: kept.elements, Order: order, Blinds: blinds,
	})
}

// nameBlinds are the order and the blinds of the name probes: all of a ticket's
// seed that is ever shown to anybody. They say nothing about part two.
func nameBlinds(seed [32]byte) (order, blinds []byte) {
	for position, key := range probeOrder(seed)[:waypost.NameElements] {
		blind := toprf.BlindFromSeed(seed, position)
		order = append(order, byte(key))
		blinds = append(blinds, blind.Bytes()...)
	}
	return order, blinds
}

// onSecondAnswer takes the disclosure.
func (s *Server) onSecondAnswer(ctx context.Context, m seal.Message) error {
	var answer waypostv1.SecondAnswer
	if err := proto.Unmarshal(m.Body, &answer); err != nil {
		return malformed(m)
	}
	_, before, err := s.questionOf(ctx, m, answer.Reference, askContinues)
	if err != nil || before.state != askContinues {
		return err
	}
	if answer.Refused != "" {
		before.Outcome, before.Refused = waypost.Pending, readable(answer.Refused)
		return s.settle(ctx, m, before)
	}
	before.Disclosure = waypost.Disclosure{
		Outcome: waypost.Outcome(answer.Outcome), Status: waypost.Status(answer.Status),
		CardKind: waypost.CardKind(answer.CardKind), TerminationRequired: answer.TerminationRequired,
	}
	if !inVocabulary(before.Disclosure) {
		return malformed(m)
	}
	return s.settle(ctx, m, before)
}

// inVocabulary reports whether a disclosure says only what one may say: an
// outcome, and about a match or possible match a word for each field.
func inVocabulary(d waypost.Disclosure) bool {
	switch d.Outcome {
	case waypost.NoMatch:
		return d == waypost.Disclosure{Outcome: waypost.NoMatch}
	case waypost.Match, waypost.Possible:
		return (d.Status == "" || slices.Contains(records.Statuses, d.Status)) && (d.CardKind == "" || slices.Contains(records.CardKinds, d.CardKind))
	}
	return false
}

// settle commits a candidate's final answer; the last one completes the check.
func (s *Server) settle(ctx context.Context, m seal.Message, a ask) error {
	err := s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		changed, err := one(tx.Exec(`UPDATE ask SET state = $1, outcome = $2, status = $3, card_kind = $4, termination_required = $5, refused = $6, statement = $7
			WHERE ticket = $8 AND reference = $9 AND state < $1`,
			askAnswered, a.Outcome, a.Status, a.CardKind, a.TerminationRequired, a.Refused, m.Statement, m.Ticket[:], a.reference[:]))
		if err != nil || !changed {
			return false, err
		}
		return true, s.complete(tx, m.Ticket)
	})
	if err == nil {
		a.state = askAnswered
		s.watch.note(m.Ticket, a)
	}
	return err
}

// questionOf finds the check and the candidate that a message answers, who is
// expected to be in that state.
func (s *Server) questionOf(ctx context.Context, m seal.Message, reference []byte, state int) (kept, ask, error) {
	if kept, a, ok := s.watch.question(m.Ticket, m.Sender, reference, state); ok {
		return kept, a, nil
	}
	kept, err := s.inquiryOf(ctx, m.Ticket)
	if err != nil {
		return kept, ask{}, err
	}
	a, err := kept.ask(m.Sender, reference)
	return kept, a, err
}

const askedOf = `SELECT reference, owner, state, outcome, status, card_kind, termination_required, refused, statement FROM ask WHERE ticket = $1`

func askedIn(tx *store.Tx, id waypost.TicketID) ([]ask, error) {
	var all []ask
	err := tx.Query(askedOf, []any{id[:]}, func(scan func(dest ...any) error) error {
		a, err := scanAsk(scan)
		all = append(all, a)
		return err
	})
	return all, err
}

func scanAsk(scan func(dest ...any) error) (a ask, err error) {
	err = scan(&a.reference, &a.State, &a.state, &a.Outcome, &a.Status, &a.CardKind, &a.TerminationRequired, &a.Refused, &a.statement)
	return a, err
}

func answersOf(asked []ask) []waypost.CandidateAnswer {
	answers := make([]waypost.CandidateAnswer, len(asked))
	for i, a := range asked {
		answers[i] = a.CandidateAnswer
		answers[i].Reference = a.reference
	}
	return answers
}

// await returns the candidates as soon as they satisfy enough, or as they are
// when the time is over.
func (s *Server) await(ctx context.Context, q *inquiry, wait time.Duration, enough func([]ask) bool) ([]ask, error) {
	deadline := s.Now().Add(wait)
	for {
		asked, changed := s.watch.look(q.ticket.ID)
		left := deadline.Sub(s.Now())
		if enough(asked) || left <= 0 {
			return asked, nil
		}
		if err := s.wait(ctx, changed, left); err != nil {
			return nil, err
		}
	}
}
