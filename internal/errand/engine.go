package errand

import (
	"context"
	"log/slog"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// Journal is this state's ledger.
type Journal interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
	KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error
}

// Ledgers says whether a member's own ledger can be relied on now.
type Ledgers interface {
	Usable(member string) error
}

// Letter is a sealed message on its way into the outbox.
type Letter struct {
	ID     [16]byte
	Sealed []byte
}

// Post seals letters and sends them. What is Put into the outbox arrives, or
// expires after waypost.MessageLife; Dispatch only makes it faster.
type Post interface {
	// Seal is Unavailable where the recipient's key cannot be had now.
	Seal(ctx context.Context, to, messageType string, ticket waypost.TicketID, least seal.SizeClass, body []byte) (Letter, error)
	// State signs what this state says under a ticket: see seal.State.
	State(messageType string, ticket waypost.TicketID, body []byte) ([]byte, error)
	Put(tx *store.Tx, l Letter) error
	Dispatch(letters ...Letter)
}

// Deps is what an engine works with.
type Deps struct {
	State   waypost.Jurisdiction // whose engine this is: its name in the roster
	Roster  *roster.View
	DB      *store.DB // opened for the role "gateway"
	Journal Journal
	Permits Permits
	Post    Post
	Ledgers Ledgers
	// Subject is the ledger's word for a record, in an entry about the ticket.
	Subject func(h waypost.Handle, ticket waypost.TicketID) journal.Field
	// Pause returns when changed is closed or when d is over, or with the error of a
	// context that has ended.
	Pause func(ctx context.Context, changed <-chan struct{}, d time.Duration) error
	Now   func() time.Time
	Log   *slog.Logger
}

// Engine asks and answers the errands of one state. It is safe for concurrent use.
type Engine struct {
	Deps
	handlers map[waypost.Kind]Handler
}

// New makes an engine. It works once kinds are registered with Handle, and as far
// as Step, OnRequest and OnReply are called.
func New(deps Deps) *Engine {
	return &Engine{Deps: deps, handlers: make(map[waypost.Kind]Handler)}
}

// Handle registers what a kind does, before anything else is called.
func (e *Engine) Handle(kind waypost.Kind, h Handler) { e.handlers[kind] = h }

var notYet = waypost.Errorf(waypost.Unavailable, "errands cannot be run yet")

// Begin commits to an errand in the transaction that has a reason for it. Step,
// or Wait, carries it out. InvalidArgument where kind, purpose, recipient and the
// rest do not go together; an id that is there already with the same content
// changes nothing, with other content it is AlreadyExists.
func (e *Engine) Begin(tx *store.Tx, mine Errand) error { return notYet }

// Cancel gives an errand up: a reply that comes all the same is noted, and not
// taken. One that is concluded stays as it is. NotFound where there is none.
func (e *Engine) Cancel(tx *store.Tx, id ID) error { return notYet }

// Get returns an errand of this state, NotFound where there is none. Errands are
// forgotten 28 days after they were concluded or cancelled.
func (e *Engine) Get(ctx context.Context, id ID) (Progress, error) { return Progress{}, notYet }

// Wait carries an errand out at once, after the transaction that began it, and
// waits for its final reply: at most d, and never more than five seconds. The error
// is that of a refusal by the key holders; where somebody cannot be reached there is
// none, and the errand goes on by itself.
func (e *Engine) Wait(ctx context.Context, id ID, d time.Duration) (Progress, error) {
	return Progress{}, notYet
}

// Suspended returns the errands that were begun longer ago than that and have no
// final reply, oldest first, at most 1000.
func (e *Engine) Suspended(ctx context.Context, older time.Duration) ([]Progress, error) {
	return nil, notYet
}

// Step does what is due now: errands to be sent, or to be sent again; questions
// whose Answer could not say anything yet; what is too old.
func (e *Engine) Step(ctx context.Context) error { return notYet }

// Question returns a question that another state has asked, NotFound where there
// is none. Its body is forgotten 28 days after its final reply.
func (e *Engine) Question(ctx context.Context, from waypost.Jurisdiction, id ID) (Question, error) {
	return Question{}, notYet
}

// Reply says something more to a question, or the first word where Answer had
// none. NotFound where there is no such question, AlreadyExists where it has had
// its final reply.
func (e *Engine) Reply(ctx context.Context, id ID, from waypost.Jurisdiction, r Response) error {
	return notYet
}

// OnRequest handles a message of type waypost.MessageRequest. An error that is
// Internal or Unavailable has the message handled again later.
func (e *Engine) OnRequest(ctx context.Context, m seal.Message) error { return notYet }

// OnReply handles a message of type waypost.MessageReply, likewise.
func (e *Engine) OnReply(ctx context.Context, m seal.Message) error { return notYet }
