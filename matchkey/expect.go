package matchkey

import (
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey/internal/freq"
	"github.com/waypost/waypost/matchkey/internal/phonetic"
	"github.com/waypost/waypost/matchkey/internal/slk"
)

// Expectation says how many of 300 million other people one query is expected
// to meet by chance.
type Expectation struct {
	// Candidates is the sum of what each distinct probe is expected to find: an
	// upper bound, because one person may be found by several.
	Candidates float64
	// Disclosures is how many of them pass Continue, so that the applicant is
	// shown in clear to a state that may have no record of them. Each person
	// counts once for each reading of the names.
	Disclosures float64
}

// Expect estimates what a query for a person meets by chance, from the public
// frequencies, as if given name, surname, date and SSN of other people were
// independent except for the pairs of names known not to be. It takes some
// milliseconds: it is for reports, not for checks.
func Expect(p waypost.Person) Expectation {
	r := newReader(Normalize(p), make([]byte, secretSize))
	probed := make(map[key]bool)
	var e Expectation
	for _, part := range [2][]clue{r.nameClues(), r.ssnClues()} {
		for _, c := range part {
			if !c.decoy {
				probed[c.key] = true
				e.Candidates += c.expected()
			}
		}
	}
	for _, read := range r.readings() {
		var clues [Slots]clue
		names, ssn := r.name(read), r.ssn(read)
		copy(clues[:], names[:])
		copy(clues[NameSlots:], ssn[:])
		for i, c := range clues {
			clues[i].decoy = !probed[c.key] // a key that another reading has counts there
			delete(probed, c.key)
		}
		e.Disclosures += r.disclosures(read, clues)
	}
	return e
}

// likeness is a set of ways in which another person's name is like one's own.
type likeness uint8

const (
	same likeness = 1 << iota
	sameThree
	sameSound
	sameMeta
	sameSLK
	sameRoot   // of given names
	sameOne    // of given names
	likenesses = iota
)

// codes are what keys are made of, one for each likeness; "" if there is none.
type codes [likenesses]string

func surnameCodes(s string) codes {
	return codes{s, three(s), phonetic.Soundex(s), phonetic.Metaphone(s), slk.Surname(s)}
}

func givenCodes(f string) codes {
	return codes{f, three(f), phonetic.Soundex(f), phonetic.Metaphone(f), slk.Given(f), NicknameRoot(f), f[:min(1, len(f))]}
}

// listing is every listed name of a table with its codes as small numbers, so
// that all names can be compared with one in a millisecond.
type listing struct {
	encode func(string) codes
	number [likenesses]map[string]uint32 // from 1
	rows   []row
}

type row struct {
	name  string
	codes [likenesses]uint32
}

func newListing(table string, encode func(string) codes) *listing {
	l := &listing{encode: encode}
	for i := range l.number {
		l.number[i] = make(map[string]uint32)
	}
	for name := range freq.Get(table).All() {
		if name[len(name)-1] > 'Z' {
			continue // an entry for one era
		}
		r := row{name: name}
		for i, code := range encode(name) {
			if code != "" && l.number[i][code] == 0 {
				l.number[i][code] = uint32(len(l.number[i]) + 1)
			}
			r.codes[i] = l.number[i][code]
		}
		l.rows = append(l.rows, r)
	}
	return l
}

var (
	listedSurnames = sync.OnceValue(func() *listing { return newListing(freq.Surname, surnameCodes) })
	listedGiven    = sync.OnceValue(func() *listing { return newListing(freq.Given, givenCodes) })
)

// overlap sums the shares of the people whose name is like one's own, by the
// ways in which it is. Those whose name is like it in no way are everyone.
func (l *listing) overlap(name string, share func(string) freq.Share) map[likeness]float64 {
	var mine [likenesses]uint32
	var every likeness
	for i, code := range l.encode(name) {
		mine[i] = l.number[i][code]
		if code != "" {
			every |= 1 << i
		}
	}
	out := map[likeness]float64{0: 1}
	for _, r := range l.rows {
		var like likeness
		for i, c := range r.codes {
			if c == mine[i] && c != 0 {
				like |= 1 << i
			}
		}
		if like != 0 {
			out[like] += share(r.name).Float()
		}
	}
	if mine[0] == 0 { // not listed: as rare as such names are
		out[every] += share(name).Float()
	}
	return out
}

// disclosures sums, over every way in which another person can be like a
// reading, how many are and whether the keys that then agree pass Continue. A
// decoy clue is one that is not probed.
func (r *reader) disclosures(read reading, clues [Slots]clue) (sum float64) {
	if read.given == "" || read.surname == "" || r.born.full == "" {
		return 0
	}
	surnames := listedSurnames().overlap(read.surname, func(s string) freq.Share { return freq.Of(freq.Surname, s) })
	given := listedGiven().overlap(read.given, func(f string) freq.Share { return r.given(freq.Given, f) })
	together := freq.Together(read.given, read.surname).Float()
	for s, sShare := range surnames {
		for g, gShare := range given {
			part := Population * sShare * gShare
			if s&same != 0 && g&same != 0 {
				part *= together
			}
			for _, d := range r.dateLikenesses() {
				for _, n := range ssnLikenesses {
					if r.passes(clues, read, s, g, d, n.same) {
						sum += part * d.share * n.share
					}
				}
			}
		}
	}
	return sum
}

// dateLikeness is one way in which another date of birth is like one's own.
type dateLikeness struct {
	day, ordered, yearDay, year bool
	share                       float64
}

func (r *reader) dateLikenesses() [5]dateLikeness {
	d := r.born
	day, ordered, sameDay, year := d.day.Float(), d.ordered.Float(), d.sameDay.Float(), d.thisYear.Float()
	return [5]dateLikeness{
		{day: true, ordered: true, yearDay: true, year: true, share: day},
		{ordered: true, year: true, share: ordered - day},
		{yearDay: true, year: true, share: max(sameDay-day, 0)},
		{year: true, share: max(year-sameDay-ordered+day, 0)},
		{share: 1 - year},
	}
}

var ssnLikenesses = [...]struct {
	same  bool
	share float64
}{{true, 1e-5}, {false, 1 - 1e-5}}

// passes reports whether a person who is like the reading in the given ways
// agrees on enough of the clues that are probed.
func (r *reader) passes(clues [Slots]clue, read reading, s, g likeness, d dateLikeness, ssn bool) bool {
	form, _ := r.shortest(read.given, read.surname)
	short := map[byte]likeness{'1': sameOne, '3': sameThree, '=': same}[form[0]]
	both := s&same != 0 && g&same != 0
	kaExact := clues[Ka].key == publicKey(domainExact, Ka.String(), read.given, read.surname, r.born.full)
	agree := [Slots]bool{
		Fa: s&same != 0 && g&short != 0 && d.ordered,
		G:  s&g&sameSound != 0 && d.day,
		H:  s&same != 0 && g&sameRoot != 0 && d.day,
		I:  s&g&sameThree != 0 && d.day,
		Ka: both && (d.day || d.yearDay && !kaExact),
		Q:  s&g&sameSLK != 0 && d.day,
		A:  ssn && d.ordered,
		B:  ssn && s&g&sameMeta != 0,
		C:  ssn && d.year && s&same != 0,
		E:  ssn && d.year && g&same != 0,
	}
	var slots [Slots]Slot
	n := 0
	for k, a := range agree {
		if a && !clues[k].decoy {
			slots[n] = Slot{Kind: Kind(k), Expected: clues[k].expected()}
			n++
		}
	}
	return Continue(slots[:n])
}
