package gateway

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/toprf"
)

// openFile opens the state's own records.
func (s *Server) openFile() (err error) {
	deps := records.Deps{
		State: s.config.State, Roster: s.Roster, DB: s.DB, Journal: s.Journal, Secret: s.Secret, System: s.People, Hub: s.Hub,
		Retention: s.config.Retention, Quorum: quorum{s}, Permits: permits{s}, Ledgers: s.Ledgers, Turns: s.turns, Now: s.Now, Log: s.Log,
	}
	if s.Loop != nil {
		deps.Pause = s.wait
	}
	s.file, err = records.New(deps)
	if err == nil {
		s.file.Withhold(string(waypost.KindCheck), unit{s})
	}
	return err
}

// File is the state's own records.
func (s *Server) File() *records.File { return s.file }

// quorum makes tokens for the state's own records.
type quorum struct{ *Server }

// Ticket implements records.Quorum.
func (q quorum) Ticket(kind waypost.Kind, operator string, elements []byte) (waypost.SignedTicket, error) {
	var salt [32]byte
	randomise(salt[:])
	return q.ticket(kind, Counter{Operator: operator, Class: waypost.Loader, Purpose: waypost.MaintainPointer}, waypost.CommitCase(salt, "load"), elements)
}

// Evaluate implements records.Quorum.
func (q quorum) Evaluate(ctx context.Context, t waypost.SignedTicket, b *toprf.Blinding, opts ...toprf.Option) ([]records.Set, []waypost.SignedReceipt, error) {
	return q.evaluate(ctx, t, b, opts...)
}
