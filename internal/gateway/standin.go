package gateway

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// standIn finds what stands in for the applicant's SSN if there is none, and which of this
// state's records may be the applicant's. Neither has to do with an SSN.
func (s *Server) standIn(ctx context.Context, q *inquiry, why Counter) error {
	before, err := s.before(ctx, q.who, why)
	if err != nil {
		return err
	}
	q.digits, err = s.file.Digits(ctx, q.who.Person, s.ownCard(q.who), before, func(own records.Found) (waypost.Outcome, error) {
		outcome, err := s.compare(ctx, s.config.State, q.who, own)
		if outcome != waypost.NoMatch {
			q.maybe = append(q.maybe, own.Record.ID)
		}
		return outcome, err
	})
	return err
}

const (
	// sameCase is how long ago a check was made that this one may be a correction of, and
	// lastOfCase among how many of the operator's last for the case it is looked for.
	sameCase   = 24 * time.Hour
	lastOfCase = 16
)

// before is the check that this one corrects or repeats, or zero: the one that it cites,
// or else one that the same operator made for the same case, whose applicant may be the
// same person by name, date and card. Such a one gives what stands in for an SSN, as the
// SSN would be the same, and nothing else: somebody else's check under the same case
// reference is not replaced, and stays owed if it is.
func (s *Server) before(ctx context.Context, who Applicant, why Counter) (best waypost.TicketID, err error) {
	if !why.Cites.IsZero() {
		return why.Cites, nil
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		best = waypost.TicketID{}
		alike := waypost.NoMatch
		return tx.Query(`SELECT ticket, applicant FROM inquiry WHERE operator = $1 AND case_reference = $2 AND created >= $3
			ORDER BY created DESC, ticket LIMIT $4`, []any{why.Operator, why.Case, s.Now().Add(-sameCase).Unix(), lastOfCase},
			func(scan func(dest ...any) error) error {
				var ticket waypost.TicketID
				var stored []byte
				if err := scan(&ticket, &stored); err != nil {
					return err
				}
				outcome := who.alike(stored)
				if outcome == waypost.Match && alike != waypost.Match || outcome == waypost.Possible && alike == waypost.NoMatch {
					best, alike = ticket, outcome
				}
				return nil
			})
	})
	return best, err
}

// alike compares with the applicant of a check as it is stored. What cannot be read is
// nobody: it must not keep a clerk from the next check.
func (a Applicant) alike(stored []byte) waypost.Outcome {
	var req waypostv1.CheckRequest
	if proto.Unmarshal(stored, &req) != nil {
		return waypost.NoMatch
	}
	other, err := fromProto(req.Applicant)
	if err != nil {
		return waypost.NoMatch
	}
	return compare.Compare(a.candidate(), other.candidate(), nil)
}

func (a Applicant) candidate() compare.Candidate {
	return compare.Candidate{Person: a.Person, CardNumber: a.CardNumber, CardState: a.CardState}
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
