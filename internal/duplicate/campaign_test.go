package duplicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// searcher is a gateway that finds, of AZ's people, those whom CA has too.
type searcher struct {
	*world
	searches map[waypost.TicketID]*Found
	of       map[waypost.TicketID]string // record, by search
	made     map[string]int              // searches by record that asked somebody
	named    []string                    // records that were searched for by name only
	hits     map[string][]string         // records of CA that agree
	fail     func(record string) error   // before anybody is asked
	last     time.Time
	n        byte
}

func (s *searcher) TagSearch(ctx context.Context, who waypost.Person, why Search) error {
	var record string
	if _, err := fmt.Sscanf(why.Case, "duplicate campaign %s", &record); err != nil {
		return err
	}
	var id waypost.TicketID
	s.n++
	id[0], id[1] = 7, s.n
	found := &Found{}
	s.searches[id], s.of[id] = found, record
	if why.NamesOnly {
		s.named = append(s.named, record)
	}
	if err := s.az.DB.Write(ctx, func(tx *store.Tx) error { return why.Began(tx, id) }); err != nil {
		return err
	}
	found.Over = true
	if s.fail != nil {
		if err := s.fail(record); err != nil {
			*found = Found{GivenUp: true}
			return err
		}
	}
	s.made[record]++
	s.last = s.now
	for _, hit := range s.hits[record] {
		reference := waypost.Reference(newID())
		found.Agreeing = append(found.Agreeing, waypost.Candidate{Owner: "CA", Reference: reference})
		s.az.asked[reference] = records.Asked{Owner: "CA", Outcome: waypost.Pending, Purpose: waypost.DuplicateResolution, Operator: "clerk", Case: why.Case,
			Applicant: &waypostv1.Applicant{Family: who.Family, Given: who.Given, Middle: who.Middle, Born: who.Born.String(), Sex: string(who.Sex)}}
		s.ca.answered[reference] = records.Answered{Asking: "AZ", Handle: waypost.Handle(newID()), Record: hit}
	}
	return nil
}

func (s *searcher) Found(_ context.Context, id waypost.TicketID) (Found, error) {
	return *s.searches[id], nil
}

// campaigning is AZ with ten people, of whom CA has some.
func campaigning(t *testing.T) (*world, *searcher) {
	w := newWorld(t, Config{})
	s := &searcher{world: w, searches: make(map[waypost.TicketID]*Found), of: make(map[waypost.TicketID]string), made: make(map[string]int), hits: make(map[string][]string)}
	w.az.deps.Searcher = s
	w.az.deps.UnattendedPerDay = func() int { return 100 }
	w.az.restart()
	for n := range 10 {
		who := smith
		who.Middle = string(rune('A' + n))
		id := fmt.Sprintf("AZ-%d", n)
		w.az.people[id] = waypost.Record{ID: id, Person: who}
		w.ca.people["CA"+id] = waypost.Record{ID: "CA" + id, Person: who}
	}
	return w, s
}

