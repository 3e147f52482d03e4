package compare

import (
	"math"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// Candidate is one side of a comparison: an applicant with the card they
// showed, if any, or a record with its own card. Person.SSN5 is ignored.
type Candidate struct {
	waypost.Person
	CardNumber string               // "" if none was shown
	CardState  waypost.Jurisdiction // the state that issued the card; "" if not known
}

// Bounds of the classes, in bits: 64 to 1 either way.
const (
	matchFrom   = 6.0
	noMatchFrom = -6.0
)

// Compare returns NoMatch, Possible or Match for the applicant and the record.
// agreed lists the kinds of the record's own keys that the first leg's tags
// showed to agree. The order of the two persons does not
// matter.
func Compare(applicant, record Candidate, agreed []matchkey.Kind) waypost.Outcome {
	return Explain(applicant, record, agreed).Outcome
}

// Evidence is what one field says.
type Evidence struct {
	Field string  // name, given name, family name, date of birth, middle name, suffix, sex, card number, SSN
	Level string  // how it agrees, for example "same", "nickname", "day and month exchanged"
	Bits  float64 // above 0 speaks for one person
}

// Explanation says why a comparison came out as it did. It holds no value of
// any field, but what it says is about one person's record: it stays with the
// clerks of the state of record.
type Explanation struct {
	Outcome           waypost.Outcome
	Bits              float64 // logarithm to base 2 of the odds that the two are one person
	NamesAndDateAgree bool    // so that the SSN keys are not counted
	Evidence          []Evidence
}

// Explain compares like Compare and returns the reasons.
func Explain(applicant, record Candidate, agreed []matchkey.Kind) Explanation {
	a, b := read(applicant), read(record)
	names := compareNames(a, b)
	date := compareDates(a.born, b.born)
	e := Explanation{
		NamesAndDateAgree: names.agree && date.Level == same,
		Evidence:          append(names.evidence, date),
	}
	if !names.middleUsed {
		e.Evidence = append(e.Evidence, compareMiddle(a, b))
	}
	e.Evidence = append(e.Evidence, compareSuffix(a, b), compareSex(a, b), compareCards(a, b))
	if !e.NamesAndDateAgree && slices.ContainsFunc(agreed, fromSSN) {
		e.Evidence = append(e.Evidence, Evidence{"SSN", "a key agrees", ssnBits})
	}
	e.Evidence = slices.DeleteFunc(e.Evidence, func(ev Evidence) bool { return ev.Bits == 0 })
	e.Bits = priorBits
	for _, ev := range e.Evidence {
		e.Bits += ev.Bits
	}
	e.Outcome = class(e.Bits)
	return e
}

func class(bits float64) waypost.Outcome {
	switch {
	case bits >= matchFrom:
		return waypost.Match
	case bits < noMatchFrom:
		return waypost.NoMatch
	}
	return waypost.Possible
}

// fromSSN reports whether a key of the kind can agree only if the SSNs do.
func fromSSN(k matchkey.Kind) bool {
	return k == matchkey.A || k == matchkey.B || k == matchkey.C || k == matchkey.E
}

// reading is a candidate in the form that is compared.
type reading struct {
	given  string   // first token
	givens string   // all tokens joined, for ANN MARIE and ANNMARIE
	middle []string // further tokens of the given name, then the middle name
	family []string // parts
	joined string   // all parts joined
	suffix string
	born   waypost.Date
	sex    waypost.Sex
	card   string
	issuer waypost.Jurisdiction
}

func read(c Candidate) reading {
	n := matchkey.Normalize(c.Person)
	r := reading{
		givens: strings.Join(n.Given, ""),
		middle: n.Middle,
		family: n.Family,
		joined: strings.Join(n.Family, ""),
		suffix: n.Suffix,
		born:   n.Born,
		sex:    c.Sex,
		card:   normalCard(c.CardNumber),
		issuer: c.CardState,
	}
	if len(n.Given) > 0 {
		r.given = n.Given[0]
		r.middle = append(slices.Clone(n.Given[1:]), n.Middle...)
	}
	return r
}

// normalCard keeps the letters and digits of a card number, in upper case.
// Fewer than four are no number that could tell anybody apart.
func normalCard(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z':
			return c
		case 'a' <= c && c <= 'z':
			return c - 'a' + 'A'
		}
		return -1
	}, s)
	if len(s) < 4 {
		return ""
	}
	return s
}

func compareCards(a, b reading) Evidence {
	ev := Evidence{Field: "card number"}
	elsewhere := a.issuer != "" && b.issuer != "" && a.issuer != b.issuer
	if a.card != "" && a.card == b.card && !elsewhere {
		ev.Level, ev.Bits = same, cardBits
	}
	return ev
}

// bits is the weight of what has probability m if the two are one person and u
// if they are not, within limits: no single field decides.
func bits(m, u, limit float64) float64 {
	return max(-limit, min(limit, math.Log2(m/u)))
}
