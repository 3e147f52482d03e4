package gateway_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store"
)

// TestPassedByName: of somebody whose pointer was passed here, the hub sees the
// first part only, whether there is an SSN or not, and the clerk is told. A pointer
// that this state has published changes nothing. A record is read twice in a check: when
// it is known whose the applicant may be, and when the answer is made.
func TestPassedByName(t *testing.T) {
	for _, passed := range []bool{false, true} {
		for _, ssn := range []string{"24681", ""} {
			p := someone()
			p.SSN5 = ssn
			record := load(t, "AZ", p)
			if passed {
				err := exchange.Role("AZ").DB.Write(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Exec(`UPDATE pointer SET passed_by = 'CA', passed = 1 WHERE record = $1`, record.ID)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			before := looksAt(record.ID)
			answer, err := exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p},
				gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: waypost.Renew, Case: "renewal"})
			if err != nil {
				t.Fatal(err)
			}
			want := "search_first search_second"
			if passed {
				want = "search_first"
			}
			if got := strings.Join(entries(t, "hub", answer.Ticket), " "); got != want || answer.Coverage.NamesOnly != passed {
				t.Errorf("passed %v, SSN %q: the hub's ledger says %q, the clerk %q", passed, ssn, got, answer.Words())
			}
			if n := looksAt(record.ID) - before; n != 2 {
				t.Errorf("passed %v, SSN %q: the record is read %d times", passed, ssn, n)
			}
			if len(answer.Own) != 1 || !answer.Complete {
				t.Errorf("passed %v: %+v", passed, answer)
			}
		}
	}
}
