package move

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// withhold leaves a question about a protected person to the special unit. To who
// asks it looks slow, as any other can be.
func (m *Moves) withhold(q errand.Question, about records.Answered) errand.Response {
	return errand.Response{Handle: about.Handle[:], Withheld: true, Commit: func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO withheld (id, asking, errand, record, at) VALUES ($1, $2, $3, $4, $5)`,
			newID(), string(q.From), q.ID[:], about.Record, m.Now().Unix())
		return err
	}}
}

// unit is what the room offers to the special unit.
type unit struct{ m *Moves }

// Waiting lists what waits, oldest first.
func (u unit) Waiting(ctx context.Context) ([]records.Waiting, error) {
	var all []records.Waiting
	var ids []errand.ID
	err := u.m.DB.Read(ctx, func(tx *store.Tx) error {
		all, ids = nil, nil
		return tx.Query(`SELECT id, asking, errand, record, at FROM withheld ORDER BY at, id LIMIT $1`, []any{most},
			func(scan func(dest ...any) error) error {
				var w records.Waiting
				var id [16]byte
				var of errand.ID
				var at int64
				err := scan(&id, &w.Asking, &of, &w.Record, &at)
				w.ID, w.Since = hex.EncodeToString(id[:]), time.Unix(at, 0)
				all, ids = append(all, w), append(ids, of)
				return err
			})
	})
	for i := range all {
		q, err := u.m.Errands.Question(ctx, all[i].Asking, ids[i])
		if err != nil && waypost.CodeOf(err) != waypost.NotFound {
			return nil, err
		}
		all[i].Kind, all[i].Purpose = q.Ticket.Kind, q.Ticket.Purpose
	}
	return all, err
}

// Answer has a question answered as any other, or declined in the word that any
// other could get.
func (u unit) Answer(ctx context.Context, id string, release bool) error {
	row, err := parseID(id)
	if err != nil {
		return err
	}
	var asking waypost.Jurisdiction
	var of errand.ID
	err = u.m.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT asking, errand FROM withheld WHERE id = $1`, row[:]).Scan(&asking, &of)
	})
	if none(err) {
		return waypost.Errorf(waypost.NotFound, "this question does not wait any more")
	}
	if err != nil {
		return err
	}
	q, err := u.m.Errands.Question(ctx, asking, of)
	if err != nil {
		return err
	}
	r := errand.Response{Word: wordDeclined, Final: true}
	if release {
		if q.Ticket.Kind == waypost.KindTerminate {
			r, err = u.m.receive(ctx, q, true)
		} else {
			r, err = u.m.answerFor(ctx, q, true)
		}
		if err != nil {
			return err
		}
	}
	also := r.Commit
	r.Commit = func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM withheld WHERE id = $1`, row[:]); err != nil || also == nil {
			return err
		}
		return also(tx)
	}
	return u.m.Errands.Reply(ctx, of, asking, r)
}
