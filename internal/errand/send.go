package errand

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

const (
	// askFor is how long an errand is asked for again and again, from when it was
	// begun.
	askFor = 60 * 24 * time.Hour
	// maxTickets bounds what one errand can take of a quota.
	maxTickets = 16
	// slowly is how long to wait for a further reply before asking for it.
	slowly = 28 * 24 * time.Hour
	// overtaking is how long a reply may be behind a later one.
	overtaking = 24 * time.Hour
	// keepPermit is how long a permit waits for the recipient's key: the other state
	// acts on a ticket as long as a letter can be under way, and a day more.
	keepPermit = 12 * time.Hour
)

// noQuorumError is that of key holders who cannot be reached, for anybody.
type noQuorumError struct{ error }

func (n noQuorumError) Unwrap() error { return n.error }

// carryOut sends what is due. As long as there is no quorum, one errand finds it
// out and the others cost nobody anything.
func (e *Engine) carryOut(ctx context.Context) error {
	var due []ID
	err := e.DB.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = idsOf(tx, `SELECT id FROM errand WHERE due <= $1 ORDER BY due, id LIMIT $2`, e.Now().Unix(), atOnce)
		return err
	})
	for _, id := range due {
		if ctx.Err() != nil {
			break
		}
		stepErr := e.advance(ctx, id)
		if _, nobody := errors.AsType[noQuorumError](stepErr); nobody {
			break
		}
		if waypost.CodeOf(stepErr) == waypost.Internal {
			err = errors.Join(err, stepErr)
		}
	}
	return err
}

// advance does the next thing for an errand that is due. Its error is what keeps
// it from being sent: after a refusal it is cancelled, otherwise it is due again
// later.
func (e *Engine) advance(ctx context.Context, id ID) error {
	leave := e.claim(ctx, string(id[:]))
	if leave == nil {
		return nil
	}
	defer leave()
	m, t, err := e.look(ctx, id)
	now := e.Now()
	switch {
	case err != nil:
		return err
	case m.due == nil || *m.due > now.Unix():
		return nil
	case !now.Before(m.begun.Add(askFor)) || m.tries >= maxTickets && (t == nil || t.sent):
		err = e.giveUp(ctx, id)
	case t != nil && !t.sent && now.Before(t.at.Add(keepPermit)):
		err = e.send(ctx, m, t)
	default:
		err = e.ask(ctx, m, t != nil)
	}
	if err != nil && (tryAgain(err) || waypost.CodeOf(err) == waypost.Expired || ctx.Err() != nil) {
		return errors.Join(err, e.postpone(ctx, m, now.Add(backoff(m.failures)), ""))
	}
	return err
}

func (e *Engine) look(ctx context.Context, id ID) (m mine, t *ticketRow, err error) {
	err = e.DB.Read(ctx, func(tx *store.Tx) error {
		if m, err = loadMine(tx, id); err == nil {
			t, err = openTicket(tx, id)
		}
		return err
	})
	return m, t, err
}

