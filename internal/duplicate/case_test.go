package duplicate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// said is a note as both states should have it.
func said(c *waypostv1.DuplicateCase) (list []string) {
	for _, n := range c.Notes {
		list = append(list, fmt.Sprint(n.Author, n.Class, n.Written, n.Text, n.Outcome, n.Issued))
	}
	slices.Sort(list)
	return list
}

// TestConverge: whatever is lost, doubled, late or out of order, and whoever
// crashes at any commit, both states end with the same notes and the same
// standing, and what is remembered follows from it.
func TestConverge(t *testing.T) {
	w := newWorld(t, Config{})
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		w.t = t
		record := fmt.Sprintf("CA-%d", n)
		who := smith
		who.Middle = strings.Repeat("Q", n%40+1)
		w.ca.people[record] = waypost.Record{ID: record, Person: who, CardNumber: "N" + record}
		check, reference := w.found(who, record, waypost.Possible)
		crash := ""
		for _, s := range []*side{w.az, w.ca} {
			s.fault = func(point string) error {
				if point == crash {
					crash = ""
					return fmt.Errorf("crash at %s", point)
				}
				return nil
			}
		}
		defer func() { w.az.fault, w.ca.fault = nil, nil }()

		az, ctx := w.az.door()
		c, err := az.Open(ctx, &waypostv1.OpenCaseRequest{Check: hexOf(check[:]), Reference: hexOf(reference[:])})
		if err != nil {
			t.Fatal(err)
		}
		var late []func() // replies that are under way
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			s := rapid.SampledFrom([]*side{w.az, w.ca}).Draw(t, "state")
			d, ctx := s.door()
			text := fmt.Sprintf("note %d", rapid.IntRange(0, 99).Draw(t, "text"))
			switch rapid.SampledFrom([]string{"note", "decide", "deliver", "deliver", "again", "reply", "crash", "restart", "time"}).Draw(t, "act") {
			case "note":
				_, err = d.Note(ctx, &waypostv1.NoteCaseRequest{Id: c.Id, Text: text})
			case "decide":
				o := rapid.SampledFrom([]Outcome{Same, Different, Different, Fraud, Undecided, Left}).Draw(t, "outcome")
				_, err = d.Decide(ctx, &waypostv1.DecideCaseRequest{Id: c.Id, Outcome: string(o), Text: text})
			case "deliver", "again":
				for _, e := range s.waiting() {
					if !rapid.Bool().Draw(t, "this one") {
						continue
					}
					if r, askErr := s.ask(e); askErr == nil {
						late = append(late, func() { _ = s.hear(e, r) }) // a crash here is heard of later
					}
				}
			case "reply":
				for _, take := range late {
					take()
				}
				late = nil
			case "crash":
				crash = rapid.SampledFrom([]string{"begin", "commit", "committed"}).Draw(t, "point")
			case "restart":
				s.restart()
			case "time":
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "days")) * 24 * time.Hour)
			}
			if code := waypost.CodeOf(err); code != "" && code != waypost.Internal && code != waypost.NotFound {
				t.Fatal(err) // a crash, or the case has not reached this state
			}
			err = nil
		}
		crash = ""
		w.quiet()

		a, b := w.both(c.Id)
		if !slices.Equal(said(a), said(b)) {
			t.Fatalf("the notes differ:\n%q\n%q", said(a), said(b))
		}
		if a.State != b.State || a.Outcome != b.Outcome || a.Ours != b.Theirs || a.Theirs != b.Ours || a.Fraud != b.Fraud || a.Keep != b.Keep || a.WhyEscalated != b.WhyEscalated {
			t.Fatalf("one case stands differently:\n%v\n%v", a, b)
		}
		if want := a.Outcome == string(Different); w.cleared("AZ", who, "", record) != want {
			t.Fatalf("decided %q, and remembered as cleared: %t", a.Outcome, !want)
		}
		for _, x := range slices.Concat(a.Notes, b.Notes) {
			if x.Delivery != "" && x.Delivery != delivered {
				t.Fatalf("a note is %q", x.Delivery)
			}
		}
	})
}

