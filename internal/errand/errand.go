// Package errand asks one state one thing, and answers such questions: each under
// a ticket of its own, each exactly once in its effects, whatever crashes, comes
// twice, late or out of order. What the things are, others say: they register a
// [Handler] for each kind.
//
// An errand begins in the transaction that has a reason for it ([Engine.Begin]).
// From then on it is kept until it has a final reply: a ticket is signed that
// commits to exactly this request and recipient, t key holders allow it, it goes
// out sealed, and goes out again under a new ticket where nothing comes back. Its
// id stays the same, so that it is answered once: what comes again gets the reply
// that was given. Each reply is taken in one transaction with whatever follows
// from it.
//
//	errand.go  what others use
//	permit.go  what lets a ticket leave
//	engine.go  the engine; what it forgets
//	mine.go    the errands of this state
//	send.go    under which tickets they go out
//	take.go    what comes back
//	asked.go   the questions of others
//	reply.go   what is said to them
//	wire.go    how both travel
package errand

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// ID names an errand for both sides: 16 random bytes.
type ID [16]byte

// NewID draws one.
func NewID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	return id
}

// Errand is something to be asked of one state.
type Errand struct {
	ID       ID
	Kind     waypost.Kind // waypost.Kind.Errand
	Purpose  waypost.Purpose
	To       waypost.Jurisdiction
	Cites    waypost.TicketID // the check that it follows, or zero
	Operator string           // the state's own user id
	Class    waypost.OperatorClass
	Case     string // the state's own reference
	Body     []byte // of the kind
}

// Reply is what the other state said. Numbers count from 1; each is taken once,
// in order.
type Reply struct {
	Number  uint32
	Word    string // from the closed list of the kind, or Refused
	Final   bool
	Body    []byte // of the kind; empty where the word is Refused
	Refused string // why, in words
	At      time.Time
	// Statement is the reply as its state signed it, for ledgers and disputes.
	Statement []byte
}

// Words of replies of every kind, both final.
const (
	Refused = "refused" // the other state refuses the errand altogether
	// Unanswered is what this state takes for a reply when the other has said
	// nothing for so long that it is not asked again; nobody has signed it.
	Unanswered = "unanswered"
)

// Question is an errand as the state that is asked sees it: its ticket is
// verified, from t key holders, and commits to Body and to this state.
type Question struct {
	ID     ID
	From   waypost.Jurisdiction
	Ticket waypost.SignedTicket
	Body   []byte
	At     time.Time
	// Statement is the request as its state signed it: a waypostv1.Request inside a
	// seal.Statement. Who passes the question on can show whose it was.
	Statement []byte
}

// Response is what a state replies. Without a Word nothing is said yet: the
// question stays open, and looks slow from outside, until [Engine.Reply].
type Response struct {
	Word  string // goes into the ledger: a word from the closed list of the kind
	Final bool
	Body  []byte
	// Handle is that of the record which the reply is about, or nil: the ledger
	// gets the subject that follows from it.
	Handle []byte
	// Withheld, without a Word: the record's person is protected, and a special unit
	// answers. The ledger says so; who asks sees nothing.
	Withheld bool
	Policy   string // version of the disclosure table where one was applied
	// Commit, if set, is called in the transaction that commits the reply with
	// its ledger entry, once. An error undoes it, and is judged like one of Answer.
	Commit func(tx *store.Tx) error

	refused string // why, where the engine itself refuses
}

// Handler is what one kind does. Either side may be missing.
type Handler struct {
	// Answer decides what to reply to a question. It may be called again for the
	// same question until what it returned was committed, so what it does besides
	// is done by Response.Commit. An error that is Internal or Unavailable has it
	// called again later; any other refuses the errand in words.
	Answer func(ctx context.Context, q Question) (Response, error)
	// Take commits what follows from a reply, in its transaction. An error that is
	// Internal or Unavailable has the reply come again later; after any other the
	// errand is given up, cancelled with what the error says.
	Take func(tx *store.Tx, mine Errand, r Reply) error
	// Words is the closed list of what may be replied.
	Words []string
	// Least is the size of replies: all replies of the kind look alike, and one
	// that does not fit, with 1 KiB for what goes around its body, is an error of
	// the handler. Zero means seal.Size4K.
	Least seal.SizeClass
}

// State says how far an errand of this state has come.
type State int

const (
	Wanted    State = iota // to be sent, or to be sent again
	Sent                   // on its way, or waiting for a reply
	Concluded              // a final reply was taken
	Cancelled              // given up here: replies are not taken any more
)

// Progress is an errand of this state and what came of it.
type Progress struct {
	Errand
	State   State
	Ticket  waypost.TicketID // the newest, or zero
	Tries   int              // tickets
	Reason  string           // why it was cancelled, where the key holders refused it
	Begun   time.Time
	Replies []Reply // in order
}
