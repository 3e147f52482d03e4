package journal

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// maxReceipts is how many receipts are kept by one call.
const maxReceipts = 64

// receiptBits is how many bits number the receipts that one process keeps.
const receiptBits = 48

// DueReceipts are the receipts of one step of a check or a load, each a
// promise of another member that a leaf about the ticket is in its log.
type DueReceipts struct {
	ID       int64     // ascending in the order in which one process kept them
	Deadline time.Time // the latest of the receipts
	Ticket   []byte    // as it was signed
	Receipts [][]byte  // as they were signed
}

// KeepReceipts keeps receipts for the ticket in the transaction tx until
// somebody has seen their leaves. The caller has verified them.
func (j *Journal) KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error {
	if len(receipts) == 0 {
		return nil
	}
	if len(receipts) > maxReceipts {
		return fmt.Errorf("journal: %d receipts at once; at most %d", len(receipts), maxReceipts)
	}
	var deadline time.Time
	var b cryptobyte.Builder
	for _, raw := range receipts {
		r, err := waypost.ParseReceipt(raw)
		if err != nil {
			return err
		}
		if r.Deadline.After(deadline) {
			deadline = r.Deadline
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(raw) })
	}
	joined, err := b.Bytes()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	_, err = tx.Exec("INSERT INTO receipt (id, deadline, ticket, receipts) VALUES ($1, $2, $3, $4)",
		j.lastReceipt.Add(1), deadline.Unix(), ticket.Bytes(), joined)
	return err
}

// DueReceipts returns, in the order of their IDs, receipts whose deadline is now or
// past and whose ID is greater than after, whichever process has kept them: at most
// limit, and never more than 1000. What is looked at in vain is passed by with after,
// so that it does not stand in the way of the rest.
func (j *Journal) DueReceipts(ctx context.Context, now time.Time, after int64, limit int) ([]DueReceipts, error) {
	var page []DueReceipts
	err := j.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT id, deadline, ticket, receipts FROM receipt
			WHERE id > $1 AND deadline <= $2 ORDER BY id LIMIT $3`, []any{after, now.Unix(), min(limit, maxPage)},
			func(scan func(...any) error) error {
				var d DueReceipts
				var deadline int64
				var joined []byte
				if err := scan(&d.ID, &deadline, &d.Ticket, &joined); err != nil {
					return err
				}
				d.Deadline = time.Unix(deadline, 0).UTC()
				for s := cryptobyte.String(joined); !s.Empty(); {
					var raw cryptobyte.String
					if !s.ReadUint16LengthPrefixed(&raw) {
						return fmt.Errorf("the receipts kept as %d are damaged", d.ID)
					}
					d.Receipts = append(d.Receipts, raw)
				}
				page = append(page, d)
				return nil
			})
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return page, nil
}

// ForgetReceipts deletes receipts that have been dealt with.
func (j *Journal) ForgetReceipts(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return j.db.Write(ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			if _, err := tx.Exec("DELETE FROM receipt WHERE id = $1", id); err != nil {
				return err
			}
		}
		return nil
	})
}
