package errand

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// mine is an errand of this state as its database has it.
type mine struct {
	Errand
	state    State
	tries    int
	failures int
	taken    uint32
	due      *int64
	begun    time.Time
	reason   string
}

// Begin commits to an errand in the transaction that has a reason for it. Step,
// or Wait, carries it out. InvalidArgument where kind, purpose, recipient and the
// rest do not go together; an id that is there already with the same content
// changes nothing, with other content it is AlreadyExists.
func (e *Engine) Begin(tx *store.Tx, w Errand) error {
	if err := e.check(w); err != nil {
		return err
	}
	if w.Body == nil {
		w.Body = []byte{}
	}
	now := e.Now().Unix()
	n, err := tx.Exec(`INSERT INTO errand (id, kind, purpose, recipient, cites, operator, class, case_reference, body,
		state, tries, failures, taken, due, begun, ended, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, $11, $11, NULL, '') ON CONFLICT (id) DO NOTHING`,
		w.ID, w.Kind, w.Purpose, w.To, w.Cites, w.Operator, w.Class, w.Case, w.Body, int(Wanted), now)
	if err != nil || n == 1 {
		return err
	}
	there, err := loadMine(tx, w.ID)
	if err != nil {
		return err
	}
	same := bytes.Equal(there.Body, w.Body)
	there.Body, w.Body = nil, nil
	if !same || !sameErrand(there.Errand, w) {
		return waypost.Errorf(waypost.AlreadyExists, "another errand has this id")
	}
	return nil
}

func sameErrand(a, b Errand) bool {
	return a.ID == b.ID && a.Kind == b.Kind && a.Purpose == b.Purpose && a.To == b.To && a.Cites == b.Cites &&
		a.Operator == b.Operator && a.Class == b.Class && a.Case == b.Case
}

// check refuses what could never be asked.
func (e *Engine) check(w Errand) error {
	switch to, member := e.Roster.Member(string(w.To)); {
	case w.ID == ID{}:
		return waypost.Errorf(waypost.InvalidArgument, "an errand needs an id")
	case !w.Kind.Errand() || !w.Kind.Allows(w.Purpose):
		return waypost.Errorf(waypost.InvalidArgument, "the purpose given does not allow an errand of this kind")
	case w.Class != waypost.Attended && w.Class != waypost.Unattended:
		return waypost.Errorf(waypost.InvalidArgument, "an errand is attended or unattended")
	case w.To == e.State:
		return waypost.Errorf(waypost.InvalidArgument, "an errand is to another state")
	case !member || to.Role != roster.Gateway:
		return waypost.Errorf(waypost.InvalidArgument, "%s does not take part", w.To)
	case len(w.Body) > maxBody:
		return waypost.Errorf(waypost.InvalidArgument, "an errand has at most %d KiB", maxBody>>10)
	}
	for _, text := range []string{w.Case, w.Operator} {
		if text == "" || len(text) > 200 || !printable(text) {
			return waypost.Errorf(waypost.InvalidArgument, "an errand needs a case reference and an operator, each of at most 200 printable bytes")
		}
	}
	return nil
}

// Cancel gives an errand up: a reply that comes all the same is noted, and not
// taken. One that has ended stays as it is. NotFound where there is none.
func (e *Engine) Cancel(tx *store.Tx, id ID) error {
	m, err := loadMine(tx, id)
	if err != nil || m.state >= Concluded {
		return err
	}
	return e.cancel(tx, m.ID, "")
}

