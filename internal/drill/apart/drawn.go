package apart

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/matchkey"
)

// drawn is a person at national density without an exchange: how many strangers share
// each key before and after a change of the surname. It is the real derivation of
// keys, for many more people than an exchange on one machine holds.
type drawn struct {
	ssn     bool
	stratum int
	common  float64
	keys    [matchkey.Slots]int // strangers of each slot
	kept    []int               // of the slots that a change of the surname leaves as they are
}

// draw draws people of whom half have no SSN. With alone nobody shares a key that takes
// the place of an SSN's: so it was when those were keys that nobody else could make.
func draw(ctx context.Context, s *drill.Stage, n int, alone bool) ([]drawn, error) {
	people, err := population.Generate(population.Config{States: drill.States[:2], PerState: n, Seed: s.Seed + 4, NoSSN: 0.5})
	if err != nil {
		return nil, err
	}
	var out []drawn
	var common []float64
	secret := make([]byte, 32)
	var former waypost.Person
	r := rand.New(rand.NewPCG(s.Seed, 5))
	err = people.Each(drill.States[0], func(rec waypost.Record) error {
		d := drawn{ssn: rec.SSN5 != "", common: commonness(rec.Person)}
		married := rec.Person
		married.Family = former.Family
		former = rec.Person
		after := matchkey.Index(married, secret)
		for i, slot := range matchkey.Index(rec.Person, secret) {
			d.keys[i] = strangers(slot, r)
			if alone && !d.ssn && i >= matchkey.NameSlots {
				d.keys[i] = 0
			}
			if i >= matchkey.NameSlots && keeps(rec.Person, married, i, string(slot.Key) == string(after[i].Key)) {
				d.kept = append(d.kept, d.keys[i])
			}
		}
		out, common = append(out, d), append(common, d.common)
		return ctx.Err()
	})
	third := thirds(common)
	for i := range out {
		out[i].stratum = third(out[i].common)
	}
	return out, err
}

// keeps reports whether a record's slot keeps its token when the name changes: as it
// would with any SSN, whether there is one or not.
func keeps(before, after waypost.Person, slot int, same bool) bool {
	if before.SSN5 != "" {
		return same
	}
	before.SSN5, after.SSN5 = "12345", "12345"
	secret := make([]byte, 32)
	return string(matchkey.Index(before, secret)[slot].Key) == string(matchkey.Index(after, secret)[slot].Key)
}

// asSamples are what the hub sees of each when a card is issued on a check, which tells
// the keys of the two parts apart, or when the name changes.
func asSamples(people []drawn, renamed bool) (out []sample) {
	for _, d := range people {
		names, ssn := of(d.keys[:matchkey.NameSlots]), of(d.keys[matchkey.NameSlots:])
		x := slices.Concat(names, ssn)
		if renamed {
			x = append(x, of(d.kept)...)
		}
		out = append(out, sample{ssn: d.ssn, stratum: d.stratum, x: x})
	}
	return out
}

// of are the features of tokens whose slots the hub does not know.
func of(counts []int) []float64 {
	var sum, shared, most float64
	for _, n := range counts {
		sum += float64(n)
		shared += float64(min(1, n))
		most = max(most, float64(n))
	}
	return []float64{sum, shared, most}
}

// byName are the people as somebody sees them who knows their names and nothing else:
// the control, because an SSN must not go with a name.
func byName(people []drawn) (out []sample) {
	for _, d := range people {
		out = append(out, sample{ssn: d.ssn, stratum: d.stratum, x: []float64{d.common}})
	}
	return out
}
