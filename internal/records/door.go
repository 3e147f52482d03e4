package records

import (
	"context"
	"strings"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// UnitOnly are the calls of the door that only the special unit may make.
var UnitOnly = map[string]bool{
	waypostv1connect.RecordsWithheldProcedure:       true,
	waypostv1connect.RecordsAnswerWithheldProcedure: true,
}

// Door is the counter door to the file. Who calls is rpc.Operator.
type Door struct{ file *File }

var _ waypostv1connect.RecordsHandler = Door{}

// NewDoor opens the file to the counter.
func NewDoor(f *File) Door { return Door{f} }

// Issue implements the service of that name, as the others do.
func (d Door) Issue(ctx context.Context, req *waypostv1.IssueRequest) (*waypostv1.IssueResponse, error) {
	ticket, err := parseTicketID(req.Ticket)
	if err != nil {
		return nil, err
	}
	record, err := FromProto(req.Record)
	if err != nil {
		return nil, err
	}
	i := Issuing{Ticket: ticket, Record: record, Override: strings.TrimSpace(req.Override)}
	if len(req.Former) >= waypost.MaxPointers {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a record has at most %d names", waypost.MaxPointers)
	}
	for _, former := range req.Former {
		if former.Born == "" {
			former.Born = record.Born.String()
		}
		name, err := personFromProto(former)
		if err != nil {
			return nil, err
		}
		if reason := defect(waypost.Record{ID: record.ID, Person: name, Kind: record.Kind, Status: record.Status}); reason != "" {
			return nil, waypost.Errorf(waypost.InvalidArgument, "a former name: %s", reason)
		}
		i.Former = append(i.Former, name)
	}
	published, err := d.file.Issue(ctx, rpc.Operator(ctx), i)
	return &waypostv1.IssueResponse{Published: published}, err
}

// Change implements the service.
func (d Door) Change(ctx context.Context, req *waypostv1.ChangeRecordRequest) (*waypostv1.ChangeRecordResponse, error) {
	record, err := FromProto(req.Record)
	if err != nil {
		return nil, err
	}
	changed, err := d.file.Change(ctx, rpc.Operator(ctx), record, req.KeepFormer)
	return &waypostv1.ChangeRecordResponse{Published: changed.Published, IndexChanged: changed.Index}, err
}

// Withdraw implements the service.
func (d Door) Withdraw(ctx context.Context, req *waypostv1.WithdrawRequest) (*waypostv1.WithdrawResponse, error) {
	if len(req.Reason) > 200 || !printable(req.Reason) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the reason is at most 200 printable bytes")
	}
	n, err := d.file.Withdraw(ctx, rpc.Operator(ctx), req.Record)
	return &waypostv1.WithdrawResponse{Pointers: uint32(n)}, err
}

// SetStatus implements the service.
func (d Door) SetStatus(ctx context.Context, req *waypostv1.SetStatusRequest) (*waypostv1.SetStatusResponse, error) {
	since, err := parseDay(req.Since)
	if err != nil {
		return nil, err
	}
	if since.IsZero() {
		since = d.file.Now()
	}
	return &waypostv1.SetStatusResponse{}, d.file.SetStatus(ctx, req.Record, waypost.Status(req.Status), since)
}

// SetProtected implements the service.
func (d Door) SetProtected(ctx context.Context, req *waypostv1.SetProtectedRequest) (*waypostv1.SetProtectedResponse, error) {
	return &waypostv1.SetProtectedResponse{}, d.file.SetProtected(ctx, req.Record, req.Protected)
}

// PortraitKeeper is what a state system may offer besides: it stores portraits.
type PortraitKeeper interface {
	SetPortrait(ctx context.Context, id string, jpeg []byte) error
}

// SetPortrait implements the service.
func (d Door) SetPortrait(ctx context.Context, req *waypostv1.SetPortraitRequest) (*waypostv1.SetPortraitResponse, error) {
	keeper, ok := d.file.Deps.System.(PortraitKeeper)
	if !ok {
		return nil, waypost.Errorf(waypost.InvalidArgument, "this state's portraits are kept in its own system, and set there")
	}
	return &waypostv1.SetPortraitResponse{}, keeper.SetPortrait(ctx, req.Record, req.Jpeg)
}

