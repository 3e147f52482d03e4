package gateway

import (
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/move"
	"github.com/waypost/waypost/internal/questions"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// rooms are what follows a check.
type rooms struct {
	errands   *errand.Engine
	desk      *driver.Desk
	questions *questions.Questions
	moves     *move.Moves
	cases     *duplicate.Cases
}

// openRooms opens the rooms, in the order in which they rest on each other.
func (s *Server) openRooms() (err error) {
	r := &s.rooms
	r.errands = errand.New(errand.Deps{
		State: s.config.State, Roster: s.Roster, DB: s.DB, Journal: s.Journal, Permits: permits{s}, Post: outgoing{s}, Ledgers: s.Ledgers,
		Subject: s.file.Subject, Pause: s.waitInAll, Now: s.Now, Log: s.Log,
	})
	if r.desk, err = driver.New(driver.Deps{
		State: s.config.State, Keys: s.Roster, DB: s.DB, Errands: r.errands, File: s.file, Checker: checker{s},
		Keep: driver.DefaultRetention, Metrics: s.Metrics, Now: s.Now, Log: s.Log,
	}); err != nil {
		return err
	}
	r.errands.Handle(waypost.KindReport, r.desk.Handler())
	r.questions = questions.New(questions.Deps{
		State: s.config.State, DB: s.DB, Errands: r.errands, File: s.file, Book: r.desk.Book, Policy: s.Policy, Now: s.Now,
	})
	if r.moves, err = move.New(move.Deps{
		Config: s.config.Moves, State: s.config.State, Roster: s.Roster, DB: s.DB, Journal: s.Journal, Identity: s.Identity, Errands: r.errands, Permits: permits{s},
		Hub: s.Hub, File: s.file, Book: r.desk.Book, Driver: r.desk, Now: s.Now, Log: s.Log, Metrics: s.Metrics,
		Agreed: func(tx *store.Tx, check waypost.TicketID, reference []byte) (bool, error) {
			return r.cases.Agreed(tx, check, reference)
		},
	}); err != nil {
		return err
	}
	r.cases, err = duplicate.New(s.config.Cases, duplicate.Deps{
		State: s.config.State, DB: s.DB, File: s.file, Errands: r.errands, Portraits: portraits{r.questions}, Searcher: s, Terminator: terminator{r.moves}, Sources: s.sources(),
		UnattendedPerDay: s.unattendedPerDay, Moving: s.goneTo, Secret: s.Secret, Now: s.Now, Log: s.Log, Metrics: s.Metrics,
	})
	return err
}

// register puts the rooms' services behind the counter door.
func (s *Server) register(server *connect.Server) {
	waypostv1connect.RegisterRecordsHandler(server, records.NewDoor(s.file))
	waypostv1connect.RegisterDriversHandler(server, driver.Door{Desk: s.rooms.desk})
	waypostv1connect.RegisterQuestionsHandler(server, questions.Door{Questions: s.rooms.questions})
	waypostv1connect.RegisterMovesHandler(server, s.rooms.moves.Door())
	waypostv1connect.RegisterCasesHandler(server, duplicate.Door{Cases: s.rooms.cases})
}

// keepFile keeps the state's own pointers, apart from the rooms: a comparison of
// millions takes its time, and nobody's move waits for it.
func (s *Server) keepFile(ctx context.Context) {
	for pause(ctx, houseEvery) {
		if err := s.file.Step(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("something about this state's own pointers could not be done; it will be tried again", "cause", err)
		}
	}
}

// keepRooms lets the rooms do what is due, again and again.
func (s *Server) keepRooms(ctx context.Context) {
	for pause(ctx, houseEvery) {
		if err := s.stepRooms(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("something that follows a check could not be done; it will be tried again", "cause", err)
		}
	}
}

func (s *Server) stepRooms(ctx context.Context) error {
	r := &s.rooms
	return errors.Join(permits{s}.abandonCutOff(ctx), r.errands.Step(ctx), r.desk.Step(ctx), r.moves.Step(ctx), r.cases.Step(ctx))
}

// checker looks for drivers in all states.
type checker struct{ *Server }

// Check implements driver.Checker.
func (c checker) Check(ctx context.Context, w driver.Search) (waypost.Answer, error) {
	return c.Server.Check(ctx, Applicant{Person: w.Person}, Counter{Operator: w.Operator, Class: waypost.Attended, Purpose: waypost.PostConviction, Case: w.Case})
}

// portraits asks other states for portraits in duplicate cases.
type portraits struct{ *questions.Questions }

// Portrait implements duplicate.Portraits.
func (p portraits) Portrait(ctx context.Context, id errand.ID, w duplicate.PortraitWish) (jpeg []byte, ok bool, err error) {
	return p.Questions.Portrait(ctx, id, questions.Wish{Check: w.Check, Reference: w.Reference, Purpose: w.Purpose, Operator: w.Operator, Case: w.Case})
}

// unattendedPerDay is the state's quota of checks that nobody sits at.
func (s *Server) unattendedPerDay() int {
	me, _ := s.Roster.Member(s.name)
	return me.Quota.UnattendedPerDay
}

// goneTo reports whether a record has gone to another state.
func (s *Server) goneTo(tx *store.Tx, record string, to waypost.Jurisdiction) (bool, error) {
	all, err := s.file.Pointers(tx, record)
	return slices.ContainsFunc(all, func(p records.Pointer) bool { return p.State == records.Moved && p.MovedTo == to }), err
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
		Sender: o.name, Type: messageType, Ticket: ticket, RosterVersion: o.Roster.Settled().Version, Expiry: o.Now().Add(waypost.MessageLife), Body: body,
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
