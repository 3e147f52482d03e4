package matchkey

import (
	"fmt"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey/internal/freq"
	"github.com/waypost/waypost/matchkey/internal/phonetic"
	"github.com/waypost/waypost/matchkey/internal/slk"
)

// Population is the number of people that expectations are for.
const Population = 300_000_000

// populationSteps is log2 of Population in the steps of a freq.Share.
const populationSteps = 225

// Steps of a freq.Share for parts of a year, and for what distorts dates.
const (
	dayOfYear   freq.Share = 68 // 1/365.25
	monthOfYear freq.Share = 39 // 1/30.44: any one day of the month, in any month
	dayOrSwap   freq.Share = 8  // a date that can be read in two ways has twice as many
	// newYear: registries write 1 January where only the year is known. We take
	// it to be four times as common as another day; no public table tells.
	newYear freq.Share = 16
	oneSSN5 freq.Share = 133 // one in 100,000
)

// clue is one key with how many others are expected to have it.
type clue struct {
	kind  Kind
	key   key
	share freq.Share
	decoy bool
}

func (c clue) expected() float64 {
	if c.decoy {
		return 0
	}
	return Population * c.share.Float()
}

// date is a date of birth in the forms that keys use, and how rare they are.
type date struct {
	year      int
	full      string // 19570314
	sorted    string // day and month in order if both can be a month
	yearOnly  string
	yearDay   string
	day       freq.Share // people born on this day
	ordered   freq.Share // people whose sorted date is this one
	sameDay   freq.Share // people born in this year on this day of any month
	thisYear  freq.Share
	isDefault bool // 1 January
}

func newDate(d waypost.Date) date {
	if d.IsZero() {
		return date{thisYear: freq.Year(freq.FirstYear), day: freq.MaxShare}
	}
	low, high := d.Month, d.Day
	if d.Day <= 12 && d.Day < d.Month {
		low, high = d.Day, d.Month
	}
	f := date{
		year:      d.Year,
		full:      fmt.Sprintf("%04d%02d%02d", d.Year, d.Month, d.Day),
		sorted:    fmt.Sprintf("%04d%02d%02d", d.Year, low, high),
		yearOnly:  fmt.Sprintf("%04d", d.Year),
		yearDay:   fmt.Sprintf("%04d%02d", d.Year, d.Day),
		thisYear:  freq.Year(d.Year),
		isDefault: d.Month == 1 && d.Day == 1,
	}
	f.day = f.thisYear + dayOfYear
	f.sameDay = f.thisYear + monthOfYear
	if f.isDefault {
		f.day -= newYear
		f.sameDay -= newYear / 2
	}
	f.ordered = f.day
	if d.Day <= 12 && d.Day != d.Month {
		f.ordered -= dayOrSwap
	}
	return f
}

// common reports whether more than one other person is expected to have a key
// of this share. It decides what a key is made of, so it is whole numbers only.
func common(s freq.Share) bool { return s < populationSteps }

// reading is one way to read a person's names.
type reading struct {
	given, surname string
	// limit is the commonest that a key of a further reading may be to be worth
	// a probe. The indexed reading has none.
	limit freq.Share
}

func three(s string) string { return s[:min(3, len(s))] }

func pair(a, b string) (string, string) {
	if a > b {
		return b, a
	}
	return a, b
}

// reader makes the clues of one person for one reading after another.
type reader struct {
	n      Normal
	born   date
	secret []byte
	digits string // the last five of the SSN, or what stands in for them
}

