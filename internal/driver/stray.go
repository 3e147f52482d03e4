package driver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// add adds an item to a record of this state. A record that has gone may for a
// while be here still with a pointer that was made after it was released; one that
// has come back looks the same. What is taken then is looked at again.
func (d *Desk) add(tx *store.Tx, record string, a Arrival) (added int, err error) {
	if added, err = d.Book.Add(tx, record, a); err != nil || added == 0 {
		return added, err
	}
	pointers, err := d.File.Pointers(tx, record)
	if err != nil || !slices.ContainsFunc(pointers, func(p records.Pointer) bool { return p.State == records.Moved }) {
		return added, err
	}
	now := d.Now()
	_, err = tx.Exec(`INSERT INTO driver_stray (record, item, at, due) VALUES ($1, $2, $3, $4) ON CONFLICT (record, item) DO NOTHING`,
		record, a.ID, now.Unix(), now.Add(time.Minute).Unix())
	return added, err
}

// strayFor is how long an item is looked at: a move is settled by then.
const strayFor = 30 * 24 * time.Hour

// stray is an item that may belong elsewhere.
type stray struct {
	record string
	item   ItemID
	at     int64
}

// followStrays passes on what was taken into records that have gone for good.
func (d *Desk) followStrays(ctx context.Context) error {
	var due []stray
	if err := d.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT record, item, at FROM driver_stray WHERE due <= $1 ORDER BY due, record, item LIMIT $2`,
			[]any{d.Now().Unix(), stepBatch}, func(scan func(...any) error) error {
				var s stray
				err := scan(&s.record, &s.item, &s.at)
				due = append(due, s)
				return err
			})
	}); err != nil {
		return err
	}
	var failed []error
	for _, s := range due {
		failed = append(failed, d.DB.Write(ctx, func(tx *store.Tx) error { return d.follow(tx, s) }))
	}
	return errors.Join(failed...)
}

func (d *Desk) follow(tx *store.Tx, s stray) error {
	age := d.Now().Sub(time.Unix(s.at, 0))
	_, gone, err := d.where(tx, s.record, nil)
	switch {
	case err != nil:
		return err
	case gone == nil && age < strayFor: // a minute, then two, four, ...
		_, err := tx.Exec(`UPDATE driver_stray SET due = $1 WHERE record = $2 AND item = $3`,
			d.Now().Add(max(age, time.Minute)).Unix(), s.record, s.item)
		return err
	case gone != nil:
		if err := d.passStray(tx, s, *gone); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`DELETE FROM driver_stray WHERE record = $1 AND item = $2`, s.record, s.item)
	return err
}

// passStray passes one item on, unless that was done or it is purged by now.
func (d *Desk) passStray(tx *store.Tx, s stray, gone records.Pointer) error {
	known, err := passedOn(tx, s.record, s.item)
	if err != nil || known > 0 {
		return err
	}
	var statement []byte
	i, err := itemOf(tx, s.record, s.item)
	if waypost.CodeOf(err) == waypost.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := tx.Row(`SELECT statement FROM driver_item WHERE record = $1 AND id = $2`, s.record, s.item).Scan(&statement); err != nil {
		return err
	}
	return d.passOn(tx, s.record, gone, i, statement, 0, nil)
}
