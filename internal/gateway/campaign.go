package gateway

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/store"
)

// A check for duplicates that no person sits at names nobody: it ends with the
// first legs, and what a state may be told beyond its one bit waits for a clerk
// and a case. The ticket says so itself, so that the state of record refuses a
// second leg under it, and every ledger shows it.

// tagsOnly reports whether a ticket allows first legs only.
func tagsOnly(t waypost.SignedTicket) bool {
	return t.Kind == waypost.KindCheck && t.Class == waypost.Unattended && t.Purpose == waypost.DuplicateResolution
}

// TagSearch makes such a check. What could not be made is given up, never owed:
// the campaign makes it again.
func (s *Server) TagSearch(ctx context.Context, who waypost.Person, why duplicate.Search) error {
	q, err := s.open(ctx, Applicant{Person: who}, Counter{
		Operator: why.Operator, Class: waypost.Unattended, Purpose: waypost.DuplicateResolution, Case: why.Case, Cites: why.Cites, began: why.Began,
	})
	if err != nil {
		return err
	}
	err = s.makeTokens(ctx, q)
	parts := []part{firstPart, secondPart}
	if why.NamesOnly {
		parts = parts[:1]
	}
	for _, p := range parts {
		if err == nil {
			err = s.search(ctx, q, p)
		}
	}
	if err == nil && q.unreached > 0 {
		err = errInPart
	}
	if err != nil {
		if unreachable(err) {
			err = waypost.Errorf(waypost.Unavailable, "the search could not be made now").WithCause(err)
		}
		_, err = s.giveUp(ctx, q, err)
		return err
	}
	return s.searched(ctx, q)
}

// Found returns what has come of a tag search by now.
func (s *Server) Found(ctx context.Context, search waypost.TicketID) (duplicate.Found, error) {
	kept, err := s.inquiryOf(ctx, search)
	if err != nil {
		return duplicate.Found{}, err
	}
	found := duplicate.Found{
		GivenUp: kept.state == inquiryRefused && (len(kept.asked) == 0 || kept.coverage.IndexInPart),
		Over:    kept.state == inquiryComplete || kept.state == inquiryRefused && allAnswered(kept.asked),
	}
	if kept.state == inquiryRefused && s.Now().Sub(kept.ticket.IssuedAt) > answerLife {
		found.Over = true
	}
	for _, a := range kept.asked {
		if a.state == askAnswered && a.Outcome == waypost.Pending && a.Refused == "" {
			found.Agreeing = append(found.Agreeing, waypost.Candidate{Owner: a.State, Reference: a.reference})
		}
	}
	return found, nil
}

var _ duplicate.Searcher = (*Server)(nil)

// begun calls what is to be committed with the ticket of a check.
func (c Counter) begun(tx *store.Tx, id waypost.TicketID) error {
	if c.began == nil {
		return nil
	}
	return c.began(tx, id)
}
