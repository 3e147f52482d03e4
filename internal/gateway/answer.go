package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// jurisdictions are the fifty states and the District of Columbia, which REAL
// ID names first (6 CFR 37.3); territories count once they are members.
var jurisdictions = []waypost.Jurisdiction{
	"AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS",
	"KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV",
	"NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
}

// Answer returns what is known now of a check, NotFound if it was not made
// here.
func (s *Server) Answer(ctx context.Context, id waypost.TicketID) (waypost.Answer, error) {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return waypost.Answer{}, err
	}
	asked, err := s.asked(ctx, id)
	if err != nil {
		return waypost.Answer{}, err
	}
	a := waypost.Answer{
		Ticket: id, TicketHex: hex.EncodeToString(id[:]), Candidates: []waypost.CandidateAnswer{}, Own: kept.own,
		Coverage: s.coverage(), Complete: kept.state == inquiryComplete, TooMany: kept.tooMany, Owed: kept.state == inquiryOwed,
	}
	silent := make(map[waypost.Jurisdiction]bool)
	for _, one := range asked {
		a.Candidates = append(a.Candidates, one.CandidateAnswer)
		if one.state != askAnswered && !silent[one.State] {
			silent[one.State] = true
			a.Coverage.Unanswered = append(a.Coverage.Unanswered, one.State)
		}
	}
	if a.Owed {
		a.Coverage.Searched = []waypost.Jurisdiction{}
	}
	return a, nil
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

// resume takes up what a crash or an unreachable party left: questions that
// could not be sealed, checks whose last answer came late, and checks that
// nobody waits for any more.
func (s *Server) resume(ctx context.Context) error {
	var unsent, late, abandoned []waypost.TicketID
	now := s.Now()
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		unsent, late, abandoned = nil, nil, nil
		return errors.Join(
			collectIDs(tx, &unsent, `SELECT DISTINCT ticket FROM ask WHERE state = $1 LIMIT 100`, askUnsent),
			collectIDs(tx, &late, `SELECT ticket FROM inquiry WHERE state = $1 AND created < $2 LIMIT 100`,
				inquiryAsked, now.Add(-2*answerWait).Unix()),
			collectIDs(tx, &abandoned, `SELECT ticket FROM inquiry WHERE state = $1 AND created < $2 LIMIT 100`,
				inquiryOpen, now.Add(-time.Minute).Unix()))
	})
	if err != nil {
		return err
	}
	for _, id := range unsent {
		err = errors.Join(err, s.sendUnsent(ctx, id))
	}
	for _, id := range late {
		err = errors.Join(err, s.close(ctx, id))
	}
	for _, id := range abandoned {
		err = errors.Join(err, s.abandon(ctx, id))
	}
	return err
}

func collectIDs(tx *store.Tx, into *[]waypost.TicketID, query string, args ...any) error {
	return tx.Query(query, args, func(scan func(dest ...any) error) error {
		var id waypost.TicketID
		err := scan(&id)
		*into = append(*into, id)
		return err
	})
}

// sendUnsent seals the first legs that waited for an owner's key.
func (s *Server) sendUnsent(ctx context.Context, id waypost.TicketID) error {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return err
	}
	asked, err := s.asked(ctx, id)
	if err != nil {
		return err
	}
	for _, a := range asked {
		if a.state != askUnsent {
			continue
		}
		first, err := s.firstLeg(ctx, kept.ticket, kept.receipts, kept.tags, waypost.Candidate{Reference: a.reference, Owner: a.State})
		if err != nil {
			return err
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) error {
			n, err := tx.Exec(`UPDATE ask SET state = $1 WHERE ticket = $2 AND reference = $3 AND state = $4`, askSent, id[:], a.reference[:], askUnsent)
			if err != nil || n == 0 {
				return err
			}
			return s.post(tx, first)
		})
		if err != nil {
			return err
		}
		s.dispatch(first)
	}
	return nil
}

// abandon closes a check that a crash has cut off, with an entry that says so:
// its evaluations stand in the key holders' ledgers and must have an owner.
func (s *Server) abandon(ctx context.Context, id waypost.TicketID) error {
	kept, err := s.inquiryOf(ctx, id)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE inquiry SET state = $1 WHERE ticket = $2 AND state = $3`, inquiryAbandoned, id[:], inquiryOpen)
		if err != nil || n == 0 {
			return err
		}
		return s.log(tx, kept.ticket, "abandoned")
	})
}

func decimal(n int) string { return strconv.Itoa(n) }
