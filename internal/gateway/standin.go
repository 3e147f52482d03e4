package gateway

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/matchkey"
)

// digits returns what stands in for the applicant's SSN if there is none.
func (s *Server) digits(ctx context.Context, who Applicant, cites waypost.TicketID) (string, error) {
	return s.file.Digits(ctx, who.Person, s.ownCard(who), cites, func(own records.Found) (waypost.Outcome, error) {
		return s.compare(ctx, s.config.State, who, own)
	})
}

// ownCard is the number of the card that is shown, if it is one of this state.
func (s *Server) ownCard(who Applicant) string {
	if who.CardState != s.config.State {
		return ""
	}
	return who.CardNumber
}

// standing is the applicant with the digits where there is no SSN.
func (q *inquiry) standing() waypost.Person {
	who := q.who.Person
	if matchkey.SSN5(who.SSN5) == "" {
		who.SSN5 = q.digits
	}
	return who
}
