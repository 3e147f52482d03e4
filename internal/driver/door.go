package driver

import (
	"context"
	"encoding/hex"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Door is the counter door to driver history: the connect service Drivers.
type Door struct{ *Desk }

// answerWait is how long a clerk waits for the state of record.
const answerWait = 5 * time.Second

// Report sends an item to the state of record of its driver. The same report again
// returns how it stands.
func (d Door) Report(ctx context.Context, req *waypostv1.ReportRequest) (*waypostv1.ReportState, error) {
	o, err := d.newReport(ctx, req)
	if err != nil {
		return nil, err
	}
	if problems := Validate(o.Item, d.Now()); len(problems) > 0 {
		return &waypostv1.ReportState{Item: o.ID[:], Word: Rejected, Problems: problemsToProto(problems), Type: string(o.Type),
			Code: o.Code, Reference: o.Reference, Words: "Not sent: something is wrong with the item."}, nil
	}
	if err := d.DB.Write(ctx, func(tx *store.Tx) error { return d.begin(tx, o) }); err != nil {
		return nil, err
	}
	return d.pursue(ctx, o.ID)
}

// newReport reads a request. It does not look at what the item says.
func (d Door) newReport(ctx context.Context, req *waypostv1.ReportRequest) (o outgoing, err error) {
	if o.Item, err = d.ownItem(req.Item); err != nil {
		return o, err
	}
	o.operator, o.caseRef, o.driver = rpc.Operator(ctx), req.CaseReference, req.Driver
	if o.caseRef == "" {
		o.caseRef = "item " + o.Reference
	}
	switch {
	case req.Check != "" || req.Reference != "":
		return d.cited(ctx, o, req.Check, req.Reference)
	case o.driver == nil:
		return o, waypost.Errorf(waypost.InvalidArgument, "say whose it is: a card, a check that found the record, or the person")
	}
	if _, err := personOf(o.driver); err != nil {
		return o, err
	}
	if o.driver.CardNumber == "" {
		o.ssn5 = req.Ssn5
		return o, nil
	}
	if o.to, err = waypost.ParseJurisdiction(o.driver.CardState); err != nil {
		return o, waypost.Errorf(waypost.InvalidArgument, "say which state has issued the card")
	}
	if o.to == d.State {
		return o, waypost.Errorf(waypost.InvalidArgument, "the card is of %s itself: add the item to the record", d.State)
	}
	return o, nil
}

// cited makes the report one about a candidate of an own check.
func (d Door) cited(ctx context.Context, o outgoing, check, reference string) (outgoing, error) {
	id, err := hex.DecodeString(check)
	if err != nil || len(id) != len(o.check) {
		return o, waypost.Errorf(waypost.InvalidArgument, "a check is named by 64 hex digits")
	}
	ref, err := hex.DecodeString(reference)
	if err != nil || len(ref) != len(waypost.Reference{}) {
		return o, waypost.Errorf(waypost.InvalidArgument, "a reference is 32 hex digits")
	}
	o.check, o.reference, o.driver = waypost.TicketID(id), ref, nil
	return o, d.DB.Read(ctx, func(tx *store.Tx) error { return d.candidate(tx, &o) })
}

// candidate looks up whose record the reference of an own check is.
func (d *Desk) candidate(tx *store.Tx, o *outgoing) error {
	asked, err := d.File.Asked(tx, o.check, waypost.Reference(o.reference))
	if err != nil {
		return err
	}
	if asked.Purpose != waypost.PostConviction {
		return waypost.Errorf(waypost.InvalidArgument, "a report rests on a check with the purpose %s", waypost.PostConviction)
	}
	if asked.Outcome != waypost.Match && asked.Outcome != waypost.Possible {
		return waypost.Errorf(waypost.InvalidArgument, "%s has not said that it has the driver's record", asked.Owner)
	}
	o.to = asked.Owner
	return nil
}

// ownItem is an item that this state reports.
func (d *Desk) ownItem(m *waypostv1.Item) (Item, error) {
	if m == nil {
		return Item{}, waypost.Errorf(waypost.InvalidArgument, "an item is needed")
	}
	m, _ = proto.Clone(m).(*waypostv1.Item)
	m.Reporter = string(d.State)
	id := IDOf(Type(m.Type), d.State, m.Reference)
	m.Id = id[:]
	return FromProto(m)
}

// pursue does what can be done for a report at once, and waits for a word.
func (d Door) pursue(ctx context.Context, id ItemID) (*waypostv1.ReportState, error) {
	o, err := d.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if o.state == searching {
		if err := d.advance(ctx, id); err != nil {
			return nil, err
		}
		if o, err = d.load(ctx, id); err != nil {
			return nil, err
		}
	}
	if o.state == sent {
		if _, err := d.Errands.Wait(ctx, o.errand, answerWait); err != nil {
			if err := d.settle(ctx, o); err != nil {
				return nil, err
			}
		}
		if o, err = d.load(ctx, id); err != nil {
			return nil, err
		}
	}
	return d.state(ctx, o)
}

func (d *Desk) load(ctx context.Context, id ItemID) (o outgoing, err error) {
	err = d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		o, err = reportOf(tx, id)
		return err
	})
	return o, err
}

