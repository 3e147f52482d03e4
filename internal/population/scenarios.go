package population

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/waypost/waypost"
)

// Scenario is one named person at a counter, with the truth about them. It is
// there for any seed, and nobody in the crowd shares their day of birth or SSN.
type Scenario struct {
	Name      string // short and stable, for example "surname_changed"
	Story     string // one sentence for a clerk
	Ask       waypost.Jurisdiction
	Applicant waypost.Person // has no record in the asking state
	Holder    waypost.Jurisdiction
	RecordID  string          // the candidate that a check must find, or "" for none
	Same      bool            // the candidate is the applicant
	Expect    waypost.Outcome // of that candidate, or NoMatch where there is none
	Down      bool            // meant to be played while Holder cannot be reached
}

// script is a scenario before the states are cast. Ask and hold are the states
// it is told about, if they are configured.
type script struct {
	name, story string
	ask, hold   waypost.Jurisdiction // hold is "" where there is no record
	applicant   waypost.Person
	record      func(waypost.Person) waypost.Person // the record, from the applicant
	same        bool
	expect      waypost.Outcome
	down        bool
}

func unchanged(p waypost.Person) waypost.Person { return p }

var scripts = []script{
	{
		name: "no_card", story: "A newcomer who never held a card in any state.",
		ask: "AZ", expect: waypost.NoMatch,
		applicant: waypost.Person{Family: "ABERNATHY-KOWALCZYK", Given: "ROSALIND", Middle: "JUNE", Sex: "F",
			Born: waypost.Date{Year: 2001, Month: 5, Day: 23}, SSN5: "40718"},
	},
	{
		name: "one_card", story: "A driver who moved and still holds the old state's licence.",
		ask: "AZ", hold: "CA", same: true, expect: waypost.Match,
		applicant: waypost.Person{Family: "ACHTERBERG", Given: "DESMOND", Middle: "LOUIS", Sex: "M",
			Born: waypost.Date{Year: 1984, Month: 3, Day: 17}, SSN5: "52096"},
		record: unchanged,
	},
	{
		name: "surname_changed", story: "A driver who moved and changed her surname when she married.",
		ask: "CA", hold: "NY", same: true, expect: waypost.Match,
		applicant: waypost.Person{Family: "NAKAMURA", Given: "PRISCILLA", Middle: "ANNE", Sex: "F",
			Born: waypost.Date{Year: 1990, Month: 10, Day: 14}, SSN5: "63185"},
		record: func(p waypost.Person) waypost.Person { p.Family = "VANDERHOOF"; return p },
	},
	{
		name: "namesakes", story: "Two men called James Smith, born on one day, who are not one man.",
		ask: "AZ", hold: "NY", expect: waypost.Possible,
		applicant: waypost.Person{Family: "SMITH", Given: "JAMES", Sex: "M",
			Born: waypost.Date{Year: 1957, Month: 8, Day: 19}, SSN5: "70264"},
		record: func(p waypost.Person) waypost.Person { p.SSN5 = "18530"; return p },
	},
	{
		name: "namesakes_middle", story: "Two women called Maria Garcia, born on one day, told apart by their middle names.",
		ask: "NY", hold: "CA", expect: waypost.NoMatch,
		applicant: waypost.Person{Family: "GARCIA", Given: "MARIA", Middle: "ELENA", Sex: "F",
			Born: waypost.Date{Year: 1979, Month: 2, Day: 26}, SSN5: "81357"},
		record: func(p waypost.Person) waypost.Person { p.Middle, p.SSN5 = "TERESA", "29641"; return p },
	},
	{
		name: "no_ssn", story: "A driver without a Social Security number in either state.",
		ask: "AZ", hold: "CA", same: true, expect: waypost.Match,
		applicant: waypost.Person{Family: "BALDERRAMA", Given: "IGNACIO", Middle: "RUBEN", Sex: "M",
			Born: waypost.Date{Year: 1972, Month: 7, Day: 31}},
		record: unchanged,
	},
	{
		name: "state_down", story: "A driver whose old state cannot be reached today; its late answer completes the check.",
		ask: "CA", hold: "NV", same: true, expect: waypost.Match, down: true,
		applicant: waypost.Person{Family: "LINDQVIST", Given: "THEODORA", Middle: "MAE", Sex: "F",
			Born: waypost.Date{Year: 1966, Month: 12, Day: 21}, SSN5: "94023"},
		record: unchanged,
	},
}

// Scenarios returns the named people of the demonstration, with the states of
// this population in their parts.
func (p *Population) Scenarios() []Scenario { return slices.Clone(p.scenarios) }

// stage casts the states, gives the scenarios' people their records, and
// reserves their birthdays and SSNs.
func (p *Population) stage() {
	p.fixed = map[waypost.Jurisdiction][]waypost.Record{}
	p.reserved, p.reservedSSN = map[waypost.Date]bool{}, map[string]bool{}
	for _, s := range scripts {
		p.reserved[s.applicant.Born] = true
		p.reservedSSN[s.applicant.SSN5] = true
		cast := Scenario{Name: s.name, Story: s.story, Ask: p.cast(s.ask, ""), Applicant: s.applicant,
			Same: s.same, Expect: s.expect, Down: s.down}
		if s.hold != "" {
			cast.Holder = p.cast(s.hold, cast.Ask)
			rec := p.fix(cast.Holder, s.record(s.applicant))
			p.reservedSSN[rec.SSN5] = true
			cast.RecordID = rec.ID
		}
		p.scenarios = append(p.scenarios, cast)
	}
}

// cast returns the wanted state if it is configured and not taken, or else the
// first configured state that is not taken.
func (p *Population) cast(want, taken waypost.Jurisdiction) waypost.Jurisdiction {
	if want != taken && slices.Contains(p.config.States, want) {
		return want
	}
	i := slices.IndexFunc(p.config.States, func(s waypost.Jurisdiction) bool { return s != taken })
	return p.config.States[i]
}

// fix adds a valid REAL ID licence for the person to the state's first records.
func (p *Population) fix(state waypost.Jurisdiction, person waypost.Person) waypost.Record {
	number := len(p.fixed[state]) + 1
	rec := waypost.Record{ID: recordID(state, number), Person: person, Kind: waypost.Licence, Status: waypost.Valid, RealID: true}
	rec.CardNumber = cardNumber(p.random("fixed "+string(state), number), rec.ID)
	p.fixed[state] = append(p.fixed[state], rec)
	return rec
}

// cardNumber makes a card number that nobody can mistake for a real one. It is
// unique, because the ID is in it, and cannot be told from the ID alone,
// because four random digits are in it too.
func cardNumber(r *rand.Rand, id string) string {
	state, number, _ := strings.Cut(id, "-")
	return fmt.Sprintf("SYN%s%s%04d", state, number, r.IntN(10000))
}
