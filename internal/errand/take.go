package errand

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// OnReply handles a message of type waypost.MessageReply. An error that is Internal
// or Unavailable has the message handled again later.
func (e *Engine) OnReply(ctx context.Context, m seal.Message) error {
	id, r, signed, ok := parseReply(m.Body)
	if !ok {
		return malformed(m)
	}
	if signed != nil {
		if err := e.checkStatement(m, *signed); err != nil {
			return err
		}
	}
	r.At = e.Now().UTC().Truncate(time.Second)
	err := e.take(ctx, id, func(tx *store.Tx, mine *mine) error { return e.receive(tx, mine, m, r) })
	e.watch.note(id)
	return err
}

// checkStatement insists that who sent the reply has signed it, for this ticket.
func (e *Engine) checkStatement(m seal.Message, s seal.Statement) error {
	if s.Sender != m.Sender || s.Ticket != m.Ticket {
		return waypost.Errorf(waypost.PermissionDenied, "the reply of %s carries what was said by another, or under another ticket", m.Sender)
	}
	key, err := e.Roster.SenderKey(s.RosterVersion, s.Sender)
	if err != nil {
		return err
	}
	return s.Verify(key)
}

// takeError is a handler's: the reply cannot be taken, now or ever.
type takeError struct{ error }

func (t takeError) Unwrap() error { return t.error }

// take commits what follows from replies. Where a handler cannot ever take one, the
// errand is given up with what the handler said.
func (e *Engine) take(ctx context.Context, id ID, what func(tx *store.Tx, m *mine) error) error {
	err := e.DB.Write(ctx, func(tx *store.Tx) error {
		m, err := loadMine(tx, id)
		if err != nil {
			return err
		}
		return what(tx, &m)
	})
	refused, ok := errors.AsType[takeError](err)
	if !ok || tryAgain(err) {
		return err
	}
	e.Log.Error("a reply to an errand cannot be taken", "code", waypost.CodeOf(err), "cause", err)
	return e.DB.Write(ctx, func(tx *store.Tx) error {
		m, err := loadMine(tx, id)
		if err != nil || m.state >= Concluded {
			return err
		}
		return e.cancel(tx, id, refused.Error())
	})
}

