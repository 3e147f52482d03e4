package move

import (
	"context"
	"errors"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// rest has what came to the record after its history was exported sent on, and
// reports whether it got other pointers since.
func (m *Moves) rest(tx *store.Tx, row leaving, release waypost.SignedRelease) (leftover bool, err error) {
	all, err := m.File.Pointers(tx, row.record)
	if err != nil {
		return false, err
	}
	for _, p := range all {
		went := slices.ContainsFunc(release.Passings, func(passing waypost.Passing) bool { return passing.Old == p.Handle })
		switch {
		case !went:
			leftover = leftover || p.State == records.Live || p.State == records.Wanted
		case !p.Alias:
			if err := m.Driver.ForwardRest(tx, p, row.exported); err != nil {
				return false, err
			}
		}
	}
	return leftover, nil
}

// settle does what is due of a move from here: the card is ended in the state's
// own system, or the release has run out.
func (m *Moves) settle(ctx context.Context, change [16]byte) error {
	var rows []leaving
	err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		rows, err = leavings(tx, `WHERE change_id = $1 AND due <= $2`, change[:], m.Now().Unix())
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	next := lapsed
	if rows[0].state == gone {
		next = settled
		if err := m.surrender(ctx, rows[0]); err != nil {
			return errors.Join(err, m.later(ctx, `UPDATE moving SET due = $1 WHERE change_id = $2`, change))
		}
	}
	return m.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE moving SET state = $1, due = NULL, changed = $2 WHERE change_id = $3 AND state = $4`,
			int(next), m.Now().Unix(), change[:], int(rows[0].state))
		return err
	})
}

// surrender ends the card of a record in the state's own system, unless the record
// has come back meanwhile, and withdraws what it got here since it was released.
func (m *Moves) surrender(ctx context.Context, l leaving) error {
	if l.leftover {
		_, err := m.File.Withdraw(ctx, "moved", l.record)
		if err != nil && waypost.CodeOf(err) != waypost.NotFound { // done before a crash
			return err
		}
		return m.endCard(ctx, l.record)
	}
	var live []records.Pointer
	if err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		live, err = m.going(tx, l.record)
		return err
	}); err != nil || len(live) > 0 {
		return err
	}
	return m.endCard(ctx, l.record)
}

// endCard has the state's own system end a card. One that it does not have has
// ended.
func (m *Moves) endCard(ctx context.Context, record string) error {
	err := m.File.SetStatus(ctx, record, waypost.Surrendered, m.Now())
	if waypost.CodeOf(err) == waypost.NotFound {
		return nil
	}
	return err
}
