package records

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// Ledger is where every act is written down, in the transaction of the act.
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
	KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error
}

// Deps is what a File works with.
type Deps struct {
	State   waypost.Jurisdiction
	Roster  *roster.View
	DB      *store.DB // of the gateway
	Journal Ledger
	Secret  [32]byte // of the gateway: decoys and subjects are derived from it
	System  System
	Now     func() time.Time
	Log     *slog.Logger
}

// File is a state's own records and what the index has of them.
type File struct {
	Deps
	decoySecret []byte
}

// New returns the file of one state.
func New(deps Deps) (*File, error) {
	return &File{Deps: deps, decoySecret: DecoySecret(deps.Secret)}, nil
}

// System is the state's own licensing system.
func (f *File) System() System { return f.Deps.System }

// Record returns one record by the state's own id, or NotFound.
func (f *File) Record(ctx context.Context, id string) (waypost.Record, error) {
	return f.Deps.System.Record(ctx, id)
}

// randomise fills each with fresh random bytes.
func randomise(each ...[]byte) {
	for _, b := range each {
		_, _ = rand.Read(b) // never fails (Go 1.24)
	}
}
