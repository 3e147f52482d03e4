// Package records is what a state's gateway knows of the state's own card
// holders: the records themselves, through a connector to the state's licensing
// system, and for each record the pointers by which the hub finds it.
//
//	records.go  the connector to the licensing system
//	people.go   one in a database of its own
//	file.go     the file of a state
//	pointer.go  what it has in the index
//	slots.go    which tokens a pointer gets, alike for everybody
//	standin.go  the digits that stand in for an SSN
//	load.go     many records
//	loading.go  in one process at a time
//	issue.go    one, on the check that it was issued on
//	change.go   other names, dates, SSNs; out of the index
//	lock.go     one pointer, or all of them
//	claim.go    one at work on a record at a time, in whichever process
//	due.go      what is wanted, published when it is due
//	publish.go  tokens, to the hub
//	keys.go     tokens under more than one key
//	republish.go  the same pointers under the next key
//	upkeep.go   what else the hub does: withdraw, activate, leave
//	compare.go  are the hub's pointers and the file's the same
//	purge.go    whose time is over; generations
//	weigh.go    does a question agree with a record
//	asked.go    what was asked about its records, and what it has asked
//	continued.go  questions in which it agreed, answered or not
//	passed.go   pointers that go to another state, and come
//	unit.go     questions about protected persons
//	subject.go  what the ledger says instead of naming a record
//	door.go     the counter door to it
//	wire.go     how a record travels there
package records

import (
	"context"
	"time"

	"github.com/waypost/waypost"
)

// System is the state's own licensing system. Whatever changes it is durable when
// it returns, and may be called again with the same arguments; all may be called
// concurrently.
type System interface {
	// Record returns one record by the state's own id, or NotFound.
	Record(ctx context.Context, id string) (waypost.Record, error)
	// ByCard returns the id of the record with this card number, or NotFound.
	ByCard(ctx context.Context, number string) (id string, err error)
	// Put stores records, replacing those with the same id.
	Put(ctx context.Context, records []waypost.Record) error
	// SetStatus changes how a record stands, since when.
	SetStatus(ctx context.Context, id string, status waypost.Status, since time.Time) error
	// Portrait returns a JPEG of at most 48 KiB, or NotFound where there is none.
	Portrait(ctx context.Context, id string) ([]byte, error)
}
