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
	// The digits, an SSN's or those that stand in, bring those who share them and the
	// date (A alone passes), which 300 million times one in 100,000 times one day's
	// births gives. A rare name brings nobody.
	day := newDate(ophelia.Born).day.Float()
	if math.Abs(o.Disclosures-Population*1e-5*day) > 0.02 || o.Candidates > o.Disclosures+0.01 {
		t.Errorf("a rare name expects %.4f candidates, %.4f disclosures", o.Candidates, o.Disclosures)
	}
	// Nobody meets more or fewer strangers for having an SSN.
	for _, pair := range [][2]Expectation{{j, js}, {o, os}} {
		if math.Abs(pair[0].Candidates-pair[1].Candidates) > 1e-9 || math.Abs(pair[0].Disclosures-pair[1].Disclosures) > 1e-9 {
			t.Errorf("without an SSN %+v, with one %+v", pair[0], pair[1])
		}
	}
	if e := Expect(waypost.Person{}); e != (Expectation{}) {
		t.Errorf("nobody expects %+v", e)
	}
}
