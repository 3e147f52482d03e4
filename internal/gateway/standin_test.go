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
