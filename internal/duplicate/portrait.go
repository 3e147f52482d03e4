package duplicate

import (
	"context"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// Portraits asks other states for portraits.
type Portraits interface {
	// Portrait asks for that of a candidate of an own check, as the errand of that
	// id, and waits a few seconds. With the same id it goes on waiting. It returns
	// the JPEG, or nil where the other state declines; ok is false while nothing has
	// come.
	Portrait(ctx context.Context, id errand.ID, w PortraitWish) (jpeg []byte, ok bool, err error)
}

// PortraitWish is whose portrait, and why.
type PortraitWish struct {
	To        waypost.Jurisdiction
	Check     waypost.TicketID
	Reference waypost.Reference
	Purpose   waypost.Purpose
	Operator  string
	Case      string
}

// Portraits shows the two portraits of a case beside each other: never more than
// this pair. How often the other state's is asked for is limited and noted, and the
// other state sees the note.
func (d Door) Portraits(ctx context.Context, req *waypostv1.CasePortraitsRequest) (*waypostv1.CasePortraitsResponse, error) {
	n, err := noteOf(ctx, "")
	if err != nil {
		return nil, err
	}
	p, _, err := d.find(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	res := &waypostv1.CasePortraitsResponse{}
	if res.Own, err = d.ownPortrait(ctx, p.record); err != nil {
		return nil, err
	}
	if p.other == "" {
		if res.Other, err = d.ownPortrait(ctx, p.recordToo); err != nil {
			return nil, err
		}
		res.Word = "portrait"
		return res, nil
	}
	if !p.asked {
		return nil, waypost.Errorf(waypost.PermissionDenied, "%s made the check: its clerk compares the portraits, and notes what they see", p.other)
	}
	if p.told == waypost.Pending {
		return nil, waypost.Errorf(waypost.PermissionDenied, "the campaign has named nobody to %s: make a check for this record first, and ask for the portrait with that", p.other)
	}
	if d.Cases.Portraits == nil {
		return nil, waypost.Errorf(waypost.Unavailable, "this gateway cannot ask for portraits yet")
	}
	id, err := d.askPortrait(ctx, p, n)
	if err != nil {
		return nil, err
	}
	jpeg, ok, err := d.Cases.Portraits.Portrait(ctx, id, PortraitWish{To: p.other, Check: p.check, Reference: p.reference,
		Purpose: waypost.DuplicateResolution, Operator: n.operator, Case: "duplicate case " + p.id.String()})
	if err != nil {
		return nil, err
	}
	switch res.Other = jpeg; {
	case !ok:
		res.Word = "pending"
		return res, nil
	case jpeg == nil:
		res.Word = "declined"
	default:
		res.Word = "portrait"
	}
	return res, d.DB.Write(ctx, func(tx *store.Tx) error { // the next look is another one
		_, err := tx.Exec(`UPDATE duplicate SET portrait = $1 WHERE id = $2 AND portrait = $3`, []byte{}, p.id[:], id[:])
		return err
	})
}

// askPortrait returns the errand that is under way, or counts and notes a new one.
func (d Door) askPortrait(ctx context.Context, p pair, n note) (id errand.ID, err error) {
	err = d.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := byID(tx, p.id)
		if err != nil {
			return err
		}
		if now.portrait != nil {
			id = *now.portrait
			return nil
		}
		if now.portraits >= d.config.Portraits {
			return waypost.Errorf(waypost.QuotaExceeded, "the portrait was asked for %d times in this case, which is enough", now.portraits)
		}
		id = errand.NewID()
		if _, err := tx.Exec(`UPDATE duplicate SET portrait = $1, portraits = portraits + 1 WHERE id = $2`, id[:], p.id[:]); err != nil {
			return err
		}
		n.text = "Asked for the portrait of " + string(p.other) + "."
		return d.say(tx, now, n)
	})
	return id, err
}

// ownPortrait returns a portrait of this state, or nil where there is none.
func (c *Cases) ownPortrait(ctx context.Context, record string) ([]byte, error) {
	if record == "" {
		return nil, nil // an applicant, who stands at the counter
	}
	jpeg, err := c.File.System().Portrait(ctx, record)
	if waypost.CodeOf(err) == waypost.NotFound {
		return nil, nil
	}
	return jpeg, err
}
