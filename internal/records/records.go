// Package records is what a state's gateway knows of the state's own card
// holders: the records themselves, through a connector to the state's licensing
// system, and for each record the pointers by which the hub finds it.
//
//	records.go  the connector to the licensing system
//	people.go   one in a database of its own
//	file.go     the file of a state
//	pointer.go  what it has in the index
//	asked.go    what was asked about its records, and what it has asked
//	passed.go   pointers that go to another state, and come
//	subject.go  what the ledger says instead of naming a record
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
