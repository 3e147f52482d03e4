package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

func TestSearch(t *testing.T) {
	own := waypost.OwnRecord{ID: "NV-1", Outcome: waypost.Match}
	candidate := func(n byte, o waypost.Outcome) waypost.CandidateAnswer {
		return waypost.CandidateAnswer{State: "CA", Reference: waypost.Reference{n}, Disclosure: waypost.Disclosure{Outcome: o}}
	}
	r := newRig(t, "NV", "CA")
	rec := jane(t, "CA-1", "D111")
	r.states["CA"].add(rec)
	r.states["NV"].add(jane(t, "NV-1", "N111"))
	for n, c := range []struct {
		given string
		a     waypost.Answer
		word  string // or state
	}{
		{"nobody, and all have answered", waypost.Answer{Complete: true}, wordUnlicensed},
		{"nobody yet", waypost.Answer{}, "owed"},
		{"owed", waypost.Answer{Owed: true}, "owed"},
		{"a match elsewhere", waypost.Answer{Candidates: []waypost.CandidateAnswer{candidate(1, waypost.Match)}}, Accepted},
		{"a match and somebody possible", waypost.Answer{Complete: true, Candidates: []waypost.CandidateAnswer{candidate(1, waypost.Match), candidate(2, waypost.Possible)}}, "deciding"},
		{"two matches", waypost.Answer{Complete: true, Candidates: []waypost.CandidateAnswer{candidate(1, waypost.Match), candidate(2, waypost.Match)}}, "deciding"},
		{"somebody possible", waypost.Answer{Complete: true, Candidates: []waypost.CandidateAnswer{candidate(1, waypost.Possible)}}, "deciding"},
		{"somebody possible, others pending", waypost.Answer{Candidates: []waypost.CandidateAnswer{candidate(1, waypost.Possible)}}, "owed"},
		{"too many", waypost.Answer{Complete: true, TooMany: true}, "deciding"},
		{"one that would not say", waypost.Answer{Complete: true, Candidates: []waypost.CandidateAnswer{{State: "CA", Refused: "closed today", Disclosure: waypost.Disclosure{Outcome: waypost.NoMatch}}}}, "deciding"},
		{"an own record", waypost.Answer{Complete: true, Own: []waypost.OwnRecord{own}}, wordOwn},
		{"an own record and a match elsewhere", waypost.Answer{Complete: true, Own: []waypost.OwnRecord{own}, Candidates: []waypost.CandidateAnswer{candidate(1, waypost.Match)}}, "deciding"},
		{"an own record, perhaps", waypost.Answer{Complete: true, Own: []waypost.OwnRecord{{ID: "NV-1", Outcome: waypost.Possible}}}, "deciding"},
	} {
		r.checked = 100 * n
		r.next = func(Search) waypost.Answer { return c.a }
		person := shows(rec, "")
		person.CardNumber = ""
		s := r.report("NV", item(t, Conviction, fmt.Sprintf("C-%d", n)), person)
		got := s.Word
		if s.State != "done" {
			got = s.State
		}
		if got != c.word {
			t.Errorf("given %s: %s, want %s (%v)", c.given, got, c.word, s)
		}
		if r.checked != 100*n+1 {
			t.Errorf("given %s: %d checks", c.given, r.checked-100*n)
		}
		where := map[string]string{wordUnlicensed: s.Record, wordOwn: "NV-1", Accepted: "CA-1"}[c.word]
		state := waypost.Jurisdiction("NV")
		if c.word == Accepted {
			state = "CA"
		}
		if where != "" && !slices.Contains(r.states[state].book(where), fmt.Sprintf("C-%d", n)) {
			t.Errorf("given %s: %s has %q", c.given, where, r.states[state].book(where))
		}
		if c.word == "deciding" && len(s.Choices) != len(c.a.Own)+len(c.a.Candidates)-count(c.given == "one that would not say") {
			t.Errorf("given %s: choices %v", c.given, s.Choices)
		}
	}
}

