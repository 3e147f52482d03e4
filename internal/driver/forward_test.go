package driver

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

func TestForward(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ", "UT")
	ca, az, ut := r.states["CA"], r.states["AZ"], r.states["UT"]
	rec := jane(t, "CA-1", "D111")
	ca.add(rec)
	r.report("NV", item(t, Conviction, "C-1"), shows(rec, "CA"))
	// An item that comes while the record is on its way follows it, whoever reports it.
	r.move("CA", "AZ", "CA-1", "AZ-1", func() {
		r.report("NV", item(t, Conviction, "C-2"), shows(rec, "CA"))
		own := item(t, Accident, "A-1")
		if _, err := (Door{ca.desk}).AddOwn(context.Background(), &waypostv1.AddOwnRequest{Record: "CA-1", Items: []*waypostv1.Item{own.Proto()}}); err != nil {
			t.Fatal(err)
		}
	})
	r.settle()
	// To the old card, long after: the reporter learns where it went.
	if s := r.report("NV", item(t, Withdrawal, "W-1"), shows(rec, "CA")); s.Word != Accepted || s.To != "AZ" {
		t.Errorf("forwarded: %v", s)
	}
	want := []string{"C-1", "C-2", "A-1", "W-1"}
	if got := az.book("AZ-1"); !slices.Equal(got, want) {
		t.Fatalf("AZ has %q, want %q", got, want)
	}
	if got := ca.book("CA-1"); !slices.Equal(got, want[:3]) {
		t.Errorf("the archived copy has %q", got)
	}
	// Two moves on, and a clearance of what AZ was told.
	r.move("AZ", "UT", "AZ-1", "UT-1", nil)
	if s := r.report("NV", item(t, Clearance, "X-1"), shows(rec, "CA")); s.Word != Accepted || s.To != "UT" {
		t.Errorf("forwarded twice: %v", s)
	}
	// Wrong all the same: the problems come back the whole way.
	wrong := item(t, Negate, "N-1")
	wrong.Linked = IDOf(Negate, "NV", "never")
	if s := r.report("NV", wrong, shows(rec, "CA")); s.Word != Accepted {
		t.Errorf("what it is about may be on its way where it was forwarded: %v", s)
	}
	// Back to where it came from, as another record.
	r.move("UT", "CA", "UT-1", "CA-9", nil)
	if s := r.report("NV", item(t, Conviction, "C-3"), shows(rec, "CA")); s.Word != Accepted || s.To != "CA" {
		t.Errorf("forwarded around: %v", s)
	}
	if got := ca.book("CA-9"); len(got) != 7 || got[6] != "C-3" {
		t.Errorf("CA has %q", got)
	}
	if n := len(ut.book("UT-1")); n != 6 {
		t.Errorf("UT has %d", n)
	}
	// Who reported an item, and when it first came, stays through all moves.
	r.must(ca.desk.DB.Read(context.Background(), func(tx *store.Tx) error {
		entries, err := ca.desk.Book.Of(tx, "CA-9")
		for _, e := range entries {
			if own := e.Reference == "A-1"; (e.Reporter == "CA") != own || !e.At.Equal(r.now) {
				t.Errorf("%s is reported by %s and arrived %s", e.Reference, e.Reporter, e.At)
			}
		}
		return err
	}))
}

// An item that a former state of record itself has reported is passed on further
// with its signature: the record may be two states on when it is sent.
func TestForwardOwnTwice(t *testing.T) {
	r := newRig(t, "CA", "AZ", "UT")
	ca, ut := r.states["CA"], r.states["UT"]
	ca.add(jane(t, "CA-1", "D111"))
	r.move("CA", "AZ", "CA-1", "AZ-1", func() {
		own := item(t, Accident, "A-1")
		if _, err := (Door{ca.desk}).AddOwn(context.Background(), &waypostv1.AddOwnRequest{Record: "CA-1", Items: []*waypostv1.Item{own.Proto()}}); err != nil {
			t.Fatal(err)
		}
	})
	r.move("AZ", "UT", "AZ-1", "UT-1", nil)
	r.settle()
	if got := ut.book("UT-1"); !slices.Equal(got, []string{"A-1"}) {
		t.Errorf("UT has %q", got)
	}
	for _, p := range r.wire {
		if !p.over {
			t.Errorf("an errand to %s is not over", p.mine.To)
		}
	}
}

