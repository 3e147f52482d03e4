package driver

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// Errands carries reports to other states. It is what an errand.Engine does.
type Errands interface {
	Begin(tx *store.Tx, mine errand.Errand) error
	Cancel(tx *store.Tx, id errand.ID) error
	Get(ctx context.Context, id errand.ID) (errand.Progress, error)
	Wait(ctx context.Context, id errand.ID, d time.Duration) (errand.Progress, error)
	Reply(ctx context.Context, id errand.ID, from waypost.Jurisdiction, r errand.Response) error
}

// File is the state's own records and their pointers: what a records.File does.
type File interface {
	System() records.System
	ByHandle(tx *store.Tx, h waypost.Handle) (records.Pointer, error)
	Pointers(tx *store.Tx, record string) ([]records.Pointer, error)
	Handles(tx *store.Tx, record string) ([]waypost.Handle, error)
	Answered(tx *store.Tx, check waypost.TicketID, reference []byte) (records.Answered, error)
	Asked(tx *store.Tx, check waypost.TicketID, reference waypost.Reference) (records.Asked, error)
	Load(ctx context.Context, operator string, generation uint32, all []waypost.Record) (published int, rejected []records.Rejected, err error)
}

// Checker asks all states about a driver whose card nobody has: a check with the
// purpose post_conviction.
type Checker interface {
	Check(ctx context.Context, s Search) (waypost.Answer, error)
	// Answer returns what is known now of an earlier check. Where another check
	// has taken its place, the answer has the ticket of that.
	Answer(ctx context.Context, check waypost.TicketID) (waypost.Answer, error)
}

// Search is a driver to be searched for, and for whom.
type Search struct {
	Person   waypost.Person
	Operator string
	Case     string
}

// Keys has the identity keys of states, by the roster version that a statement
// names. It is what a roster.View has.
type Keys interface {
	StateKey(version uint64, j waypost.Jurisdiction) (ed25519.PublicKey, error)
}

// Deps is what a desk works with.
type Deps struct {
	State   waypost.Jurisdiction
	Keys    Keys      // verify what other states have signed
	DB      *store.DB // of the gateway
	Errands Errands
	File    File
	Checker Checker
	Keep    Retention
	Metrics *metrics.Set // may be nil
	Now     func() time.Time
	Log     *slog.Logger
}

// Desk is driver history at one state: the histories of its own records, what
// it reports about drivers of others, what is reported to it, and what it passes
// on. It is safe for concurrent use.
type Desk struct {
	Deps
	Book Book
}

// New returns the desk of a state. Its Handler must be registered for
// waypost.KindReport before the errands run.
func New(deps Deps) (*Desk, error) {
	if err := deps.Keep.check(); err != nil {
		return nil, err
	}
	r := &Desk{Deps: deps}
	r.measure()
	return r, nil
}

// The words of replies to a report.
const (
	Accepted       = "accepted"         // it is in the history: by now, or before
	Rejected       = "rejected"         // with all problems
	Forwarded      = "forwarded"        // to the state that has the record now; another word follows
	DriverNotFound = "driver_not_found" // no record of this driver, for no reason that is told
	Undelivered    = "undelivered"      // passed on, but nobody could take it: report it again
)

// Handler is both sides of a report errand.
func (d *Desk) Handler() errand.Handler {
	return errand.Handler{
		Answer: d.answer, Take: d.take,
		Words: []string{Accepted, Rejected, Forwarded, DriverNotFound, Undelivered},
	}
}

// stepBatch is how many rows one Step takes up of each sort.
const stepBatch = 20

// Step does what is due now: searches for drivers, reports that waited, words of
// other states that are to be passed on.
func (d *Desk) Step(ctx context.Context) error {
	due, err := d.dueReports(ctx)
	if err != nil {
		return err
	}
	failed := []error{d.passBack(ctx), d.lookAtForwards(ctx), d.followStrays(ctx)}
	for _, id := range due {
		failed = append(failed, d.advance(ctx, id))
	}
	return errors.Join(failed...)
}
