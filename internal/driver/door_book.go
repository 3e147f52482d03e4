package driver

import (
	"context"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// historyOf returns a record of this state and its history.
func (d *Desk) historyOf(ctx context.Context, id string) (record waypost.Record, entries []Entry, err error) {
	if record, err = d.File.System().Record(ctx, id); err != nil {
		return record, nil, err
	}
	err = d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		entries, err = d.Book.Of(tx, id)
		return err
	})
	return record, entries, err
}

// Get returns the history of one record of this state.
func (d Door) Get(ctx context.Context, req *waypostv1.GetHistoryRequest) (*waypostv1.DriverHistory, error) {
	_, entries, err := d.historyOf(ctx, req.Record)
	if err != nil {
		return nil, err
	}
	sorted, more := inOrder(entries), false
	proposed := ProposedStatus(sorted) // from all, not from what is shown
	if !req.All {
		sorted, more = shown(sorted)
	}
	h := historyToProto(req.Record, sorted, more)
	h.ProposedStatus = string(proposed)
	return h, nil
}

// Print returns the whole history of one record as text.
func (d Door) Print(ctx context.Context, req *waypostv1.PrintHistoryRequest) (*waypostv1.PrintHistoryResponse, error) {
	record, entries, err := d.historyOf(ctx, req.Record)
	if err != nil {
		return nil, err
	}
	return &waypostv1.PrintHistoryResponse{
		Text: history(record, d.State, entries, d.Now()), History: historyToProto(req.Record, inOrder(entries), false),
	}, nil
}

// maxOwn is how many items are added at once.
const maxOwn = 100

// AddOwn adds items that this state itself reports to one of its records. What is
// wrong with one keeps none of the others out.
func (d Door) AddOwn(ctx context.Context, req *waypostv1.AddOwnRequest) (*waypostv1.AddOwnResponse, error) {
	if len(req.Items) == 0 || len(req.Items) > maxOwn {
		return nil, waypost.Errorf(waypost.InvalidArgument, "1 to %d items are added at once", maxOwn)
	}
	record, err := d.File.System().Record(ctx, req.Record)
	if err != nil {
		return nil, err
	}
	switch never, err := d.prepared(ctx, record); {
	case err != nil:
		return nil, err
	case never:
		return nil, waypost.Errorf(waypost.InvalidArgument, "the record was prepared for a move that has not come here: report the item to the state of record")
	}
	var res *waypostv1.AddOwnResponse
	err = d.DB.Write(ctx, func(tx *store.Tx) error {
		res = &waypostv1.AddOwnResponse{}
		_, gone, err := d.where(tx, req.Record, nil)
		if err != nil {
			return err
		}
		if gone != nil {
			return waypost.Errorf(waypost.InvalidArgument, "the record is %s's now: report the item to that state", gone.MovedTo)
		}
		for n, m := range req.Items {
			problems, err := d.addOne(tx, req.Record, m)
			if err != nil {
				return err
			}
			if len(problems) > 0 {
				res.Rejected = append(res.Rejected, &waypostv1.ItemProblems{Index: uint32(n), Problems: problemsToProto(problems)})
				continue
			}
			res.Added++
		}
		entries, err := d.Book.Of(tx, req.Record)
		res.ProposedStatus = string(ProposedStatus(entries))
		return err
	})
	return res, err
}

// addOne adds one item, or says everything that is wrong with it.
func (d *Desk) addOne(tx *store.Tx, record string, m *waypostv1.Item) ([]Problem, error) {
	i, err := d.ownItem(m)
	if err != nil {
		return []Problem{{Field: "item", Code: Malformed, Words: err.Error()}}, nil //nolint:nilerr // what is wrong is said
	}
	if problems := Validate(i, d.Now()); len(problems) > 0 {
		return problems, nil
	}
	if problems, err := d.Book.problems(tx, record, i, false); err != nil || len(problems) > 0 {
		return problems, err
	}
	_, err = d.add(tx, record, Arrival{Item: i, From: d.State, At: d.Now()})
	return nil, err
}

// Timeliness says how soon each state has reported.
func (d Door) Timeliness(ctx context.Context, req *waypostv1.TimelinessRequest) (*waypostv1.TimelinessResponse, error) {
	now := d.Now().UTC()
	from, to := monthOf(time.Date(now.Year(), now.Month()-11, 1, 0, 0, 0, 0, time.UTC)), monthOf(now)
	for _, m := range []struct {
		given string
		to    *string
	}{{req.From, &from}, {req.To, &to}} {
		if m.given == "" {
			continue
		}
		if _, err := time.Parse("2006-01", m.given); err != nil {
			return nil, waypost.Errorf(waypost.InvalidArgument, "a month is YYYY-MM")
		}
		*m.to = m.given
	}
	rows, rejections, err := d.Desk.Timeliness(ctx, from, to)
	if err != nil {
		return nil, err
	}
	res := &waypostv1.TimelinessResponse{}
	for _, p := range rows {
		res.Rows = append(res.Rows, &waypostv1.TimelinessRow{Reporter: string(p.Reporter), Type: string(p.Type), Month: p.Month,
			Items: uint64(p.Items), Within_10: uint64(p.Within10), Within_31: uint64(p.Within31), Median: p.Median, Worst: uint32(p.Worst)})
	}
	for _, j := range rejections {
		res.Rejected = append(res.Rejected, &waypostv1.RejectedRow{Reporter: string(j.Reporter), Month: j.Month, Field: j.Field, Code: j.Code, Times: uint64(j.Times)})
	}
	return res, nil
}

// Purge removes what has been kept for its time, or counts it.
func (d Door) Purge(ctx context.Context, req *waypostv1.PurgeHistoryRequest) (*waypostv1.PurgeHistoryResponse, error) {
	purged, err := d.Desk.Purge(ctx, req.Preview)
	if err != nil {
		return nil, err
	}
	res := &waypostv1.PurgeHistoryResponse{}
	for _, p := range purged {
		res.Rows = append(res.Rows, &waypostv1.PurgedRow{Type: string(p.Type), Rule: p.Rule, Items: uint64(p.Items)})
	}
	return res, nil
}
