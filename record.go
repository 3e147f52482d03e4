package waypost

import "time"

// Record is one row of a state's own file: a card holder and the card. It
// never leaves the state's gateway.
type Record struct {
	ID string // the state's own name for the record, in clear, for example "CA-000001"
	Person
	CardNumber string
	Kind       CardKind
	Status     Status
	Since      time.Time // since when it has this status, UTC; zero where unknown
	RealID     bool
	Protected  bool // answered by a special unit; never leaves the gateway
}
