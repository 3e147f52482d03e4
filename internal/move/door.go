package move

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Door is the room's part of the counter door.
func (m *Moves) Door() waypostv1connect.MovesHandler { return door{m} }

type door struct{ m *Moves }

// Start begins a move and waits a moment for the former state's word.
func (d door) Start(ctx context.Context, req *waypostv1.StartMoveRequest) (*waypostv1.Move, error) {
	check, reference, err := parseCited(req.Check, req.Reference)
	if err != nil {
		return nil, err
	}
	id, err := d.m.Start(ctx, Start{
		Check: check, Reference: reference, Record: req.Record, CardNumber: req.CardNumber, CardKind: waypost.CardKind(req.CardKind),
		RealID: req.RealId, Told: req.GetConsent().GetTold(), Language: req.GetConsent().GetLanguage(), Operator: rpc.Operator(ctx),
	})
	if err != nil {
		return nil, err
	}
	return d.Get(ctx, &waypostv1.GetMoveRequest{Id: hex.EncodeToString(id[:])})
}

func parseCited(check, reference string) (id waypost.TicketID, ref waypost.Reference, err error) {
	raw, err := hex.DecodeString(check)
	if err != nil || len(raw) != len(id) {
		return id, ref, waypost.Errorf(waypost.InvalidArgument, "a check is named by its ticket, 64 hex digits")
	}
	return waypost.TicketID(raw), ref, ref.UnmarshalText([]byte(reference))
}

// Get returns one move as it stands.
func (d door) Get(ctx context.Context, req *waypostv1.GetMoveRequest) (*waypostv1.Move, error) {
	id, err := parseID(req.Id)
	if err != nil {
		return nil, err
	}
	var a arrival
	err = d.m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		a, err = arrivalIn(tx, id)
		return err
	})
	return a.toProto(), err
}

func (a arrival) toProto() *waypostv1.Move {
	return &waypostv1.Move{
		Id: hex.EncodeToString(a.id[:]), State: a.state.String(), From: string(a.owner), Record: a.record,
		Check: hex.EncodeToString(a.check[:]), Reference: hex.EncodeToString(a.reference[:]), Words: a.sentence(),
		Begun: a.begun, Changed: a.changed, Pointers: uint32(a.pointers),
	}
}

// limitOf is how many rows are shown.
func limitOf(wanted uint32) int {
	if wanted == 0 {
		return 100
	}
	return int(min(wanted, most))
}

// List shows moves to this state, newest first.
func (d door) List(ctx context.Context, req *waypostv1.ListMovesRequest) (*waypostv1.ListMovesResponse, error) {
	limit, over := limitOf(req.Limit), passed
	if req.All {
		over = ended
	}
	var rows []arrival
	err := d.m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		rows, err = arrivals(tx, `WHERE state <= $1 ORDER BY begun DESC, id LIMIT $2`, int(over), limit+1)
		return err
	})
	res := &waypostv1.ListMovesResponse{More: len(rows) > limit}
	for _, a := range rows[:min(len(rows), limit)] {
		res.Moves = append(res.Moves, a.toProto())
	}
	return res, err
}

// Cancel gives up a move, or a termination that was not heard of.
func (d door) Cancel(ctx context.Context, req *waypostv1.CancelMoveRequest) (*waypostv1.CancelMoveResponse, error) {
	id, err := parseID(req.Id)
	if err != nil {
		return nil, err
	}
	if err = d.m.Cancel(ctx, id); waypost.CodeOf(err) == waypost.NotFound {
		err = d.m.CancelTermination(ctx, id)
	}
	if waypost.CodeOf(err) == waypost.NotFound {
		err = waypost.Errorf(waypost.NotFound, "there is no move and no request to end a card of this id that could be cancelled here")
	}
	return &waypostv1.CancelMoveResponse{}, err
}

// Resume has what waits tried again at once.
func (d door) Resume(ctx context.Context, req *waypostv1.ResumeMoveRequest) (*waypostv1.ResumeMoveResponse, error) {
	id, err := parseID(req.Id)
	if err != nil {
		return nil, err
	}
	return &waypostv1.ResumeMoveResponse{}, d.m.Resume(ctx, id)
}

// Announce tells a former state that a card was issued here.
func (d door) Announce(ctx context.Context, req *waypostv1.AnnounceRequest) (*waypostv1.AnnounceResponse, error) {
	check, reference, err := parseCited(req.Check, req.Reference)
	if err != nil {
		return nil, err
	}
	issued := d.m.Now()
	if req.Issued != "" {
		if issued, err = time.Parse(time.DateOnly, req.Issued); err != nil {
			return nil, waypost.Errorf(waypost.InvalidArgument, "the day on which the card was issued is YYYY-MM-DD")
		}
	}
	id, err := d.m.Announce(ctx, check, reference, issued, rpc.Operator(ctx))
	return &waypostv1.AnnounceResponse{Id: hex.EncodeToString(id[:])}, err
}

// Announced shows what others have issued.
func (d door) Announced(ctx context.Context, req *waypostv1.AnnouncedRequest) (*waypostv1.AnnouncedResponse, error) {
	rows, err := d.m.announced(ctx, limitOf(req.Limit))
	res := &waypostv1.AnnouncedResponse{}
	for _, a := range rows {
		res.Announcements = append(res.Announcements, &waypostv1.Announcement{
			Id: hex.EncodeToString(a.id[:]), State: string(a.asking), Record: a.record, Issued: a.issued, At: a.at})
	}
	return res, err
}