// Five moves are followed, six are not; and a pointer that leads to itself is not
// followed for ever.
func TestForwardEnds(t *testing.T) {
	states := []waypost.Jurisdiction{"NV", "AA", "AB", "AC", "AD", "AE", "AF", "AG"}
	r := newRig(t, states...)
	rec := jane(t, "AA-1", "D111")
	r.states["AA"].add(rec)
	for n := 1; n < 6; n++ {
		r.move(states[n], states[n+1], string(states[n])+"-1", string(states[n+1])+"-1", nil)
	}
	if s := r.report("NV", item(t, Conviction, "C-1"), shows(rec, "AA")); s.Word != Accepted || s.To != "AF" {
		t.Errorf("after five moves: %v", s)
	}
	r.move("AF", "AG", "AF-1", "AG-1", nil)
	if s := r.report("NV", item(t, Conviction, "C-2"), shows(rec, "AA")); s.Word != Undelivered || s.State != "done" {
		t.Errorf("after six moves: %v", s)
	}
	if n := len(r.wire); n > 14 {
		t.Errorf("%d errands for two reports", n)
	}
}

// Where the key holders refuse what is passed on, the reporter learns that nobody
// has it, and can report it again.
func TestForwardRefused(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	rec := jane(t, "CA-1", "D111")
	r.states["CA"].add(rec)
	r.move("CA", "AZ", "CA-1", "AZ-1", nil)
	i := item(t, Conviction, "C-1")
	door := Door{r.states["NV"].desk}
	if _, err := door.Report(context.Background(), &waypostv1.ReportRequest{Item: i.Proto(), Driver: shows(rec, "CA")}); err != nil {
		t.Fatal(err)
	}
	r.deliver(r.wire[0])
	if s := r.standing("NV", i.ID); s.Word != Forwarded || s.State != "sent" || !strings.Contains(s.Words, "AZ") {
		t.Fatalf("forwarded: %v", s)
	}
	r.wire[1].dropped = true
	r.settle()
	if s := r.standing("NV", i.ID); s.State != "sent" {
		t.Errorf("before CA looked: %v", s)
	}
	r.now = r.now.Add(lookAfter)
	r.settle()
	if s := r.standing("NV", i.ID); s.Word != Undelivered || s.State != "done" {
		t.Errorf("when CA has looked: %v", s)
	}
	if s := r.report("NV", i, shows(rec, "CA")); s.Word != Accepted {
		t.Errorf("reported again: %v", s)
	}
	if got := r.states["AZ"].book("AZ-1"); !slices.Equal(got, []string{"C-1"}) {
		t.Errorf("AZ has %q", got)
	}
}

// An item that came while its record moved has no reporter who would send it again:
// where it could not be delivered it is passed on until it is.
func TestForwardRenewed(t *testing.T) {
	r := newRig(t, "CA", "AZ")
	ca, az := r.states["CA"], r.states["AZ"]
	ca.add(jane(t, "CA-1", "D111"))
	r.move("CA", "AZ", "CA-1", "AZ-1", func() {
		own := item(t, Accident, "A-1")
		if _, err := (Door{ca.desk}).AddOwn(context.Background(), &waypostv1.AddOwnRequest{Record: "CA-1", Items: []*waypostv1.Item{own.Proto()}}); err != nil {
			t.Fatal(err)
		}
	})
	for range 3 { // the key holders refuse it
		r.wire[len(r.wire)-1].dropped = true
		r.now = r.now.Add(renewAfter + lookAfter)
		r.settle()
		r.now = r.now.Add(renewAfter)
		r.must(ca.desk.Step(context.Background()))
	}
	if n := len(r.wire); n != 4 || len(az.book("AZ-1")) != 0 {
		t.Fatalf("%d errands, and AZ has %q", n, az.book("AZ-1"))
	}
	r.settle()
	r.now = r.now.Add(2 * renewAfter)
	r.settle()
	if got := az.book("AZ-1"); !slices.Equal(got, []string{"A-1"}) || len(r.wire) != 4 {
		t.Errorf("AZ has %q after %d errands", got, len(r.wire))
	}
}
