package gateway

import (
	"context"
	"errors"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// People is a state system in a database of its own: what a small state, a
// rehearsal or a demonstration uses in place of a connector to its licensing
// system.
type People struct{ db *store.DB }

// NewPeople uses a database that was opened for the role "people".
func NewPeople(db *store.DB) *People { return &People{db} }

// Record returns one record, or NotFound.
func (p *People) Record(ctx context.Context, id string) (waypost.Record, error) {
	r := waypost.Record{ID: id}
	var born string
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT family, given, middle, suffix, born, sex, ssn5, card_number, card_kind, status, real_id, protected FROM person WHERE id = $1`, id).
			Scan(&r.Family, &r.Given, &r.Middle, &r.Suffix, &born, &r.Sex, &r.SSN5, &r.CardNumber, &r.Kind, &r.Status, &r.RealID, &r.Protected)
	})
	if errors.Is(err, store.ErrNoRows) {
		return waypost.Record{}, waypost.Errorf(waypost.NotFound, "the state system has no such record")
	}
	if err != nil {
		return waypost.Record{}, err
	}
	r.Born, err = waypost.ParseDate(born)
	return r, err
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
	return p.db.Write(ctx, func(tx *store.Tx) error {
		for _, r := range records {
			_, err := tx.Exec(`INSERT INTO person (id, family, given, middle, suffix, born, sex, ssn5, card_number, card_kind, status, real_id, protected)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
				ON CONFLICT (id) DO UPDATE SET family = excluded.family, given = excluded.given, middle = excluded.middle,
				suffix = excluded.suffix, born = excluded.born, sex = excluded.sex, ssn5 = excluded.ssn5,
				card_number = excluded.card_number, card_kind = excluded.card_kind, status = excluded.status,
				real_id = excluded.real_id, protected = excluded.protected`,
				r.ID, r.Family, r.Given, r.Middle, r.Suffix, r.Born.String(), string(r.Sex), r.SSN5,
				r.CardNumber, string(r.Kind), string(r.Status), r.RealID, r.Protected)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
