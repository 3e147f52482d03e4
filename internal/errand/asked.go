package errand

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// actsFor is how long after its issue a ticket is acted on: as long as its letter
// can be under way, and a day in which it can wait to be sealed.
const actsFor = waypost.MessageLife + 24*time.Hour

// asked is a question as the database has it.
type asked struct {
	Question
	kind        waypost.Kind
	digest      [32]byte
	evaluations string // of the newest ticket
	replies     uint32
	failures    int
	due         *int64
	finished    *int64
}

// OnRequest handles a message of type waypost.MessageRequest. An error that is
// Internal or Unavailable has the message handled again later.
func (e *Engine) OnRequest(ctx context.Context, m seal.Message) error {
	q, ok := parseRequest(m.Body)
	if !ok {
		return malformed(m)
	}
	from := waypost.Jurisdiction(m.Sender)
	there, seen, err := e.known(ctx, from, q)
	if err != nil || seen {
		return err
	}
	if err := e.admit(m, q); err != nil {
		if tryAgain(err) {
			return err // the question waits
		}
		return e.reject(ctx, from, q, there != nil, err)
	}
	switch {
	case there == nil:
		if err := e.accept(ctx, from, q, m.Statement); err != nil {
			return err
		}
		return e.answer(ctx, from, q.id)
	case there.digest != digestOf(q.ticket.Ticket, q.body):
		return e.reject(ctx, from, q, true, waypost.Errorf(waypost.Misuse, "the id of an errand stands for another one"))
	}
	return e.repeat(ctx, *there, q, m.Statement)
}

// known returns the question of that id, if there is one, and whether it has come
// under this very ticket.
func (e *Engine) known(ctx context.Context, from waypost.Jurisdiction, q request) (there *asked, seen bool, err error) {
	err = e.DB.Read(ctx, func(tx *store.Tx) error {
		if err := tx.Row(`SELECT count(*) FROM question_ticket WHERE asking = $1 AND ticket = $2`, from, q.ticket.ID).Scan(&seen); err != nil {
			return err
		}
		found, err := loadAsked(tx, from, q.id)
		if there = &found; waypost.CodeOf(err) == waypost.NotFound {
			there, err = nil, nil
		}
		return err
	})
	return there, seen, err
}

// admit verifies that the ticket allows exactly this question to this state.
func (e *Engine) admit(m seal.Message, q request) error {
	t := q.ticket
	if string(t.SOI) != m.Sender || t.ID != m.Ticket || !t.Kind.Errand() {
		return waypost.Errorf(waypost.PermissionDenied, "the ticket is not for an errand of %s", m.Sender)
	}
	if err := waypost.VerifyChain(t, q.receipts, e.Roster); err != nil {
		return err
	}
	if err := t.CoversRequest(string(e.State), q.salt, q.bytes); err != nil {
		return err
	}
	if age := e.Now().Sub(t.IssuedAt); age > actsFor || age < -waypost.ClockSkew {
		return waypost.Errorf(waypost.Expired, "the ticket is not of the last %d days", actsFor/(24*time.Hour))
	}
	return e.usable(q)
}

// usable insists that the ledgers of t who allowed it can be relied on now.
func (e *Engine) usable(q request) error {
	need, err := e.Roster.Threshold(q.ticket.RosterVersion)
	if err != nil {
		return err
	}
	var why error
	for _, r := range q.receipts {
		if err := e.Ledgers.Usable(r.Signer); err != nil {
			why = errors.Join(why, err)
		} else {
			need--
		}
	}
	if need > 0 {
		return waypost.Errorf(waypost.Unavailable, "the ledgers of those who allowed it cannot be relied on now").WithCause(why)
	}
	return nil
}

// reject refuses what cannot be admitted, without a word that is signed for ledgers:
// whose ticket it is has not been shown. One that is too old is asked again anyway,
// and what was admitted before has its reply. Whatever the kind, this letter is
// small: nothing has been allowed yet, and who sends much that is not must not have
// more sent back.
func (e *Engine) reject(ctx context.Context, from waypost.Jurisdiction, q request, known bool, cause error) error {
	e.Log.Warn("an errand was not admitted", "asking", from, "code", waypost.CodeOf(cause), "cause", cause)
	body, err := journal.Body(journal.Field{Name: "soi", Value: string(from)}, journal.Field{Name: "code", Value: string(waypost.CodeOf(cause))})
	if err != nil {
		return err
	}
	var letters []Letter
	if !known && waypost.CodeOf(cause) != waypost.Expired {
		raw, err := proto.Marshal(&waypostv1.ReplyLetter{Errand: q.id[:], Refused: readable(cause.Error())})
		if err != nil {
			return err
		}
		letter, err := e.Post.Seal(ctx, string(from), waypost.MessageReply, q.ticket.ID, seal.Size4K, raw)
		if err != nil {
			return err
		}
		letters = append(letters, letter)
	}
	return e.commit(ctx, letters, func(tx *store.Tx) error {
		if isNew, err := e.noteTicket(tx, from, q.ticket.ID); err != nil || !isNew {
			return err
		}
		_, err := e.Journal.Append(tx, journal.Entry{Kind: "refuse", At: e.Now(), Body: body})
		return err
	})
}