// Show implements the service.
func (d Door) Show(ctx context.Context, req *waypostv1.ShowRecordRequest) (*waypostv1.RecordPointers, error) {
	r, err := d.file.wantedRecord(ctx, req.Record)
	if err != nil {
		return nil, err
	}
	res := &waypostv1.RecordPointers{Status: string(r.Status), Since: day(r.Since), CardKind: string(r.Kind)}
	err = d.file.DB.Read(ctx, func(tx *store.Tx) error {
		res.Pointers, res.Overrides = nil, nil
		all, err := selectPointers(tx, `WHERE p.record = $1 ORDER BY p.alias, p.changed, p.handle`, req.Record)
		if err != nil {
			return err
		}
		for _, p := range all {
			res.Pointers = append(res.Pointers, &waypostv1.RecordPointer{
				Alias: p.Alias, State: p.State.String(), Generation: p.Generation, MovedTo: string(p.MovedTo), Tries: uint32(p.tries)})
		}
		return tx.Query(`SELECT override FROM issued WHERE record = $1 AND override <> '' ORDER BY at, ticket`, []any{req.Record},
			func(scan func(dest ...any) error) error {
				res.Overrides = append(res.Overrides, "")
				return scan(&res.Overrides[len(res.Overrides)-1])
			})
	})
	return res, err
}

// Purge implements the service.
func (d Door) Purge(ctx context.Context, req *waypostv1.PurgeRequest) (*waypostv1.PurgeResponse, error) {
	found, err := d.file.Purge(ctx, rpc.Operator(ctx), req.Preview)
	res := &waypostv1.PurgeResponse{Ids: found.IDs, UnknownSince: found.UnknownSince}
	for _, c := range found.Counts {
		res.Counts = append(res.Counts, &waypostv1.PurgeCount{Status: string(c.Status), Years: uint32(c.Years), Records: c.Records})
	}
	return res, err
}

// Compare implements the service.
func (d Door) Compare(ctx context.Context, req *waypostv1.CompareRequest) (*waypostv1.ComparisonResult, error) {
	var c Comparison
	var err error
	if req.Last {
		var found bool
		if c, found, err = d.file.LastComparison(ctx); err == nil && !found {
			err = waypost.Errorf(waypost.NotFound, "the pointers were not compared yet")
		}
	} else {
		c, err = d.file.Compare(ctx, rpc.Operator(ctx))
	}
	if err != nil {
		return nil, err
	}
	return &waypostv1.ComparisonResult{At: c.At.Unix(), Pointers: c.Pointers, Missing: c.Missing, Withdrawn: c.Withdrawn}, nil
}

// Generations implements the service.
func (d Door) Generations(ctx context.Context, _ *waypostv1.GenerationsRequest) (*waypostv1.GenerationsResponse, error) {
	all, err := d.file.Generations(ctx)
	res := &waypostv1.GenerationsResponse{}
	for _, g := range all {
		res.Generations = append(res.Generations, &waypostv1.Generation{Number: g.Number, State: g.State, Live: g.Live, Wanted: g.Wanted})
	}
	return res, err
}

// Activate implements the service.
func (d Door) Activate(ctx context.Context, req *waypostv1.ActivateRequest) (*waypostv1.ActivateResponse, error) {
	n, err := d.file.Activate(ctx, rpc.Operator(ctx), req.Generation, req.RollBack)
	return &waypostv1.ActivateResponse{Records: n}, err
}

// Leave implements the service.
func (d Door) Leave(ctx context.Context, _ *waypostv1.LeaveRequest) (*waypostv1.LeaveResponse, error) {
	withdrawn, receipt, err := d.file.Leave(ctx, rpc.Operator(ctx))
	return &waypostv1.LeaveResponse{Withdrawn: withdrawn, Receipt: receipt}, err
}

// Republish implements the service.
func (d Door) Republish(ctx context.Context, req *waypostv1.RepublishRequest) (*waypostv1.RepublishResponse, error) {
	res := &waypostv1.RepublishResponse{}
	if !req.Count {
		published, over, err := d.file.Republish(ctx, rpc.Operator(ctx))
		if res.Published, res.Over = uint32(published), over; err != nil || !over {
			return res, err
		}
	}
	r, err := d.file.Rotation(ctx)
	res.Epoch, res.Live, res.Done = r.Epoch, r.Live, r.Done
	return res, err
}

// Withheld implements the service.
func (d Door) Withheld(ctx context.Context, _ *waypostv1.WithheldRequest) (*waypostv1.WithheldResponse, error) {
	all, err := d.file.Withheld(ctx)
	res := &waypostv1.WithheldResponse{}
	for _, w := range all {
		res.Questions = append(res.Questions, &waypostv1.WithheldQuestion{
			Id: w.ID, Kind: string(w.Kind), Asking: string(w.Asking), Purpose: string(w.Purpose), Since: w.Since.Unix(), Record: w.Record})
	}
	return res, err
}

// AnswerWithheld implements the service.
func (d Door) AnswerWithheld(ctx context.Context, req *waypostv1.AnswerWithheldRequest) (*waypostv1.AnswerWithheldResponse, error) {
	return &waypostv1.AnswerWithheldResponse{}, d.file.AnswerWithheld(ctx, req.Id, req.Release)
}
