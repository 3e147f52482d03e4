package records

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// People is a state system in a database of its own: what a small state, a
// rehearsal or a demonstration uses in place of a connector to its licensing
// system.
type People struct{ db *store.DB }

// NewPeople uses a database that was opened for the role "people".
func NewPeople(db *store.DB) *People { return &People{db} }

var errNoRecord = waypost.Errorf(waypost.NotFound, "the state system has no such record")

// Record returns one record, or NotFound.
func (p *People) Record(ctx context.Context, id string) (waypost.Record, error) {
	r := waypost.Record{ID: id}
	var born, since string
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT family, given, middle, suffix, born, sex, ssn5, card_number, card_kind, status, since, real_id, protected FROM person WHERE id = $1`, id).
			Scan(&r.Family, &r.Given, &r.Middle, &r.Suffix, &born, &r.Sex, &r.SSN5, &r.CardNumber, &r.Kind, &r.Status, &since, &r.RealID, &r.Protected)
	})
	if errors.Is(err, store.ErrNoRows) {
		return waypost.Record{}, errNoRecord
	}
	if err != nil {
		return waypost.Record{}, err
	}
	if since != "" {
		if r.Since, err = time.Parse(time.DateOnly, since); err != nil {
			return waypost.Record{}, err
		}
	}
	r.Born, err = waypost.ParseDate(born)
	return r, err
}

// ByCard returns the id of the record with this card number, or NotFound. Of
// several records the one with the lowest id is meant.
func (p *People) ByCard(ctx context.Context, number string) (id string, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT id FROM person WHERE card_number = $1 AND card_number <> '' ORDER BY id LIMIT 1`, number).Scan(&id)
	})
	if errors.Is(err, store.ErrNoRows) {
		err = errNoRecord
	}
	return id, err
}

// Find returns the ids of the records with exactly these names, whatever their
// case, and this date of birth. It reads the whole table: it is for auditors.
func (p *People) Find(ctx context.Context, family, given string, born waypost.Date) (ids []string, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		ids = nil
		return tx.Query(`SELECT id FROM person WHERE born = $1 AND lower(family) = lower($2) AND lower(given) = lower($3) ORDER BY id LIMIT 100`,
			[]any{born.String(), family, given}, func(scan func(dest ...any) error) error {
				ids = append(ids, "")
				return scan(&ids[len(ids)-1])
			})
	})
	return ids, err
}

// Put stores records, replacing those with the same id.
func (p *People) Put(ctx context.Context, records []waypost.Record) error {
	rows := make([][]any, len(records))
	for i, r := range records {
		rows[i] = []any{r.ID, r.Family, r.Given, r.Middle, r.Suffix, r.Born.String(), string(r.Sex), r.SSN5,
			r.CardNumber, string(r.Kind), string(r.Status), day(r.Since), r.RealID, r.Protected}
	}
	return p.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecMany(`INSERT INTO person (id, family, given, middle, suffix, born, sex, ssn5, card_number, card_kind, status, since, real_id, protected)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
				ON CONFLICT (id) DO UPDATE SET family = excluded.family, given = excluded.given, middle = excluded.middle,
				suffix = excluded.suffix, born = excluded.born, sex = excluded.sex, ssn5 = excluded.ssn5,
				card_number = excluded.card_number, card_kind = excluded.card_kind, status = excluded.status, since = excluded.since,
				real_id = excluded.real_id, protected = excluded.protected`, rows)
		return err
	})
}

// SetStatus changes how a record stands, since when.
func (p *People) SetStatus(ctx context.Context, id string, status waypost.Status, since time.Time) error {
	return p.db.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE person SET status = $1, since = $2 WHERE id = $3`, string(status), day(since), id)
		if err == nil && n == 0 {
			err = errNoRecord
		}
		return err
	})
}

// maxPortrait fits into a message with all that goes beside it.
const maxPortrait = 48 << 10

// SetPortrait stores the portrait of a record: a JPEG of at most 48 KiB.
func (p *People) SetPortrait(ctx context.Context, id string, jpeg []byte) error {
	if len(jpeg) > maxPortrait || !bytes.HasPrefix(jpeg, []byte{0xff, 0xd8, 0xff}) {
		return waypost.Errorf(waypost.InvalidArgument, "a portrait is a JPEG of at most %d bytes", maxPortrait)
	}
	return p.db.Write(ctx, func(tx *store.Tx) error {
		var known int
		if err := tx.Row(`SELECT count(*) FROM person WHERE id = $1`, id).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return errNoRecord
		}
		_, err := tx.Exec(`INSERT INTO portrait (id, jpeg) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET jpeg = excluded.jpeg`, id, jpeg)
		return err
	})
}

// Portrait returns a JPEG of at most 48 KiB, or NotFound where there is none.
func (p *People) Portrait(ctx context.Context, id string) (jpeg []byte, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT jpeg FROM portrait WHERE id = $1`, id).Scan(&jpeg)
	})
	if errors.Is(err, store.ErrNoRows) {
		err = waypost.Errorf(waypost.NotFound, "there is no portrait for this record")
	}
	return jpeg, err
}
