package gateway

import (
	"context"

	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/questions"
	"github.com/waypost/waypost/internal/store"
)

// Permits are the gateway's tickets without elements.
func (s *Server) Permits() errand.Permits { return permits{s} }

// CutPermitsOff makes every permit that nobody answers for due, and ends it.
func (s *Server) CutPermitsOff(ctx context.Context) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE permit SET due = 0`)
		return err
	})
	if err == nil {
		err = permits{s}.abandonCutOff(ctx)
	}
	return err
}

// Questions is the counter door to the room of that name.
func (s *Server) Questions() questions.Door { return questions.Door{Questions: s.rooms.questions} }