// A person decides, where a check could not; an owed check is made good.
func TestDecide(t *testing.T) {
	r := newRig(t, "NV", "CA")
	rec := jane(t, "CA-1", "D111")
	r.states["CA"].add(rec)
	nv := Door{r.states["NV"].desk}
	answer := waypost.Answer{Owed: true}
	r.next = func(s Search) waypost.Answer {
		if s.Person.SSN5 != "12345" || s.Person.Family != rec.Family {
			t.Errorf("searched for %+v", s)
		}
		return answer
	}
	person := shows(rec, "")
	person.CardNumber = ""
	ids := make([]ItemID, 4)
	for n := range ids {
		i := item(t, Conviction, fmt.Sprintf("C-%d", n))
		ids[n] = i.ID
		s, err := nv.Report(context.Background(), &waypostv1.ReportRequest{Item: i.Proto(), Driver: person, Ssn5: "12345"})
		if err != nil || s.State != "owed" {
			t.Fatal(err, s)
		}
	}
	r.settle()
	for id := range r.checks { // made good, each as the successor of itself
		r.checks[id] = waypost.Answer{Ticket: id, Complete: true, Candidates: []waypost.CandidateAnswer{{State: "CA", Reference: waypost.Reference{5}, Disclosure: waypost.Disclosure{Outcome: waypost.Possible}}}}
	}
	r.now = r.now.Add(time.Hour)
	r.settle()
	for _, id := range ids {
		if s := r.standing("NV", id); s.State != "deciding" || len(s.Choices) != 1 {
			t.Fatalf("after the check was made good: %v", s)
		}
	}
	decide := func(id ItemID, req *waypostv1.DecideRequest) (*waypostv1.ReportState, error) {
		req.Item = id[:]
		return nv.Decide(context.Background(), req)
	}
	if _, err := decide(ids[0], &waypostv1.DecideRequest{Unlicensed: true, Cancel: true}); err == nil {
		t.Error("two decisions at once")
	}
	if _, err := decide(ids[0], &waypostv1.DecideRequest{Reference: strings.Repeat("00", 16)}); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("a reference that no check has: %v", err)
	}
	s, err := decide(ids[0], &waypostv1.DecideRequest{Unlicensed: true})
	if err != nil || s.Word != wordUnlicensed {
		t.Errorf("unlicensed: %v %v", s, err)
	}
	made := r.states["NV"].people[s.Record]
	if made.Kind != waypost.Unlicensed || made.SSN5 != "12345" || made.Family != rec.Family {
		t.Errorf("the record that was made: %+v", made)
	}
	if s, err := decide(ids[1], &waypostv1.DecideRequest{Record: s.Record}); err != nil || s.Word != wordOwn {
		t.Errorf("an own record: %v %v", s, err)
	}
	if s, err := decide(ids[2], &waypostv1.DecideRequest{Cancel: true}); err != nil || s.State != "cancelled" {
		t.Errorf("given up: %v %v", s, err)
	}
	if _, err := decide(ids[2], &waypostv1.DecideRequest{Unlicensed: true}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("decided after it was given up: %v", err)
	}
	list, err := nv.Reports(context.Background(), &waypostv1.ReportsRequest{Open: true})
	if err != nil || len(list.Reports) != 1 || string(list.Reports[0].Item) != string(ids[3][:]) {
		t.Errorf("open: %v %v", list, err)
	}
}

// A search that fails is made again, at most every hour; one that never can is a
// person's.
func TestSearchFails(t *testing.T) {
	r := newRig(t, "NV", "CA")
	rec := jane(t, "CA-1", "D111")
	person := shows(rec, "")
	person.CardNumber = ""
	r.nextErr = waypost.Errorf(waypost.Unavailable, "nobody is there")
	i := item(t, Conviction, "C-1")
	if s := r.report("NV", i, person); s.State != "searching" || r.checked != 1 {
		t.Fatalf("%d checks: %v", r.checked, s)
	}
	for range 100 {
		r.now = r.now.Add(10 * time.Minute)
		r.settle()
	}
	if r.checked < 16 || r.checked > 30 {
		t.Errorf("%d checks in 1000 minutes", r.checked)
	}
	r.nextErr = waypost.Errorf(waypost.QuotaExceeded, "tomorrow").WithRetryAfter(r.now.Add(24 * time.Hour))
	r.now = r.now.Add(time.Hour)
	r.settle()
	before := r.checked
	r.now = r.now.Add(20 * time.Hour)
	r.settle()
	if r.checked != before {
		t.Error("searched before the quota allows it")
	}
	r.nextErr = waypost.Errorf(waypost.InvalidArgument, "no")
	r.now = r.now.Add(5 * time.Hour)
	r.settle()
	if s := r.standing("NV", i.ID); s.State != "deciding" {
		t.Errorf("what can never succeed: %v", s)
	}
}
