package duplicate

import (
	"slices"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// TestCleared: a pair that both states found to be two people is not raised
// again, until the record changes.
func TestCleared(t *testing.T) {
	w := newWorld(t, Config{})
	record := waypost.Record{ID: "CA-1", Person: smith, CardNumber: "D1234567"}
	record.Middle = "X"
	w.ca.people["CA-1"] = record
	id := w.opened(smith, "CA-1")
	w.decide(w.az, id, Different, "")
	w.quiet()
	if w.cleared("AZ", smith, "", "CA-1") {
		t.Error("cleared by one state alone")
	}
	w.decide(w.ca, id, Different, "")
	w.quiet()
	other := smith
	other.Middle = "Z"
	withSSN := smith
	withSSN.SSN5 = "12345"
	spelled := smith
	spelled.Family, spelled.Given = "SMITH ", "james"
	for _, test := range []struct {
		what  string
		state waypost.Jurisdiction
		who   waypost.Person
		card  string
		want  bool
	}{
		{"the same", "AZ", smith, "", true},
		{"spelled otherwise", "AZ", spelled, "", true},
		{"with an SSN: it must make no difference", "AZ", withSSN, "", true},
		{"another card shown", "AZ", smith, "X99", true},
		{"the record's own card shown: this is the person", "AZ", smith, "d123-4567", false},
		{"from another state", "NV", smith, "", false},
		{"another middle name", "AZ", other, "", false},
		{"somebody else", "AZ", jones, "", false},
	} {
		if got := w.cleared(test.state, test.who, test.card, "CA-1"); got != test.want {
			t.Errorf("%s: %t", test.what, got)
		}
	}
	for what, change := range map[string]func(r *waypost.Record){
		"another name":   func(r *waypost.Record) { r.Family = "Smythe" },
		"another date":   func(r *waypost.Record) { r.Born.Day = 3 },
		"another number": func(r *waypost.Record) { r.CardNumber = "D7654321" },
	} {
		changed := record
		change(&changed)
		w.ca.people["CA-1"] = changed
		if w.cleared("AZ", smith, "", "CA-1") {
			t.Errorf("%s: still cleared", what)
		}
	}
	record.SSN5, record.Status = "54321", waypost.ExpiredCard // not compared
	if w.ca.people["CA-1"] = record; !w.cleared("AZ", smith, "", "CA-1") {
		t.Error("raised again though nothing that is compared has changed")
	}
	// Who decides otherwise raises the pair again.
	w.decide(w.az, id, Same, "the portraits are of one person")
	w.quiet()
	if w.cleared("AZ", smith, "", "CA-1") {
		t.Error("cleared though the states do not agree any more")
	}
}

// TestCorrection: a clerk clears a wrong match in one step; the other state
// confirms, or accepts at once what it had only called possible.
func TestCorrection(t *testing.T) {
	for _, test := range []struct {
		what    string
		accepts bool
		told    waypost.Outcome
		fraud   bool
		want    string
	}{
		{"possible, and the rule accepts", true, waypost.Possible, false, "closed"},
		{"possible, without the rule", false, waypost.Possible, false, "open"},
		{"a match waits for a person", true, waypost.Match, false, "open"},
		{"fraud is never cleared by a rule", true, waypost.Possible, true, "open"},
	} {
		w := newWorld(t, Config{AcceptClearing: test.accepts})
		w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
		if test.fraud {
			w.decide(w.ca, w.opened(jones, "CA-1"), Fraud, "three names, one face")
			w.quiet()
		}
		check, reference := w.found(smith, "CA-1", test.told)
		az, ctx := w.az.door()
		if _, err := az.Clear(ctx, &waypostv1.ClearCaseRequest{Check: hexOf(check[:]), Reference: hexOf(reference[:])}); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: without a reason: %v", test.what, err)
		}
		c, err := az.Clear(ctx, &waypostv1.ClearCaseRequest{Check: hexOf(check[:]), Reference: hexOf(reference[:]), Text: "born in another town, has papers"})
		if err != nil {
			t.Fatal(err)
		}
		w.quiet()
		a, b := w.both(c.Id)
		if a.State != test.want || b.State != test.want || w.cleared("AZ", smith, "", "CA-1") != (test.want == "closed") {
			t.Errorf("%s: %s, %s, cleared %t", test.what, a.State, b.State, w.cleared("AZ", smith, "", "CA-1"))
		}
		if test.want == "closed" {
			continue
		}
		items, err := w.ca.Worklist(t.Context())
		if err != nil || !slices.ContainsFunc(items, func(i Item) bool { return i.Type == "clearing" && i.ID == c.Id }) {
			t.Fatalf("%s: %v %v", test.what, items, err)
		}
		w.decide(w.ca, c.Id, Different, "")
		w.quiet()
		if !w.cleared("AZ", smith, "", "CA-1") {
			t.Errorf("%s: confirmed by a person, and not cleared", test.what)
		}
	}
}

// TestOwnRecords: two records of one state.
func TestOwnRecords(t *testing.T) {
	w := newWorld(t, Config{})
	twin := smith
	twin.Given = "John"
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
	w.ca.people["CA-2"] = waypost.Record{ID: "CA-2", Person: twin}
	ca, ctx := w.ca.door()
	if _, err := ca.Open(ctx, &waypostv1.OpenCaseRequest{Records: []string{"CA-1", "CA-1"}}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Error(err)
	}
	c, err := ca.Open(ctx, &waypostv1.OpenCaseRequest{Records: []string{"CA-2", "CA-1"}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := ca.Open(ctx, &waypostv1.OpenCaseRequest{Records: []string{"CA-1", "CA-2"}, Text: "seen again"})
	if err != nil || again.Id != c.Id {
		t.Errorf("%v %v", again, err)
	}
	if _, err := ca.Decide(ctx, &waypostv1.DecideCaseRequest{Id: c.Id, Outcome: "left", Text: "to whom?"}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Error(err)
	}
	w.decide(w.ca, c.Id, Different, "")
	if n := len(w.ca.waiting()); n > 0 {
		t.Errorf("%d notes have left the state", n)
	}
	if !w.cleared("CA", smith, "", "CA-2") || !w.cleared("CA", twin, "", "CA-1") || w.cleared("CA", twin, "", "CA-2") {
		t.Error("the pair is not remembered both ways")
	}
}
