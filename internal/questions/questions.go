// Package questions is what one state asks another without anything changing by it:
// whether a card that is shown is valid and this person's; how a record stands that
// a check has found; its driver history; its portrait.
//
// Everything but the first names a record by a check and the reference of its
// candidate. The state of record answers whom it has told of that very record in
// that check, and what its disclosure table has for the purpose. A question about a
// protected person gets no word before the special unit has decided.
//
//	questions.go  what the room works with, and its kinds
//	card.go       a card that is shown
//	record.go     the record that a check has found
//	unit.go       protected persons
//	door.go       the counter door
package questions

import (
	"bytes"
	"context"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// Errands is what the room needs of the engine, see [errand.Engine].
type Errands interface {
	Handle(kind waypost.Kind, h errand.Handler)
	Begin(tx *store.Tx, mine errand.Errand) error
	Get(ctx context.Context, id errand.ID) (errand.Progress, error)
	Wait(ctx context.Context, id errand.ID, d time.Duration) (errand.Progress, error)
	Question(ctx context.Context, from waypost.Jurisdiction, id errand.ID) (errand.Question, error)
	Reply(ctx context.Context, id errand.ID, from waypost.Jurisdiction, r errand.Response) error
}

// File is the state's own records and its checks: what a records.File does.
type File interface {
	System() records.System
	Record(ctx context.Context, id string) (waypost.Record, error)
	ByHandle(tx *store.Tx, h waypost.Handle) (records.Pointer, error)
	Pointers(tx *store.Tx, record string) ([]records.Pointer, error)
	Answered(tx *store.Tx, check waypost.TicketID, reference []byte) (records.Answered, error)
	Asked(tx *store.Tx, check waypost.TicketID, reference waypost.Reference) (records.Asked, error)
	Withhold(room string, u records.Unit)
}

// Book holds driver histories: see driver.Book.
type Book interface {
	Export(tx *store.Tx, record string) ([]byte, error)
}

// Deps is what the room works with.
type Deps struct {
	State   waypost.Jurisdiction
	DB      *store.DB // of the gateway
	Errands Errands
	File    File
	Book    Book
	Policy  *policy.Table
	Now     func() time.Time
}

// Questions is the room of one state. It is safe for concurrent use.
type Questions struct{ Deps }

// The words of replies, besides those of a status.
const (
	match    = string(waypost.Match)
	noMatch  = string(waypost.NoMatch)
	history  = "history"
	portrait = "portrait"
	moved    = "moved"    // the record is another state's by now
	declined = "declined" // for no reason that is told
)

// New registers what the room answers with the engine, and with the file what it
// holds back.
func New(deps Deps) *Questions {
	q := &Questions{deps}
	statuses := []string{moved, declined}
	for _, s := range []waypost.Status{waypost.Valid, waypost.ExpiredCard, waypost.Surrendered, waypost.Suspended, waypost.Revoked, waypost.Disqualified, waypost.Closed} {
		statuses = append(statuses, string(s))
	}
	for kind, h := range map[waypost.Kind]errand.Handler{
		waypost.KindVerifyCard: {Words: []string{match, noMatch}},
		waypost.KindStatus:     {Words: statuses},
		waypost.KindHistory:    {Words: []string{history, moved, declined}, Least: seal.Size256K},
		waypost.KindPortrait:   {Words: []string{portrait, declined}, Least: seal.Size64K},
	} {
		h.Answer = func(ctx context.Context, asked errand.Question) (errand.Response, error) {
			a, err := q.decide(ctx, kind, asked)
			if err != nil || !a.protected {
				return a.Response, err
			}
			return q.withhold(kind, asked, a), nil
		}
		h.Take = judge
		deps.Errands.Handle(kind, h)
	}
	deps.File.Withhold("questions", unit{q})
	return q
}

// judge takes a reply: nothing follows from it, but what it brings must be what it
// says.
func judge(_ *store.Tx, mine errand.Errand, r errand.Reply) error {
	switch {
	case r.Word == history:
		_, err := driver.ParseHistory(r.Body)
		return err
	case r.Word == portrait && (len(r.Body) > maxPortrait || !bytes.HasPrefix(r.Body, []byte("\xff\xd8\xff"))):
		return waypost.Errorf(waypost.InvalidArgument, "%s has sent as portrait what is none", mine.To)
	case r.Word != portrait && len(r.Body) > 0:
		return waypost.Errorf(waypost.InvalidArgument, "%s has sent more than the word", mine.To)
	}
	return nil
}

// maxPortrait bounds a JPEG: what a state system keeps at most (records.System).
const maxPortrait = 48 << 10

// answer is what would be replied, and about whom.
type answer struct {
	errand.Response
	record    string
	protected bool
}

// decide says what is to be replied to a question, were nobody protected.
func (q *Questions) decide(ctx context.Context, kind waypost.Kind, asked errand.Question) (answer, error) {
	if kind == waypost.KindVerifyCard {
		return q.verify(ctx, asked)
	}
	return q.tell(ctx, kind, asked)
}