// postpone lets an errand wait, and says why where a clerk can do something.
func (e *Engine) postpone(ctx context.Context, m mine, until time.Time, reason string) error {
	return e.DB.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE errand SET due = $1, failures = failures + 1, reason = $2 WHERE id = $3 AND due = $4`,
			until.Unix(), reason, m.ID, *m.due)
		return err
	})
}

// ask has a new ticket allowed and sends it. One that was open has had its time.
func (e *Engine) ask(ctx context.Context, m mine, open bool) error {
	if open {
		expired := journal.Field{Name: "code", Value: string(waypost.Expired)}
		if err := e.DB.Write(ctx, func(tx *store.Tx) error { return e.abandon(tx, m.ID, expired) }); err != nil {
			return err
		}
	}
	if err := e.Post.Ready(ctx, string(m.To)); err != nil {
		return err
	}
	request, err := encodeErrand(m.ID, m.Body)
	if err != nil {
		return err
	}
	p, err := e.Permits.Permit(ctx, Wish{
		Kind: m.Kind, Purpose: m.Purpose, Class: m.Class, Operator: m.Operator, Case: m.Case, Cites: m.Cites,
		Recipient: string(m.To), Request: request,
	})
	if err != nil {
		return e.notAllowed(ctx, m, err)
	}
	if request, err = encodeRequest(p, request); err != nil {
		return err
	}
	letter, sealErr := e.Post.Seal(ctx, string(m.To), waypost.MessageRequest, p.Ticket.ID, 0, request)
	if err := e.keep(ctx, m, p, request, letter, sealErr == nil); err != nil {
		return err
	}
	return sealErr
}

// notAllowed tells a refusal, which ends the errand, from what passes.
func (e *Engine) notAllowed(ctx context.Context, m mine, cause error) error {
	switch code := waypost.CodeOf(cause); {
	case ctx.Err() != nil:
		return ctx.Err()
	case code == waypost.Unavailable, code == waypost.Internal, code == waypost.Expired:
		return noQuorumError{waypost.Errorf(waypost.Unavailable, "%v", cause).WithCause(cause)}
	case code == waypost.QuotaExceeded && !waypost.RetryAfterOf(cause).IsZero():
		return e.postpone(ctx, m, waypost.RetryAfterOf(cause), cause.Error())
	}
	return errors.Join(cause, e.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := loadMine(tx, m.ID)
		if err != nil || now.state >= Concluded {
			return err
		}
		return e.cancel(tx, m.ID, cause.Error())
	}))
}

// keep takes a permit over, with its receipts: from here on the ticket has an
// owner whatever crashes. The letter goes out in the same transaction, unless the
// recipient's key could not be had. If the errand has ended meanwhile the ticket
// does too.
func (e *Engine) keep(ctx context.Context, m mine, p Permit, request []byte, letter Letter, sealed bool) error {
	gone := false
	err := e.DB.Write(ctx, func(tx *store.Tx) error {
		if err := e.Permits.Settle(tx, p.Ticket.ID); err != nil {
			return err
		}
		if err := e.Journal.KeepReceipts(tx, p.Ticket, receiptBytes(p.Receipts)); err != nil {
			return err
		}
		now, err := loadMine(tx, m.ID)
		if err != nil {
			return err
		}
		if gone = now.state >= Concluded; gone {
			return e.log(tx, p.Ticket, "abandoned")
		}
		if _, err := tx.Exec(`INSERT INTO errand_ticket (ticket, errand, signed, request, evaluations, state, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			p.Ticket.ID, m.ID, p.Ticket.Bytes(), request, waypost.Places(p.Receipts...), ticketKept, e.Now().Unix()); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE errand SET state = $1, tries = tries + 1 WHERE id = $2`, int(Wanted), m.ID); err != nil || !sealed {
			return err
		}
		return e.putOut(tx, now, p.Ticket.ID, letter)
	})
	if waypost.CodeOf(err) == waypost.NotFound { // it took so long that the ticket was abandoned
		return waypost.Errorf(waypost.Unavailable, "a permit was not used in time").WithCause(err)
	}
	if err == nil && sealed && !gone {
		e.Post.Dispatch(letter)
	}
	return err
}

// putOut puts the letter into the outbox.
func (e *Engine) putOut(tx *store.Tx, m mine, ticket waypost.TicketID, letter Letter) error {
	patience := waypost.MessageLife
	if m.taken > 0 {
		patience = slowly
	}
	if _, err := tx.Exec(`UPDATE errand_ticket SET state = $1 WHERE ticket = $2`, ticketSent, ticket); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE errand SET state = $1, failures = 0, reason = '', due = $2 WHERE id = $3`,
		int(Sent), e.Now().Add(patience).Unix(), m.ID); err != nil {
		return err
	}
	return e.Post.Put(tx, letter)
}

// send sends what was kept for want of the recipient's key.
func (e *Engine) send(ctx context.Context, m mine, t *ticketRow) error {
	letter, err := e.Post.Seal(ctx, string(m.To), waypost.MessageRequest, t.signed.ID, 0, t.request)
	if err != nil {
		return err
	}
	sent := false
	err = e.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := loadMine(tx, m.ID)
		if sent = err == nil && now.state == Wanted; !sent { // cancelled meanwhile
			return err
		}
		return e.putOut(tx, now, t.signed.ID, letter)
	})
	if err == nil && sent {
		e.Post.Dispatch(letter)
	}
	return err
}

// giveUp ends an errand that was asked for long enough.
func (e *Engine) giveUp(ctx context.Context, id ID) error {
	err := e.take(ctx, id, func(tx *store.Tx, m *mine) error {
		if m.state >= Concluded {
			return nil
		}
		var ticket waypost.TicketID
		t, err := openTicket(tx, id)
		if err != nil {
			return err
		}
		if t != nil {
			ticket = t.signed.ID
		}
		r := Reply{Number: m.taken + 1, Word: Unanswered, Final: true, At: e.Now().UTC().Truncate(time.Second)}
		if _, err := storeReply(tx, id, ticket, r); err != nil {
			return err
		}
		return e.takeOne(tx, m, r, ticket)
	})
	e.watch.note(id)
	return err
}
