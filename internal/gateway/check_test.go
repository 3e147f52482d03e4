package gateway_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
)

func TestCheckFinds(t *testing.T) {
	t.Run("nobody", func(t *testing.T) {
		a := check(t, "AZ", someone())
		expect(t, a)
		if !a.Complete || a.Owed || len(a.Coverage.Searched) != 3 || len(a.Coverage.NotMembers) == 0 {
			t.Errorf("answer %+v, want a complete no of 3 states", a)
		}
		if !strings.Contains(a.Words(), "NO OTHER CARD") {
			t.Errorf("the clerk reads %q", a.Words())
		}
	})
	t.Run("a card elsewhere", func(t *testing.T) {
		p := someone()
		load(t, "CA", p)
		a := check(t, "AZ", p)
		expect(t, a, "CA match")
		if c := a.Candidates[0]; !c.TerminationRequired || c.Status != waypost.Valid || c.CardKind != waypost.Licence {
			t.Errorf("California disclosed %+v", c)
		}
		if got := entries(t, "CA", a.Ticket); strings.Join(got, " ") != "notified continue disclose" {
			t.Errorf("California's ledger says %q", got)
		}
		if got := entries(t, "AZ", a.Ticket); strings.Join(got, " ") != "ask outcome" {
			t.Errorf("Arizona's ledger says %q", got)
		}
		if got := entries(t, "hub", a.Ticket); count(got, "search_second") != 0 {
			t.Errorf("part two was searched after a match: %q", got)
		}
	})
	t.Run("no SSN in either state", func(t *testing.T) {
		p := someone()
		p.SSN5 = ""
		load(t, "CA", p)
		expect(t, check(t, "AZ", p), "CA match")
	})
	t.Run("no SSN at the counter", func(t *testing.T) {
		p := someone()
		load(t, "CA", p)
		p.SSN5 = ""
		expect(t, check(t, "AZ", p), "CA match")
	})
	t.Run("moved, and another surname", func(t *testing.T) {
		p := someone()
		load(t, "NV", p)
		p.Family = someone().Family
		a := check(t, "NY", p)
		expect(t, a, "NV match")
		if got := entries(t, "hub", a.Ticket); count(got, "search_second") != 1 {
			t.Errorf("part two was not searched: %q", got)
		}
	})
	t.Run("namesakes born on one day", func(t *testing.T) {
		one := waypost.Person{Family: "Smith", Given: "James", Middle: "Aaron", Born: waypost.Date{Year: 1957, Month: 5, Day: 6}, Sex: "M", SSN5: "31313"}
		two := one
		two.Middle, two.SSN5 = "Zebulon", "76767"
		load(t, "CA", one)
		for _, c := range check(t, "AZ", two).Candidates {
			if c.Outcome == waypost.Match {
				t.Error("a namesake is called the same person")
			}
		}
	})
	t.Run("an own record", func(t *testing.T) {
		p := someone()
		r := load(t, "AZ", p)
		a := check(t, "AZ", p)
		expect(t, a)
		if len(a.Own) != 1 || a.Own[0].ID != r.ID || a.Own[0].Outcome != waypost.Match {
			t.Errorf("own records %+v, want %s", a.Own, r.ID)
		}
	})
	t.Run("cards in two states, and two checks at once", func(t *testing.T) {
		p := someone()
		load(t, "CA", p)
		load(t, "NV", p)
		var both [2]waypost.Answer
		var asking sync.WaitGroup
		for i := range both {
			asking.Go(func() { both[i] = check(t, "AZ", p) })
		}
		asking.Wait()
		for _, a := range both {
			matches := 0
			for _, c := range later(t, "AZ", a.Ticket).Candidates {
				if c.Outcome == waypost.Match {
					matches++
				}
			}
			if matches != 2 {
				t.Errorf("%d matches, want 2: %+v", matches, a.Candidates)
			}
		}
	})
	t.Run("an equal number of another state's card", func(t *testing.T) {
		p := someone()
		p.SSN5, p.Born.Month = "", 3
		r := load(t, "CA", p)
		p.Born.Month = 8
		shown := func(number string, state waypost.Jurisdiction) waypost.Outcome {
			a, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p, CardNumber: number, CardState: state}, clerk)
			if err != nil {
				t.Fatal(err)
			}
			return a.Best()
		}
		none, here, there := shown("", ""), shown(r.CardNumber, "CA"), shown(r.CardNumber, "NV")
		if none != waypost.Possible || here != waypost.Match || there != none {
			t.Errorf("without a card %s, with California's %s, with Nevada's of the same number %s", none, here, there)
		}
	})
}

