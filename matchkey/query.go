package matchkey

import (
	"strconv"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey/internal/freq"
)

// Query is the keys that one person is looked up by.
type Query struct {
	// Keys are 32 distinct keys of 32 bytes: NameProbes from names and date of
	// birth, then SSNProbes from the SSN or what stands in for it. Pads fill both
	// parts.
	Keys [Probes][]byte
	// Index says where in Keys each of the person's own ten index keys stands,
	// in the order of Index.
	Index [Slots]int
}

// maxReadings bounds the ways in which a person's names are read.
const maxReadings = 10

// NewQuery returns the 32 keys to look a person up by. secret is the gateway's
// own, as for Index, and with the same secret the keys of Index are among them.
// The same person always gives the same keys in the same order.
func NewQuery(p waypost.Person, secret []byte) Query {
	r := newReader(Normalize(p), secret)
	var q Query
	for i, c := range r.nameClues() {
		q.Keys[i] = c.key[:]
	}
	for i, c := range r.ssnClues() {
		q.Keys[NameProbes+i] = c.key[:]
	}
	for i := range NameSlots {
		q.Index[i] = i
	}
	for i := range SSNSlots {
		q.Index[NameSlots+i] = NameProbes + i
	}
	return q
}

// NameKeys returns the first 20 keys of NewQuery. They depend on names and date
// of birth alone: a state of record that is shown the applicant in clear
// computes them itself and so knows that the blinded question was for this
// person.
func NameKeys(p waypost.Person) (keys [NameProbes][]byte) {
	n := Normalize(p)
	n.SSN5 = ""
	r := &reader{n: n, born: newDate(n.Born)}
	for i, c := range r.nameClues() {
		keys[i] = c.key[:]
	}
	return keys
}

// collector gathers distinct clues up to a limit.
type collector struct {
	clues []clue
	limit int
}

func (c *collector) add(x clue) {
	if len(c.clues) == c.limit {
		return
	}
	for _, have := range c.clues {
		if have.key == x.key {
			return
		}
	}
	c.clues = append(c.clues, x)
}

// addRare adds the clue of a further reading if few others are expected to have
// it: a reading that is wrong for most people must not cost them all, and a
// common key of a wrong reading finds only strangers.
func (c *collector) addRare(x clue, limit freq.Share) {
	if !x.decoy && x.share >= limit {
		c.add(x)
	}
}

// Limits on the share of a key of a further reading: as many others as for an
// indexed key where people do go by that reading (one part of a double surname),
// and 0.02 others where few do. Measured in the README of internal/matcheval:
// this halves what is expected by chance and costs a thousandth of those without
// an SSN.
const (
	likely  freq.Share = populationSteps
	farther freq.Share = populationSteps + 45
)

// byWorth is the order in which the keys of further readings are taken: first
// for every reading the two that an exact namesake agrees on, so that each
// reading can pass the first leg alone, then those that survive misspelling.
var byWorth = [...][2]Kind{{H, Fa}, {I, G}, {Ka, Q}}

// nameClues returns the first part of a query.
func (r *reader) nameClues() []clue {
	c := collector{limit: NameProbes}
	readings := r.readings()
	for _, x := range r.name(readings[0]) {
		c.add(x)
	}
	made := make([][NameSlots]clue, len(readings))
	for i, read := range readings[1:] {
		made[i+1] = r.name(read)
	}
	for tier, kinds := range byWorth {
		for i, clues := range made[1:] {
			c.addRare(clues[kinds[0]], readings[i+1].limit)
			c.addRare(clues[kinds[1]], readings[i+1].limit)
		}
		if tier == 0 {
			r.otherRoots(&c, readings[0])
		}
	}
	identity := r.n.identity()
	for i := 0; len(c.clues) < c.limit; i++ {
		c.add(clue{key: publicKey(domainPad, strconv.Itoa(i), identity...), decoy: true})
	}
	return c.clues
}

// otherRoots adds the less likely formal names of a nickname: RON may be AARON.
func (r *reader) otherRoots(c *collector, base reading) {
	if formal := formalNames()[base.given]; len(formal) > 1 {
		for _, f := range formal[1:] {
			c.addRare(r.name(reading{given: f, surname: base.surname})[H], farther)
		}
	}
}

// ssnClues returns the second part of a query. Its pads are under the secret and
// cover the digits too: whoever could compute them could count them.
func (r *reader) ssnClues() []clue {
	c := collector{limit: SSNProbes}
	readings := r.readings()
	for _, x := range r.ssn(readings[0]) {
		c.add(x)
	}
	for _, read := range readings[1:] {
		clues := r.ssn(read)
		for _, k := range []Kind{C, E, B} {
			c.addRare(clues[k-A], read.limit)
		}
	}
	identity := append(r.n.identity(), r.digits)
	for i := 0; len(c.clues) < c.limit; i++ {
		c.add(clue{key: secretKey(r.secret, domainPad, strconv.Itoa(i), identity...), decoy: true})
	}
	return c.clues
}

// readings returns the plausible ways to read the names, the indexed one first
// and then by worth, at most maxReadings and without repeats.
func (r *reader) readings() []reading {
	base := r.base()
	out := append(make([]reading, 0, maxReadings), base)
	add := func(given, surname string, limit freq.Share) {
		if given == "" && surname == "" || len(out) == maxReadings {
			return
		}
		for _, have := range out {
			if have.given == given && have.surname == surname {
				return
			}
		}
		out = append(out, reading{given, surname, limit})
	}
	for _, s := range tail(r.n.Family) {
		add(base.given, s, likely)
	}
	if len(r.n.Family) > 1 {
		add(base.given, strings.Join(r.n.Family, ""), likely)
	}
	add(NicknameRoot(base.given), base.surname, farther)
	if len(r.n.Given) > 1 {
		add(r.n.Given[0]+r.n.Given[1], base.surname, farther) // MARY ANN is also MARYANN
	}
	for _, g := range tail(r.n.Given) {
		add(g, base.surname, farther)
	}
	if m := first(r.n.Middle); len(m) > 1 {
		add(m, base.surname, farther) // known by the middle name
		add(base.given, m, farther)   // a maiden name kept as the middle name
	}
	add(base.surname, base.given, farther)
	for _, s := range otherSpellings(base.surname) {
		add(base.given, s, farther)
	}
	for _, g := range otherSpellings(base.given) {
		add(g, base.surname, farther)
	}
	return out
}

func tail(names []string) []string {
	if len(names) < 2 {
		return nil
	}
	return names[1:]
}
