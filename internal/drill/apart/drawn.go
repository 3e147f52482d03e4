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
	kept    []int               // of the SSN's slots, those that a change of the surname leaves as they are
}

// weakness is one that is planted in what stands in for an SSN.
type weakness int

const (
	none  weakness = iota
	alone          // nobody shares a key in an SSN's place, as when nobody else could make those
	anew           // digits are drawn from the name as it is, and so change with it
)

// draw draws people of whom half have no SSN.
func draw(ctx context.Context, s *drill.Stage, n int, weak weakness) ([]drawn, error) {
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
		first := rec.Person
		if weak == anew {
			first = married
		}
		after := matchkey.Index(standing(married, first, secret), secret)
		for i, slot := range matchkey.Index(standing(rec.Person, rec.Person, secret), secret) {
			d.keys[i] = strangers(slot, r)
			if weak == alone && !d.ssn && i >= matchkey.NameSlots {
				d.keys[i] = 0
			}
			if i >= matchkey.NameSlots && string(slot.Key) == string(after[i].Key) {
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

// asSamples are what the hub sees of each when a card is issued on a check, which tells
// the keys of the two parts apart, or when the name changes.
func asSamples(people []drawn, renamed bool) (out []sample) {
	for _, d := range people {
		names, ssn := of(d.keys[:matchkey.NameSlots]), of(d.keys[matchkey.NameSlots:])
		x := slices.Concat(names, ssn)
		if renamed {
			x = append(append(x, of(d.kept)...), float64(len(d.kept)))
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
