package keyholder_test

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/toprf"
)

// proved checks each of the answers against its key, and the receipt over all.
func (r *rig) proved(q question, res *waypostv1.EvaluateResponse, keys ...roster.Key) {
	r.t.Helper()
	blinded, err := toprf.DecodeElements(q.elements, q.Elements)
	must(r.t, err)
	if len(res.Proof) != len(keys)*toprf.ProofSize || len(res.Elements) != len(keys)*len(q.elements) {
		r.t.Fatalf("%d bytes of elements with %d of proofs, want answers under %d keys", len(res.Elements), len(res.Proof), len(keys))
	}
	for i, k := range keys {
		public, err := k.Public()
		must(r.t, err)
		one := toprf.Evaluation{Elements: res.Elements[i*len(q.elements):][:len(q.elements)], Proof: [toprf.ProofSize]byte(res.Proof[i*toprf.ProofSize:])}
		if _, err := public.Verify(1, blinded, one); err != nil {
			r.t.Errorf("under the key of epoch %d: %v", k.Epoch, err)
		}
	}
	receipt, err := waypost.ParseReceipt(res.Receipt)
	must(r.t, err)
	if receipt.Outputs != waypost.HashOutputs(waypost.ActionEvaluate, res.Elements) || receipt.Proof != sha256.Sum256(res.Proof) || receipt.Epoch != q.Epoch {
		r.t.Error("the receipt does not cover the whole answer")
	}
}

// Through a rotation each ticket is evaluated under the keys of the version that it
// names, once, with one entry, one receipt and the same bytes again.
func TestTwoEpochs(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	first := r.View.Latest().Key()
	before := r.ask()
	r.proved(before, r.good(before), first)
	x := r.Announce()
	x.Begin(2)

	// Without a share of the next key it gives no half answers.
	q := r.ask()
	r.refused("one share of two", r.arizona, q.request(), waypost.Unavailable, "keyholder-1 has no share of key epoch 2")
	r.shares = append(r.shares, x.Shares[holderName])
	r.restart()
	res, err := r.evaluate(q)
	must(t, err)
	r.proved(q, res, first, x.Next)
	n := r.entries()
	r.restart()
	again, err := r.evaluate(q)
	must(t, err)
	if same(t, res, again); r.entries() != n {
		t.Error("an answer under two keys stands twice in the journal")
	}

	// What was signed under the version before is evaluated under its key alone.
	old := r.ask(func(t *waypost.Ticket) { t.RosterVersion-- })
	res, err = r.evaluate(old)
	must(t, err)
	r.proved(old, res, first)

	// A re-publication is under the next key alone, and only as often as the roster says.
	republish := func(n int) question {
		return r.sign("AZ", elements(t, n*waypost.RecordElements), publishing, func(t *waypost.Ticket) { t.Kind, t.Epoch = waypost.KindRepublish, 2 })
	}
	wrong := republish(1)
	wrong = r.sign("AZ", wrong.elements, publishing, func(t *waypost.Ticket) { t.Kind = waypost.KindRepublish })
	r.refused("a re-publication of the old epoch", r.arizona, wrong.request(), waypost.Expired, "a republish is for epoch 2")
	some := republish(2)
	res, err = r.evaluate(some)
	must(t, err)
	r.proved(some, res, x.Next)
	r.refused("more than it has", r.arizona, republish(1).request(), waypost.QuotaExceeded, "ask governance to raise republish_records")

	x.Switch()
	q = r.ask()
	if q.Epoch != 2 {
		t.Fatal("the switch is not made")
	}
	res, err = r.evaluate(q)
	must(t, err)
	r.proved(q, res, x.Next, first)
	x.End()
	q = r.ask()
	res, err = r.evaluate(q)
	must(t, err)
	r.proved(q, res, x.Next)
	r.refused("the rest after the end", r.arizona, republish(1).request(), waypost.PermissionDenied, "there is one key, and AZ is not loading")
	if bytes.Equal(res.Elements, again.Elements) {
		t.Error("two questions have one answer")
	}
}

// Nothing is published once more where nobody waits for it: those would be evaluations
// under the key in force that belong to no pointer. A state that is late is loading.
func TestRepublishOnlyInRotation(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	republish := func() question {
		return r.sign("AZ", elements(t, waypost.RecordElements), publishing, func(t *waypost.Ticket) { t.Kind = waypost.KindRepublish })
	}
	participates := func(p roster.Participation) {
		r.Update(func(n *roster.Roster) {
			for i := range n.Members {
				if m := &n.Members[i]; m.Name == "AZ" {
					m.Participation = p
					m.Rise = roster.Rise{From: n.NotBefore.Add(roster.Delay), Quota: m.Quota}
					m.Rise.Quota.RepublishRecords = 10
				}
			}
		})
		r.Advance(roster.Delay + time.Minute)
	}
	participates(roster.Full)
	n := r.entries()
	r.refused("with a number and no rotation", r.arizona, republish().request(), waypost.PermissionDenied, "what is left is published by a change")
	if r.entries() != n {
		t.Error("a refusal stands in the journal")
	}
	participates(roster.Loading)
	q := republish()
	r.proved(q, r.good(q), r.View.Latest().Key())
}
