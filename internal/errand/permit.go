package errand

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Permits has tickets without elements allowed. The entry "ask" is committed
// before the ticket leaves.
type Permits interface {
	// Permit is Unavailable where too few key holders can be reached; the ticket
	// is abandoned in the ledger by then. Where they refuse, it is refused there.
	Permit(ctx context.Context, w Wish) (Permit, error)
	// Settle is called in the transaction by which a permit's user begins to answer
	// for its ticket: that transaction has the entry that ends it, or keeps what
	// will end it. A ticket that is not settled in time, or before a crash, is
	// abandoned in the ledger, and Settle is NotFound then.
	Settle(tx *store.Tx, ticket waypost.TicketID) error
}

// Wish is what a permit is to be for.
type Wish struct {
	Kind      waypost.Kind // one that carries no elements
	Purpose   waypost.Purpose
	Class     waypost.OperatorClass
	Operator  string
	Case      string
	Cites     waypost.TicketID
	Recipient string // roster name: of a state, or of the hub
	Request   []byte // exactly what is asked of the recipient
}

// Permit is a ticket for one request with the receipts of t key holders.
type Permit struct {
	Ticket   waypost.SignedTicket
	Receipts []waypost.SignedReceipt
	Salt     [32]byte // opens the ticket's commitment to the recipient
}
