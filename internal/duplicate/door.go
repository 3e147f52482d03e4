package duplicate

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Door serves a state's own clerks. The caller is [rpc.Operator].
type Door struct{ *Cases }

var _ waypostv1connect.CasesHandler = Door{}

// find returns a case that the operator may see.
func (d Door) find(ctx context.Context, name string) (p pair, notes []note, err error) {
	err = d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if p, err = byName(tx, name); err == nil {
			notes, err = notesOf(tx, p.id)
		}
		return err
	})
	if err != nil {
		return p, notes, err
	}
	if protected, err := d.isProtected(ctx, p); err != nil || protected && !rpc.OfUnit(ctx) {
		if err == nil {
			err = errNoCase
		}
		return pair{}, nil, err
	}
	return p, notes, nil
}

// isProtected asks the state's own system again: a person may be protected since
// the case was opened.
func (c *Cases) isProtected(ctx context.Context, p pair) (bool, error) {
	if p.protected {
		return true, nil
	}
	for _, id := range []string{p.record, p.recordToo} {
		if id == "" {
			continue
		}
		record, err := c.File.Record(ctx, id)
		if err != nil && waypost.CodeOf(err) != waypost.NotFound {
			return false, err
		}
		if err == nil && record.Protected {
			return true, c.DB.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE duplicate SET protected = 1 WHERE record = $1 OR record_too = $1`, id)
				return err
			})
		}
	}
	return false, nil
}

// again shows a case as it is after a change.
func (d Door) again(ctx context.Context, id ID) (*waypostv1.DuplicateCase, error) {
	p, notes, err := d.find(ctx, id.String())
	if err != nil {
		return nil, err
	}
	return d.show(p, notes), nil
}

// List shows cases without their notes.
func (d Door) List(ctx context.Context, req *waypostv1.ListCasesRequest) (*waypostv1.ListCasesResponse, error) {
	limit := int(req.Limit)
	if limit == 0 {
		limit = 100
	}
	if limit > 500 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "at most 500 cases are shown at once")
	}
	least, most := open, decided
	if req.State != "" {
		least, most = -1, -1
		for i, name := range stateNames {
			if name == req.State {
				least, most = State(i), State(i)
			}
		}
		if least < 0 {
			return nil, waypost.Errorf(waypost.InvalidArgument, "a case is open, decided or closed")
		}
	}
	var pairs []pair
	err := d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		var after pair
		if req.After != "" {
			if after, err = byName(tx, req.After); err != nil {
				return err
			}
		}
		pairs, err = selectPairs(tx, `WHERE state >= $1 AND state <= $2 AND (other = $3 OR $3 = '') AND (protected = 0 OR $4 = 1)
			AND (opened > $5 OR opened = $5 AND id > $6) ORDER BY opened, id LIMIT $7`,
			int(least), int(most), req.Other, btoi(rpc.OfUnit(ctx)), after.opened, after.id[:], limit+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	res := &waypostv1.ListCasesResponse{}
	for i, p := range pairs {
		if i == limit {
			res.Next = pairs[i-1].id.String()
			break
		}
		res.Cases = append(res.Cases, d.show(p, nil))
	}
	return res, nil
}

// Show shows one case with its notes.
func (d Door) Show(ctx context.Context, req *waypostv1.ShowCaseRequest) (*waypostv1.DuplicateCase, error) {
	p, notes, err := d.find(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	return d.show(p, notes), nil
}

// noteOf is what the calling clerk writes.
func noteOf(ctx context.Context, text string) (note, error) {
	n := note{operator: rpc.Operator(ctx), class: waypost.Attended, text: clean(text)}
	if len(n.text) > maxText {
		return n, waypost.Errorf(waypost.InvalidArgument, "a note has at most %d bytes: divide it", maxText)
	}
	if n.operator == "" {
		return n, waypost.Errorf(waypost.Unauthenticated, "only a known operator writes in a case")
	}
	return n, nil
}

// candidate reads the two names by which a check's candidate is known.
func candidate(check, reference string) (id waypost.TicketID, ref waypost.Reference, err error) {
	raw, err := hex.DecodeString(check)
	if err != nil || !fill(id[:], raw) {
		return id, ref, waypost.Errorf(waypost.InvalidArgument, "a check is named by the 64 hex digits of its ticket")
	}
	if ref.UnmarshalText([]byte(reference)) != nil {
		return id, ref, waypost.Errorf(waypost.InvalidArgument, "a candidate is named by the 32 hex digits of its reference, which stand in the answer")
	}
	return id, ref, nil
}

// Open begins a case.
func (d Door) Open(ctx context.Context, req *waypostv1.OpenCaseRequest) (*waypostv1.DuplicateCase, error) {
	n, err := noteOf(ctx, req.Text)
	if err != nil {
		return nil, err
	}
	var p pair
	if len(req.Records) > 0 {
		p, err = d.openOwn(ctx, req.Records, n)
	} else {
		var check waypost.TicketID
		var reference waypost.Reference
		if check, reference, err = candidate(req.Check, req.Reference); err == nil {
			p, err = d.open(ctx, check, reference, n)
		}
	}
	if err != nil {
		return nil, err
	}
	return d.again(ctx, p.id)
}

// Note adds to a case, or says that nothing is left to do in it.
func (d Door) Note(ctx context.Context, req *waypostv1.NoteCaseRequest) (*waypostv1.DuplicateCase, error) {
	n, err := noteOf(ctx, req.Text)
	if err != nil {
		return nil, err
	}
	p, _, err := d.find(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	err = d.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := byID(tx, p.id)
		if err != nil {
			return err
		}
		if req.Closes {
			if now.state == open {
				return waypost.Errorf(waypost.InvalidArgument, "a case is closed when it is decided: waypost case decide")
			}
			n.outcome, n.closes = now.outcome, true
		}
		return d.say(tx, now, n)
	})
	if err != nil {
		return nil, err
	}
	return d.again(ctx, p.id)
}

// Decide says what this state finds.
func (d Door) Decide(ctx context.Context, req *waypostv1.DecideCaseRequest) (*waypostv1.DuplicateCase, error) {
	n, err := noteOf(ctx, req.Text)
	if err != nil {
		return nil, err
	}
	if n.outcome, n.issued = Outcome(req.Outcome), req.Issued; !n.outcome.known() {
		return nil, waypost.Errorf(waypost.InvalidArgument, "an outcome is same, different, fraud, undecided or left")
	}
	p, _, err := d.find(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	if err := d.decide(ctx, p, n); err != nil {
		return nil, err
	}
	return d.again(ctx, p.id)
}

// Clear corrects a wrong match.
func (d Door) Clear(ctx context.Context, req *waypostv1.ClearCaseRequest) (*waypostv1.DuplicateCase, error) {
	n, err := noteOf(ctx, req.Text)
	if err != nil {
		return nil, err
	}
	if n.text == "" {
		return nil, waypost.Errorf(waypost.InvalidArgument, "say why this is somebody else: a person in the other state reads it")
	}
	n.outcome = Different
	var p pair
	if req.Id != "" {
		if p, _, err = d.find(ctx, req.Id); err == nil {
			err = d.decide(ctx, p, n)
		}
	} else {
		var check waypost.TicketID
		var reference waypost.Reference
		if check, reference, err = candidate(req.Check, req.Reference); err == nil {
			p, err = d.open(ctx, check, reference, n)
		}
	}
	if err != nil {
		return nil, err
	}
	return d.again(ctx, p.id)
}

// Frequent lists records that were asked about unusually often, after taking one
// off the list.
func (d Door) Frequent(ctx context.Context, req *waypostv1.FrequentRequest) (*waypostv1.FrequentResponse, error) {
	if req.Acknowledge != "" {
		if err := d.acknowledge(ctx, req.Acknowledge); err != nil {
			return nil, err
		}
	}
	list, err := d.frequents(ctx)
	if err != nil {
		return nil, err
	}
	res := &waypostv1.FrequentResponse{}
	for _, f := range list {
		protected, err := d.isProtected(ctx, pair{record: f.Record})
		if err != nil {
			return nil, err
		}
		if !protected || rpc.OfUnit(ctx) {
			res.Records = append(res.Records, f)
		}
	}
	return res, nil
}

// Worklist is all that waits for a person.
func (d Door) Worklist(ctx context.Context, _ *waypostv1.WorklistRequest) (*waypostv1.WorklistResponse, error) {
	items, err := d.Cases.Worklist(ctx)
	if err != nil {
		return nil, err
	}
	res := &waypostv1.WorklistResponse{}
	for _, i := range items {
		res.Items = append(res.Items, d.showItem(i))
	}
	return res, nil
}

// hexOf is how checks and candidates are named at the doors.
func hexOf(b []byte) string { return hex.EncodeToString(b) }

// days says a time in whole days.
func days(d time.Duration) string { return fmt.Sprintf("%d days", d/(24*time.Hour)) }
