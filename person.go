package waypost

import (
	"fmt"
	"strings"
	"time"
)

// Jurisdiction is the two-letter postal code of a licensing agency's state,
// district or territory, for example "CA". It is upper case.
type Jurisdiction string

// ParseJurisdiction accepts a two-letter code in any case.
func ParseJurisdiction(s string) (Jurisdiction, error) {
	s = strings.TrimSpace(s)
	// Before the case is changed: outside ASCII there are letters whose upper
	// case is an A-Z.
	if j := Jurisdiction(strings.ToUpper(s)); len(s) == 2 && j.valid() {
		return j, nil
	}
	return "", Errorf(InvalidArgument, "a jurisdiction is two letters, like CA")
}

func (j Jurisdiction) valid() bool {
	return len(j) == 2 && 'A' <= j[0] && j[0] <= 'Z' && 'A' <= j[1] && j[1] <= 'Z'
}

// Date is a calendar date without a time zone. The zero Date means unknown.
type Date struct {
	Year  int
	Month int // 1 to 12
	Day   int // 1 to 31
}

// ParseDate reads YYYY-MM-DD or YYYYMMDD and checks the date against the
// calendar: 2023-02-29 is an error. The error never repeats the input.
func ParseDate(s string) (Date, error) {
	layout := time.DateOnly
	if len(s) == 8 {
		layout = "20060102"
	}
	t, err := time.Parse(layout, s)
	if err != nil {
		return Date{}, Errorf(InvalidArgument, "a date is YYYY-MM-DD and must exist in the calendar")
	}
	if t.Year() < 1850 || t.Year() > 2200 {
		return Date{}, Errorf(InvalidArgument, "the year of a date of birth must lie between 1850 and 2200")
	}
	return Date{Year: t.Year(), Month: int(t.Month()), Day: t.Day()}, nil
}

// IsZero reports whether the date is unknown.
func (d Date) IsZero() bool { return d == Date{} }

// String formats the date as YYYY-MM-DD, or "" when it is unknown.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

// Sex is the sex designation printed on a card: "M", "F", "X", or "" when it
// is not known (AAMVA DL/ID card design standard, data element DBC).
type Sex string

// ParseSex accepts M, F, X, the AAMVA digits 1, 2, 9, or nothing.
func ParseSex(s string) (Sex, error) {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "":
		return "", nil
	case "M", "1":
		return "M", nil
	case "F", "2":
		return "F", nil
	case "X", "9":
		return "X", nil
	}
	return "", Errorf(InvalidArgument, "sex is M, F, X or empty")
}

// Person is what identifies an applicant or card holder: names as written on
// the record, date of birth, sex, and the last five digits of the SSN where
// there is one. It is always personal data in clear: it must never reach a
// log, an error, a metric, the hub or a key holder.
type Person struct {
	Family string
	Given  string
	Middle string
	Suffix string
	Born   Date
	Sex    Sex
	SSN5   string // five digits, or "" where there is none
}

// Limits on one name field, in bytes of UTF-8. The AAMVA standard prints at
// most 40 characters; the rest is room for marks and other scripts.
const maxNameBytes = 200

// Validate checks the fields that a check or a record cannot do without: a
// family or given name and a date of birth, all within their size limits. A
// malformed SSN5 is an error; a placeholder such as 99999 is not, because
// matchkey treats it as absent. The error names the field, never its content.
func (p Person) Validate() error {
	for _, f := range []struct{ name, value string }{
		{"family name", p.Family}, {"given name", p.Given}, {"middle name", p.Middle}, {"suffix", p.Suffix},
	} {
		if len(f.value) > maxNameBytes {
			return Errorf(InvalidArgument, "the %s is longer than %d bytes", f.name, maxNameBytes)
		}
	}
	if strings.TrimSpace(p.Family) == "" && strings.TrimSpace(p.Given) == "" {
		return Errorf(InvalidArgument, "a family name or a given name is needed")
	}
	if p.Born.IsZero() {
		return Errorf(InvalidArgument, "a date of birth is needed")
	}
	if p.SSN5 != "" && !fiveDigits(p.SSN5) {
		return Errorf(InvalidArgument, "the last five of the SSN are five digits, or nothing")
	}
	return nil
}

func fiveDigits(s string) bool {
	if len(s) != 5 {
		return false
	}
	for i := range 5 {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
