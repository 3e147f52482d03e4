package errand

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
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
	// Ready is Unavailable where Seal would be now.
	Ready(ctx context.Context, to string) error
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
	busy     claims
	watch    watch
	purged   time.Time
}

// New makes an engine. It works once kinds are registered with Handle, and as far
// as Step, OnRequest and OnReply are called.
func New(deps Deps) *Engine {
	return &Engine{Deps: deps, handlers: make(map[waypost.Kind]Handler), busy: newClaims(), watch: newWatch()}
}

// Handle registers what a kind does, before anything else is called.
func (e *Engine) Handle(kind waypost.Kind, h Handler) { e.handlers[kind] = h }

// atOnce bounds what one step does of one sort.
const atOnce = 100

// Step does what is due now: errands to be sent, or to be sent again; questions
// whose Answer could not say anything yet; what is too old. One call at a time.
func (e *Engine) Step(ctx context.Context) error {
	return errors.Join(e.purge(ctx), e.carryOut(ctx), e.answerDue(ctx))
}

// backoff is how long to wait after so many failures: two seconds, doubled each
// time up to an hour. Somebody at the counter does not wait for long because a
// party was being restarted.
func backoff(failures int) time.Duration { return min(time.Hour, 2*time.Second<<min(failures, 11)) }

// tryAgain reports whether an error is a fault of our own or of the moment.
func tryAgain(err error) bool {
	code := waypost.CodeOf(err)
	return code == waypost.Internal || code == waypost.Unavailable
}

// log appends an entry about a ticket.
func (e *Engine) log(tx *store.Tx, t waypost.SignedTicket, kind string, more ...journal.Field) error {
	body, err := journal.Body(append(journal.TicketFields(t.Ticket), more...)...)
	if err != nil {
		return err
	}
	_, err = e.Journal.Append(tx, journal.Entry{Kind: kind, Ticket: t.ID, Tau: t.Tau, At: e.Now(), Body: body})
	return err
}

// claim keeps two calls from working on the same thing at the same time, in whichever
// process. It returns what ends it, or nil where another call is at it.
func (e *Engine) claim(ctx context.Context, what string) (leave func()) {
	if !e.busy.take(what) {
		return nil
	}
	release := e.DB.Claim(ctx, "errand "+hex.EncodeToString([]byte(what)))
	if release == nil {
		e.busy.leave(what)
		return nil
	}
	return func() {
		release()
		e.busy.leave(what)
	}
}

// claims are what this process is working on.
type claims struct {
	mu   *sync.Mutex
	held map[string]bool
}

func newClaims() claims { return claims{new(sync.Mutex), make(map[string]bool)} }

func (c claims) take(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[what] {
		return false
	}
	c.held[what] = true
	return true
}

func (c claims) leave(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, what)
}

// How long things are kept.
const (
	// keptFor is how long what has ended can be looked at.
	keptFor = 28 * 24 * time.Hour
	// rememberedFor is longer than any state asks for one errand: an id that is
	// forgotten would be answered a second time.
	rememberedFor = askFor + waypost.MessageLife + 3*24*time.Hour
	purgeEvery    = time.Hour
)

// purgeAtOnce is how many rows one transaction forgets: after an outage there may be more
// than a server deletes before it gives up.
const purgeAtOnce = 256

const (
	endedErrands = `SELECT id FROM errand WHERE ended < $1 ORDER BY ended, id LIMIT $2`
	oldQuestions = `SELECT asking, id FROM question WHERE finished < $1 AND at < $2 ORDER BY finished, asking, id LIMIT $3`
)

// purge forgets what nobody can ask for any more.
func (e *Engine) purge(ctx context.Context) error {
	now := e.Now()
	if since := now.Sub(e.purged); since >= 0 && since < purgeEvery { // or a clock was ahead
		return nil
	}
	old, ancient := now.Add(-keptFor).Unix(), now.Add(-rememberedFor).Unix()
	for _, step := range []struct {
		statements []string // of one transaction; the last one is told how many it took
		args       []any
	}{
		{[]string{
			`DELETE FROM errand_reply WHERE errand IN (` + endedErrands + `)`,
			`DELETE FROM errand_ticket WHERE errand IN (` + endedErrands + `)`,
			`DELETE FROM errand WHERE id IN (` + endedErrands + `)`,
		}, []any{old, purgeAtOnce}},
		{[]string{`UPDATE question SET body = $1, statement = $1 WHERE (asking, id) IN (SELECT asking, id FROM question
			WHERE finished < $2 AND (body <> $1 OR statement <> $1) ORDER BY finished, asking, id LIMIT $3)`}, []any{[]byte{}, old, purgeAtOnce}},
		{[]string{
			`DELETE FROM question_reply WHERE (asking, id) IN (` + oldQuestions + `)`,
			`DELETE FROM question WHERE (asking, id) IN (` + oldQuestions + `)`,
		}, []any{old, ancient, purgeAtOnce}},
		{[]string{`DELETE FROM question_ticket WHERE (asking, ticket) IN (SELECT asking, ticket FROM question_ticket
			WHERE at < $1 ORDER BY at, asking, ticket LIMIT $2)`}, []any{ancient, purgeAtOnce}},
	} {
		for n := int64(purgeAtOnce); n == purgeAtOnce; {
			if err := e.DB.WriteBulk(ctx, func(tx *store.Tx) (err error) {
				for _, statement := range step.statements {
					if n, err = tx.Exec(statement, step.args...); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
	}
	e.purged = now
	return nil
}
