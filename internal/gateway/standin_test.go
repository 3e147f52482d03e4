package gateway_test

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// TestOwnDigits: after a change of name a state's check about one of its own people is
// made of what its pointer is made of, whether there is an SSN or not; and with a typing
// error, or under another surname where the card is shown, of the same SSN or of what
// stands in for it.
func TestOwnDigits(t *testing.T) {
	for _, ssn := range []string{"24681", ""} {
		p := someone()
		p.SSN5 = ssn
		r := load(t, "AZ", p)
		r.Given = someone().Given
		if changed, err := exchange.Gateway("AZ").File().Change(t.Context(), "clerk-7", r, false); err != nil || !changed.Published {
			t.Fatal(changed, err)
		}
		typo, married := r.Person, r.Person
		typo.Given += "a"
		married.Family = someone().Family
		for what, c := range map[string]struct {
			who  gateway.Applicant
			from matchkey.Kind // from which slot on all are the pointer's
			to   matchkey.Kind
		}{
			"as it is":     {gateway.Applicant{Person: r.Person}, matchkey.Fa, matchkey.E},
			"a typo":       {gateway.Applicant{Person: typo}, matchkey.A, matchkey.A},
			"card and all": {gateway.Applicant{Person: married, CardNumber: r.CardNumber, CardState: "AZ"}, matchkey.A, matchkey.A},
		} {
			answer, err := exchange.Gateway("AZ").Check(t.Context(), c.who,
				gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: waypost.Renew, Case: "renewal"})
			if err != nil {
				t.Fatal(err)
			}
			var checked, published []byte
			if err := exchange.Role("AZ").DB.Read(t.Context(), func(tx *store.Tx) error {
				if err := tx.Row(`SELECT tokens FROM check_token WHERE ticket = $1`, answer.Ticket[:]).Scan(&checked); err != nil {
					return err
				}
				return tx.Row(`SELECT tokens FROM pointer WHERE record = $1 AND state = 1`, r.ID).Scan(&published)
			}); err != nil {
				t.Fatal(err)
			}
			from, to := int(c.from)*len(waypost.Token{}), (int(c.to)+1)*len(waypost.Token{})
			if !bytes.Equal(checked[from:to], published[from:to]) {
				t.Errorf("%s, SSN %q: the check is not made of what the pointer is", what, ssn)
			}
		}
	}
}

// TestCorrectedByHand: a clerk who corrects a typing error makes a check of the same SSN,
// or of the same that stands in for one, also without citing the check before. Who is
// somebody else, or is asked about elsewhere, has other digits; and no check is replaced
// by one that does not cite it.
func TestCorrectedByHand(t *testing.T) {
	for what, c := range map[string]struct {
		second func(p *waypost.Person, why *gateway.Counter)
		same   [2]bool // slot A of both checks, with an SSN and without
	}{
		"a typing error":   {func(p *waypost.Person, _ *gateway.Counter) { p.Given += "a" }, [2]bool{true, true}},
		"for another case": {func(p *waypost.Person, why *gateway.Counter) { p.Given += "a"; why.Case += "-2" }, [2]bool{true, false}},
		"by somebody else": {func(p *waypost.Person, why *gateway.Counter) { p.Given += "a"; why.Operator = "clerk-9" }, [2]bool{true, false}},
		"another of the same case": {func(p *waypost.Person, _ *gateway.Counter) {
			born := p.Born
			*p = someone()
			p.Born, p.SSN5 = born, "13579"
		}, [2]bool{false, false}},
	} {
		for i, ssn := range []string{"24681", ""} {
			same := twiceChecked(t, what, ssn, c.second)
			if same && !c.same[i] && ssn == "" {
				// One in 100,000 has the same five digits by chance, and of those one in 100,000 twice.
				same = twiceChecked(t, what, ssn, c.second)
			}
			if same != c.same[i] {
				t.Errorf("%s, SSN %q: the same in slot A: %t", what, ssn, same)
			}
		}
	}
}

// twiceChecked checks somebody and then the second, and reports whether both checks are the
// same in slot A.
func twiceChecked(t *testing.T, what, ssn string, second func(p *waypost.Person, why *gateway.Counter)) (same bool) {
	t.Helper()
	p, why := someone(), clerk
	p.SSN5, why.Case = ssn, "CASE-"+p.Family
	secrets.add(why.Case)
	checked := func() (slot []byte, id waypost.TicketID) {
		t.Helper()
		a, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p}, why)
		if err != nil {
			t.Fatal(err)
		}
		var tokens []byte
		if err := exchange.Role("AZ").DB.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`SELECT tokens FROM check_token WHERE ticket = $1`, a.Ticket[:]).Scan(&tokens)
		}); err != nil {
			t.Fatal(err)
		}
		const size = len(waypost.Token{})
		return tokens[int(matchkey.A)*size:][:size], a.Ticket
	}
	before, id := checked()
	second(&p, &why)
	if ssn == "" {
		p.SSN5 = ""
	}
	after, _ := checked()
	var successor []byte
	if err := exchange.Role("AZ").DB.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT successor FROM inquiry WHERE ticket = $1`, id[:]).Scan(&successor)
	}); err != nil || len(successor) > 0 {
		t.Errorf("%s: the check before has a successor (%v)", what, err)
	}
	return bytes.Equal(before, after)
}
