package fairness

import (
	"bytes"
	"math"
	"math/rand/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/matchkey"
)

// Secrets of the two states: what matters is that they differ.
var (
	asking  = bytes.Repeat([]byte{'A'}, 32)
	holding = bytes.Repeat([]byte{'B'}, 32)
)

// finding is what a check makes of the record that the applicant has.
type finding struct {
	agrees  bool // any key does: the hub returns it
	first   bool // one of part one does
	goesOn  bool // past the first leg
	outcome waypost.Outcome
}

// seen is told to a clerk.
func (f finding) seen() bool { return f.outcome == waypost.Match || f.outcome == waypost.Possible }

// weigh does with one pair what the exchange does: the probes of the applicant against
// the keys of the record, the rule of the first leg, the comparison in clear.
func weigh(applicant, record waypost.Person) (f finding) {
	probed := make(map[string]int)
	query := matchkey.NewQuery(applicant, asking)
	for i, key := range query.Keys {
		probed[string(key)] = i
	}
	var agreed []matchkey.Slot
	var kinds []matchkey.Kind
	for _, slot := range matchkey.Index(record, holding) {
		at, ok := probed[string(slot.Key)]
		if !ok || slot.Decoy {
			continue
		}
		f.agrees, f.first = true, f.first || at < matchkey.NameProbes
		agreed, kinds = append(agreed, slot), append(kinds, slot.Kind)
	}
	f.outcome = waypost.NoMatch
	if f.goesOn = matchkey.Continue(agreed); f.goesOn {
		f.outcome = compare.Compare(compare.Candidate{Person: applicant}, compare.Candidate{Person: record}, kinds)
	}
	return f
}

// crowd is what 300 million others add to a check.
type crowd struct {
	tooMany  bool
	possible bool // a namesake is thought possible
	mistaken bool // a namesake is called a match
}

// among draws the others that the applicant meets: candidates as many as public name
// frequencies say, and those namesakes born on the same day who differ in the middle
// name, which is that of somebody else.
func among(who waypost.Person, candidates float64, middle func() string, r *rand.Rand) (c crowd) {
	c.tooMany = poisson(candidates, r)+1 > waypost.MaxCandidates
	for range poisson(namesakes(who), r) {
		other := who
		other.Middle, other.Suffix, other.SSN5 = middle(), "", ""
		switch compare.Compare(compare.Candidate{Person: who}, compare.Candidate{Person: other}, nil) {
		case waypost.Match:
			c.mistaken = true
		case waypost.Possible:
			c.possible = true
		}
	}
	return c
}

// poisson draws a count; a large mean is as good as normal.
func poisson(mean float64, r *rand.Rand) (n int) {
	if mean > 200 {
		return max(0, int(mean+r.NormFloat64()*math.Sqrt(mean)))
	}
	left := r.Float64()
	for p := math.Exp(-mean); left > p && n < 1000; n++ {
		left -= p
		p *= mean / float64(n+1)
	}
	return n
}
