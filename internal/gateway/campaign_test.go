package gateway_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// cases is a state's door to cases, with a clerk at it.
func cases(state waypost.Jurisdiction) (duplicate.Door, context.Context) {
	return duplicate.Door{Cases: exchange.Gateway(state).Cases()}, rpc.WithOperator(context.Background(), "clerk-7")
}

// TestCampaign: of a record that two states have each gets a case. No second leg
// leaves, with an SSN or without: nobody is named by a program.
func TestCampaign(t *testing.T) {
	for _, ssn := range []string{"24680", ""} {
		p := someone()
		p.SSN5 = ssn
		load(t, "CA", p)
		az := exchange.Gateway("AZ")
		var id waypost.TicketID
		err := az.TagSearch(t.Context(), p, duplicate.Search{Operator: "clerk-7", Case: "campaign", Began: func(_ *store.Tx, search waypost.TicketID) error {
			id = search
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		var found duplicate.Found
		eventually(t, "the answer of California", func() bool {
			if found, err = az.Found(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			return found.Over
		})
		if len(found.Agreeing) != 1 || found.Agreeing[0].Owner != "CA" || found.GivenUp {
			t.Errorf("found %+v, want California to agree", found)
		}
		if got := strings.Join(entries(t, "CA", id), " "); got != "notified continue" {
			t.Errorf("California's ledger says %q: it was told more than it should, or less", got)
		}
		if got := strings.Join(entries(t, "AZ", id), " "); got != "ask outcome" {
			t.Errorf("Arizona's ledger says %q", got)
		}
		if n, err := exchange.Gateway("CA").Count(t.Context(), `SELECT count(*) FROM notice WHERE ticket = $1 AND length(applicant) > 0`, id[:]); n != 0 || err != nil {
			t.Errorf("California has an applicant: %d %v", n, err)
		}
	}
	// Nobody at all is over as soon as it is searched.
	var id waypost.TicketID
	az := exchange.Gateway("AZ")
	if err := az.TagSearch(t.Context(), someone(), duplicate.Search{Operator: "clerk-7", Case: "campaign", Began: func(_ *store.Tx, search waypost.TicketID) error {
		id = search
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	if found, err := az.Found(t.Context(), id); err != nil || !found.Over || len(found.Agreeing) > 0 {
		t.Errorf("%+v %v", found, err)
	}
}

// TestCampaignByName: a search by name only is one part, with an SSN or without, and
// comes to its end like any other.
func TestCampaignByName(t *testing.T) {
	for _, ssn := range []string{"24680", ""} {
		p := someone()
		p.SSN5 = ssn
		load(t, "CA", p)
		az := exchange.Gateway("AZ")
		var id waypost.TicketID
		if err := az.TagSearch(t.Context(), p, duplicate.Search{Operator: "clerk-7", Case: "campaign", NamesOnly: true, Began: func(_ *store.Tx, search waypost.TicketID) error {
			id = search
			return nil
		}}); err != nil {
			t.Fatal(err)
		}
		var found duplicate.Found
		eventually(t, "the answer of California", func() (over bool) {
			var err error
			found, err = az.Found(t.Context(), id)
			return err == nil && found.Over
		})
		if len(found.Agreeing) != 1 {
			t.Errorf("found %+v", found)
		}
		if got := strings.Join(entries(t, "hub", id), " "); got != "search_first deliver" {
			t.Errorf("the hub's ledger says %q", got)
		}
		if got := strings.Join(entries(t, "AZ", id), " "); got != "ask outcome" {
			t.Errorf("Arizona's ledger says %q", got)
		}
	}
}

// TestCampaignSecondLeg: a state that names the applicant all the same, under a
// ticket that allows first legs only, is refused.
func TestCampaignSecondLeg(t *testing.T) {
	c := candidate{person: someone()}
	load(t, "CA", c.person)
	var err error
	c.Rogue, err = exchange.Gateway("AZ").Begin(t.Context(), gateway.Applicant{Person: c.person},
		gateway.Counter{Operator: "clerk-7", Class: waypost.Unattended, Purpose: waypost.DuplicateResolution, Case: "campaign"})
	if err == nil {
		err = c.Evaluate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Search(t.Context())
	if err != nil || len(list.List) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	c.reference = list.List[0].Reference
	if got := c.say(t, "AZ", waypost.MessageFirstLeg, c.FirstLeg(c.reference)); got != "continue" {
		t.Fatalf("the first leg came to %q", got)
	}
	if got := c.say(t, "AZ", waypost.MessageSecondLeg, c.SecondLeg(c.reference, gateway.Applicant{Person: c.person})); got != "refuse" {
		t.Errorf("the second leg came to %q", got)
	}
}

// TestCampaignCutOff: a search that is cut off is given up, and never made again
// as a check that names people.
func TestCampaignCutOff(t *testing.T) {
	az := exchange.Gateway("AZ")
	start := stop(t, "keyholder-1", "keyholder-2", "keyholder-3")
	var id waypost.TicketID
	err := az.TagSearch(t.Context(), someone(), duplicate.Search{Operator: "clerk-7", Case: "campaign", Began: func(_ *store.Tx, search waypost.TicketID) error {
		id = search
		return nil
	}})
	if waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("without a quorum: %v", err)
	}
	start()
	if found, err := az.Found(t.Context(), id); err != nil || !found.GivenUp {
		t.Errorf("%+v %v", found, err)
	}
	if got := strings.Join(entries(t, "AZ", id), " "); got != "ask abandoned" {
		t.Errorf("Arizona's ledger says %q", got)
	}
}

// TestClearedIsNotRaised: a pair that both states found to be two people is
// answered like any that is not alike.
func TestClearedIsNotRaised(t *testing.T) {
	one := someone()
	one.SSN5, one.Born.Month = "", 3
	load(t, "CA", one)
	two := one
	two.Born.Month = 8
	first := later(t, "AZ", check(t, "AZ", two).Ticket)
	expect(t, first, "CA possible")
	az, clerkAZ := cases("AZ")
	reference := first.Candidates[0].Reference
	text, _ := reference.MarshalText()
	c, err := az.Clear(clerkAZ, &waypostv1.ClearCaseRequest{Check: first.TicketHex, Reference: string(text), Text: "born in another month: birth certificate seen"})
	if err != nil {
		t.Fatal(err)
	}
	ca, clerkCA := cases("CA")
	eventually(t, "the case in California", func() bool {
		_, err := ca.Show(clerkCA, &waypostv1.ShowCaseRequest{Id: c.Id})
		return err == nil
	})
	expect(t, later(t, "AZ", check(t, "AZ", two).Ticket), "CA possible") // until California agrees
	work, err := ca.Worklist(rpc.WithUnit(clerkCA), &waypostv1.WorklistRequest{})
	if err != nil || !slices.ContainsFunc(work.Items, func(i *waypostv1.WorkItem) bool { return i.Type == "clearing" && i.Id == c.Id }) {
		t.Errorf("California's worklist: %v %v", work, err)
	}
	if _, err := ca.Decide(clerkCA, &waypostv1.DecideCaseRequest{Id: c.Id, Outcome: "different"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the case in Arizona", func() bool {
		c, err := az.Show(clerkAZ, &waypostv1.ShowCaseRequest{Id: c.Id})
		return err == nil && c.State == "closed"
	})
	again := later(t, "AZ", check(t, "AZ", two).Ticket)
	expect(t, again)
	if len(again.Candidates) != 1 || again.Candidates[0].Outcome != waypost.NoMatch || again.Candidates[0].Status != "" {
		t.Errorf("the answer %+v differs from that of a record that is not alike", again.Candidates)
	}
	if got := strings.Join(entries(t, "CA", again.Ticket), " "); got != "notified continue decline" {
		t.Errorf("California's ledger says %q", got)
	}
	expect(t, check(t, "AZ", one), "CA match") // the person of the record
}

// TestClearedWhateverTheSSN: a cleared pair is not raised again, and the answer does
// not depend on whether the SSN agrees.
func TestClearedWhateverTheSSN(t *testing.T) {
	p := someone()
	p.SSN5 = "24683"
	load(t, "CA", p)
	first := later(t, "AZ", check(t, "AZ", p).Ticket)
	expect(t, first, "CA match")
	az, clerkAZ := cases("AZ")
	ca, clerkCA := cases("CA")
	text, _ := first.Candidates[0].Reference.MarshalText()
	c, err := az.Clear(clerkAZ, &waypostv1.ClearCaseRequest{Check: first.TicketHex, Reference: string(text), Text: "another person: both were here"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "California's agreement", func() bool {
		_, err := ca.Decide(clerkCA, &waypostv1.DecideCaseRequest{Id: c.Id, Outcome: "different"})
		return err == nil
	})
	for _, ssn := range []string{p.SSN5, "13579", ""} {
		again := p
		again.SSN5 = ssn
		if answer := later(t, "AZ", check(t, "AZ", again).Ticket); len(answer.Candidates) != 1 || answer.Candidates[0].Outcome != waypost.NoMatch {
			t.Errorf("SSN %q: %+v", ssn, answer.Candidates)
		}
	}
}
