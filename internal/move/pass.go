package move

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// tryFor is how long a ticket is good for the hub, less what clocks may differ.
const tryFor = 9 * time.Minute

// passing is what the hub is asked to do, in the one encoding that it takes: the
// former state can make the same bytes of the release.
func passRequest(r waypost.SignedRelease) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(&waypostv1.Maintenance{
		What: &waypostv1.Maintenance_Change{Change: &waypostv1.ChangeOfRecord{Release: r.Bytes()}}})
}

// begin gets a ticket for the call to the hub, and commits that it will be made.
func (m *Moves) begin(ctx context.Context, a arrival) error {
	got, err := parseReleased(a.reply)
	if err != nil {
		return err
	}
	if !a.unclear && m.Now().Add(spare).After(got.release.Expires) {
		return m.move(ctx, a, m.again)
	}
	request, err := passRequest(got.release)
	if err != nil {
		return err
	}
	permit, err := m.Permits.Permit(ctx, errand.Wish{
		Kind: waypost.KindChangeSOR, Purpose: a.purpose, Class: waypost.Attended, Operator: a.operator, Case: a.caseReference,
		Cites: a.check, Recipient: m.Roster.Current().Hub().Name, Request: request,
	})
	if err != nil {
		return err
	}
	call := &waypostv1.MaintainRequest{Ticket: permit.Ticket.Bytes(), Salt: permit.Salt[:], Request: request}
	for _, r := range permit.Receipts {
		call.Receipts = append(call.Receipts, r.Bytes())
	}
	attempt, err := proto.Marshal(call)
	if err != nil {
		return err
	}
	return m.move(ctx, a, func(tx *store.Tx, a arrival) error {
		if err := m.Permits.Settle(tx, permit.Ticket.ID); err != nil {
			return err
		}
		a.state, a.attempt = passing, attempt
		return m.put(tx, a, m.Now())
	})
}

// again asks the former state for another release: this one runs out, and it is
// known that the hub has not used it.
func (m *Moves) again(tx *store.Tx, a arrival) error {
	got, err := parseReleased(a.reply)
	if err != nil {
		return err
	}
	if err := m.File.Unexpect(tx, got.release.Release); err != nil {
		return err
	}
	return m.ask(tx, a)
}

// pass calls the hub, and calls it again until it is known what came of it. The
// hub knows a change that it has made, under whatever ticket it is asked.
func (m *Moves) pass(ctx context.Context, a arrival) error {
	if len(a.attempt) == 0 {
		return m.begin(ctx, a)
	}
	call := new(waypostv1.MaintainRequest)
	if err := proto.Unmarshal(a.attempt, call); err != nil {
		return err
	}
	ticket, receipts, err := waypost.ParseChain(call.Ticket, call.Receipts)
	if err != nil {
		return err
	}
	if m.Now().Sub(ticket.IssuedAt) > tryFor {
		return m.move(ctx, a, func(tx *store.Tx, a arrival) error { return m.abandon(tx, a, ticket) })
	}
	res, err := m.Hub.Maintain(ctx, call)
	if err != nil {
		return m.refused(ctx, a, ticket, err)
	}
	receipt, err := m.receiptOf(ticket, res)
	if err != nil {
		return err
	}
	return m.move(ctx, a, func(tx *store.Tx, a arrival) error { return m.arrive(tx, a, ticket, receipts, receipt) })
}

// abandon ends an attempt in the ledger. What came of it, the next one finds out.
func (m *Moves) abandon(tx *store.Tx, a arrival, ticket waypost.SignedTicket) error {
	if err := m.ledger(tx, ticket, "abandoned"); err != nil {
		return err
	}
	a.attempt, a.unclear = []byte{}, true
	return m.put(tx, a, m.Now())
}

// refused judges an error of the hub. Only one that the hub gives after it has
// looked for the change says that it has not been made and will not be; any other,
// or none at all, leaves that open.
func (m *Moves) refused(ctx context.Context, a arrival, ticket waypost.SignedTicket, cause error) error {
	var then func(tx *store.Tx, a arrival) error
	switch code := waypost.CodeOf(cause); {
	case code == waypost.NotFound, code == waypost.AlreadyExists, code == waypost.Misuse:
		then = func(tx *store.Tx, a arrival) error {
			return m.finish(tx, a, ended, "the hub does not pass the pointers: "+clean(cause.Error())+"; make a new check")
		}
	case code == waypost.Expired && m.ranOut(a):
		then = m.again
	default:
		return cause
	}
	return m.move(ctx, a, func(tx *store.Tx, a arrival) error {
		if err := m.ledger(tx, ticket, "abandoned"); err != nil {
			return err
		}
		a.attempt = []byte{}
		return then(tx, a)
	})
}

// ranOut reports whether the release is past its time, by our clock.
func (m *Moves) ranOut(a arrival) bool {
	got, err := parseReleased(a.reply)
	return err == nil && !m.Now().Before(got.release.Expires)
}

// receiptOf checks that the hub has signed that it did what the ticket is for.
func (m *Moves) receiptOf(ticket waypost.SignedTicket, res *waypostv1.MaintainResponse) (waypost.SignedReceipt, error) {
	receipt, err := waypost.ParseReceipt(res.GetReceipt())
	if err != nil {
		return receipt, err
	}
	hub := m.Roster.Current().Hub()
	if err := receipt.Verify(hub.Identity); err != nil {
		return receipt, err
	}
	want := waypost.Receipt{
		Action: waypost.ActionChangeSOR, Signer: hub.Name, Ticket: ticket.ID, Epoch: ticket.Epoch, Inputs: ticket.Probes,
		Outputs: waypost.HashOutputs(waypost.ActionChangeSOR, res.Answer), Origin: receipt.Origin, Sequence: receipt.Sequence, Deadline: receipt.Deadline,
	}
	if receipt.Receipt != want {
		return receipt, waypost.Errorf(waypost.PermissionDenied, "the hub's receipt is not for what it was asked")
	}
	return receipt, receipt.CheckPromise(m.Now(), journal.MergeDelay)
}

// arrive commits that this state is the state of record: pointers, history and
// the entry with the hub's receipt, at once.
func (m *Moves) arrive(tx *store.Tx, a arrival, ticket waypost.SignedTicket, grants []waypost.SignedReceipt, receipt waypost.SignedReceipt) error {
	got, err := parseReleased(a.reply)
	if err != nil {
		return err
	}
	if err := m.File.MoveIn(tx, a.record, got.release.Release, got.names, a.check); err != nil {
		return err
	}
	if planted.Bug("swap-before-history") {
		got.history = nil // it was never stored
	}
	if err := m.Book.Import(tx, a.record, a.owner, got.history); err != nil {
		return err
	}
	kept := [][]byte{receipt.Bytes()}
	for _, g := range grants {
		kept = append(kept, g.Bytes())
	}
	if err := m.Journal.KeepReceipts(tx, ticket, kept); err != nil {
		return err
	}
	if err := m.ledger(tx, ticket, "published", journal.Field{Name: "records", Value: strconv.Itoa(len(got.names))},
		journal.Field{Name: "evaluations", Value: waypost.Places(grants...)},
		journal.Field{Name: "publications", Value: waypost.Places(receipt)}); err != nil {
		return err
	}
	a.state, a.attempt, a.unclear, a.tries, a.words = passed, []byte{}, false, 0, ""
	return m.put(tx, a, m.Now())
}
