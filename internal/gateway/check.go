package gateway

import (
	"context"
	"time"

	"github.com/waypost/waypost"
)

// Applicant is the person at the counter, with what else they may show.
type Applicant struct {
	waypost.Person
	CardNumber string // of a card from another state, if shown
}

// Counter says who asks and why.
type Counter struct {
	Operator string // user id; leaves the gateway only as a keyed tag
	Class    waypost.OperatorClass
	Purpose  waypost.Purpose
	Case     string // the state's own reference for this application
	Cites    waypost.TicketID
}

// How long a clerk waits. What comes later completes the check.
const (
	firstLegWait = time.Second
	answerWait   = 5 * time.Second
)

// Check asks all other states about one applicant. It returns within about
// answerWait; the answer says what is still outstanding, and Answer gives the
// rest when it has come. A missing quorum of key holders leaves a check owed.
func (s *Server) Check(ctx context.Context, who Applicant, why Counter) (waypost.Answer, error) {
	// 1, 2. The match keys, blinded in an order of their own, under a ticket
	// that is committed before anything leaves this process.
	q, err := s.open(ctx, who, why)
	if err != nil {
		return waypost.Answer{}, err
	}

	// 3, 4. Any t key holders make the tokens; none of them learns about whom.
	tokens, receipts, err := s.evaluate(ctx, q.ticket, q.blinding)
	if waypost.CodeOf(err) == waypost.Unavailable {
		return s.owe(ctx, q, err)
	}
	if err != nil {
		return waypost.Answer{}, err
	}
	if err := s.evaluated(ctx, q, tokens, receipts); err != nil {
		return waypost.Answer{}, err
	}

	// 5, 6. Names first: the hub turns tokens into candidates and tells their
	// owners, who are then asked without a name.
	if err := s.search(ctx, q, firstPart); err != nil {
		return waypost.Answer{}, err
	}

	// 7, 8. A state whose own record agrees gets the applicant in clear and
	// compares; this goes on in the mailbox, here we wait for it.
	deadline := s.deadline(answerWait)
	asked, err := s.await(ctx, q, s.deadline(firstLegWait), firstLegsIn)
	if err == nil && anyContinues(asked) {
		asked, err = s.await(ctx, q, deadline, noneContinues)
	}
	if err != nil {
		return waypost.Answer{}, err
	}

	// 5 again. The other twelve tokens, unless the person is found.
	if !anyMatch(asked) {
		if err := s.search(ctx, q, secondPart); err != nil {
			return waypost.Answer{}, err
		}
		if _, err := s.await(ctx, q, deadline, allAnswered); err != nil {
			return waypost.Answer{}, err
		}
	}

	// 9. Plain words, and always the coverage.
	if err := s.close(ctx, q.ticket.ID); err != nil {
		return waypost.Answer{}, err
	}
	return s.Answer(ctx, q.ticket.ID)
}

// deadline is a point on the real clock: it bounds a clerk's waiting, not the
// validity of anything.
func (s *Server) deadline(d time.Duration) time.Time { return time.Now().Add(d) }

func firstLegsIn(asked []ask) bool {
	return none(asked, func(a ask) bool { return a.state <= askSent })
}

func anyContinues(asked []ask) bool { return !noneContinues(asked) }

func noneContinues(asked []ask) bool {
	return none(asked, func(a ask) bool { return a.state == askContinues })
}

func allAnswered(asked []ask) bool {
	return none(asked, func(a ask) bool { return a.state != askAnswered })
}

func anyMatch(asked []ask) bool {
	return !none(asked, func(a ask) bool { return a.Outcome == waypost.Match })
}

func none(asked []ask, is func(ask) bool) bool {
	for _, a := range asked {
		if is(a) {
			return false
		}
	}
	return true
}
