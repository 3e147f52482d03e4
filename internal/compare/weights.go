package compare

import (
	"math"

	"github.com/waypost/waypost"
)

// The probabilities m are those of moderately careless clerks: they give the
// agreement rates of the simulated pairs of package population, and err where
// they matter toward a person having to look.

// population is the number of people among whom the applicant is sought.
const population = 300e6

// haveCard is the probability that an applicant has the card that is looked
// for. Half is generous to the applicant's honesty and to the record alike.
const haveCard = 0.5

// priorBits is the logarithm of the odds, before anything is compared, that
// the person of a record drawn from the population is the applicant.
var priorBits = math.Log2(haveCard / population)

const (
	// A birth date is shared with one in 26,500 (11,310 of 300 million). Names
	// go with ages, so that among bearers of one name it is about twice as many.
	dateShare     = 1.0 / 26_500
	datesByName   = 2.0
	newYearFactor = 5.0 // 1 January is written where the day is not known

	dateSame     = 0.97
	daySwapped   = 0.005
	dateNear     = 0.0004 // one particular date a slip away
	dateDiffers  = 0.004
	givenSame    = 0.90
	familySame   = 0.90
	givenDiffers = 0.01
	// Women change their surname when they marry and divorce.
	familyDiffersF = 0.06
	familyDiffersM = 0.015

	// Probability of one particular other way to write a name.
	oneNickname   = 0.02
	oneTypo       = 0.0015
	familyPart    = 0.3 // one of two surnames left out
	familyOverlap = 0.02
	middleAsFirst = 0.01
	maidenMiddle  = 0.02 // the former surname kept as a middle name
	swappedBits   = -2.0 // given and family name in each other's place

	middleSame     = 0.7
	middleShare    = 3.0 // middle names are fewer than first names
	initialBits    = 3.0 // initials agree by chance in one pair of thirteen, and m is below 1
	middleNearBits = 2.0
	middleDiffers  = 0.03
	middleChance   = 0.93 // of two people's middle names to differ

	suffixSameBits    = 3.0
	suffixDiffersBits = -4.5
	sexDiffersBits    = -3.0

	// An SSN's last five agree by chance in one pair of 100,000.
	ssnBits = 16.0
	// A card number is copied from the card in hand, and belongs to one person.
	cardBits = 20.0

	// Limits, in bits, on what one field can say. No table knows how first and
	// family names go together in small communities, where independence calls
	// rare what is not: no two names are taken to be rarer together than one in
	// four million, some 70 people. It makes the very rarest name and a birth
	// date just enough for a match, but not with a birthday on 1 January.
	givenLimit  = 13.0
	familyLimit = 17.0
	pairLimit   = 22.0
	middleLimit = 8.0
	dateLimit   = 20.0
)

// Levels that more than one field has.
const (
	same    = "same"
	differs = "differs"
	near    = "one slip apart"
)

// compareDates weighs two dates of birth. Unknown dates say nothing.
func compareDates(a, b waypost.Date) Evidence {
	ev := Evidence{Field: "date of birth"}
	share := dateShare * datesByName
	newYear := func(d waypost.Date) bool { return d.Month == 1 && d.Day == 1 }
	switch {
	case a.IsZero() || b.IsZero():
	case a == b:
		if newYear(a) {
			share *= newYearFactor
		}
		ev.Level, ev.Bits = same, bits(dateSame, share, dateLimit)
	case a.Year == b.Year && a.Month == b.Day && a.Day == b.Month:
		ev.Level, ev.Bits = "day and month exchanged", bits(daySwapped, share, dateLimit)
	case a.Year == b.Year && (newYear(a) || newYear(b)), oneSlip(a, b):
		ev.Level, ev.Bits = near, bits(dateNear, share, dateLimit)
	default:
		ev.Level, ev.Bits = differs, bits(dateDiffers, 1, dateLimit)
	}
	return ev
}

// oneSlip reports whether two dates differ in one of day, month and year, and
// there as one slip of the hand does: in one digit, or by one, or, in the
// year, in two digits exchanged.
func oneSlip(a, b waypost.Date) bool {
	slip := func(x, y int) bool {
		if x == y+1 || y == x+1 {
			return true
		}
		s, t := digits(x), digits(y)
		wrong := 0
		for i := range s {
			if s[i] != t[i] {
				wrong++
			}
		}
		exchanged := s[2] == t[3] && s[3] == t[2] && s[0] == t[0] && s[1] == t[1]
		return wrong == 1 || exchanged
	}
	switch {
	case a.Month == b.Month && a.Day == b.Day:
		return slip(a.Year, b.Year)
	case a.Year == b.Year && a.Day == b.Day:
		return slip(a.Month, b.Month)
	case a.Year == b.Year && a.Month == b.Month:
		return slip(a.Day, b.Day)
	}
	return false
}

func digits(n int) [4]int { return [4]int{n / 1000 % 10, n / 100 % 10, n / 10 % 10, n % 10} }

// compareSuffix weighs generational suffixes: JR against SR is a father and a
// son. A suffix on one side only is often just left out.
func compareSuffix(a, b reading) Evidence {
	ev := Evidence{Field: "suffix"}
	switch {
	case a.suffix == "" || b.suffix == "":
	case a.suffix == b.suffix:
		ev.Level, ev.Bits = same, suffixSameBits
	default:
		ev.Level, ev.Bits = differs, suffixDiffersBits
	}
	return ev
}

// compareSex weighs the sex designation. That it agrees is no evidence beyond
// the given name; X and unknown say nothing.
func compareSex(a, b reading) Evidence {
	if a.sex == "M" && b.sex == "F" || a.sex == "F" && b.sex == "M" {
		return Evidence{"sex", differs, sexDiffersBits}
	}
	return Evidence{Field: "sex"}
}
