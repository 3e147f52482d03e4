package move

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// Announce tells the state of a record that a check has found that a card was
// issued here, on that day. Nothing is ended by it. It returns the errand's id.
func (m *Moves) Announce(ctx context.Context, check waypost.TicketID, reference waypost.Reference, issued time.Time, operator string) (errand.ID, error) {
	body, err := proto.Marshal(&waypostv1.IssuanceNotice{Reference: reference[:], Issued: issued.UTC().Format(time.DateOnly)})
	if err != nil {
		return errand.ID{}, err
	}
	id := errand.NewID()
	return id, m.DB.Write(ctx, func(tx *store.Tx) error {
		found, err := m.File.Asked(tx, check, reference)
		if err != nil {
			return err
		}
		if found.Outcome != waypost.Match || !waypost.KindIssued.Allows(found.Purpose) {
			return waypost.Errorf(waypost.PermissionDenied, "only a record that a check for an issue purpose found to be this person's can be told of a card")
		}
		return m.Errands.Begin(tx, errand.Errand{
			ID: id, Kind: waypost.KindIssued, Purpose: found.Purpose, To: found.Owner, Cites: check,
			Operator: operator, Class: waypost.Attended, Case: found.Case, Body: body,
		})
	})
}

// answerAnnouncement notes what another state has issued to a holder of our card.
func (m *Moves) answerAnnouncement(ctx context.Context, q errand.Question) (errand.Response, error) {
	notice, err := parseAnnouncement(q.Body)
	if err != nil {
		return errand.Response{}, err
	}
	var about records.Answered
	if err := m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		about, err = m.cited(tx, q.From, q.Ticket.Cites, notice.Reference)
		return err
	}); err != nil {
		return errand.Response{}, err
	}
	return errand.Response{
		Word: wordAcknowledged, Final: true, Handle: about.Handle[:],
		Commit: func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO announcement (id, asking, record, issued, at) VALUES ($1, $2, $3, $4, $5)`,
				newID(), string(q.From), about.Record, notice.Issued, m.Now().Unix())
			return err
		},
	}, nil
}

// takeAcknowledged has nothing to do: the errand itself says that it is over.
func (m *Moves) takeAcknowledged(*store.Tx, errand.Errand, errand.Reply) error { return nil }

// announcement is a row of that table.
type announcement struct {
	id     [16]byte
	asking waypost.Jurisdiction
	record string
	issued string
	at     int64
}

// announced returns what others have issued, newest first.
func (m *Moves) announced(ctx context.Context, limit int) (all []announcement, err error) {
	err = m.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		return tx.Query(`SELECT id, asking, record, issued, at FROM announcement ORDER BY at DESC, id LIMIT $1`, []any{limit},
			func(scan func(dest ...any) error) error {
				var a announcement
				err := scan(&a.id, &a.asking, &a.record, &a.issued, &a.at)
				all = append(all, a)
				return err
			})
	})
	return all, err
}
