package driver

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// report has Nevada report an item about a card, and returns how it stands after
// everything was delivered.
func (r *rig) report(from waypost.Jurisdiction, i Item, who *waypostv1.Applicant) *waypostv1.ReportState {
	r.t.Helper()
	door := Door{r.states[from].desk}
	if _, err := door.Report(context.Background(), &waypostv1.ReportRequest{Item: i.Proto(), Driver: who}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return r.standing(from, i.ID)
}

func (r *rig) standing(from waypost.Jurisdiction, id ItemID) *waypostv1.ReportState {
	r.t.Helper()
	door := Door{r.states[from].desk}
	o, err := door.load(context.Background(), id)
	r.must(err)
	s, err := door.state(context.Background(), o)
	r.must(err)
	return s
}

func TestReport(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	ca := r.states["CA"]
	rec := jane(t, "CA-1", "D111")
	ca.add(rec)
	protected := jane(t, "CA-2", "D222")
	protected.Given, protected.Protected = "Ottoline", true
	ca.add(protected)

	c1 := item(t, Conviction, "C-1")
	for range 2 { // the second time it is there already
		if s := r.report("NV", c1, shows(rec, "CA")); s.Word != Accepted || s.State != "done" || s.To != "CA" {
			t.Fatalf("a conviction: %v", s)
		}
	}
	if s := r.report("NV", item(t, Conviction, "C-2"), shows(protected, "CA")); s.Word != Accepted {
		t.Errorf("a protected person's: %v", s)
	}
	for n, but := range []func(a *waypostv1.Applicant){
		func(a *waypostv1.Applicant) { a.Family, a.Middle = "Somebodyelse", "" },
		func(a *waypostv1.Applicant) { a.Given, a.Middle = "Peter", "" },
		func(a *waypostv1.Applicant) { a.Born = "1961-11-02" },
	} {
		stranger := shows(rec, "CA")
		but(stranger)
		if s := r.report("NV", item(t, Conviction, fmt.Sprintf("D-%d", n)), stranger); s.Word != DriverNotFound || len(s.Problems) > 0 {
			t.Errorf("somebody else with the card, %d: %v", n, s)
		}
	}
	misspelt := shows(rec, "CA")
	misspelt.Given = "Jayne"
	if s := r.report("NV", item(t, Conviction, "C-3"), misspelt); s.Word != Accepted {
		t.Errorf("a name misspelt by the court: %v", s)
	}
	unknown := shows(rec, "CA")
	unknown.CardNumber = "D999"
	if s := r.report("NV", item(t, Conviction, "C-4"), unknown); s.Word != DriverNotFound {
		t.Errorf("a card that nobody has: %v", s)
	}
	// What was not taken can be reported anew, with the right card.
	if s := r.report("NV", item(t, Conviction, "C-4"), shows(rec, "CA")); s.Word != Accepted {
		t.Errorf("reported anew: %v", s)
	}
	if got := ca.book("CA-1"); !slices.Equal(got, []string{"C-1", "C-3", "C-4"}) {
		t.Errorf("the history has %q", got)
	}
	for _, p := range r.wire {
		if p.mine.Kind != waypost.KindReport || p.mine.Purpose != waypost.DriverHistory || p.mine.To != "CA" {
			t.Errorf("an errand %+v", p.mine)
		}
	}
	// Over, a report keeps no driver in clear.
	if err := r.states["NV"].desk.DB.Read(context.Background(), func(tx *store.Tx) error {
		var kept int
		err := tx.Row(`SELECT count(*) FROM driver_report WHERE driver <> $1 OR ssn5 <> ''`, []byte{}).Scan(&kept)
		if kept != 0 {
			t.Errorf("%d reports that are over keep the driver", kept)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// A state of record that is asked by somebody dishonest.
func TestAnswerRefuses(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	ca := r.states["CA"]
	rec := jane(t, "CA-1", "D111")
	handle := ca.add(rec)
	ca.pointers[0].PassedBy = "AZ"
	i := item(t, Conviction, "C-1")
	bad := i
	bad.Speed = 60
	honest := report{Item: i, card: shows(rec, "CA")}
	original := r.questionOf(&post{from: "NV", mine: errand.Errand{ID: errand.NewID(), Kind: waypost.KindReport, Purpose: waypost.DriverHistory,
		Class: waypost.Attended, To: "CA", Body: must(honest.encode())}}).Statement
	forged := i
	forged.Speed = 120
	never := report{Item: i, check: waypost.TicketID{1}, reference: make([]byte, 16)}
	for _, c := range []struct {
		name string
		from waypost.Jurisdiction
		body []byte
		want string // word, or code
	}{
		{"honest", "NV", must(honest.encode()), Accepted},
		{"what does not hold by itself", "NV", must(report{Item: bad, card: shows(rec, "CA")}.encode()), Rejected},
		{"another's item", "AZ", must(honest.encode()), string(waypost.PermissionDenied)},
		{"a handle from who is no state of record", "NV", must(report{Item: i, handle: handle}.encode()), string(waypost.InvalidArgument)},
		{"passed on, as it was signed", "AZ", must(report{Item: i, handle: handle, hops: 1, statement: original}.encode()), Accepted},
		{"passed on, without a statement", "AZ", must(report{Item: i, handle: handle, hops: 1}.encode()), string(waypost.PermissionDenied)},
		{"passed on, another item than was signed", "AZ", must(report{Item: forged, handle: handle, hops: 1, statement: original}.encode()), string(waypost.PermissionDenied)},
		{"passed on, the signature damaged", "AZ", must(report{Item: i, handle: handle, hops: 1, statement: append(slices.Clone(original[:len(original)-1]), original[len(original)-1]^1)}.encode()), string(waypost.PermissionDenied)},
		{"a handle that may come yet", "AZ", must(report{Item: i, handle: waypost.Handle{7}, hops: 1, statement: original}.encode()), string(waypost.Unavailable)},
		{"too many hops", "AZ", must(report{Item: i, handle: handle, hops: maxHops + 1, statement: original}.encode()), string(waypost.InvalidArgument)},
		{"nothing", "NV", nil, string(waypost.InvalidArgument)},
		{"passed on by who has not passed the record", "NV", must(report{Item: i, handle: handle, hops: 1}.encode()), DriverNotFound},
		{"a check that never was", "NV", must(never.encode()), DriverNotFound},
		{"a check, with a card", "NV", must(honest.encode()), string(waypost.PermissionDenied)},
		{"a check that the ticket does not cite", "NV", must(never.encode()), string(waypost.PermissionDenied)},
	} {
		mine := errand.Errand{ID: errand.NewID(), Kind: waypost.KindReport, Purpose: waypost.DriverHistory, Class: waypost.Attended, To: "CA", Body: c.body}
		if c.name == "a check that never was" || c.name == "a check, with a card" {
			mine.Cites = never.check
		}
		q := r.questionOf(&post{from: c.from, mine: mine})
		res, err := ca.desk.answer(context.Background(), q)
		got := res.Word
		if err != nil {
			got = string(waypost.CodeOf(err))
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.name, got, err, c.want)
		}
		if c.want == DriverNotFound && (len(res.Body) > 0 || res.Handle != nil) {
			t.Errorf("%s: the reply says more than that", c.name)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// An item waits until the one that it cancels has been accepted: it could overtake
// it, and would be rejected.
func TestNegateWaits(t *testing.T) {
	r := newRig(t, "NV", "CA")
	rec := jane(t, "CA-1", "D111")
	r.states["CA"].add(rec)
	door := Door{r.states["NV"].desk}
	for _, i := range []Item{item(t, Conviction, "C-1"), item(t, Negate, "N-1")} {
		if _, err := door.Report(context.Background(), &waypostv1.ReportRequest{Item: i.Proto(), Driver: shows(rec, "CA")}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.wire) != 1 || r.standing("NV", item(t, Negate, "N-1").ID).State != "held" {
		t.Fatalf("%d errands", len(r.wire))
	}
	r.settle()
	r.now = r.now.Add(time.Minute)
	r.settle()
	if s := r.standing("NV", item(t, Negate, "N-1").ID); s.Word != Accepted {
		t.Errorf("the negate: %v", s)
	}
	res, err := (Door{r.states["CA"].desk}).Get(context.Background(), &waypostv1.GetHistoryRequest{Record: "CA-1"})
	if err != nil || len(res.Entries) != 2 {
		t.Fatal(err, res)
	}
	for _, e := range res.Entries {
		if id := item(t, Negate, "N-1").ID; e.Item.Type == string(Conviction) && string(e.NegatedBy) != string(id[:]) {
			t.Errorf("the conviction is not marked: %v", e)
		}
	}
	// One that the record does not have is told to the reporter at once.
	lost := item(t, Negate, "N-2")
	lost.Linked = IDOf(Conviction, "NV", "typo")
	s := r.report("NV", lost, shows(rec, "CA"))
	if s.Word != Rejected || len(s.Problems) != 1 || s.Problems[0].Field != "linked" || s.Problems[0].Code != Unknown {
		t.Errorf("a negate of nothing: %v", s)
	}
	// Corrected, it goes again under the same reference.
	lost.Linked = IDOf(Conviction, "NV", "C-1")
	if s := r.report("NV", lost, shows(rec, "CA")); s.Word != Accepted {
		t.Errorf("corrected: %v", s)
	}
}

// A card that was prepared for a record which has not come, or never comes, gets no
// history: its reporter is told, and finds the state of record. One found by a
// pointer that is still coming has come, the hub knows it.
func TestPrepared(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	az := r.states["AZ"]
	rec := jane(t, "AZ-1", "D222")
	rec.Status = waypost.Closed
	az.people[rec.ID] = rec
	own := func() error {
		i := item(t, Conviction, "own")
		_, err := Door{az.desk}.AddOwn(context.Background(), &waypostv1.AddOwnRequest{Record: rec.ID, Items: []*waypostv1.Item{i.Proto()}})
		return err
	}
	if s := r.report("NV", item(t, Conviction, "C-1"), shows(rec, "AZ")); s.Word != DriverNotFound {
		t.Errorf("before it comes: %v", s)
	}
	if err := own(); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("an own item, before it comes: %v", err)
	}

	handle := waypost.Handle(errand.NewID())
	az.pointers = append(az.pointers, records.Pointer{Handle: handle, Record: rec.ID, State: records.Coming, PassedBy: "CA"})
	if s := r.report("NV", item(t, Conviction, "C-2"), shows(rec, "AZ")); s.Word == Accepted {
		t.Errorf("while it comes: %v", s)
	}
	if err := own(); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("an own item, while it comes: %v", err)
	}
	original := r.questionOfReport("CA", must(report{Item: item(t, Conviction, "C-3"), card: shows(rec, "CA")}.encode())).Statement
	q := r.questionOf(&post{from: "CA", mine: errand.Errand{ID: errand.NewID(), Kind: waypost.KindReport, Purpose: waypost.DriverHistory, Class: waypost.Unattended,
		To: "AZ", Body: must(report{Item: item(t, Conviction, "C-3"), handle: handle, hops: 1, statement: original}.encode())}})
	res, err := az.desk.answer(context.Background(), q)
	if err != nil || res.Word != Accepted {
		t.Fatalf("passed on while it comes: %v, %v", res, err)
	}
	r.must(az.write(res.Commit))
	if got := az.book(rec.ID); !slices.Equal(got, []string{"C-3"}) {
		t.Errorf("while it comes AZ has %q", got)
	}

	az.pointers[0].State = records.Live
	r.now = r.now.Add(time.Hour)
	r.settle()
	if got := az.book(rec.ID); !slices.Equal(got, []string{"C-3", "C-2"}) || own() != nil {
		t.Errorf("when it has come AZ has %q", got)
	}
}

// A record has gone, but was here for a moment with a pointer that it got after it
// was released: what was taken then follows it, once. For a record that has come
// back nothing follows.
func TestStray(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	ca := r.states["CA"]
	rec := jane(t, "CA-1", "D111")
	ca.add(rec)
	finish := r.leave("CA", "AZ", "CA-1", "AZ-1")
	finish()
	leftover := ca.add(rec)
	if s := r.report("NV", item(t, Conviction, "C-1"), shows(rec, "CA")); s.Word != Accepted || s.To != "CA" {
		t.Fatal(s)
	}
	look := func() {
		for range 3 {
			r.now = r.now.Add(time.Hour)
			r.settle()
		}
	}
	look()
	if got := r.states["AZ"].book("AZ-1"); len(got) != 0 {
		t.Errorf("while it is here AZ has %q", got)
	}
	ca.pointers = slices.DeleteFunc(ca.pointers, func(p records.Pointer) bool { return p.Handle == leftover })
	look()
	if got := r.states["AZ"].book("AZ-1"); !slices.Equal(got, []string{"C-1"}) {
		t.Errorf("when it has gone AZ has %q", got)
	}
	r.move("AZ", "CA", "AZ-1", "CA-1", nil)
	sent := len(r.wire)
	r.report("NV", item(t, Conviction, "C-2"), shows(ca.people["CA-1"], "CA"))
	r.now = r.now.Add(strayFor)
	look()
	if got := ca.book("CA-1"); !slices.Equal(got, []string{"C-1", "C-2"}) || len(r.wire) != sent+1 {
		t.Errorf("when it has come back CA has %q, and %d errands were begun", got, len(r.wire)-sent)
	}
	r.must(ca.desk.DB.Read(context.Background(), func(tx *store.Tx) error {
		var left int
		err := tx.Row(`SELECT count(*) FROM driver_stray`).Scan(&left)
		if left != 0 {
			t.Errorf("%d items are looked at for ever", left)
		}
		return err
	}))
}