// TestThirtyAtOnce: checks do not hinder each other, and none leaves anything
// behind in memory.
func TestThirtyAtOnce(t *testing.T) {
	people := make([]waypost.Person, 30)
	var records []waypost.Record
	for i := range people {
		people[i] = someone()
		if i%2 == 0 {
			records = append(records, record("CA", people[i]))
		}
	}
	loadAll(t, "CA", records)
	var asking sync.WaitGroup
	for i, p := range people {
		asking.Go(func() {
			a := check(t, "AZ", p)
			if i%2 == 0 {
				expect(t, a, "CA match")
			} else {
				expect(t, a)
			}
			if !a.Complete {
				t.Error("a check is not complete")
			}
		})
	}
	asking.Wait()
	eventually(t, "no check is waited for", func() bool { return exchange.Gateway("AZ").Waiting() == 0 })
}

func TestCheckRefuses(t *testing.T) {
	notAtThree(t, "AZ")
	az := exchange.Gateway("AZ")
	good := gateway.Applicant{Person: someone()}
	for name, c := range map[string]struct {
		who  func(*gateway.Applicant)
		why  func(*gateway.Counter)
		code waypost.Code
	}{
		"no name":              {who: func(a *gateway.Applicant) { a.Family, a.Given = "", " " }, code: waypost.InvalidArgument},
		"no date":              {who: func(a *gateway.Applicant) { a.Born = waypost.Date{} }, code: waypost.InvalidArgument},
		"a terminal's command": {who: func(a *gateway.Applicant) { a.Given = "A\x1b[2J" }, code: waypost.InvalidArgument},
		"a zero byte":          {who: func(a *gateway.Applicant) { a.Middle = "A\x00" }, code: waypost.InvalidArgument},
		"not UTF-8":            {who: func(a *gateway.Applicant) { a.Middle = "\xff" }, code: waypost.InvalidArgument},
		"a long card number":   {who: func(a *gateway.Applicant) { a.CardNumber = strings.Repeat("1", 41) }, code: waypost.InvalidArgument},
		"a state of no shape":  {who: func(a *gateway.Applicant) { a.CardState = "California" }, code: waypost.InvalidArgument},
		"no purpose":           {why: func(c *gateway.Counter) { c.Purpose = "" }, code: waypost.InvalidArgument},
		"a wrong purpose":      {why: func(c *gateway.Counter) { c.Purpose = waypost.MaintainPointer }, code: waypost.InvalidArgument},
		"no case":              {why: func(c *gateway.Counter) { c.Case = "" }, code: waypost.InvalidArgument},
		"no operator":          {why: func(c *gateway.Counter) { c.Operator = "" }, code: waypost.InvalidArgument},
		"no class":             {why: func(c *gateway.Counter) { c.Class = "" }, code: waypost.InvalidArgument},
		"citing a stranger":    {why: func(c *gateway.Counter) { c.Cites = waypost.TicketID{1} }, code: waypost.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			who, why := good, clerk
			if c.who != nil {
				c.who(&who)
			}
			if c.why != nil {
				c.why(&why)
			}
			before := len(journalOf(t, "AZ"))
			_, err := az.Check(t.Context(), who, why)
			if waypost.CodeOf(err) != c.code {
				t.Errorf("code %q (%v), want %q", waypost.CodeOf(err), err, c.code)
			}
			if after := len(journalOf(t, "AZ")); after != before {
				t.Errorf("a refused check left %d entries", after-before)
			}
		})
	}
	if _, err := az.Answer(t.Context(), waypost.TicketID{9}); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("the answer of a ticket that never was: %v", err)
	}
}

// TestSecondLegHasNoSSN: what names the applicant to another state.
func TestSecondLegHasNoSSN(t *testing.T) {
	p := someone()
	p.SSN5 = "48213"
	a := check(t, "AZ", p)
	leg, err := exchange.Gateway("AZ").SecondLegBytes(t.Context(), a.Ticket)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(leg, []byte(p.Family)) {
		t.Error("the leg does not name the applicant: this test shows nothing")
	}
	if bytes.Contains(leg, []byte(p.SSN5)) {
		t.Error("the leg has the SSN")
	}
}

// TestCorrection: a check made anew takes the place of the one that it cites.
func TestCorrection(t *testing.T) {
	p := someone()
	load(t, "CA", p)
	typo := p
	typo.Family, typo.Given, typo.SSN5 = someone().Family, someone().Given, ""
	first := check(t, "AZ", typo)
	expect(t, first)
	why := clerk
	why.Cites = first.Ticket
	second, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p}, why)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, second, "CA match")
	now, err := exchange.Gateway("AZ").Answer(t.Context(), first.Ticket)
	if err != nil || now.Ticket != second.Ticket {
		t.Errorf("the first ticket leads to %v (%v), want the second", now.Ticket, err)
	}
	if _, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p}, why); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("citing a check twice: %v", err)
	}
}