// name makes the six clues from names and date of birth.
func (r *reader) name(read reading) [NameSlots]clue {
	if r.born.full == "" || read.given == "" && read.surname == "" {
		return r.missing()
	}
	f, s, d := read.given, read.surname, r.born
	exactly := r.given(freq.Given, f) + freq.Of(freq.Surname, s) + freq.Together(f, s) + d.day
	// A key is no rarer than the people who agree on all of it, which a pair of
	// names that belong together may make commoner than its parts.
	made := func(k Kind, share freq.Share, parts ...string) clue {
		return clue{kind: k, key: publicKey(domainKey, k.String(), parts...), share: min(share, exactly)}
	}
	exact := func(k Kind) clue {
		return clue{kind: k, key: publicKey(domainExact, k.String(), f, s, d.full), share: exactly}
	}
	out := [NameSlots]clue{exact(Fa), exact(G), exact(H), exact(I), exact(Ka), exact(Q)}
	if f == "" || s == "" {
		return out // one name only: nothing to shorten
	}
	whole, share := r.shortest(f, s)
	out[Fa] = made(Fa, share, whole, s, d.sorted)
	root := NicknameRoot(f)
	out[H] = made(H, r.given(freq.GivenRoot, root)+freq.Of(freq.Surname, s)+d.day, root, s, d.full)
	if share := r.given(freq.Given, f) + freq.Of(freq.Surname, s) + freq.Together(f, s) + d.sameDay; !common(share) {
		out[Ka] = made(Ka, share, f, s, d.yearDay)
	}
	if d.isDefault {
		return out
	}
	low, high := pair(phonetic.Soundex(f), phonetic.Soundex(s))
	out[G] = made(G, r.either(freq.GivenSound, freq.SurnameSound, phonetic.Soundex(f), phonetic.Soundex(s))+d.day,
		low, high, d.full)
	out[I] = made(I, r.given(freq.GivenThree, three(f))+freq.Of(freq.SurnameThree, three(s))+d.day,
		three(f), three(s), d.full)
	out[Q] = made(Q, r.given(freq.GivenSLK, slk.Given(f))+freq.Of(freq.SurnameSLK, slk.Surname(s))+d.day,
		slk.Surname(s), slk.Given(f), d.full)
	return out
}

// shortest returns the shortest form of a given name that at most one other
// person shares with the surname and date: the initial, three letters, or all.
// A default date leaves only all.
func (r *reader) shortest(f, s string) (string, freq.Share) {
	rest := freq.Of(freq.Surname, s) + r.born.ordered
	if !r.born.isDefault {
		if share := r.given(freq.GivenOne, f[:1]) + rest; !common(share) {
			return "1" + f[:1], share
		}
		if share := r.given(freq.GivenThree, three(f)) + rest; !common(share) {
			return "3" + three(f), share
		}
	}
	return "=" + f, r.given(freq.Given, f) + rest + freq.Together(f, s)
}

// missing makes the clues of a person without a name or without a date: keys
// of the usual shape that agree with nothing worth asking about.
func (r *reader) missing() (out [NameSlots]clue) {
	identity := r.n.identity()
	for k := range out {
		kind := Kind(k)
		out[k] = clue{kind: kind, key: publicKey(domainMissing, kind.String(), identity...), decoy: true}
	}
	return out
}

// ssn makes the clues from the SSN or what stands in for it. Without what a kind
// needs beside it, the clue is a decoy under the gateway's secret.
func (r *reader) ssn(read reading) [SSNSlots]clue {
	f, s, d, n := read.given, read.surname, r.born, r.digits
	var identity []string
	made := func(k Kind, possible bool, share freq.Share, parts ...string) clue {
		if possible {
			return clue{kind: k, key: publicKey(domainKey, k.String(), parts...), share: share + oneSSN5}
		}
		if identity == nil {
			identity = append(r.n.identity(), n)
		}
		return clue{kind: k, key: secretKey(r.secret, domainDecoy, k.String(), identity...), decoy: true}
	}
	dated, named := d.full != "", f != "" && s != ""
	mf, ms := phonetic.Metaphone(f), phonetic.Metaphone(s)
	low, high := pair(mf, ms)
	return [SSNSlots]clue{
		made(A, dated, d.ordered, n, d.sorted),
		made(B, named, r.either(freq.GivenMeta, freq.SurnameMeta, mf, ms), n, low, high),
		made(C, dated && s != "", d.thisYear+freq.Of(freq.Surname, s), n, d.yearOnly, s),
		made(E, dated && f != "", d.thisYear+r.given(freq.Given, f), n, d.yearOnly, f),
	}
}

// given returns a share in a table of given names, among those of the person's
// age.
func (r *reader) given(table, key string) freq.Share { return freq.Born(table, key, r.born.year) }

// either returns the share of people whose given name and surname have the two
// codes in either order.
func (r *reader) either(given, surname, f, s string) freq.Share {
	share := r.given(given, f) + freq.Of(surname, s)
	if f == s {
		return share
	}
	return freq.Either(share, r.given(given, s)+freq.Of(surname, f))
}
