// Package gateway is the role that a member state runs beside its own licensing
// system. It is the only role that sees a person in clear.
//
//	check.go     one check, top-down
//	inquiry.go   the ticket and the life of a check
//	kept.go      what is kept of it
//	evaluate.go  the quorum of key holders
//	keys.go      under which keys
//	standin.go   what stands in for an SSN, and whom the state may know already
//	search.go    the hub's candidates, and the state's own records
//	ask.go       the two legs, as the state of inquiry
//	owner.go     the two legs, as the state of record
//	answer.go    what the clerk reads
//	post.go      sealing, outbox
//	mail.go      mailbox, inbox
//	loop.go      Run, or one step of it after the other
//	house.go     what is owed, cut off, held back or too old
//	courtesy.go  the counter goes before a load
//	recent.go    what was committed a moment ago
//	laps.go      how long a check took
//	shared.go    one of several processes
//	unit.go      questions about protected persons
//	cases.go     what waits for a person
//	campaign.go  checks that no person sits at
//	publish.go   what the state's own records need of it
//	applicant.go what may be said about a person, and how it travels
//	wire.go      how an answer travels to the counter
//	remote.go    the key holders, at their addresses
//	permit.go    tickets without elements
//	rooms.go     what follows a check
//	counter.go   the door towards the state's own counters
//	open.go      what its auditors are shown there
//	canary.go    synthetic people that states look for
//	unasked.go   searches that nobody followed up
package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/metrics"
	"github.com/waypost/waypost/internal/move"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/turns"
)

// Holders reaches the key holders by their roster names.
type Holders interface {
	Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error)
}

// Hub is the index. All calls may be repeated: the same ticket gets the same
// answer.
type Hub interface {
	Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error)
	records.Hub
}

// Mailbox is the post office and the directory of encryption keys. A sent
// message is durable when Send returns; a received one is deleted only when a
// later Receive acknowledges it.
type Mailbox interface {
	Send(ctx context.Context, req *waypostv1.SendRequest) (*waypostv1.SendResponse, error)
	Receive(ctx context.Context, req *waypostv1.ReceiveRequest) (*waypostv1.ReceiveResponse, error)
	PutKey(ctx context.Context, req *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error)
	GetKey(ctx context.Context, req *waypostv1.GetKeyRequest) (*waypostv1.GetKeyResponse, error)
}

// Ledger is where every act is written down, in the transaction of the act
// itself. The number that Append returns, and with it the receipt, holds once
// the transaction has committed.
type Ledger interface {
	Append(tx *store.Tx, e journal.Entry) (seq uint64, err error)
	// KeepReceipts keeps what others have signed under the ticket until their
	// leaves are seen in their logs.
	KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error
}

// Ledgers says whether a member's own ledger can be relied on now. Usable is
// called for every check and answers from memory; its error says in words why
// not, and until when.
type Ledgers interface {
	Usable(member string) error
}

// Config names this gateway.
type Config struct {
	State waypost.Jurisdiction // its name in the roster, "CA"
	Moves move.Config          // periods of what moves, ends and waits
	// Retention is how long a record stays findable in each status; nil for
	// records.DefaultRetention.
	Retention records.Retention
	Cases     duplicate.Config // zero fields for duplicate.Defaults
}

// Deps is what a gateway works with.
type Deps struct {
	Roster   *roster.View
	DB       *store.DB
	Journal  Ledger
	Identity ed25519.PrivateKey
	Secret   [32]byte // under which decoys and operator tags are derived
	Keyring  *seal.Keyring
	// SaveKeyring stores the keyring durably; it is called before a new public
	// key is announced.
	SaveKeyring func(*seal.Keyring) error
	// TakeKeyring takes up what another process of this gateway has stored; nil where
	// there is none.
	TakeKeyring func(context.Context, *seal.Keyring) error
	Policy      *policy.Table
	Holders     Holders
	Hub         Hub
	Mailbox     Mailbox
	Ledgers     Ledgers
	People      records.System
	Now         func() time.Time
	Log         *slog.Logger
	Metrics     *metrics.Set // may be nil
	Loop        Loop         // of a simulation; otherwise nil
}

// Server is one state's gateway.
type Server struct {
	config Config
	Deps
	name        string // in the roster
	decoySecret []byte
	operatorKey []byte
	ring        keyRing
	hedge       *hedgeBudget
	turns       *turns.Turns
	outgoing    chan letter // committed to the outbox
	watch       *watch
	notices     *recent[question, noticeRow]
	file        *records.File
	recipients  sync.Map // member name -> *seal.PublicKey
	care        keyCare
	house       house
	begun       time.Time // when this process began
	resumed     bool      // what the one before has left is taken up
	rooms       rooms
	leading     atomic.Bool  // this process does what one does for all
	handled     uint64       // number of the last message that was handled and is not acknowledged
	loader      atomic.Value // string: the operator who loaded last
}

// New checks that state and roster agree. The gateway works once Run does.
func New(config Config, deps Deps) (*Server, error) {
	me, ok := deps.Roster.Member(string(config.State))
	if !ok || me.Role != roster.Gateway {
		return nil, waypost.Errorf(waypost.InvalidArgument, "%s is not a member state of the roster", config.State)
	}
	s := &Server{
		config: config, Deps: deps, name: string(config.State), begun: deps.Now(),
		decoySecret: derive(deps.Secret, "decoys"), operatorKey: derive(deps.Secret, "operators"),
		turns: turns.New(),
		hedge: newHedgeBudget(), outgoing: make(chan letter, 1024), watch: newWatch(), notices: newRecent[question, noticeRow](),
	}
	if err := s.openFile(); err != nil {
		return nil, err
	}
	s.measure()
	s.measureUnasked()
	return s, s.openRooms()
}

// derive makes a key for one use of the gateway's secret.
func derive(secret [32]byte, use string) []byte {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("waypost gateway v1 " + use))
	return m.Sum(nil)
}
