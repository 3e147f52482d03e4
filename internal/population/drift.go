package population

import (
	"math/rand/v2"
	"strings"

	"github.com/waypost/waypost"
)

// How often the second record of a person differs from the first: moderate
// errors, under which about nine pairs in ten agree exactly on first name,
// surname and date of birth. Rates are shares of all pairs, unless said.
const (
	surnameChangedF = 0.030 // of women, mostly by marriage
	surnameChangedM = 0.002
	doubleDropped   = 0.15 // of people with two surnames
	nicknameUsed    = 0.04 // of people whose name has one
	middleAsFirst   = 0.005
	namesSwapped    = 0.002
	nameTypo        = 0.03
	dateError       = 0.015
	middleAbridged  = 0.25 // initial only, or left out; no error, so truth does not name it
	ssnTypo         = 0.01 // of people with an SSN
	ssnMissing      = 0.02 // of people with an SSN
)

// drift returns the same person as another clerk recorded them later, and what
// happened in between, joined by "+", or "same".
func (p *Population) drift(first waypost.Person, r *rand.Rand) (second waypost.Person, why string) {
	second = first
	var causes []string
	happens := func(rate float64, cause string) bool {
		if r.Float64() >= rate {
			return false
		}
		causes = append(causes, cause)
		return true
	}

	changed := surnameChangedM
	if first.Sex == "F" {
		changed = surnameChangedF
	}
	parts := strings.FieldsFunc(first.Family, func(c rune) bool { return c == ' ' || c == '-' })
	switch {
	case happens(changed, "surname_changed"):
		for second.Family == first.Family {
			second.Family = tables().family.name(r)
		}
	case len(parts) == 2 && happens(doubleDropped, "surname_part_dropped"):
		second.Family = parts[r.IntN(2)]
	}
	nicks := nicknames[first.Given]
	switch {
	case len(nicks) > 0 && happens(nicknameUsed, "nickname"):
		second.Given = nicks[r.IntN(len(nicks))]
	case len(first.Middle) > 1 && first.Middle != first.Given && happens(middleAsFirst, "middle_as_first"):
		second.Given, second.Middle = first.Middle, ""
	case happens(namesSwapped, "names_swapped"):
		second.Given, second.Family = second.Family, second.Given
	}
	if happens(nameTypo, "typo") {
		if r.Float64() < 0.6 {
			second.Family = typo(second.Family, r)
		} else {
			second.Given = typo(second.Given, r)
		}
	}
	if r.Float64() < middleAbridged && second.Middle != "" {
		second.Middle = second.Middle[:r.IntN(2)]
	}
	if r.Float64() < dateError {
		if d := misdated(first.Born, r); d != first.Born && !p.reservedDate(d) {
			second.Born = d
			causes = append(causes, "date_error")
		}
	}
	causes = append(causes, p.driftSSN(&second, r)...)
	if len(causes) == 0 {
		return second, "same"
	}
	return second, strings.Join(causes, "+")
}

func (p *Population) driftSSN(second *waypost.Person, r *rand.Rand) []string {
	switch x := r.Float64(); {
	case second.SSN5 == "":
		return []string{"no_ssn"}
	case x < ssnMissing:
		second.SSN5 = ""
		return []string{"ssn_missing"}
	case x < ssnMissing+ssnTypo:
		digits := []byte(second.SSN5)
		i := r.IntN(5)
		digits[i] = '0' + (digits[i]-'0'+1+byte(r.IntN(9)))%10
		if !p.freeSSN(string(digits)) {
			return nil
		}
		second.SSN5 = string(digits)
		return []string{"ssn_typo"}
	}
	return nil
}

// typo makes one slip of the keyboard in a name of capitals: a letter doubled
// or dropped, replaced, or two neighbours exchanged. The result differs.
func typo(name string, r *rand.Rand) string {
	b := []byte(name)
	for {
		i := r.IntN(len(b))
		c := append([]byte(nil), b...)
		switch r.IntN(4) {
		case 0:
			c = append(c[:i+1], c[i:]...)
		case 1:
			if len(c) > 2 {
				c = append(c[:i], c[i+1:]...)
			}
		case 2:
			c[i] = 'A' + byte(r.IntN(26))
		default:
			j := max(i, 1)
			c[j-1], c[j] = c[j], c[j-1]
		}
		if s := strings.TrimSpace(string(c)); s != name && s != "" {
			return s
		}
	}
}

// misdated returns the date as it is miswritten: day and month exchanged, or
// day, month or year off by one or by ten. It returns the date itself where the
// slip makes no date.
func misdated(d waypost.Date, r *rand.Rand) waypost.Date {
	e := d
	switch r.IntN(5) {
	case 0:
		e = swapped(d)
	case 1:
		e.Day += 1 - 2*r.IntN(2)
	case 2:
		e.Day += 10 - 20*r.IntN(2)
	case 3:
		e.Month += 1 - 2*r.IntN(2)
	default:
		e.Year += 1 - 2*r.IntN(2)
	}
	if _, err := waypost.ParseDate(e.String()); err != nil {
		return d
	}
	return e
}
