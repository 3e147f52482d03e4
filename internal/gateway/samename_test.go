package gateway_test

import (
	"fmt"
	"testing"

	"github.com/waypost/waypost"
)

// TestStoodInIsNoEvidence: an applicant who is possibly the person of one of the state's
// own records, by the name alone, is no more than that whatever stands in for an SSN:
// the digits may have been taken from that very record. Only two SSNs that are the same
// say more.
func TestStoodInIsNoEvidence(t *testing.T) {
	for i, c := range []struct {
		of   string
		ssns [2]string // of the record and of the applicant
		want waypost.Outcome
	}{
		{"neither has one", [2]string{"", ""}, waypost.Possible},
		{"the record has one", [2]string{"24681", ""}, waypost.Possible},
		{"the applicant has one", [2]string{"", "24681"}, waypost.Possible},
		{"a placeholder on either side", [2]string{"99999", "99999"}, waypost.Possible},
		{"two others", [2]string{"24681", "13579"}, waypost.Possible},
		{"the same", [2]string{"24681", "24681"}, waypost.Match},
	} {
		for _, name := range []struct{ card, counter, family, otherFamily string }{
			{"Robert", "Bob", "Johnson", "Johnson"},
			{"Ana", "Ana", "Garcia Lopez", "Garcia Perez"},
		} {
			p := waypost.Person{Given: name.card, Family: name.family, Sex: "M", SSN5: c.ssns[0], Born: waypost.Date{Year: 1941 + 7*i, Month: 2 + 2*(i%5), Day: 13 + 3*i}}
			r := load(t, "AZ", p)
			p.Given, p.Family, p.SSN5 = name.counter, name.otherFamily, c.ssns[1]
			a := check(t, "AZ", p)
			if got, want := fmt.Sprint(a.Own), fmt.Sprint([]waypost.OwnRecord{{ID: r.ID, Outcome: c.want}}); got != want {
				t.Errorf("%s, %s: %s, want %s", c.of, name.counter, got, want)
			}
		}
	}
}
