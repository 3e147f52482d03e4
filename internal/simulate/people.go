package simulate

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// person is somebody of the simulation, and what cards they hold in truth.
type person struct {
	waypost.Person
	protected bool
	records   map[waypost.Jurisdiction]string // ids of their records that can be found, by state
}

// like reports whether two may be taken for each other: the same names and date.
func (p *person) like(q *person) bool {
	return p.Family == q.Family && p.Given == q.Given && p.Born == q.Born
}

// folk are the people that every world begins with: with and without an SSN, with
// no card, one or two, namesakes, and one who is protected.
var folk = []struct {
	family, given, born, ssn string
	cards                    []waypost.Jurisdiction
	protected                bool
}{
	{"ABERNATHY", "RUTH", "1961-04-12", "12345", []waypost.Jurisdiction{"CA"}, false},
	{"BORGSTROM", "LARS", "1974-09-30", "", []waypost.Jurisdiction{"CA"}, false},
	{"CASTELLANOS", "INES", "1988-01-21", "23456", []waypost.Jurisdiction{"AZ"}, false},
	{"DIALLO", "MAMADOU", "1990-11-05", "", []waypost.Jurisdiction{"NV"}, false},
	{"EISENHAUER", "GRETCHEN", "1955-06-18", "34567", []waypost.Jurisdiction{"CA", "NV"}, false},
	{"SMITH", "JAMES", "1980-03-14", "45678", []waypost.Jurisdiction{"CA"}, false},
	{"SMITH", "JAMES", "1980-03-14", "56789", []waypost.Jurisdiction{"AZ"}, false},
	{"GUNNARSDOTTIR", "HEKLA", "1999-12-01", "67890", []waypost.Jurisdiction{"NV"}, true},
	{"HOLLOWAY", "TERRENCE", "1967-08-08", "78901", nil, false},
	{"IKEDA", "MIYOKO", "1983-02-26", "", nil, false},
}

// newPeople makes them, and their cards as each state has them on file.
func newPeople() (all []*person, files map[waypost.Jurisdiction][]waypost.Record) {
	files = make(map[waypost.Jurisdiction][]waypost.Record)
	for i, f := range folk {
		born, err := waypost.ParseDate(f.born)
		if err != nil {
			panic(err)
		}
		p := &person{Person: waypost.Person{Family: f.family, Given: f.given, Born: born, Sex: "F", SSN5: f.ssn},
			protected: f.protected, records: make(map[waypost.Jurisdiction]string)}
		for _, s := range f.cards {
			r := p.card(s, i)
			r.Protected = f.protected
			files[s] = append(files[s], r)
		}
		all = append(all, p)
	}
	return all, files
}

// withheld reports whether the applicant is somebody about whom that state answers
// through its special unit only.
func (w *world) withheld(state string, applicant []byte) bool {
	var asked waypostv1.CheckRequest
	if proto.Unmarshal(applicant, &asked) != nil {
		return false
	}
	for _, p := range w.people {
		if p.protected && p.records[waypost.Jurisdiction(state)] != "" && p.Family == asked.Applicant.GetFamily() {
			return true
		}
	}
	return false
}

// card makes a record of the person.
func (p *person) card(s waypost.Jurisdiction, n int) waypost.Record {
	id := fmt.Sprintf("%s-%03d", s, n)
	p.records[s] = id
	return waypost.Record{ID: id, Person: p.Person, CardNumber: fmt.Sprintf("%s%06d", s, n), Kind: waypost.Licence, Status: waypost.Valid}
}
