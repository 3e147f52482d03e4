package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// permitLife is far longer than a permit takes to be used.
const permitLife = 10 * time.Minute

// permits has tickets without elements allowed by t key holders.
type permits struct{ *Server }

// Permit implements errand.Permits: the entry "ask", then the quorum.
func (p permits) Permit(ctx context.Context, w errand.Wish) (errand.Permit, error) {
	var permit errand.Permit
	var caseSalt [32]byte
	randomise(permit.Salt[:], caseSalt[:])
	if !w.Kind.Errand() && !w.Kind.Upkeep() {
		return permit, waypost.Errorf(waypost.InvalidArgument, "a ticket of this kind has elements")
	}
	why := Counter{Operator: w.Operator, Class: w.Class, Purpose: w.Purpose, Case: w.Case, Cites: w.Cites}
	var err error
	permit.Ticket, err = p.sign(w.Kind, why, waypost.CommitCase(caseSalt, w.Case), 0, waypost.CommitRequest(w.Recipient, permit.Salt, w.Request))
	if err != nil {
		return permit, err
	}
	if err := p.open(ctx, permit.Ticket); err != nil {
		return permit, err
	}
	wait, cancel := context.WithTimeout(ctx, evaluateWait)
	defer cancel()
	var good []vote
	keys, err := p.ring.of(p.Roster, permit.Ticket.Ticket)
	if err == nil {
		good, err = p.quorum(wait, permit.Ticket, keys, nil)
	}
	if err != nil {
		return permit, errors.Join(err, p.end(context.WithoutCancel(ctx), permit.Ticket, err))
	}
	for _, v := range good {
		permit.Receipts = append(permit.Receipts, v.receipt)
	}
	return permit, nil
}

// open commits that the ticket is about to leave.
func (p permits) open(ctx context.Context, t waypost.SignedTicket) error {
	return p.DB.Write(ctx, func(tx *store.Tx) error {
		if err := p.log(tx, t, "ask"); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO permit (ticket, signed, due) VALUES ($1, $2, $3)`, t.ID, t.Bytes(), p.Now().Add(permitLife).Unix())
		return err
	})
}

// end says in the ledger why nothing comes of a ticket, if nobody answers for it.
func (p permits) end(ctx context.Context, t waypost.SignedTicket, cause error) error {
	kind := "refused"
	if unreachable(cause) || ctx.Err() != nil || errors.Is(cause, context.Canceled) {
		kind = "abandoned"
	}
	return p.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM permit WHERE ticket = $1`, t.ID)
		if err != nil || n == 0 {
			return err
		}
		return p.log(tx, t, kind, journal.Field{Name: "code", Value: string(waypost.CodeOf(cause))})
	})
}

// Settle implements errand.Permits.
func (p permits) Settle(tx *store.Tx, ticket waypost.TicketID) error {
	n, err := tx.Exec(`DELETE FROM permit WHERE ticket = $1`, ticket)
	if err == nil && n == 0 {
		return waypost.Errorf(waypost.NotFound, "the ticket was not used in time, and the ledger says so")
	}
	return err
}

// abandonCutOff ends the tickets for which nobody has come to answer.
func (p permits) abandonCutOff(ctx context.Context) error {
	if planted.Bug("permit-forgotten") {
		return nil
	}
	var due [][]byte
	err := p.DB.Read(ctx, func(tx *store.Tx) error {
		due = nil
		return tx.Query(`SELECT signed FROM permit WHERE due <= $1 ORDER BY due, ticket LIMIT 100`, []any{p.Now().Unix()}, func(scan func(dest ...any) error) error {
			var signed []byte
			err := scan(&signed)
			due = append(due, signed)
			return err
		})
	})
	for _, signed := range due {
		t, parseErr := waypost.ParseTicket(signed)
		if parseErr == nil {
			parseErr = p.end(ctx, t, waypost.Errorf(waypost.Unavailable, "the permit was not used"))
		}
		err = errors.Join(err, parseErr)
	}
	return err
}
