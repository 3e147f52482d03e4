package questions

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// withhold leaves a question to the special unit. Who asks cannot tell this from a
// state that is slow.
func (q *Questions) withhold(kind waypost.Kind, asked errand.Question, a answer) errand.Response {
	id := errand.NewID()
	return errand.Response{Withheld: true, Handle: a.Handle, Commit: func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO question_withheld (id, asking, errand, kind, purpose, record, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			id, asked.From, asked.ID, kind, asked.Ticket.Purpose, a.record, q.Now().Unix())
		return err
	}}
}

// unit is what the special unit sees of the room.
type unit struct{ *Questions }

// Waiting implements records.Unit.
func (u unit) Waiting(ctx context.Context) (all []records.Waiting, err error) {
	err = u.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT id, kind, asking, purpose, record, at FROM question_withheld ORDER BY at, id`, nil, func(scan func(dest ...any) error) error {
			var id errand.ID
			var w records.Waiting
			var at int64
			err := scan(&id, &w.Kind, &w.Asking, &w.Purpose, &w.Record, &at)
			w.ID, w.Since = hex.EncodeToString(id[:]), time.Unix(at, 0).UTC()
			all = append(all, w)
			return err
		})
	})
	return all, err
}

// Answer implements records.Unit: what is released is answered as it stands now;
// what is declined is like a card or a record that nobody has.
func (u unit) Answer(ctx context.Context, id string, release bool) error {
	asked, kind, err := u.waiting(ctx, id)
	if err != nil {
		return err
	}
	a := answer{Response: errand.Response{Word: declined, Final: true}}
	if kind == waypost.KindVerifyCard {
		a.Word = noMatch
	}
	if release {
		if a, err = u.decide(ctx, kind, asked); err != nil {
			return err
		}
	}
	a.Commit = func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM question_withheld WHERE asking = $1 AND errand = $2`, asked.From, asked.ID)
		return err
	}
	return u.Errands.Reply(ctx, asked.ID, asked.From, a.Response)
}

// waiting finds a question that waits.
func (u unit) waiting(ctx context.Context, id string) (asked errand.Question, kind waypost.Kind, err error) {
	gone := waypost.Errorf(waypost.NotFound, "this question does not wait any more")
	raw, err := hex.DecodeString(id)
	if err != nil {
		return asked, kind, gone
	}
	var from waypost.Jurisdiction
	var of errand.ID
	err = u.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT asking, errand, kind FROM question_withheld WHERE id = $1`, raw).Scan(&from, &of, &kind)
	})
	if errors.Is(err, store.ErrNoRows) {
		return asked, kind, gone
	}
	if err == nil {
		asked, err = u.Errands.Question(ctx, from, of)
	}
	return asked, kind, err
}