// TestJudgeIgnoresOrder: how a case stands is a function of the set of notes.
func TestJudgeIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var notes []note
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			n := note{author: rapid.SampledFrom([]waypost.Jurisdiction{"AZ", "CA"}).Draw(t, "author"), id: newID(),
				outcome: rapid.SampledFrom([]Outcome{"", Same, Different, Fraud, Undecided, Left}).Draw(t, "outcome")}
			if n.outcome != "" {
				n.number = uint32(rapid.IntRange(1, 3).Draw(t, "number"))
				n.closes = n.outcome.definite() && rapid.Bool().Draw(t, "closes")
			}
			notes = append(notes, n)
		}
		az := parties{self: "AZ", other: "CA", asker: "AZ", origin: fromCheck}
		ca := parties{self: "CA", other: "AZ", asker: "AZ", origin: fromCheck}
		want := judge(notes, az)
		mixed := rapid.Permutation(notes).Draw(t, "order")
		if got := judge(mixed, az); got != want {
			t.Fatalf("%v in another order is %v", want, got)
		}
		mirror := judge(mixed, ca)
		mirror.ours, mirror.theirs = mirror.theirs, mirror.ours
		if mirror != want {
			t.Fatalf("AZ sees %v, CA sees %v", want, mirror)
		}
	})
}

func TestDecisions(t *testing.T) {
	for _, test := range []struct {
		az, ca  Outcome
		state   string
		outcome Outcome
		late    bool // escalated
	}{
		{Different, "", "open", "", false},
		{Different, Different, "closed", Different, false},
		{Undecided, Undecided, "closed", Undecided, false},
		{Same, Same, "decided", Same, false},
		{Fraud, Fraud, "decided", Fraud, false},
		{Left, Same, "decided", Same, false},
		{Different, Left, "closed", Different, false},
		{Left, Left, "open", "", true},
		{Same, Different, "open", "", true},
		{Different, Fraud, "open", "", true},
	} {
		w := newWorld(t, Config{})
		w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
		id := w.opened(smith, "CA-1")
		w.decide(w.az, id, test.az, "a reason")
		w.quiet()
		if test.ca != "" {
			w.decide(w.ca, id, test.ca, "a reason")
			w.quiet()
		}
		az, ca := w.both(id)
		if az.State != test.state || az.Outcome != string(test.outcome) || az.Escalated != test.late || ca.State != test.state || ca.Escalated != test.late {
			t.Errorf("%s and %s: %s %s %t", test.az, test.ca, az.State, az.Outcome, az.Escalated)
		}
	}
}

