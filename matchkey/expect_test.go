package matchkey

import (
	"math"
	"testing"

	"github.com/waypost/waypost"
)

func TestExpect(t *testing.T) {
	james := waypost.Person{Given: "James", Family: "Smith", Born: waypost.Date{Year: 1957, Month: 3, Day: 24}}
	ophelia := waypost.Person{Given: "Ophelia", Family: "Kowalczyk", Born: waypost.Date{Year: 1983, Month: 11, Day: 23}}
	withSSN := func(p waypost.Person) waypost.Person { p.SSN5 = "48213"; return p }
	j, o, js, os := Expect(james), Expect(ophelia), Expect(withSSN(james)), Expect(withSSN(ophelia))

	// Every exact namesake passes the first leg; a handful of others do.
	namesakes := Index(james, secretA)[Ka].Expected
	if j.Disclosures < namesakes || j.Disclosures > 3*namesakes {
		t.Errorf("James Smith is shown to %.2f others, of whom %.2f are namesakes born that day", j.Disclosures, namesakes)
	}
	if j.Candidates < j.Disclosures {
		t.Errorf("more disclosures (%.3f) than candidates (%.3f)", j.Disclosures, j.Candidates)
	}
	if o.Candidates > 0.01 || o.Disclosures > 0.01 {
		t.Errorf("a rare name expects %.4f candidates, %.4f disclosures", o.Candidates, o.Disclosures)
	}
	// The SSN adds those who share it and the date (A alone passes), which
	// 300 million times one in 100,000 times one day's births gives.
	day := newDate(ophelia.Born).day.Float()
	if added := os.Disclosures - o.Disclosures; math.Abs(added-Population*1e-5*day) > 0.02 {
		t.Errorf("an SSN adds %.3f disclosures, want about %.3f", added, Population*1e-5*day)
	}
	if js.Candidates <= j.Candidates {
		t.Error("an SSN adds no candidates")
	}
	if e := Expect(waypost.Person{}); e != (Expectation{}) {
		t.Errorf("nobody expects %+v", e)
	}
}