func (w *world) campaign(req *waypostv1.CampaignRequest) *waypostv1.CampaignStatus {
	w.t.Helper()
	d, ctx := w.az.door()
	status, err := d.Campaign(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return status
}

// steps lets time pass in seconds.
func (w *world) steps(n int) {
	w.t.Helper()
	for range n {
		w.now = w.now.Add(time.Second)
		if err := w.az.Step(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestCampaign: every record is searched for once, a state that says continue gets
// a case, and a second campaign raises nothing that was cleared.
func TestCampaign(t *testing.T) {
	w, s := campaigning(t)
	s.hits["AZ-2"], s.hits["AZ-5"] = []string{"CAAZ-2"}, []string{"CAAZ-5", "CAAZ-6"}
	protected := w.az.people["AZ-7"]
	protected.Protected = true
	w.az.people["AZ-7"] = protected
	w.az.passedIn = map[string]bool{"AZ-3": true}
	w.campaign(&waypostv1.CampaignRequest{Action: "start", PerMinute: 60, AnyHour: true})
	w.steps(60)
	if !slices.Equal(s.named, []string{"AZ-3"}) {
		t.Errorf("searched for by name only: %q", s.named)
	}
	status := w.campaign(&waypostv1.CampaignRequest{})
	if status.State != "done" || status.Asked != 9 || status.Opened != 3 || status.Skipped != 1 || status.Waiting != 0 || status.Records != 10 {
		t.Fatalf("%v", status)
	}
	for record, n := range s.made {
		if n != 1 {
			t.Errorf("%s was searched for %d times", record, n)
		}
	}
	w.quiet()
	ca, ctx := w.ca.door()
	list, err := ca.List(ctx, &waypostv1.ListCasesRequest{})
	if err != nil || len(list.Cases) != 3 {
		t.Fatalf("%v %v", list, err)
	}
	for _, c := range list.Cases {
		if c.Applicant != nil || c.Origin != fromCampaign || c.Record == "" {
			t.Errorf("CA has %v", c)
		}
		w.decide(w.ca, c.Id, Different, "looked at both")
		w.quiet()
		w.decide(w.az, c.Id, Different, "looked at both")
		w.quiet()
	}
	// Again, and there is one record more that agrees with AZ-5.
	s.hits["AZ-5"] = append(s.hits["AZ-5"], "CAAZ-8")
	w.campaign(&waypostv1.CampaignRequest{Action: "start", PerMinute: 60, AnyHour: true})
	w.steps(60)
	if status = w.campaign(&waypostv1.CampaignRequest{}); status.State != "done" || status.Opened != 3 {
		t.Fatalf("%v", status) // AZ-2 is known; of the three of AZ-5 AZ cannot tell which is new
	}
	w.quiet()
	if list, err = ca.List(ctx, &waypostv1.ListCasesRequest{}); err != nil || len(list.Cases) != 1 || list.Cases[0].Record != "CAAZ-8" {
		t.Errorf("CA opened %v, want one case about the record that is new", list.Cases)
	}
	az, ctx := w.az.door()
	if list, err = az.List(ctx, &waypostv1.ListCasesRequest{}); err != nil || len(list.Cases) != 1 {
		t.Errorf("AZ has %d cases open, want 1", len(list.Cases))
	}
	// And when a record has changed the pair comes up again.
	r := w.az.people["AZ-2"]
	r.Family = "Smithe"
	w.az.people["AZ-2"] = r
	w.campaign(&waypostv1.CampaignRequest{Action: "start", PerMinute: 60, AnyHour: true})
	w.steps(60)
	w.quiet()
	if list, err = ca.List(ctx, &waypostv1.ListCasesRequest{}); err != nil || len(list.Cases) != 2 {
		t.Errorf("after a change: %v %v", list, err)
	}
}

// TestCampaignRate: no more than so many a minute and a day, at night only, below
// the quota; it can be paused and stopped.
func TestCampaignRate(t *testing.T) {
	w, s := campaigning(t)
	az, ctx := w.az.door()
	if _, err := az.Campaign(ctx, &waypostv1.CampaignRequest{Action: "start", PerDay: 100}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("the whole quota: %v", err)
	}
	w.campaign(&waypostv1.CampaignRequest{Action: "start", PerMinute: 2, PerDay: 3, FromHour: 22, ToHour: 4})
	made := func() (n int) {
		for _, m := range s.made {
			n += m
		}
		return n
	}
	expect := func(what string, n int) {
		t.Helper()
		w.steps(50)
		if made() != n {
			t.Errorf("%s: %d searches, want %d", what, made(), n)
		}
	}
	expect("at noon", 0)
	w.now = time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)
	expect("in one minute", 2)
	w.now = w.now.Truncate(time.Minute).Add(time.Minute)
	expect("on one day", 3)
	w.now = w.now.Add(10 * time.Minute)
	expect("on one day, later", 3)
	w.now = time.Date(2026, 3, 3, 3, 0, 0, 0, time.UTC)
	w.campaign(&waypostv1.CampaignRequest{Action: "pause"})
	expect("paused", 3)
	w.campaign(&waypostv1.CampaignRequest{Action: "resume"})
	expect("after midnight, within two minutes", 6)
	if _, err := az.Campaign(ctx, &waypostv1.CampaignRequest{Action: "start"}); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Error(err)
	}
	w.campaign(&waypostv1.CampaignRequest{Action: "stop"})
	w.now = time.Date(2026, 3, 4, 3, 0, 0, 0, time.UTC)
	expect("stopped", 6)
}

// TestCampaignCrash: whatever commit a crash comes at, no record is left out, and
// nobody is asked twice about one.
func TestCampaignCrash(t *testing.T) {
	for _, point := range []string{"begin", "commit", "committed"} {
		for _, at := range []int{0, 1, 2, 3, 4, 9} {
			w, s := campaigning(t)
			s.hits["AZ-1"], s.hits["AZ-4"] = []string{"CAAZ-1"}, []string{"CAAZ-4"}
			w.campaign(&waypostv1.CampaignRequest{Action: "start", PerMinute: 60, AnyHour: true})
			n := 0
			w.az.fault = func(p string) error {
				if p != point {
					return nil
				}
				if n++; n == at+1 {
					return errors.New("crash")
				}
				return nil
			}
			for range 120 {
				w.now = w.now.Add(time.Second)
				if err := w.az.Step(t.Context()); err != nil {
					w.az.restart()
					d, ctx := w.az.door()
					if status, err := d.Campaign(ctx, &waypostv1.CampaignRequest{}); err == nil && status.State == "paused" {
						w.campaign(&waypostv1.CampaignRequest{Action: "resume"})
					}
					for id, f := range s.searches { // what was cut off before anybody was asked
						if s.made[s.of[id]] == 0 {
							f.GivenUp = true
						}
					}
				}
			}
			status := w.campaign(&waypostv1.CampaignRequest{})
			if status.State != "done" || status.Opened != 2 || len(s.made) != 10 {
				t.Errorf("crash at %s %d: %v, %d records", point, at, status, len(s.made))
			}
			for record, n := range s.made {
				if n != 1 {
					t.Errorf("crash at %s %d: %s was asked about %d times", point, at, record, n)
				}
			}
		}
	}
}

// TestCampaignWaits: a quota that is used up, or others that cannot be reached,
// are waited for, and records that were cut off are taken up again.
func TestCampaignWaits(t *testing.T) {
	w, s := campaigning(t)
	tries := 0
	s.fail = func(string) error {
		if tries++; tries > 2 {
			return nil
		}
		return waypost.Errorf(waypost.QuotaExceeded, "used up").WithRetryAfter(w.now.Add(time.Hour))
	}
	w.campaign(&waypostv1.CampaignRequest{Action: "start", PerMinute: 60, AnyHour: true})
	w.steps(100)
	if status := w.campaign(&waypostv1.CampaignRequest{}); tries != 1 || status.State != "running" || status.Why == "" {
		t.Fatalf("%d tries: %v", tries, status)
	}
	w.now = w.now.Add(time.Hour)
	w.steps(1)
	w.now = w.now.Add(time.Hour)
	w.steps(60)
	if status := w.campaign(&waypostv1.CampaignRequest{}); status.State != "done" || len(s.made) != 10 {
		t.Errorf("%v, %d records", status, len(s.made))
	}
}
