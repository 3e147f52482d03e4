package keyholder_test

import (
	"crypto/rand"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
)

// bare makes a ticket of a kind without elements, which commits to a request that
// no key holder sees.
func (r *rig) bare(kind waypost.Kind, purpose waypost.Purpose, changes ...func(*waypost.Ticket)) question {
	r.t.Helper()
	commit := func(t *waypost.Ticket) {
		t.Kind, t.Purpose = kind, purpose
		if kind.Upkeep() {
			t.Class = waypost.Loader
		}
		var salt [32]byte
		_, _ = rand.Read(salt[:])
		t.Probes = waypost.CommitRequest("CA", salt, []byte("a request"))
	}
	return r.sign("AZ", nil, append([]func(*waypost.Ticket){commit}, changes...)...)
}

// Without elements a key holder judges, counts, writes down and signs as ever:
// its receipt is for the commitment, and has neither outputs nor proof.
func TestWithoutElements(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	for kind, purpose := range map[waypost.Kind]waypost.Purpose{
		waypost.KindStatus: waypost.IssueLicence, waypost.KindChangeSOR: waypost.IssueRealID, waypost.KindIssued: waypost.IssueLicence,
		waypost.KindTerminate: waypost.IssueRealID, waypost.KindWithdraw: waypost.MaintainPointer, waypost.KindActivate: waypost.MaintainPointer,
		waypost.KindCompare: waypost.MaintainPointer, waypost.KindLeave: waypost.MaintainPointer,
	} {
		before := r.entries()
		q := r.bare(kind, purpose)
		first, err := r.evaluate(q)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		again, err := r.evaluate(q)
		must(t, err)
		same(t, first, again)
		r.restart()
		again, err = r.evaluate(q)
		must(t, err)
		same(t, first, again)
		if len(first.Elements) != 0 || len(first.Proof) != 0 || r.entries() != before+1 {
			t.Errorf("%s: %d bytes of elements, %d of proof, %d entries", kind, len(first.Elements), len(first.Proof), r.entries()-before)
		}
		receipt, err := waypost.ParseReceipt(first.Receipt)
		must(t, err)
		key, err := r.View.HolderKey(q.RosterVersion, holderName)
		must(t, err)
		must(t, receipt.Verify(key))
		want := waypost.Receipt{
			Action: waypost.ActionEvaluate, Signer: holderName, Ticket: q.ID, Epoch: 1, Inputs: q.Probes, Outputs: waypost.HashOutputs(waypost.ActionEvaluate, nil),
			Origin: "rpctest/keyholder-1/1", Sequence: receipt.Sequence, Deadline: receipt.Deadline,
		}
		if receipt.Receipt != want {
			t.Errorf("%s: receipt %+v, want %+v", kind, receipt.Receipt, want)
		}
		leaf, err := journaltest.Opener().Read(t.Context(), r.journal, receipt.Sequence, 1)
		must(t, err)
		if len(leaf) != 1 || leaf[0].Kind != "evaluate" || waypost.TicketID(leaf[0].Ticket) != q.ID {
			t.Errorf("%s: entry %d is not this one: %+v", kind, receipt.Sequence, leaf)
		}
	}
}

func TestWithoutElementsRefused(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.FollowUpsPerDay = 1
	r := newRig(t, quota)
	r.earlyInADay()
	status := r.bare(waypost.KindStatus, waypost.IssueLicence)
	for _, c := range []struct {
		name  string
		req   *waypostv1.EvaluateRequest
		code  waypost.Code
		words string
	}{
		{"elements all the same", &waypostv1.EvaluateRequest{Ticket: status.Bytes(), Elements: elements(t, 1)}, waypost.InvalidArgument, "covers 0 elements, the request brings 1"},
		{"half an element", &waypostv1.EvaluateRequest{Ticket: status.Bytes(), Elements: make([]byte, 16)}, waypost.InvalidArgument, "covers 0 elements"},
		{"a check without elements", r.sign("AZ", nil).request(), waypost.InvalidArgument, "a check ticket cannot carry 0 elements"},
		{"a status with elements", r.sign("AZ", elements(t, 32), func(t *waypost.Ticket) { t.Kind, t.Purpose = waypost.KindStatus, waypost.IssueLicence }).request(),
			waypost.InvalidArgument, "a status ticket cannot carry 32 elements"},
		{"another kind's purpose", r.bare(waypost.KindStatus, waypost.MaintainPointer).request(), waypost.PermissionDenied, "does not allow a status"},
		{"upkeep by a clerk", r.bare(waypost.KindWithdraw, waypost.MaintainPointer, func(t *waypost.Ticket) { t.Class = waypost.Attended }).request(),
			waypost.PermissionDenied, "an operator of class attended cannot ask for a withdraw"},
		{"a status by a loader", r.bare(waypost.KindStatus, waypost.IssueLicence, func(t *waypost.Ticket) { t.Class = waypost.Loader }).request(),
			waypost.PermissionDenied, "an operator of class publish cannot ask for a status"},
	} {
		r.refused(c.name, r.arizona, c.req, c.code, c.words)
	}
	_, err := r.evaluate(status)
	must(t, err)
	r.refused("a second one", r.arizona, r.bare(waypost.KindStatus, waypost.IssueLicence).request(), waypost.QuotaExceeded, "questions to single states today")
	r.good(r.ask()) // checks have a quota of their own
	r.able(roster.Search, roster.Answer)
	r.refused("history", r.arizona, r.bare(waypost.KindHistory, waypost.IssueLicence).request(), waypost.PermissionDenied, "AZ does not take part in history")
	r.refused("a change", r.arizona, r.sign("AZ", elements(t, 10), publishing, func(t *waypost.Ticket) { t.Kind = waypost.KindChange }).request(),
		waypost.PermissionDenied, "AZ does not take part in publish")
	r.refused("leaving", r.arizona, r.bare(waypost.KindLeave, waypost.MaintainPointer).request(), waypost.PermissionDenied, "AZ does not take part in publish")
	r.able(roster.Answer)
	r.refused("a status", r.arizona, r.bare(waypost.KindStatus, waypost.IssueLicence).request(), waypost.PermissionDenied, "AZ does not take part in search")
}

// able gives Arizona these capabilities.
func (r *rig) able(capabilities ...roster.Capability) {
	r.t.Helper()
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if n.Members[i].Name == "AZ" {
				n.Members[i].Capabilities = capabilities
			}
		}
	})
}
