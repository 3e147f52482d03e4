package statefile

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// fieldNames are what a file can say about a person and the card.
var fieldNames = []string{"id", "family", "given", "middle", "suffix", "dob", "sex", "ssn5",
	"card_number", "card_kind", "status", "status_since", "real_id", "protected"}

// Limits of the gateway; waypost.Person limits the names.
const (
	maxIDBytes         = 64
	maxCardNumberBytes = 40
)

// field is one field of a record: where it stands and how it is written.
type field struct {
	name   string
	column string            // in CSV: the name of the column, or its number
	from   int               // in a fixed-width file: the first and the last
	to     int               // character, from 1
	last   int               // of an SSN: keep so many digits from the end; 0 keeps all
	date   string            // a layout of package time; "" reads YYYY-MM-DD and YYYYMMDD
	values map[string]string // what a value as written stands for
	label  string            // what a reason calls the field; "" is its name
}

// lacking says which field a file cannot be without, or nothing.
func lacking(fields []field) string {
	for _, needed := range [][]string{{"dob"}, {"family", "given"}, {"id", "card_number"}} {
		if !slices.ContainsFunc(fields, func(f field) bool { return slices.Contains(needed, f.name) }) {
			return strings.Join(needed, " or ")
		}
	}
	return ""
}

// record makes a record of the values of the fields, and returns the SSN as it
// is written beside it.
func record(fields []field, values []string) (rec waypost.Record, ssn5 string, err error) {
	rec = waypost.Record{Kind: waypost.Licence, Status: waypost.Valid}
	for i, f := range fields {
		value, err := f.clean(values[i])
		if err == nil && value != "" {
			err = f.set(&rec, value)
		}
		if err != nil {
			return rec, "", unusable("%s: %v", f.called(), err)
		}
	}
	if ssn5 = rec.SSN5; ssn5 != "" && matchkey.SSN5(ssn5) == "" {
		rec.SSN5 = ""
	}
	if rec.ID == "" {
		rec.ID = rec.CardNumber
	}
	if rec.ID == "" {
		return rec, "", unusable("id and card_number are both empty")
	}
	return rec, ssn5, rec.Validate()
}

func (f field) called() string {
	if f.label != "" {
		return f.label
	}
	return f.name
}

// clean trims a value, takes every kind of space for one, and refuses what
// cannot be printed. It returns what the value stands for.
func (f field) clean(value string) (string, error) {
	value = strings.TrimSpace(value)
	for _, r := range value {
		switch {
		case unicode.IsControl(r):
			return "", unusable("there is a control character in it")
		case unicode.Is(unicode.Zs, r) && r != ' ':
			value = strings.ReplaceAll(value, string(r), " ")
		case !unicode.IsPrint(r):
			return "", unusable("there is a character in it that cannot be printed")
		}
	}
	if meant, ok := f.values[value]; ok {
		return meant, nil
	}
	return value, nil
}

// firstSince is the first year in which a status can have begun.
const firstSince = 1900

var (
	cardKinds = []waypost.CardKind{waypost.Licence, waypost.Permit, waypost.IDCard, waypost.Commercial, waypost.Unlicensed}
	statuses  = []waypost.Status{waypost.Valid, waypost.ExpiredCard, waypost.Surrendered, waypost.Suspended,
		waypost.Revoked, waypost.Disqualified, waypost.Closed}
)

// set puts a value, which is not empty, into the record.
func (f field) set(rec *waypost.Record, value string) (err error) {
	switch f.name {
	case "id":
		rec.ID, err = short(value, maxIDBytes)
	case "family":
		rec.Family = value
	case "given":
		rec.Given = value
	case "middle":
		rec.Middle = value
	case "suffix":
		rec.Suffix = value
	case "dob":
		rec.Born, err = f.day(value)
	case "sex":
		rec.Sex, err = waypost.ParseSex(value)
	case "ssn5":
		rec.SSN5, err = f.ssn5(value)
	case "card_number":
		rec.CardNumber, err = short(value, maxCardNumberBytes)
	case "card_kind":
		rec.Kind, err = oneOf(cardKinds, value)
	case "status":
		rec.Status, err = oneOf(statuses, value)
	case "status_since":
		rec.Since, err = f.since(value)
	case "real_id":
		rec.RealID, err = yesNo(value)
	case "protected":
		rec.Protected, err = yesNo(value)
	}
	return err
}

// day reads a date. One of nothing but zeros is what a system writes where it has
// none.
func (f field) day(value string) (waypost.Date, error) {
	if strings.Trim(value, "0-/. ") == "" {
		return waypost.Date{}, nil
	}
	if f.date == "" {
		return waypost.ParseDate(value)
	}
	t, err := time.Parse(f.date, value)
	if err != nil {
		return waypost.Date{}, unusable("must be a date that exists in the calendar, written as the layout says")
	}
	return waypost.ParseDate(t.Format(time.DateOnly))
}

func (f field) since(value string) (time.Time, error) {
	d, err := f.day(value)
	if err != nil || d.IsZero() {
		return time.Time{}, err
	}
	if d.Year < firstSince {
		return time.Time{}, unusable("must be a date from %d on", firstSince)
	}
	return time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC), nil
}

// ssn5 reads the last five digits of an SSN. A text without digits (NONE, N/A)
// and one digit over and over (999999999) are how systems write that there is
// none: such a row is no worse than one with nothing in it, and a list of
// rejected rows must not be a list of those who have none.
func (f field) ssn5(value string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, value)
	plain := len(value) == 5 && len(digits) == 5
	switch {
	case plain:
	case strings.Trim(digits, digits[:min(1, len(digits))]) == "":
		return "", nil
	case f.last > 0 && len(digits) == 9 && strings.Trim(value, "0123456789- ") == "":
		return digits[len(digits)-f.last:], nil
	default:
		return "", unusable("the last five of the SSN are five digits, or nothing")
	}
	return digits, nil
}

func short(value string, limit int) (string, error) {
	if len(value) > limit {
		return "", unusable("longer than %d bytes", limit)
	}
	return value, nil
}

func oneOf[T ~string](list []T, value string) (T, error) {
	if v := T(strings.ToLower(value)); slices.Contains(list, v) {
		return v, nil
	}
	return "", unusable("must be one of %v", list)
}

func yesNo(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "yes", "y", "1":
		return true, nil
	case "false", "no", "n", "0":
		return false, nil
	}
	return false, unusable("must be true or false")
}