// Terminate asks another state to end a card, or notes that the resident keeps it.
func (d door) Terminate(ctx context.Context, req *waypostv1.TerminateRequest) (*waypostv1.Termination, error) {
	check, reference, err := parseCited(req.Check, req.Reference)
	if err != nil {
		return nil, err
	}
	if req.Keep != "new" && req.Keep != "old" {
		return nil, waypost.Errorf(waypost.InvalidArgument, "say which card the resident chose to keep: new or old")
	}
	id, err := d.m.Terminate(ctx, Choice{
		Check: check, Reference: reference, Record: req.Record, KeepOld: req.Keep == "old", Surrendered: req.Surrendered,
		Told: req.GetConsent().GetTold(), Language: req.GetConsent().GetLanguage(), Operator: rpc.Operator(ctx),
	})
	if err != nil {
		return nil, err
	}
	var rows []termination
	err = d.m.DB.Read(ctx, func(tx *store.Tx) (err error) {
		rows, err = terminations(tx, `WHERE id = $1`, id[:])
		return err
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0].toProto(), nil
}

func (t termination) toProto() *waypostv1.Termination {
	return &waypostv1.Termination{
		Id: hex.EncodeToString(t.id[:]), State: t.state.String(), Other: string(t.owner), Record: t.record, Reason: t.reason,
		Words: t.sentence(), Begun: t.begun, Changed: t.changed,
	}
}

func (e ending) toProto() *waypostv1.Termination {
	p := &waypostv1.Termination{
		Id: hex.EncodeToString(e.id[:]), Ours: true, State: e.state.String(), Other: string(e.asking), Record: e.record, Reason: e.reason,
		Words: e.sentence(), Begun: e.begun, Changed: e.changed,
	}
	if e.state == noticed && e.due != nil {
		p.Ends = *e.due
	}
	return p
}

// Terminations shows both sides: first what this state is asked for.
func (d door) Terminations(ctx context.Context, req *waypostv1.TerminationsRequest) (*waypostv1.TerminationsResponse, error) {
	limit, last, lastHere := limitOf(req.Limit), acknowledged, closing
	if req.All {
		last, lastHere = requestCancelled, keeps
	}
	res := &waypostv1.TerminationsResponse{}
	err := d.m.DB.Read(ctx, func(tx *store.Tx) error {
		here, err := endings(tx, `WHERE state <= $1 ORDER BY begun DESC, id LIMIT $2`, int(lastHere), limit+1)
		if err != nil {
			return err
		}
		there, err := terminations(tx, `WHERE state <= $1 ORDER BY begun DESC, id LIMIT $2`, int(last), limit+1)
		res.Terminations, res.More = nil, len(here) > limit || len(there) > limit
		for _, e := range here[:min(len(here), limit)] {
			res.Terminations = append(res.Terminations, e.toProto())
		}
		for _, t := range there[:min(len(there), limit)] {
			res.Terminations = append(res.Terminations, t.toProto())
		}
		return err
	})
	return res, err
}

// Object notes an objection.
func (d door) Object(ctx context.Context, req *waypostv1.ObjectRequest) (*waypostv1.Termination, error) {
	id, err := d.m.Object(ctx, req.Id, req.Words)
	if err != nil {
		return nil, err
	}
	return d.ending(ctx, id)
}

// Decide is a person's decision.
func (d door) Decide(ctx context.Context, req *waypostv1.DecideTerminationRequest) (*waypostv1.Termination, error) {
	id, err := d.m.Decide(ctx, req.Id, req.Decision, req.Reason)
	if err != nil {
		return nil, err
	}
	return d.ending(ctx, id)
}

func (d door) ending(ctx context.Context, id [16]byte) (*waypostv1.Termination, error) {
	e, err := d.m.endingNamed(ctx, hex.EncodeToString(id[:]))
	return e.toProto(), err
}

// Letters notes what was mailed, and shows what is to be.
func (d door) Letters(ctx context.Context, req *waypostv1.LettersRequest) (*waypostv1.LettersResponse, error) {
	var mailed [][16]byte
	for _, text := range req.Mailed {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		mailed = append(mailed, id)
	}
	if err := d.m.Mailed(ctx, mailed); err != nil {
		return nil, err
	}
	open, err := d.m.unmailed(ctx)
	res := &waypostv1.LettersResponse{}
	for _, l := range open {
		res.Letters = append(res.Letters, &waypostv1.Letter{
			Id: hex.EncodeToString(l.id[:]), Record: l.record, English: l.english, Spanish: l.spanish, Made: l.made})
	}
	return res, err
}

// Suspense shows what is unfinished for long, or at all.
func (d door) Suspense(ctx context.Context, req *waypostv1.SuspenseRequest) (*waypostv1.SuspenseResponse, error) {
	older := d.m.suspend
	if req.All {
		older = 0
	}
	items, err := d.m.Suspense(ctx, older)
	res := &waypostv1.SuspenseResponse{}
	for _, s := range items {
		res.Items = append(res.Items, &waypostv1.Suspended{
			Id: hex.EncodeToString(s.ID[:]), What: s.What, Other: string(s.Other), Record: s.Record, WaitsFor: s.WaitsFor,
			Since: s.Since.Unix(), Alarm: s.Alarm, CanCancel: s.CanCancel})
	}
	return res, err
}
