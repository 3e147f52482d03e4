package hub_test

import (
	"context"
	"crypto/rand"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// upkeep is a request with the ticket that commits to it.
type upkeep struct {
	permit
	salt    [32]byte
	request []byte
}

// ask has a ticket signed for the request, by the state that makes it.
func (r *rig) ask(soi waypost.Jurisdiction, m *waypostv1.Maintenance, changes ...func(*waypost.Ticket)) upkeep {
	r.t.Helper()
	var u upkeep
	var err error
	_, _ = rand.Read(u.salt[:])
	u.request, err = proto.Marshal(m)
	must(r.t, err)
	kind := map[bool]waypost.Kind{m.GetWithdraw() != nil: waypost.KindWithdraw, m.GetActivate() != nil: waypost.KindActivate,
		m.GetCompare() != nil: waypost.KindCompare, m.GetLeave() != nil: waypost.KindLeave, m.GetChange() != nil: waypost.KindChangeSOR}[true]
	commit := func(t *waypost.Ticket) { t.Probes = waypost.CommitRequest("hub", u.salt, u.request) }
	u.permit = r.permit(soi, kind, 0, append([]func(*waypost.Ticket){commit}, changes...)...)
	return u
}

func (r *rig) tryMaintain(u upkeep) (*waypostv1.MaintainResponse, error) {
	return r.client[u.SOI].Maintain(context.Background(), &waypostv1.MaintainRequest{
		Ticket: u.Bytes(), Receipts: u.receipts, Salt: u.salt[:], Request: u.request,
	})
}

// maintained insists that it is done, and on the receipt for exactly this.
func (r *rig) maintained(u upkeep) *waypostv1.Maintained {
	r.t.Helper()
	res, err := r.tryMaintain(u)
	must(r.t, err)
	r.receipt(res.Receipt, u.permit, waypost.Action(u.Kind), u.Probes, res.Answer)
	m := new(waypostv1.Maintained)
	must(r.t, proto.Unmarshal(res.Answer, m))
	return m
}

func withdrawal(numbers ...int) *waypostv1.Maintenance {
	w := new(waypostv1.Withdrawal)
	for _, n := range numbers {
		w.Handles = append(w.Handles, handle(n))
	}
	return &waypostv1.Maintenance{What: &waypostv1.Maintenance_Withdraw{Withdraw: w}}
}

func activation(generation uint32, records uint64, rollBack bool) *waypostv1.Maintenance {
	return &waypostv1.Maintenance{What: &waypostv1.Maintenance_Activate{Activate: &waypostv1.Activation{Generation: generation, Records: records, RollBack: rollBack}}}
}

func comparison(c *waypostv1.Comparison) *waypostv1.Maintenance {
	return &waypostv1.Maintenance{What: &waypostv1.Maintenance_Compare{Compare: c}}
}

func departure() *waypostv1.Maintenance {
	return &waypostv1.Maintenance{What: &waypostv1.Maintenance_Leave{Leave: &waypostv1.Departure{}}}
}

func (r *rig) activate(owner waypost.Jurisdiction, generation uint32, records uint64) {
	r.t.Helper()
	r.maintained(r.ask(owner, activation(generation, records, false)))
}

// finds reports whether a search of the state finds so many pointers by the token.
func (r *rig) finds(name string, soi waypost.Jurisdiction, n int, tokens ...waypost.Token) waypost.Candidates {
	r.t.Helper()
	got := r.first(r.check(soi), tokens...)
	if len(got.List) != n {
		r.t.Errorf("%s: %d candidates, want %d", name, len(got.List), n)
	}
	return got
}

// What a ticket for upkeep allows is what it was signed for, by whom and for
// whom, while it is good; a refusal leaves no trace.
func TestMaintainRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	before := r.kinds()
	good := r.ask("CA", withdrawal(1))
	with := func(change func(*upkeep)) upkeep {
		u := good
		change(&u)
		return u
	}
	otherHub := r.ask("CA", withdrawal(1), func(t *waypost.Ticket) { t.Probes = waypost.CommitRequest("keyholder-1", [32]byte{}, nil) })
	other, err := proto.Marshal(withdrawal(2))
	must(t, err)
	check := upkeep{permit: r.check("CA"), request: good.request}
	trailing := append([]byte(nil), good.request...)
	trailing = append(trailing, 0xf8, 0x07, 0x01) // field 127
	unknown := r.ask("CA", withdrawal(1), func(t *waypost.Ticket) { t.Probes = waypost.CommitRequest("hub", [32]byte{}, trailing) })
	unknown.salt, unknown.request = [32]byte{}, trailing
	activating := r.ask("CA", withdrawal(1), func(t *waypost.Ticket) { t.Kind = waypost.KindActivate })
	for _, c := range []struct {
		name  string
		u     upkeep
		code  waypost.Code
		words string
	}{
		{"another request", with(func(u *upkeep) { u.request = other }), waypost.PermissionDenied, "signed for another request"},
		{"another salt", with(func(u *upkeep) { u.salt[0] ^= 1 }), waypost.PermissionDenied, "signed for another request"},
		{"for another recipient", otherHub, waypost.PermissionDenied, "or for another recipient"},
		{"the ticket of a check", check, waypost.PermissionDenied, "a check ticket does not allow upkeep"},
		{"a kind for states", upkeep{permit: r.permit("CA", waypost.KindStatus, 0), request: good.request}, waypost.PermissionDenied, "a status ticket does not allow upkeep"},
		{"of another kind", activating, waypost.InvalidArgument, "not the activate that the ticket is for"},
		{"without receipts", with(func(u *upkeep) { u.receipts = nil }), waypost.PermissionDenied, "from 0 key holders"},
		{"an unknown field", unknown, waypost.InvalidArgument, "not well formed"},
		{"no handles", r.ask("CA", withdrawal()), waypost.InvalidArgument, "names 1 to 100 pointers"},
		{"one handle twice", r.ask("CA", withdrawal(1, 1)), waypost.InvalidArgument, "names a handle twice"},
		{"an old ticket", r.ask("CA", withdrawal(1), func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(-11 * waypost.TicketWindow) }), waypost.Expired, "older than 10m0s"},
	} {
		_, err := r.tryMaintain(c.u)
		refused(t, c.name, err, c.code, c.words)
	}
	_, err = r.client["NV"].Maintain(t.Context(), &waypostv1.MaintainRequest{Ticket: good.Bytes(), Receipts: good.receipts, Salt: good.salt[:], Request: good.request})
	refused(t, "another state's ticket", err, waypost.PermissionDenied, "NV brought a ticket of CA")
	_, err = r.client["CA"].Maintain(t.Context(), &waypostv1.MaintainRequest{Ticket: good.Bytes(), Receipts: good.receipts, Salt: good.salt[1:], Request: good.request})
	refused(t, "a short salt", err, waypost.InvalidArgument, "salt of a request has 32 bytes")
	if after := r.kinds(); len(after) != len(before) {
		t.Errorf("the journal went from %v to %v", before, after)
	}
	r.finds("after refusals", "AZ", 1, token(1))
}
