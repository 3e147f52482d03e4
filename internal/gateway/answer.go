package gateway

import (
	"context"
	"encoding/hex"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// jurisdictions are the fifty states and the District of Columbia, which REAL
// ID names first (6 CFR 37.3); territories count once they are members.
var jurisdictions = []waypost.Jurisdiction{
	"AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS",
	"KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV",
	"NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
}

// Answer returns what is known now of a check, NotFound if it was not made
// here. Where another check has taken its place, an owed one that was made again
// or a corrected one, it is that one's answer, under its ticket.
func (s *Server) Answer(ctx context.Context, id waypost.TicketID) (waypost.Answer, error) {
	kept, err := s.inquiryOf(ctx, id)
	for err == nil && !kept.successor.IsZero() {
		id = kept.successor
		kept, err = s.inquiryOf(ctx, id)
	}
	if err != nil {
		return waypost.Answer{}, err
	}
	if kept.state == inquiryRefused {
		return waypost.Answer{}, waypost.Errorf(waypost.NotFound, "this check was refused and not made: ask again with a new one")
	}
	a := waypost.Answer{
		Ticket: id, TicketHex: hex.EncodeToString(id[:]), Candidates: answersOf(kept.asked), Own: kept.own,
		Coverage: kept.coverage, Complete: kept.state == inquiryComplete, TooMany: kept.tooMany,
		// What is still being searched, or was cut off, is no more of a "no" than
		// what found no quorum.
		Owed: kept.state == inquiryOpen || kept.state == inquiryOwed,
	}
	if a.Owed {
		a.Coverage = waypost.Coverage{Searched: []waypost.Jurisdiction{}, IndexInPart: kept.coverage.IndexInPart}
	}
	a.Coverage.Unanswered = unanswered(kept.asked)
	return a, nil
}

// unanswered lists the states that have said nothing about the applicant: not
// yet, or because they refused.
func unanswered(asked []ask) []waypost.Jurisdiction {
	var silent []waypost.Jurisdiction
	for _, a := range asked {
		if a.Outcome == waypost.Pending {
			silent = append(silent, a.State)
		}
	}
	slices.Sort(silent)
	return slices.Compact(silent)
}

// coverage says which other states' records a search reaches.
func (s *Server) coverage() waypost.Coverage {
	c := waypost.Coverage{Searched: []waypost.Jurisdiction{}}
	for _, j := range jurisdictions {
		if j == s.config.State {
			continue
		}
		member, ok := s.Roster.Member(string(j))
		switch {
		case !ok || member.Participation == roster.InquiryOnly:
			c.NotMembers = append(c.NotMembers, j)
		case member.Participation == roster.Loading:
			c.Loading = append(c.Loading, j)
		default:
			c.Searched = append(c.Searched, j)
		}
	}
	return c
}
