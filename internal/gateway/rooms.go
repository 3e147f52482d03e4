package gateway

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// rooms are what follows a check.
type rooms struct {
	errands *errand.Engine
}

func (s *Server) openRooms() {
	s.rooms.errands = errand.New(errand.Deps{
		State: s.config.State, Roster: s.Roster, DB: s.DB, Journal: s.Journal, Permits: permits{s}, Post: outgoing{s}, Ledgers: s.Ledgers,
		Subject: func(h waypost.Handle, ticket waypost.TicketID) journal.Field { return s.subject(h[:], ticket) },
		Pause:   s.wait, Now: s.Now, Log: s.Log,
	})
}

// register puts the rooms' services behind the counter door.
func (r *rooms) register(*connect.Server) {}

// keepRooms lets the rooms do what is due, again and again.
func (s *Server) keepRooms(ctx context.Context) {
	for pause(ctx, houseEvery) {
		if err := s.stepRooms(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("something that follows a check could not be done; it will be tried again", "cause", err)
		}
	}
}

func (s *Server) stepRooms(ctx context.Context) error {
	return errors.Join(permits{s}.abandonCutOff(ctx), s.rooms.errands.Step(ctx), s.file.Step(ctx))
}

// outgoing is the post of the errands.
type outgoing struct{ *Server }

// Ready implements errand.Post.
func (o outgoing) Ready(ctx context.Context, to string) error {
	if _, err := o.keyOf(ctx, to); err != nil {
		return waypost.Errorf(waypost.Unavailable, "the encryption key of %s cannot be had", to).WithCause(err)
	}
	return nil
}

// Seal implements errand.Post.
func (o outgoing) Seal(ctx context.Context, to, messageType string, ticket waypost.TicketID, least seal.SizeClass, body []byte) (errand.Letter, error) {
	l, err := o.sealAs(ctx, to, messageType, ticket, least, body)
	return errand.Letter{ID: l.id, Sealed: l.sealed}, err
}

// State implements errand.Post.
func (o outgoing) State(messageType string, ticket waypost.TicketID, body []byte) ([]byte, error) {
	return seal.State(seal.Message{
		Sender: o.name, Type: messageType, Ticket: ticket, RosterVersion: o.Roster.Current().Version, Expiry: o.Now().Add(waypost.MessageLife), Body: body,
	}, o.Identity)
}

// Put implements errand.Post.
func (o outgoing) Put(tx *store.Tx, l errand.Letter) error { return o.post(tx, letter{l.ID, l.Sealed}) }

// Dispatch implements errand.Post.
func (o outgoing) Dispatch(letters ...errand.Letter) {
	for _, l := range letters {
		o.dispatch(letter{l.ID, l.Sealed})
	}
}