// TestStrangers: only the two states of a check have a case about it.
func TestStrangers(t *testing.T) {
	w := newWorld(t, Config{})
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
	check, reference := w.found(smith, "CA-1", waypost.Possible)
	person := newID()
	body := func(change func(m *message)) []byte {
		m := message{id: newID(), check: check, reference: reference, origin: fromCheck, person: &person,
			note: note{id: newID(), class: waypost.Attended, written: 1, text: "hello"}}
		change(&m)
		raw, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	under := func(cites waypost.TicketID, from waypost.Jurisdiction, raw []byte) waypost.Code {
		_, err := w.ca.answer(t.Context(), errand.Question{From: from, Ticket: citing(cites), Body: raw, At: w.now})
		return waypost.CodeOf(err)
	}
	ask := func(from waypost.Jurisdiction, raw []byte) waypost.Code { return under(check, from, raw) }
	if code := ask("AZ", body(func(*message) {})); code != "" {
		t.Errorf("the state that asked: %s", code)
	}
	if code := under(waypost.TicketID{1}, "AZ", body(func(*message) {})); code != waypost.PermissionDenied {
		t.Errorf("under a ticket that cites another check: %q", code)
	}
	if code := ask("NV", body(func(*message) {})); code != waypost.PermissionDenied {
		t.Errorf("another state: %q", code)
	}
	if code := ask("AZ", body(func(m *message) { m.reference[0]++ })); code != waypost.NotFound {
		t.Errorf("another reference: %q", code)
	}
	id := w.opened(smith, "CA-1")
	theirs := parseID(id)
	if code := ask("NV", body(func(m *message) { m.id = theirs })); code != waypost.PermissionDenied {
		t.Errorf("a case of others: %q", code)
	}
	if code := ask("AZ", body(func(m *message) { m.id = theirs })); code != waypost.PermissionDenied {
		t.Errorf("a case with another check: %q", code)
	}
	no, ref := w.found(smith, "CA-1", waypost.NoMatch)
	if code := under(no, "AZ", body(func(m *message) { m.check, m.reference = no, ref })); code != waypost.PermissionDenied {
		t.Errorf("after no_match: %q", code)
	}
	az, ctx := w.az.door()
	if _, err := az.Open(ctx, &waypostv1.OpenCaseRequest{Check: hexOf(no[:]), Reference: hexOf(ref[:])}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("opening after no_match: %v", err)
	}
}

// TestRefusedIsSeen: a note that the other state does not take is not lost in
// silence.
func TestRefusedIsSeen(t *testing.T) {
	w := newWorld(t, Config{})
	check, reference := w.found(smith, "CA-1", waypost.Match)
	delete(w.ca.answered, reference) // too long ago
	az, ctx := w.az.door()
	c, err := az.Open(ctx, &waypostv1.OpenCaseRequest{Check: hexOf(check[:]), Reference: hexOf(reference[:])})
	if err != nil {
		t.Fatal(err)
	}
	w.quiet()
	if c, err = az.Show(ctx, &waypostv1.ShowCaseRequest{Id: c.Id[:8]}); err != nil || !strings.HasPrefix(c.Notes[0].Delivery, "refused: not answered") {
		t.Errorf("%v %v", c, err)
	}
}

// TestProtected: a case about a protected person is seen by the special unit only,
// and the other state cannot tell.
func TestProtected(t *testing.T) {
	w := newWorld(t, Config{})
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith, Protected: true}
	id := w.opened(smith, "CA-1")
	if az, _ := w.both(id); az.Notes[0].Delivery != delivered {
		t.Errorf("AZ sees %q", az.Notes[0].Delivery)
	}
	clerk, ctx := w.ca.door()
	if _, err := clerk.Show(ctx, &waypostv1.ShowCaseRequest{Id: id}); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("a clerk: %v", err)
	}
	for operator, want := range map[string]int{"clerk": 0, "unit": 1} {
		d, ctx := w.ca.doorFor(operator)
		list, err := d.List(ctx, &waypostv1.ListCasesRequest{})
		work, err2 := d.Worklist(ctx, &waypostv1.WorklistRequest{})
		if err != nil || err2 != nil || len(list.Cases) != want || len(work.Items) != want {
			t.Errorf("%s: %v %v %v %v", operator, list, work, err, err2)
		}
	}
	// One who is protected later is so at once.
	w.ca.people["CA-2"] = waypost.Record{ID: "CA-2", Person: jones}
	later := w.opened(jones, "CA-2")
	r := w.ca.people["CA-2"]
	r.Protected = true
	w.ca.people["CA-2"] = r
	if _, err := clerk.Show(ctx, &waypostv1.ShowCaseRequest{Id: later}); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("a clerk, later: %v", err)
	}
}

// TestAgeing: a case grows old, and closed ones are forgotten, not what they came to.
func TestAgeing(t *testing.T) {
	w := newWorld(t, Config{})
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
	id := w.opened(smith, "CA-1")
	w.now = w.now.Add(61 * 24 * time.Hour)
	ca, _ := w.ca.door()
	items, err := ca.Cases.Worklist(t.Context())
	if err != nil || len(items) != 1 || !items[0].Late {
		t.Fatalf("%v %v", items, err)
	}
	if c, _ := w.both(id); c.AgeBand != "over-60" || !c.Escalated {
		t.Errorf("%v", c)
	}
	w.decide(w.az, id, Different, "")
	w.quiet()
	w.decide(w.ca, id, Different, "")
	w.quiet()
	w.now = w.now.Add(366 * 24 * time.Hour)
	if err := w.ca.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	w.ca.read(func(tx *store.Tx) error {
		return tx.Row(`SELECT (SELECT count(*) FROM duplicate) + (SELECT count(*) FROM duplicate_note)`).Scan(&left)
	})
	if left != 0 || !w.cleared("AZ", smith, "", "CA-1") {
		t.Errorf("%d rows are left, cleared %t", left, w.cleared("AZ", smith, "", "CA-1"))
	}
}

// TestNoteLimit: a state can fill a case no further.
func TestNoteLimit(t *testing.T) {
	w := newWorld(t, Config{})
	w.ca.people["CA-1"] = waypost.Record{ID: "CA-1", Person: smith}
	id := w.opened(smith, "CA-1")
	az, ctx := w.az.door()
	for range maxNotes - 1 {
		if _, err := az.Note(ctx, &waypostv1.NoteCaseRequest{Id: id, Text: "again"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := az.Note(ctx, &waypostv1.NoteCaseRequest{Id: id, Text: "again"}); waypost.CodeOf(err) != waypost.QuotaExceeded {
		t.Error(err)
	}
	if _, err := az.Note(ctx, &waypostv1.NoteCaseRequest{Id: id, Text: strings.Repeat("x", maxText+1)}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Error(err)
	}
}
