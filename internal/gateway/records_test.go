package gateway_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// TestIssueOnCheck: a card issued on a check is found by others at once, without a
// second evaluation, with an SSN and without.
func TestIssueOnCheck(t *testing.T) {
	for _, ssn5 := range []bool{true, false} {
		p := someone()
		if !ssn5 {
			p.SSN5 = ""
		}
		a := check(t, "AZ", p)
		file := exchange.Gateway("AZ").File()
		published, err := file.Issue(t.Context(), "clerk-7", records.Issuing{Ticket: a.Ticket, Record: record("AZ", p)})
		if err != nil || !published {
			t.Fatal(published, err)
		}
		expect(t, check(t, "CA", p), "AZ match")
		own := check(t, "AZ", p)
		if len(own.Own) != 1 || own.Own[0].Outcome != waypost.Match {
			t.Errorf("Arizona itself finds %v", own.Own)
		}
		for role, want := range map[string]string{"AZ": "ask outcome published", "hub": "search_first search_second publish"} {
			if got := entries(t, role, a.Ticket); strings.Join(got, " ") != want {
				t.Errorf("the ledger of %s says %q, want %q", role, got, want)
			}
		}
		evaluations := 0
		for _, holder := range []string{"keyholder-1", "keyholder-2", "keyholder-3", "keyholder-4", "keyholder-5"} {
			evaluations += count(entries(t, holder, a.Ticket), "evaluate")
		}
		if evaluations < 3 || evaluations > 5 {
			t.Errorf("%d evaluations", evaluations)
		}
	}
}

// TestFormerName: a record with two names is found by both, and answers one check
// once.
func TestFormerName(t *testing.T) {
	p := someone()
	r := load(t, "CA", p)
	other := someone()
	r.Family, r.Given = other.Family, other.Given
	file := exchange.Gateway("CA").File()
	if changed, err := file.Change(t.Context(), "clerk-7", r, true); err != nil || !changed.Published {
		t.Fatal(changed, err)
	}
	for _, who := range []waypost.Person{r.Person, p} {
		a := later(t, "AZ", check(t, "AZ", who).Ticket)
		expect(t, a, "CA match")
		if n := count(entries(t, "CA", a.Ticket), "disclose"); n != 1 {
			t.Errorf("one record has answered one check %d times", n)
		}
		own, err := exchange.Gateway("CA").Check(t.Context(), gateway.Applicant{Person: who}, clerk)
		if err != nil || len(own.Own) != 1 || own.Own[0] != (waypost.OwnRecord{ID: r.ID, Outcome: waypost.Match}) {
			t.Errorf("California itself finds %v, %v", own.Own, err)
		}
	}
}

// TestUnit: a question about a protected person waits, and is released or declined
// by the special unit; declined, it looks like no match.
func TestUnit(t *testing.T) {
	impatient(t)
	for _, release := range []bool{true, false} {
		p := someone()
		r := load(t, "CA", p, func(r *waypost.Record) { r.Protected = true })
		a := check(t, "AZ", p)
		if len(a.Candidates) != 1 || a.Candidates[0].Outcome != waypost.Pending {
			t.Fatalf("a protected person is answered at once: %+v", a)
		}
		file := exchange.Gateway("CA").File()
		var id string
		eventually(t, "the question waits", func() bool {
			all, err := file.Withheld(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range all {
				if w.Record == r.ID && w.Asking == "AZ" && w.Purpose == clerk.Purpose && w.Kind == waypost.KindCheck {
					id = w.ID
				}
			}
			return id != ""
		})
		if err := file.AnswerWithheld(t.Context(), id, release); err != nil {
			t.Fatal(err)
		}
		if err := file.AnswerWithheld(t.Context(), id, release); waypost.CodeOf(err) != waypost.NotFound {
			t.Errorf("answered twice: %v", err)
		}
		a = later(t, "AZ", a.Ticket)
		want, said := []string{"CA match"}, "notified continue withheld disclose"
		if !release {
			want, said = nil, "notified continue withheld decline"
		}
		expect(t, a, want...)
		if got := strings.Join(entries(t, "CA", a.Ticket), " "); got != said {
			t.Errorf("California's ledger says %q, want %q", got, said)
		}
	}
}

// TestCompared: the real hub agrees with the file after all that these tests do,
// and what it loses is published anew.
func TestCompared(t *testing.T) {
	notAtThree(t, "NV")
	p := someone()
	r := load(t, "NV", p)
	file := exchange.Gateway("NV").File()
	if c, err := file.Compare(t.Context(), "loader"); err != nil {
		t.Fatal(c, err)
	}
	handle := handleOf(t, "NV", r.ID)
	err := exchange.Role("hub").DB.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE pointer SET state = 3 WHERE owner = 'NV' AND handle = $1`, handle[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, check(t, "AZ", p))
	if c, err := file.Compare(t.Context(), "loader"); err != nil || c.Missing != 1 || c.Withdrawn != 0 {
		t.Fatal(c, err)
	}
	eventually(t, "it is published anew", func() bool {
		if err := file.Step(t.Context()); err != nil {
			t.Log(err)
		}
		now := handleOf(t, "NV", r.ID)
		return now != handle && now != waypost.Handle{}
	})
	expect(t, check(t, "AZ", p), "NV match")
	if c, err := file.Compare(t.Context(), "loader"); err != nil || c.Missing != 0 || c.Withdrawn != 0 {
		t.Error(c, err)
	}
}

// handleOf is that of the pointer of a record that is live.
func handleOf(t *testing.T, state waypost.Jurisdiction, id string) (h waypost.Handle) {
	t.Helper()
	g := exchange.Gateway(state)
	err := g.DB.Read(t.Context(), func(tx *store.Tx) error {
		all, err := g.File().Pointers(tx, id)
		for _, p := range all {
			if p.State == records.Live {
				h = p.Handle
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestWithdrawn: a record that was withdrawn is found no more, neither by others
// nor by the state itself.
func TestWithdrawn(t *testing.T) {
	p := someone()
	r := load(t, "NV", p)
	file := exchange.Gateway("NV").File()
	if _, err := file.Withdraw(t.Context(), "clerk-7", r.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is withdrawn", func() bool {
		a, err := exchange.Gateway("NV").Check(t.Context(), gateway.Applicant{Person: p}, clerk)
		return err == nil && len(a.Own) == 0
	})
	expect(t, check(t, "AZ", p))
}