// state is a report as the counter is shown it.
func (d Door) state(ctx context.Context, o outgoing) (*waypostv1.ReportState, error) {
	said := parseReply(o.reply)
	m := &waypostv1.ReportState{
		Item: o.ID[:], State: o.state.String(), Word: o.word, To: string(o.to), Problems: problemsToProto(said.Problems),
		Reported: o.reported, Changed: o.changed, Type: string(o.Type), Code: o.Code, Reference: o.Reference,
		Words: o.words(), Record: o.record,
	}
	if !o.check.IsZero() {
		m.Check = hex.EncodeToString(o.check[:])
	}
	if o.state != deciding || o.check.IsZero() {
		return m, nil
	}
	answer, err := d.Checker.Answer(ctx, o.check)
	if err != nil {
		return m, nil //nolint:nilerr // a check that is forgotten offers no choices; the report can still be decided
	}
	for _, c := range answer.Candidates {
		if c.Outcome == waypost.Match || c.Outcome == waypost.Possible {
			m.Choices = append(m.Choices, &waypostv1.CandidateChoice{State: string(c.State),
				Reference: hex.EncodeToString(c.Reference[:]), Outcome: string(c.Outcome)})
		}
	}
	for _, own := range answer.Own {
		m.Choices = append(m.Choices, &waypostv1.CandidateChoice{State: string(d.State), Record: own.ID, Outcome: string(own.Outcome)})
	}
	return m, nil
}

// words says how a report stands.
func (o outgoing) words() string {
	what := string(o.Type) + " " + o.Reference
	switch o.state {
	case searching:
		return what + ": the driver is being searched for."
	case owed:
		return what + ": the search for the driver is not complete; the report goes on by itself."
	case deciding:
		return what + ": somebody must decide whose record it is: waypost driver decide."
	case held:
		return what + ": waits until the item that it is about has been accepted."
	case cancelled:
		return what + ": given up."
	case sent:
		if o.word == Forwarded {
			return what + ": the record has moved; the report was forwarded to " + string(o.to) + "."
		}
		return what + ": sent to " + string(o.to) + ", which has not answered yet."
	}
	switch o.word {
	case Accepted:
		return what + ": accepted by " + string(o.to) + "."
	case Rejected:
		return what + ": rejected by " + string(o.to) + ". Correct what is wrong and report it again."
	case DriverNotFound:
		return what + ": " + string(o.to) + " has no record of this driver. Report it without the card: then all states are asked."
	case wordUnlicensed:
		return what + ": no state has a record of the driver; one of an unlicensed driver was made here: " + o.record + "."
	case wordOwn:
		return what + ": added to this state's own record " + o.record + "."
	case errand.Refused:
		return what + ": refused. See the problems."
	}
	return what + ": could not be delivered. Report it again."
}

// Reports lists the reports of this state, newest first.
func (d Door) Reports(ctx context.Context, req *waypostv1.ReportsRequest) (*waypostv1.ReportsResponse, error) {
	limit := int(req.Limit)
	if limit == 0 {
		limit = 100
	}
	if limit > 1000 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "at most 1000 reports are listed at once")
	}
	last := cancelled
	if req.Open {
		last = sent
	}
	var all []outgoing
	if err := d.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Query(`SELECT `+reportColumns+` FROM driver_report WHERE state <= $1 ORDER BY reported DESC, item LIMIT $2`,
			[]any{int(last), limit + 1}, func(scan func(...any) error) error {
				o, err := scanReport(scan)
				all = append(all, o)
				return err
			})
	}); err != nil {
		return nil, err
	}
	res := &waypostv1.ReportsResponse{More: len(all) > limit}
	for _, o := range all[:min(len(all), limit)] {
		m, err := d.state(ctx, o)
		if err != nil {
			return nil, err
		}
		res.Reports = append(res.Reports, m)
	}
	return res, nil
}

// Decide says whose record a report is about, where a check could not, or gives
// the report up.
func (d Door) Decide(ctx context.Context, req *waypostv1.DecideRequest) (*waypostv1.ReportState, error) {
	if len(req.Item) != len(ItemID{}) {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a report is named by the 32 hex digits of its item")
	}
	if count(req.Reference != "")+count(req.Record != "")+count(req.Unlicensed)+count(req.Cancel) != 1 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "decide one thing: a reference, an own record, unlicensed, or cancel")
	}
	o, err := d.load(ctx, ItemID(req.Item))
	if err != nil {
		return nil, err
	}
	if !o.open() || o.state != deciding && !req.Cancel {
		return nil, waypost.Errorf(waypost.InvalidArgument, "this report does not wait for a decision")
	}
	if req.Unlicensed {
		err = d.unlicensed(ctx, o)
	} else {
		err = d.update(ctx, o, func(tx *store.Tx, o outgoing) error { return d.decide(tx, o, req) })
	}
	if err != nil {
		return nil, err
	}
	return d.pursue(ctx, o.ID)
}

func (d Door) decide(tx *store.Tx, o outgoing, req *waypostv1.DecideRequest) error {
	switch {
	case req.Cancel:
		if o.state == sent {
			if err := d.Errands.Cancel(tx, o.errand); err != nil {
				return err
			}
		}
		o.state = cancelled
		return d.put(tx, o)
	case req.Record != "":
		return d.toOwn(tx, o, req.Record)
	}
	ref, err := hex.DecodeString(req.Reference)
	if err != nil || len(ref) != len(waypost.Reference{}) {
		return waypost.Errorf(waypost.InvalidArgument, "a reference is 32 hex digits")
	}
	o.reference = ref
	if err := d.candidate(tx, &o); err != nil {
		return err
	}
	return d.send(tx, o)
}