// TestHoldersDown: any two of five may be down. With three down the check is
// owed, in words, and made again when they are back.
func TestHoldersDown(t *testing.T) {
	p := someone()
	load(t, "CA", p)
	stop(t, "keyholder-1", "keyholder-4")
	expect(t, check(t, "AZ", p), "CA match")

	third := stop(t, "keyholder-5")
	a := check(t, "AZ", p)
	if !a.Owed || a.Complete || len(a.Coverage.Searched) != 0 {
		t.Fatalf("answer %+v, want owed", a)
	}
	if w := a.Words(); !strings.Contains(w, "OWED") || strings.Contains(w, "NO OTHER CARD") {
		t.Errorf("the clerk reads %q", w)
	}
	third()
	exchange.Clock.Advance(time.Minute)
	paid := later(t, "AZ", a.Ticket)
	expect(t, paid, "CA match")
	if paid.Ticket == a.Ticket {
		t.Error("an old ticket was used again")
	}
	if got := entries(t, "AZ", a.Ticket); strings.Join(got, " ") != "ask owed" {
		t.Errorf("Arizona's ledger says %q", got)
	}
}

// TestHubDown: the key holders have spoken, and then the hub is gone.
func TestHubDown(t *testing.T) {
	p := someone()
	load(t, "CA", p)
	start := stop(t, "hub")
	a := check(t, "AZ", p)
	if !a.Owed || a.Complete || strings.Contains(a.Words(), "NO OTHER CARD") {
		t.Fatalf("answer %+v, want owed", a)
	}
	start()
	exchange.Clock.Advance(time.Minute)
	expect(t, later(t, "AZ", a.Ticket), "CA match")
}

// TestCutOff: a gateway that dies in the middle of a check, after part one, does
// not take the first part's silence for an answer.
func TestCutOff(t *testing.T) {
	p := someone()
	load(t, "CA", p)
	changed := p
	changed.Family = someone().Family // only the SSN's part finds her
	r, err := exchange.Gateway("AZ").Begin(t.Context(), gateway.Applicant{Person: changed}, clerk)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Evaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.SearchAndAsk(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := exchange.Gateway("AZ").Answer(t.Context(), r.ID())
	if err != nil || a.Complete || !a.Owed {
		t.Errorf("answer %+v (%v), want one that is owed", a, err)
	}
	// The next process knows at once that this one is not at work on it any more.
	exchange.Clock.Advance(2 * time.Second)
	stop(t, "AZ")()
	expect(t, later(t, "AZ", r.ID()), "CA match")
	if got := entries(t, "AZ", r.ID()); strings.Join(got, " ") != "ask abandoned" {
		t.Errorf("Arizona's ledger says %q", got)
	}
}

// TestClerkGone: who hangs up is not owed anything.
func TestClerkGone(t *testing.T) {
	due := func() int {
		t.Helper()
		n, err := exchange.Gateway("AZ").Count(t.Context(), `SELECT count(*) FROM inquiry WHERE due IS NOT NULL AND state <> 1`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := due()
	if _, err := exchange.Gateway("AZ").Check(ctx, gateway.Applicant{Person: someone()}, clerk); err == nil {
		t.Error("a check without a clerk was made")
	}
	if n := due(); n > before {
		t.Errorf("%d checks are due, %d were before", n, before)
	}
}

// TestTimeOver: a check that a state never answers ends in the ledger when
// nobody can answer it any more, and says so. What comes all the same changes
// nothing there.
func TestTimeOver(t *testing.T) {
	impatient(t)
	p := someone()
	loadAll(t, "CA", []waypost.Record{record("CA", p)})
	start := stop(t, "CA")
	a, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p}, clerk)
	if err != nil || a.Complete {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := exchange.Gateway("AZ").TimeOver(t.Context(), a.Ticket); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the check ends", func() bool { return count(entries(t, "AZ", a.Ticket), "outcome") == 1 })
	start()
	eventually(t, "California answers", func() bool {
		late, err := exchange.Gateway("AZ").Answer(t.Context(), a.Ticket)
		return err == nil && late.Best() == waypost.Match
	})
	if got := entries(t, "AZ", a.Ticket); strings.Join(got, " ") != "ask outcome" {
		t.Errorf("Arizona's ledger says %q", got)
	}
}
