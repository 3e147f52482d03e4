package errand

import (
	"context"

	"github.com/waypost/waypost"
)

// Permits has tickets without elements allowed. The entry "ask" is committed
// before the ticket leaves; whoever uses the permit writes the entry that ends
// it, or has it abandoned.
type Permits interface {
	// Permit is Unavailable where too few key holders can be reached; the ticket
	// is abandoned in the ledger by then.
	Permit(ctx context.Context, w Wish) (Permit, error)
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
