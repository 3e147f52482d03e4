package gateway_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
)

// unreached is how many tokens of each part the hub says it could not look up, and
// lost whether the candidates are among what it did not find.
var (
	unreached atomic.Int64
	lost      atomic.Bool
)

// index is a hub of which a part does not answer.
type index struct{ gateway.Hub }

func (h index) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	res, err := h.Hub.Search(ctx, req)
	n := unreached.Load()
	if err != nil || n == 0 {
		return res, err
	}
	list, err := waypost.ParseCandidates(res.Candidates)
	if err != nil {
		return nil, err
	}
	receipt, err := waypost.ParseReceipt(res.Receipt)
	if err != nil {
		return nil, err
	}
	if list.Unreached = int(n); lost.Load() {
		list.List = nil
	}
	receipt.Outputs = waypost.HashOutputs(receipt.Action, list.Bytes())
	signed, err := receipt.Receipt.Sign(exchange.Role("hub").Folder.Identity)
	return &waypostv1.SearchResponse{Candidates: list.Bytes(), Receipt: signed.Bytes()}, err
}

// TestIndexInPart: where a part of the index does not answer, what was found is
// shown and the check is owed, in words; it is never a "no". It is made again by
// itself.
func TestIndexInPart(t *testing.T) {
	known, unknown := someone(), someone()
	load(t, "CA", known)
	withoutSSN := unknown
	withoutSSN.SSN5 = ""
	for _, c := range []struct {
		name string
		who  waypost.Person
		lost bool
		now  []string
		then []string
	}{
		{"found elsewhere", known, false, []string{"CA match"}, []string{"CA match"}},
		{"in the part that is lost", known, true, nil, []string{"CA match"}},
		{"nobody", unknown, false, nil, nil},
		{"nobody, without an SSN", withoutSSN, false, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			unreached.Store(7)
			lost.Store(c.lost)
			defer unreached.Store(0)
			a := check(t, "AZ", c.who)
			expect(t, a, c.now...)
			if !a.Owed || a.Complete || !a.Coverage.IndexInPart || len(a.Coverage.Searched) != 0 {
				t.Errorf("answer %+v, want owed", a)
			}
			if w := a.Words(); !strings.Contains(w, "OWED. A part of the hub's index") || strings.Contains(w, "NO OTHER CARD") {
				t.Errorf("the clerk reads %q", w)
			}
			exchange.Clock.Advance(time.Minute)
			wait := patience()
			eventually(t, "it is tried again, and owed still", func() bool {
				wait()
				again, err := exchange.Gateway("AZ").Answer(t.Context(), a.Ticket)
				return err == nil && again.Ticket != a.Ticket && again.Owed && again.Coverage.IndexInPart
			})
			unreached.Store(0)
			exchange.Clock.Advance(3 * time.Minute)
			paid := later(t, "AZ", a.Ticket)
			expect(t, paid, c.then...)
			if paid.Owed || paid.Coverage.IndexInPart || len(paid.Coverage.Searched) == 0 {
				t.Errorf("in the end %+v", paid)
			}
		})
	}
}