// commit runs what in a transaction that puts the letters into the outbox, and
// sends them.
func (e *Engine) commit(ctx context.Context, letters []Letter, what func(tx *store.Tx) error) error {
	err := e.DB.Write(ctx, func(tx *store.Tx) error {
		if err := what(tx); err != nil {
			return err
		}
		for _, l := range letters {
			if err := e.Post.Put(tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.Post.Dispatch(letters...)
	}
	return err
}

func (e *Engine) noteTicket(tx *store.Tx, from waypost.Jurisdiction, id waypost.TicketID) (isNew bool, err error) {
	n, err := tx.Exec(`INSERT INTO question_ticket (asking, ticket, at) VALUES ($1, $2, $3) ON CONFLICT (asking, ticket) DO NOTHING`,
		from, id, e.Now().Unix())
	return n == 1, err
}

// accept keeps a question. From here on it is this state's to answer.
func (e *Engine) accept(ctx context.Context, from waypost.Jurisdiction, q request, statement []byte) error {
	return e.DB.Write(ctx, func(tx *store.Tx) error {
		body := q.body
		if body == nil {
			body = []byte{}
		}
		now := e.Now().Unix()
		n, err := tx.Exec(`INSERT INTO question (asking, id, kind, digest, body, ticket, evaluations, statement, replies, failures, due, at, finished)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, $9, NULL) ON CONFLICT (asking, id) DO NOTHING`,
			from, q.id, q.ticket.Kind, digestOf(q.ticket.Ticket, q.body), body, q.ticket.Bytes(), waypost.Places(q.receipts...), statement, now)
		if err != nil || n == 0 {
			return errOr(err, errChanged)
		}
		if _, err := e.noteTicket(tx, from, q.ticket.ID); err != nil {
			return err
		}
		return e.Journal.KeepReceipts(tx, q.ticket, receiptBytes(q.receipts))
	})
}

// repeat says again, under another ticket, what was said before. The ledger says
// under which ticket that was, so that both are accounted for.
func (e *Engine) repeat(ctx context.Context, there asked, q request, statement []byte) error {
	newest := q.ticket.IssuedAt.After(there.Ticket.IssuedAt)
	var said []saying
	var letters []Letter
	if newest { // the asking state has given an older one up
		err := e.DB.Read(ctx, func(tx *store.Tx) (err error) {
			said, err = sayings(tx, there.From, there.ID)
			return err
		})
		if err != nil {
			return err
		}
		if letters, err = e.letters(ctx, there, q.ticket.ID, said); err != nil {
			return err
		}
	}
	places := waypost.Places(q.receipts...)
	return e.commit(ctx, letters, func(tx *store.Tx) error {
		isNew, err := e.noteTicket(tx, there.From, q.ticket.ID)
		if err != nil || !isNew {
			return errOr(err, errChanged)
		}
		if err := e.Journal.KeepReceipts(tx, q.ticket, receiptBytes(q.receipts)); err != nil || !newest {
			return err
		}
		n, err := tx.Exec(`UPDATE question SET ticket = $1, evaluations = $2, statement = $3 WHERE asking = $4 AND id = $5 AND replies = $6 AND ticket = $7`,
			q.ticket.Bytes(), places, statement, there.From, there.ID, there.replies, there.Ticket.Bytes())
		if err != nil || n == 0 {
			return errOr(err, errChanged)
		}
		for _, s := range said {
			if err := e.logSaying(tx, q.ticket, places, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// errChanged has a message or a step done again with what is there now.
var errChanged = waypost.Errorf(waypost.Unavailable, "something else was said to the same question at the same time")

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func loadAsked(tx *store.Tx, from waypost.Jurisdiction, id ID) (q asked, err error) {
	q.From, q.ID = from, id
	var signed []byte
	var at int64
	err = tx.Row(`SELECT kind, digest, body, ticket, evaluations, statement, replies, failures, due, at, finished FROM question WHERE asking = $1 AND id = $2`, from, id).
		Scan(&q.kind, &q.digest, &q.Body, &signed, &q.evaluations, &q.Statement, &q.replies, &q.failures, &q.due, &at, &q.finished)
	if errors.Is(err, store.ErrNoRows) {
		return q, waypost.Errorf(waypost.NotFound, "%s has asked no such question", from)
	}
	if err == nil {
		q.Ticket, err = waypost.ParseTicket(signed)
	}
	q.At = time.Unix(at, 0).UTC()
	return q, err
}

// Question returns a question that another state has asked, NotFound where there
// is none. Its body is forgotten 28 days after its final reply.
func (e *Engine) Question(ctx context.Context, from waypost.Jurisdiction, id ID) (Question, error) {
	q, err := e.loadAsked(ctx, from, id)
	return q.Question, err
}

func (e *Engine) loadAsked(ctx context.Context, from waypost.Jurisdiction, id ID) (q asked, err error) {
	err = e.DB.Read(ctx, func(tx *store.Tx) (err error) {
		q, err = loadAsked(tx, from, id)
		return err
	})
	return q, err
}

// able refuses what one of the two states does not take part in.
func (e *Engine) able(q asked) error {
	if q.kind != waypost.KindHistory && q.kind != waypost.KindReport {
		return nil
	}
	for _, name := range []waypost.Jurisdiction{q.From, e.State} {
		if m, _ := e.Roster.Member(string(name)); !m.Can(roster.History) {
			return waypost.Errorf(waypost.PermissionDenied, "%s does not exchange driver history", name)
		}
	}
	return nil
}
