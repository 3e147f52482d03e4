package hub

import (
	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// maxWithdrawal bounds the pointers of one request.
const maxWithdrawal = 100

// withdraw ends pointers of the owner. A handle that is not there is taken: a
// publication of it that is still on its way comes too late.
func withdraw(t waypost.SignedTicket, w *waypostv1.Withdrawal) (act, error) {
	if len(w.Handles) == 0 || len(w.Handles) > maxWithdrawal {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a withdrawal names 1 to %d pointers", maxWithdrawal)
	}
	if err := distinct(w.Handles); err != nil {
		return nil, err
	}
	return func(tx *store.Tx, now int64) (*waypostv1.Maintained, []journal.Field, error) {
		var ended uint64
		for _, h := range w.Handles {
			at, err := find(tx, t.SOI, h)
			if err != nil {
				return nil, nil, err
			}
			if at.pointer == 0 {
				if err := create(tx, t.SOI, h, withdrawn, 0, t.Epoch, now); err != nil {
					return nil, nil, err
				}
				continue
			}
			if at.state == pending || at.state == live {
				ended++
				if err := end(tx, t.SOI, at, now); err != nil {
					return nil, nil, err
				}
			}
		}
		return &waypostv1.Maintained{Withdrawn: ended}, []journal.Field{{Name: "records", Value: decimal(len(w.Handles))}}, nil
	}, nil
}

// end withdraws a pointer that is pending or live.
func end(tx *store.Tx, owner waypost.Jurisdiction, at standing, now int64) error {
	if _, err := tx.Exec(`UPDATE pointer SET state = $1, changed = $2 WHERE id = $3`, withdrawn, now, at.pointer); err != nil || at.state != live {
		return err
	}
	return count(tx, owner, at.in, -1)
}

// distinct checks the handles of one request.
func distinct(handles [][]byte) error {
	seen := make(map[string]bool, len(handles))
	for _, h := range handles {
		switch {
		case len(h) != handleSize || [handleSize]byte(h) == [handleSize]byte{}:
			return waypost.Errorf(waypost.InvalidArgument, "a handle has %d bytes, not all of them zero", handleSize)
		case seen[string(h)]:
			return waypost.Errorf(waypost.InvalidArgument, "the request names a handle twice")
		}
		seen[string(h)] = true
	}
	return nil
}