// receive stores a reply once, and takes it and what was held for it in order.
func (e *Engine) receive(tx *store.Tx, m *mine, from seal.Message, r Reply) error {
	var asked ID
	err := tx.Row(`SELECT errand FROM errand_ticket WHERE ticket = $1`, from.Ticket).Scan(&asked)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return err
	}
	if err != nil || asked != m.ID || string(m.To) != from.Sender {
		return waypost.Errorf(waypost.PermissionDenied, "%s replied to what it was not asked", from.Sender)
	}
	if !e.handlers[m.Kind].has(r.Word) || r.Number > m.taken+maxEarly || len(r.Body) > e.handlers[m.Kind].room() {
		return malformed(from)
	}
	isNew, err := storeReply(tx, m.ID, from.Ticket, r)
	if err != nil || !isNew {
		return err
	}
	if m.state >= Concluded { // noted, and no more
		return nil
	}
	for m.state < Concluded {
		next, ticket, err := nextReply(tx, *m)
		if errors.Is(err, store.ErrNoRows) {
			return e.missing(tx, *m, r.Number)
		}
		if err == nil {
			err = e.takeOne(tx, m, next, ticket)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// missing has an errand asked again soon where a reply has come before an earlier
// one, which may be lost.
func (e *Engine) missing(tx *store.Tx, m mine, came uint32) error {
	if came <= m.taken {
		return nil
	}
	soon := e.Now().Add(overtaking).Unix()
	_, err := tx.Exec(`UPDATE errand SET due = $1 WHERE id = $2 AND due > $1`, soon, m.ID)
	return err
}

func storeReply(tx *store.Tx, id ID, ticket waypost.TicketID, r Reply) (isNew bool, err error) {
	for _, b := range []*[]byte{&r.Body, &r.Statement} {
		if *b == nil {
			*b = []byte{}
		}
	}
	n, err := tx.Exec(`INSERT INTO errand_reply (errand, number, ticket, word, final, body, refused, statement, taken, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9) ON CONFLICT (errand, number) DO NOTHING`,
		id, r.Number, ticket, r.Word, r.Final, r.Body, r.Refused, r.Statement, r.At.Unix())
	return n == 1, err
}

func nextReply(tx *store.Tx, m mine) (r Reply, ticket waypost.TicketID, err error) {
	row := tx.Row(`SELECT ticket, number, word, final, body, refused, statement, at FROM errand_reply WHERE errand = $1 AND number = $2`, m.ID, m.taken+1)
	r, err = scanReply(func(dest ...any) error { return row.Scan(append([]any{&ticket}, dest...)...) })
	return r, ticket, err
}

// takeOne commits one reply with what follows from it.
func (e *Engine) takeOne(tx *store.Tx, m *mine, r Reply, ticket waypost.TicketID) error {
	if take := e.handlers[m.Kind].Take; take != nil {
		if err := take(tx, m.Errand, r); err != nil {
			return takeError{err}
		}
	}
	m.taken = r.Number
	if _, err := tx.Exec(`UPDATE errand_reply SET taken = 1 WHERE errand = $1 AND number = $2`, m.ID, r.Number); err != nil {
		return err
	}
	if !r.Final {
		_, err := tx.Exec(`UPDATE errand SET taken = $1, due = $2 WHERE id = $3`, r.Number, e.Now().Add(slowly).Unix(), m.ID)
		return err
	}
	m.state = Concluded
	if _, err := tx.Exec(`UPDATE errand SET state = $1, taken = $2, due = NULL, ended = $3 WHERE id = $4`, int(Concluded), r.Number, e.Now().Unix(), m.ID); err != nil {
		return err
	}
	return e.conclude(tx, *m, r, ticket)
}

// conclude ends the errand in the ledger, under the ticket to which the final reply
// came. One that was sent since then is abandoned.
func (e *Engine) conclude(tx *store.Tx, m mine, r Reply, ticket waypost.TicketID) error {
	var signed []byte
	var evaluations string
	err := tx.Row(`SELECT signed, evaluations FROM errand_ticket WHERE ticket = $1 AND errand = $2`, ticket, m.ID).Scan(&signed, &evaluations)
	if errors.Is(err, store.ErrNoRows) {
		return nil // never allowed: no ledger has anything of it
	}
	if err != nil {
		return err
	}
	t, err := waypost.ParseTicket(signed)
	if err != nil {
		return err
	}
	if err := endTicket(tx, ticket); err != nil {
		return err
	}
	if err := e.abandon(tx, m.ID); err != nil {
		return err
	}
	return e.log(tx, t, "concluded", journal.Field{Name: "word", Value: r.Word}, journal.Field{Name: "evaluations", Value: evaluations},
		journal.Field{Name: "reply", Value: base64Of(r.Statement)})
}

func malformed(m seal.Message) error {
	return waypost.Errorf(waypost.InvalidArgument, "the %s of %s is not well formed", m.Type, m.Sender)
}

// maxWait is how long anybody waits for a reply.
const maxWait = 5 * time.Second

// Wait carries an errand out at once, after the transaction that began it, and
// waits for its final reply: at most d, and never more than five seconds. The error
// is that of a refusal by the key holders; where somebody cannot be reached there is
// none, and the errand goes on by itself.
func (e *Engine) Wait(ctx context.Context, id ID, d time.Duration) (Progress, error) {
	deadline := e.Now().Add(min(d, maxWait))
	e.watch.begin(id)
	defer e.watch.end(id)
	sendErr := e.advance(ctx, id)
	for {
		changed := e.watch.look(id)
		p, err := e.Get(ctx, id)
		switch left := deadline.Sub(e.Now()); {
		case err != nil:
			return p, err
		case p.State == Cancelled && p.Reason != "":
			if sendErr == nil { // refused while another call was at it
				sendErr = waypost.Errorf(waypost.PermissionDenied, "%s", p.Reason)
			}
			return p, sendErr
		case p.State >= Concluded || left <= 0 || sendErr != nil || p.State == Wanted && p.Reason != "":
			return p, nil
		default:
			if err := e.Pause(ctx, changed, left); err != nil {
				return p, err
			}
		}
	}
}

// watch tells those who wait for an errand that something has come, so that waiting
// costs no look into the database.
type watch struct {
	mu *sync.Mutex
	on map[ID]*watched
}

type watched struct {
	waiting int
	changed chan struct{} // closed at the next change
}

func newWatch() watch { return watch{new(sync.Mutex), make(map[ID]*watched)} }

func (w watch) begin(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on[id] == nil {
		w.on[id] = &watched{changed: make(chan struct{})}
	}
	w.on[id].waiting++
}

func (w watch) end(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on[id].waiting--; w.on[id].waiting == 0 {
		delete(w.on, id)
	}
}

func (w watch) look(id ID) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.on[id].changed
}

func (w watch) note(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.on[id]; c != nil {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}
