package records

import (
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// What a notice's state says once its record agreed with the question: the numbers
// of the gateway, which writes them. From agreed on all do but misused.
const (
	agreed  = 2
	misused = 4
)

// Continued is what Answered returns, and also finds a question that this state
// has continued and not answered, because nobody was named to it: then Outcome is
// empty.
func (f *File) Continued(tx *store.Tx, check waypost.TicketID, reference []byte) (Answered, error) {
	a, err := f.Answered(tx, check, reference)
	if waypost.CodeOf(err) != waypost.NotFound {
		return a, err
	}
	var signed []byte
	err = tx.Row(`SELECT n.asking, n.handle, p.record, n.signed FROM notice n JOIN pointer p ON p.handle = n.handle
		WHERE n.ticket = $1 AND n.reference = $2 AND n.state >= $3 AND n.state <> $4`, check[:], reference, agreed, misused).
		Scan(&a.Asking, &a.Handle, &a.Record, &signed)
	if errors.Is(err, store.ErrNoRows) {
		return a, waypost.Errorf(waypost.NotFound, "this state has answered no such question of that check, or it is too long ago")
	}
	if err != nil {
		return a, err
	}
	a.Ticket, err = waypost.ParseTicket(signed)
	return a, err
}

// Inquiry is a check of another state that one of this state's records agreed
// with.
type Inquiry struct {
	Record  string
	Asking  waypost.Jurisdiction
	Ticket  waypost.TicketID
	Purpose waypost.Purpose
	At      time.Time
}

// Inquiries returns those since then about records that at least two checks have
// agreed with, by record and time, for as long as notices are kept. Records that
// were merely candidates, and turned out not to agree, are left out.
func (f *File) Inquiries(tx *store.Tx, since time.Time) ([]Inquiry, error) {
	var all []Inquiry
	err := tx.Query(`SELECT p.record, n.asking, n.ticket, n.signed, n.at FROM notice n JOIN pointer p ON p.handle = n.handle
		WHERE n.at >= $1 AND n.state >= $2 AND n.state <> $3 AND p.record IN (
			SELECT q.record FROM notice m JOIN pointer q ON q.handle = m.handle
			WHERE m.at >= $1 AND m.state >= $2 AND m.state <> $3 GROUP BY q.record HAVING count(DISTINCT m.ticket) >= 2)
		ORDER BY p.record, n.at, n.ticket`, []any{since.Unix(), agreed, misused},
		func(scan func(dest ...any) error) error {
			var i Inquiry
			var signed []byte
			var at int64
			if err := scan(&i.Record, &i.Asking, &i.Ticket, &signed, &at); err != nil {
				return err
			}
			ticket, err := waypost.ParseTicket(signed)
			if err != nil {
				return err
			}
			i.Purpose, i.At = ticket.Purpose, time.Unix(at, 0).UTC()
			all = append(all, i)
			return nil
		})
	return all, err
}

// Findable returns the ids of up to n records that are live in the index, in
// order, from after the given one on; with the first, none is given.
func (f *File) Findable(tx *store.Tx, after string, n int) (ids []string, err error) {
	err = tx.Query(`SELECT DISTINCT record FROM pointer WHERE record > $1 AND alias = 0 AND state = $2 ORDER BY record LIMIT $3`,
		[]any{after, int(Live), n}, func(scan func(dest ...any) error) error {
			ids = append(ids, "")
			return scan(&ids[len(ids)-1])
		})
	return ids, err
}

// CountFindable counts them.
func (f *File) CountFindable(tx *store.Tx) (n int64, err error) {
	err = tx.Row(`SELECT count(DISTINCT record) FROM pointer WHERE alias = 0 AND state = $1`, int(Live)).Scan(&n)
	return n, err
}
