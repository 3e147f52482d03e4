package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
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
	waypost.CandidateAnswer
}

// askAll commits the candidates, with a sealed first leg to each.
func (s *Server) askAll(ctx context.Context, q *inquiry, candidates waypost.Candidates) error {
	if len(candidates.List) == 0 && !candidates.TooMany {
		return nil
	}
	tags := tagsOf(q.tokens, q.ticket.ID)
	states := make([]int, len(candidates.List))
	var letters []letter
	for i, c := range candidates.List {
		l, err := s.firstLeg(ctx, q.ticket, q.receipts, tags, c)
		if err != nil {
			s.Log.Warn("a first leg waits: the owner's encryption key cannot be had", "state", c.Owner, "cause", err)
			states[i] = askUnsent
			continue
		}
		states[i], letters = askSent, append(letters, l)
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, l := range letters {
			if err := s.post(tx, l); err != nil {
				return err
			}
		}
		for i, c := range candidates.List {
			if _, err := tx.Exec(`INSERT INTO ask (ticket, reference, owner, state, outcome, status, card_kind, termination_required, refused)
				VALUES ($1, $2, $3, $4, $5, '', '', 0, '') ON CONFLICT (ticket, reference) DO NOTHING`,
				q.ticket.ID[:], c.Reference[:], c.Owner, states[i], waypost.Pending); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE inquiry SET state = $1, too_many = CASE WHEN $2 THEN 1 ELSE too_many END WHERE ticket = $3`,
			inquiryAsked, candidates.TooMany, q.ticket.ID[:])
		return err
	})
	if err == nil {
		s.dispatch(letters...)
	}
	return err
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
	before, err := s.askOf(ctx, m, answer.Reference)
	if err != nil || before.state != askSent {
		return err
	}
	if answer.Refused != "" || !answer.Continue {
		before.Outcome, before.Refused = waypost.NoMatch, readable(answer.Refused)
		if answer.Refused != "" {
			before.Outcome = waypost.Pending // a refusal is not an answer about the person
		}
		return s.settle(ctx, m, before)
	}
	second, err := s.secondLeg(ctx, m.Ticket, m.Sender, answer.Reference)
	if err != nil {
		return err
	}
	err = s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		return one(tx.Exec(`UPDATE ask SET state = $1 WHERE ticket = $2 AND reference = $3 AND state = $4`,
			askContinues, m.Ticket[:], answer.Reference, askSent))
	}, second)
	s.changes.ring(m.Ticket)
	return err
}

// secondLeg names the applicant, without the SSN, and opens the blinds of the
// name probes so that the owner can see the ticket was for this person.
func (s *Server) secondLeg(ctx context.Context, id waypost.TicketID, owner string, reference []byte) (letter, error) {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return letter{}, err
	}
	order := probeOrder(kept.seed)[:waypost.NameElements]
	leg := &waypostv1.SecondLeg{Reference: reference, Applicant: kept.applicant.Applicant, Elements: kept.elements}
	for position, key := range order {
		blind := toprf.BlindFromSeed(kept.seed, position)
		leg.Order = append(leg.Order, byte(key))
		leg.Blinds = append(leg.Blinds, blind.Bytes()...)
	}
	body, err := proto.Marshal(leg)
	if err != nil {
		return letter{}, err
	}
	return s.seal(ctx, owner, waypost.MessageSecondLeg, id, body)
}

// onSecondAnswer takes the disclosure.
func (s *Server) onSecondAnswer(ctx context.Context, m seal.Message) error {
	var answer waypostv1.SecondAnswer
	if err := proto.Unmarshal(m.Body, &answer); err != nil {
		return malformed(m)
	}
	before, err := s.askOf(ctx, m, answer.Reference)
	if err != nil || before.state != askContinues {
		return err
	}
	before.Disclosure = waypost.Disclosure{
		Outcome: waypost.Outcome(answer.Outcome), Status: waypost.Status(answer.Status),
		CardKind: waypost.CardKind(answer.CardKind), TerminationRequired: answer.TerminationRequired,
	}
	if before.Refused = readable(answer.Refused); before.Refused != "" {
		before.Disclosure = waypost.Disclosure{Outcome: waypost.Pending}
	}
	if !slices.Contains([]waypost.Outcome{waypost.NoMatch, waypost.Possible, waypost.Match, waypost.Pending}, before.Outcome) {
		return malformed(m)
	}
	return s.settle(ctx, m, before)
}

// settle commits a candidate's final answer; the last one completes the check.
func (s *Server) settle(ctx context.Context, m seal.Message, a ask) error {
	id := waypost.TicketID(m.Ticket)
	err := s.once(ctx, m, func(tx *store.Tx) (bool, error) {
		return one(tx.Exec(`UPDATE ask SET state = $1, outcome = $2, status = $3, card_kind = $4, termination_required = $5, refused = $6
			WHERE ticket = $7 AND reference = $8 AND state <> $1`,
			askAnswered, a.Outcome, a.Status, a.CardKind, a.TerminationRequired, a.Refused, id[:], a.reference[:]))
	})
	if err != nil {
		return err
	}
	s.changes.ring(id)
	return s.closeIfLate(ctx, id)
}

// readable bounds a text from another member before a clerk sees it.
func readable(text string) string {
	if len(text) > 300 {
		text = text[:300]
	}
	return text
}

// askOf finds the candidate that a message answers; the sender must be its
// owner.
func (s *Server) askOf(ctx context.Context, m seal.Message, reference []byte) (ask, error) {
	asked, err := s.asked(ctx, m.Ticket)
	if err != nil {
		return ask{}, err
	}
	for _, a := range asked {
		if string(a.reference[:]) == string(reference) && string(a.State) == m.Sender {
			return a, nil
		}
	}
	return ask{}, waypost.Errorf(waypost.PermissionDenied, "%s answered a question that it was not asked", m.Sender)
}

func (s *Server) asked(ctx context.Context, id waypost.TicketID) ([]ask, error) {
	var all []ask
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = askedIn(tx, id)
		return err
	})
	return all, err
}

func askedIn(tx *store.Tx, id waypost.TicketID) ([]ask, error) {
	var all []ask
	err := tx.Query(`SELECT reference, owner, state, outcome, status, card_kind, termination_required, refused FROM ask WHERE ticket = $1`,
		[]any{id[:]}, func(scan func(dest ...any) error) error {
			var a ask
			err := scan(&a.reference, &a.State, &a.state, &a.Outcome, &a.Status, &a.CardKind, &a.TerminationRequired, &a.Refused)
			all = append(all, a)
			return err
		})
	return all, err
}

// await returns the candidates as soon as they satisfy enough, or as they are
// at the deadline.
func (s *Server) await(ctx context.Context, q *inquiry, deadline time.Time, enough func([]ask) bool) ([]ask, error) {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	for {
		changed := s.changes.listen(q.ticket.ID)
		asked, err := s.asked(ctx, q.ticket.ID)
		if err != nil || enough(asked) {
			return asked, err
		}
		select {
		case <-changed:
		case <-timeout.C:
			return asked, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// close writes the ledger entry "outcome" once nothing is outstanding. Until
// then the inquiry stays open for late answers.
func (s *Server) close(ctx context.Context, id waypost.TicketID) error {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		asked, err := askedIn(tx, id)
		if err != nil || !allAnswered(asked) {
			return err
		}
		n, err := tx.Exec(`UPDATE inquiry SET state = $1 WHERE ticket = $2 AND state <> $1`, inquiryComplete, id[:])
		if err != nil || n == 0 {
			return err
		}
		best := waypost.NoMatch
		for _, a := range asked {
			best = waypost.Answer{Candidates: []waypost.CandidateAnswer{{Disclosure: waypost.Disclosure{Outcome: best}}, a.CandidateAnswer}}.Best()
		}
		return s.log(tx, kept.ticket, "outcome", journal.Field{Name: "outcome", Value: string(best)})
	})
}

// closeIfLate closes an inquiry whose Check has returned already. While Check
// waits it closes by itself, after the second part.
func (s *Server) closeIfLate(ctx context.Context, id waypost.TicketID) error {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil || s.Now().Sub(kept.created) < answerWait+firstLegWait {
		return err
	}
	return s.close(ctx, id)
}

// kept is what the database holds of an inquiry.
type kept struct {
	ticket    waypost.SignedTicket
	receipts  [][]byte
	elements  []byte
	tags      []byte
	seed      [32]byte
	applicant *waypostv1.CheckRequest
	state     int
	tooMany   bool
	own       []waypost.OwnRecord
	created   time.Time
}

func (s *Server) inquiryOf(ctx context.Context, id waypost.TicketID) (kept, error) {
	k := kept{applicant: &waypostv1.CheckRequest{}}
	var signed, receipts, applicant, own []byte
	var created int64
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT signed, receipts, elements, tags, seed, applicant, state, too_many, own, created FROM inquiry WHERE ticket = $1`, id[:]).
			Scan(&signed, &receipts, &k.elements, &k.tags, &k.seed, &applicant, &k.state, &k.tooMany, &own, &created)
	})
	if errors.Is(err, store.ErrNoRows) {
		return k, waypost.Errorf(waypost.NotFound, "no check with this ticket was made here")
	}
	if err != nil {
		return k, err
	}
	var legs waypostv1.FirstLeg
	if k.ticket, err = waypost.ParseTicket(signed); err == nil {
		err = errors.Join(proto.Unmarshal(receipts, &legs), proto.Unmarshal(applicant, k.applicant))
	}
	if err == nil && len(own) > 0 {
		err = json.Unmarshal(own, &k.own)
	}
	k.receipts, k.created = legs.Receipts, time.Unix(created, 0)
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

func (c *changes) ring(id waypost.TicketID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch, ok := c.waiting[id]; ok {
		close(ch)
		delete(c.waiting, id)
	}
}
