package records

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/turns"
	"github.com/waypost/waypost/toprf"
)

// Ledger is where every act is written down, in the transaction of the act.
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
	KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error
}

// Hub is what a state has the hub do with its pointers. Both calls may be
// repeated: the same ticket gets the same answer.
type Hub interface {
	Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error)
	Maintain(ctx context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error)
}

// Quorum makes tokens with the key holders.
type Quorum interface {
	// Ticket signs a permission to publish for these elements. The kind is publish
	// or change.
	Ticket(kind waypost.Kind, operator string, elements []byte) (waypost.SignedTicket, error)
	// Evaluate has a quorum of key holders raise the elements, and returns the tokens
	// in their order, under each key that the ticket's roster version serves for its
	// kind. Too few good answers are Unavailable.
	Evaluate(ctx context.Context, ticket waypost.SignedTicket, blinding *toprf.Blinding, opts ...toprf.Option) ([]Set, []waypost.SignedReceipt, error)
}

// Ledgers says whether a member's own ledger can be relied on now.
type Ledgers interface {
	Usable(member string) error
}

// Deps is what a File works with.
type Deps struct {
	State   waypost.Jurisdiction
	Roster  *roster.View
	DB      *store.DB // of the gateway
	Journal Ledger
	Secret  [32]byte // of the gateway: decoys and subjects are derived from it
	System  System
	Hub     Hub
	Quorum  Quorum
	Permits errand.Permits
	Ledgers Ledgers
	Turns   *turns.Turns // of the process; may be nil
	// Retention is how long a record stays findable in each status; nil for
	// DefaultRetention.
	Retention Retention
	// Pause is how a simulation waits, on its own loop; otherwise nil.
	Pause func(ctx context.Context, changed <-chan struct{}, d time.Duration) error
	Now   func() time.Time
	Log   *slog.Logger
}

// File is a state's own records and what the index has of them.
type File struct {
	Deps
	decoySecret []byte
	nameSecret  []byte
	busy        *inFlight
	// index is held by who writes single pointers, and locked by who does
	// something with all of them.
	index   lock
	loading loading
	units   map[string]Unit
	away    func(tx *store.Tx, record string) (Away, error)
	begun   time.Time
	// The night whose comparison is done, when to try one again, and when to look
	// for what is kept no longer, in Unix seconds.
	compared, tried, forgotten atomic.Int64
	looked                     atomic.Int64 // up to which checks that found no card are forgotten
}

// New returns the file of one state.
func New(deps Deps) (*File, error) {
	if deps.Retention == nil {
		deps.Retention = DefaultRetention()
	}
	return &File{
		Deps: deps, decoySecret: DecoySecret(deps.Secret), nameSecret: derive(deps.Secret, "names"), begun: deps.Now(), busy: newInFlight(), index: lock{pause: deps.Pause, processes: deps.DB.NewLock("pointers")},
		units: make(map[string]Unit), away: func(*store.Tx, string) (Away, error) { return Here, nil },
	}, nil
}

// Away says whether a record may be another state's by now.
type Away int

// What may have become of it.
const (
	Here       Away = iota
	Unanswered      // a release can be used no more; the hub's word that it was may be still to come
	Released        // a release can be used
)

// HoldBack has the file ask, before it publishes anew what the hub has no more,
// whether the record may have gone to another state of which the hub's word is
// still to come: a second pointer would make two states of record. It is called
// before anything else is done with the file.
func (f *File) HoldBack(away func(tx *store.Tx, record string) (Away, error)) { f.away = away }

// System is the state's own licensing system.
func (f *File) System() System { return f.Deps.System }

// Record returns one record by the state's own id, or NotFound.
func (f *File) Record(ctx context.Context, id string) (waypost.Record, error) {
	return f.Deps.System.Record(ctx, id)
}

// Resume makes due at once what the process before has left open: it is not at
// work on anything any more.
func (f *File) Resume(ctx context.Context, begun time.Time) error {
	return f.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`UPDATE publication SET due = 0 WHERE due < $1`, begun.Add(publicationLife).Unix()); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE pointer SET due = $1 WHERE due IS NOT NULL AND due > $1 AND changed < $1`, begun.Unix())
		return err
	})
}

// Step does what is due now: what a crash has cut off, pointers to be published or
// withdrawn, changes to be stored, the nightly comparison, and what is kept no
// longer.
func (f *File) Step(ctx context.Context) error {
	return errors.Join(f.abandonCutOff(ctx), f.storeChanges(ctx), f.publishDue(ctx), f.withdrawDue(ctx), f.compareDue(ctx), f.forget(ctx))
}

// hubUsable says in words why the hub must not be relied on now: what it did
// would leave no trace that anybody could check.
func (f *File) hubUsable() error {
	if err := f.Ledgers.Usable(f.Roster.Current().Hub().Name); err != nil {
		return waypost.Errorf(waypost.Unavailable, "%v", err)
	}
	return nil
}

// randomise fills each with fresh random bytes.
func randomise(each ...[]byte) {
	for _, b := range each {
		_, _ = rand.Read(b) // never fails (Go 1.24)
	}
}
