package drill

import (
	"crypto/sha512"
	"fmt"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// NoSSN is what today's index holds for a person without an SSN.
const NoSSN = "99999"

// Plain is the baseline that is like today's index: name, date of birth and the
// last five digits of the SSN of every card holder, in clear. Its table is what a
// copy of the database is.
type Plain struct{ Rows []PlainRow }

// PlainRow is one card holder of it.
type PlainRow struct {
	Family, Given, Born string
	SSN5                string // NoSSN where there is none
	Owner               waypost.Jurisdiction
}

// Unkeyed is the baseline that is like the nearest public system: SHA-512 of the
// same fields without a key. Who has a copy can try everybody.
type Unkeyed struct {
	Owners map[[sha512.Size]byte]waypost.Jurisdiction
}

// NewBaselines makes both of the records that the exchange holds.
func NewBaselines(records map[waypost.Jurisdiction][]waypost.Record) (*Plain, *Unkeyed) {
	p, u := &Plain{}, &Unkeyed{Owners: make(map[[sha512.Size]byte]waypost.Jurisdiction)}
	for _, state := range States {
		for _, r := range records[state] {
			row := RowOf(r.Person, state)
			p.Rows = append(p.Rows, row)
			u.Owners[row.Hash()] = state
		}
	}
	return p, u
}

// RowOf is how the plain index holds a person.
func RowOf(p waypost.Person, owner waypost.Jurisdiction) PlainRow {
	n := matchkey.Normalize(p)
	row := PlainRow{Family: strings.Join(n.Family, " "), Given: strings.Join(n.Given, " "), Born: p.Born.String(), SSN5: p.SSN5, Owner: owner}
	if row.SSN5 == "" {
		row.SSN5 = NoSSN
	}
	return row
}

// Hash is the row's entry in the unkeyed index.
func (r PlainRow) Hash() [sha512.Size]byte {
	return sha512.Sum512(fmt.Appendf(nil, "%s|%s|%s|%s", r.Family, r.Given, r.Born, r.SSN5))
}

// Find tries one guess.
func (u *Unkeyed) Find(family, given, born, ssn5 string) (waypost.Jurisdiction, bool) {
	owner, ok := u.Owners[PlainRow{Family: family, Given: given, Born: born, SSN5: ssn5}.Hash()]
	return owner, ok
}