// cancel ends an errand without a reply, and its open ticket with it.
func (e *Engine) cancel(tx *store.Tx, id ID, reason string) error {
	if err := e.abandon(tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE errand SET state = $1, due = NULL, ended = $2, reason = $3 WHERE id = $4`, int(Cancelled), e.Now().Unix(), reason, id)
	return err
}

// abandon says in the ledger that nothing will come of the open ticket, if there
// is one.
func (e *Engine) abandon(tx *store.Tx, id ID, why ...journal.Field) error {
	t, err := openTicket(tx, id)
	if err != nil || t == nil {
		return err
	}
	if err := endTicket(tx, t.signed.ID); err != nil {
		return err
	}
	return e.log(tx, t.signed, "abandoned", why...)
}

// Get returns an errand of this state, NotFound where there is none. Errands are
// forgotten 28 days after they have ended.
func (e *Engine) Get(ctx context.Context, id ID) (p Progress, err error) {
	err = e.DB.Read(ctx, func(tx *store.Tx) error {
		m, err := loadMine(tx, id)
		if err == nil {
			p, err = progress(tx, m)
		}
		return err
	})
	return p, err
}

// Suspended returns the errands that were begun longer ago than that and have no
// final reply, oldest first, at most 1000.
func (e *Engine) Suspended(ctx context.Context, older time.Duration) (list []Progress, err error) {
	err = e.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		ids, err := idsOf(tx, `SELECT id FROM errand WHERE due IS NOT NULL AND begun <= $1 ORDER BY begun, id LIMIT 1000`, e.Now().Add(-older).Unix())
		for _, id := range ids {
			var m mine
			var p Progress
			if m, err = loadMine(tx, id); err == nil {
				p, err = progress(tx, m)
			}
			if err != nil {
				return err
			}
			list = append(list, p)
		}
		return err
	})
	return list, err
}

func idsOf(tx *store.Tx, query string, args ...any) (ids []ID, err error) {
	err = tx.Query(query, args, func(scan func(dest ...any) error) error {
		var id ID
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

func loadMine(tx *store.Tx, id ID) (m mine, err error) {
	var begun int64
	m.ID = id
	err = tx.Row(`SELECT kind, purpose, recipient, cites, operator, class, case_reference, body, state, tries, failures, taken, due, begun, reason
		FROM errand WHERE id = $1`, id).
		Scan(&m.Kind, &m.Purpose, &m.To, &m.Cites, &m.Operator, &m.Class, &m.Case, &m.Body, (*int)(&m.state), &m.tries, &m.failures, &m.taken, &m.due, &begun, &m.reason)
	if errors.Is(err, store.ErrNoRows) {
		return m, waypost.Errorf(waypost.NotFound, "there is no such errand")
	}
	m.begun = time.Unix(begun, 0).UTC()
	return m, err
}

// progress adds what came of an errand.
func progress(tx *store.Tx, m mine) (Progress, error) {
	p := Progress{Errand: m.Errand, State: m.state, Tries: m.tries, Begun: m.begun, Reason: m.reason}
	err := tx.Row(`SELECT ticket FROM errand_ticket WHERE errand = $1 ORDER BY at DESC, ticket LIMIT 1`, m.ID).Scan(&p.Ticket)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return p, err
	}
	// What is held until an earlier reply comes is not shown.
	err = tx.Query(`SELECT number, word, final, body, refused, statement, at FROM errand_reply WHERE errand = $1 AND (taken = 1 OR $2 = 1) ORDER BY number`,
		[]any{m.ID, m.state >= Concluded}, func(scan func(dest ...any) error) error {
			r, err := scanReply(scan)
			p.Replies = append(p.Replies, r)
			return err
		})
	return p, err
}

func scanReply(scan func(dest ...any) error) (r Reply, err error) {
	var at int64
	err = scan(&r.Number, &r.Word, &r.Final, &r.Body, &r.Refused, &r.Statement, &at)
	r.At = time.Unix(at, 0).UTC()
	return r, err
}

// The states of a ticket.
const (
	ticketKept  = iota // allowed, and not sent yet
	ticketSent         // in the outbox, or on its way
	ticketEnded        // in the ledger too
)

// ticketRow is a ticket that still owes the ledger its end.
type ticketRow struct {
	signed  waypost.SignedTicket
	request []byte
	sent    bool
	at      time.Time
}

// openTicket returns the errand's ticket that is open, or nil.
func openTicket(tx *store.Tx, id ID) (*ticketRow, error) {
	var t ticketRow
	var signed []byte
	var state int
	var at int64
	err := tx.Row(`SELECT signed, request, state, at FROM errand_ticket WHERE errand = $1 AND state <> $2`, id, ticketEnded).Scan(&signed, &t.request, &state, &at)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		t.signed, err = waypost.ParseTicket(signed)
	}
	t.sent, t.at = state == ticketSent, time.Unix(at, 0)
	return &t, err
}

// endTicket is called with the entry that ends the ticket. The letter is not
// needed any more.
func endTicket(tx *store.Tx, id waypost.TicketID) error {
	_, err := tx.Exec(`UPDATE errand_ticket SET state = $1, request = $2 WHERE ticket = $3`, ticketEnded, []byte{}, id)
	return err
}
