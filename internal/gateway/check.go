package gateway

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Applicant is the person at the counter, with what else they may show.
type Applicant struct {
	waypost.Person
	CardNumber string               // of a card from another state, if shown
	CardState  waypost.Jurisdiction // that issued it, if known
}

// Counter says who asks and why.
type Counter struct {
	Operator string // user id; leaves the gateway only as a keyed tag
	Class    waypost.OperatorClass
	Purpose  waypost.Purpose
	Case     string           // the state's own reference for this application
	Cites    waypost.TicketID // an earlier check that this one corrects or repeats, or zero
	// began is called in the transaction that commits the ticket; may be nil.
	began func(tx *store.Tx, check waypost.TicketID) error
}

// How long a clerk waits. What comes later completes the check.
const (
	firstLegWait   = time.Second     // for the one bit of each candidate's state
	disclosureWait = 2 * time.Second // more, for those that said continue
	answerWait     = 5 * time.Second // in all
)

// patience is by how many times more a check waits. Only tests set it: on a busy machine
// an answer is late though nobody is down.
var patience atomic.Int64

func patiently(d time.Duration) time.Duration { return d * time.Duration(1+patience.Load()) }

// Check asks all other states about one applicant. It returns within about
// answerWait; the answer says what is still outstanding, and Answer gives the
// rest when it has come. Where too few key holders or no hub can be reached the
// check is owed: it is made again, under a new ticket, until it succeeds.
func (s *Server) Check(ctx context.Context, who Applicant, why Counter) (waypost.Answer, error) {
	lap := lapper(ctx)

	// 1, 2. The match keys, blinded in an order of their own, under a ticket
	// that is committed before anything leaves this process.
	q, err := s.open(ctx, who, why)
	if err != nil {
		return waypost.Answer{}, err
	}
	lap(stageTicket)
	s.watch.begin(q)
	defer s.watch.end(q.ticket.ID)

	// 3, 4. Any t key holders make the tokens; none of them learns about whom.
	if err := s.makeTokens(ctx, q); err != nil {
		return s.giveUp(ctx, q, err)
	}
	lap(stageEvaluate)

	// 5, 6. Names first: the hub turns tokens into candidates and tells their
	// owners, who are then asked without a name.
	if err := s.search(ctx, q, firstPart); err != nil {
		return s.giveUp(ctx, q, err)
	}
	lap(stageSearch)

	// 7, 8. A state whose own record agrees gets the applicant in clear and
	// compares; this goes on in the mailbox, here we wait for it.
	deadline := s.Now().Add(patiently(answerWait))
	asked, err := s.await(ctx, q, patiently(firstLegWait), firstLegsIn)
	lap(stageFirstLeg)
	if err == nil && anyContinues(asked) {
		asked, err = s.await(ctx, q, patiently(disclosureWait), disclosuresIn)
	}
	if err != nil {
		return s.giveUp(ctx, q, err)
	}
	lap(stageDisclosure)

	// 5 again. The other twelve tokens, unless the person is found, or they would
	// tell the hub of a pointer that was passed here what it is made of.
	if !anyMatch(asked) {
		if err := s.searchRest(ctx, q); err != nil {
			return s.giveUp(ctx, q, err)
		}
	}

	// What the hub could not look up is owed, whatever else was found.
	if q.unreached > 0 {
		return s.giveUp(ctx, q, errInPart)
	}

	// 9. Everything is asked: from here on the last answer completes the check,
	// whether a clerk still waits for it or not. Plain words, and always the
	// coverage.
	if err := s.searched(ctx, q); err != nil {
		return waypost.Answer{}, err
	}
	if _, err := s.await(ctx, q, deadline.Sub(s.Now()), allAnswered); err != nil {
		return waypost.Answer{}, err
	}
	defer lap(stageConclude)
	return s.Answer(ctx, q.ticket.ID)
}

// What Check waits for. A match ends the waiting for what comes before it.

func firstLegsIn(asked []ask) bool {
	return anyMatch(asked) || none(asked, func(a ask) bool { return a.state <= askSent })
}

func disclosuresIn(asked []ask) bool { return anyMatch(asked) || !anyContinues(asked) }

func anyContinues(asked []ask) bool {
	return !none(asked, func(a ask) bool { return a.state == askContinues })
}

func allAnswered(asked []ask) bool {
	return none(asked, func(a ask) bool { return a.state != askAnswered })
}

func anyMatch(asked []ask) bool {
	return !none(asked, func(a ask) bool { return a.Outcome == waypost.Match })
}

func none(asked []ask, is func(ask) bool) bool {
	return !slices.ContainsFunc(asked, is)
}
