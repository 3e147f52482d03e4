package population

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// random returns a generator for one purpose and index, independent of every
// other.
func (p *Population) random(domain string, index int) *rand.Rand {
	b := binary.BigEndian.AppendUint64(nil, p.config.Seed)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	sum := sha256.Sum256(append(b, domain...))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
}

// ages are the licensed drivers of the United States by age, in millions,
// rounded, from the Federal Highway Administration's Highway Statistics (table
// DL-20); the last is 85 to 95.
var ages = []struct {
	from, to int
	weight   float64
}{
	{16, 19, 9}, {20, 24, 17}, {25, 29, 19}, {30, 34, 21}, {35, 39, 20}, {40, 44, 19}, {45, 49, 18}, {50, 54, 19},
	{55, 59, 19}, {60, 64, 20}, {65, 69, 17}, {70, 74, 14}, {75, 79, 10}, {80, 84, 6}, {85, 95, 4},
}

// identity draws one person. Nobody is born on the day of a scenario's person
// or shares their SSN, so that a scenario means the same in any population.
func (p *Population) identity(r *rand.Rand) waypost.Person {
	t := tables()
	person := waypost.Person{Sex: "F", Born: p.birthday(r)}
	if r.Float64() < 0.5 {
		person.Sex = "M"
	}
	decade := min(max(person.Born.Year/10*10, 1930), 2000)
	given := t.given[cohort{decade, person.Sex}]

	surname := t.family.draw(r)
	person.Family = t.family.names[surname]
	hispanic := r.Float64() < t.hispanic[surname]
	switch {
	case hispanic && r.Float64() < 0.35:
		person.Family += " " + t.hispanicFamily.name(r)
	case !hispanic && person.Sex == "F" && r.Float64() < 0.02:
		person.Family += "-" + t.family.name(r)
	}
	person.Given = given.name(r)
	if list := hispanicGiven[person.Sex]; hispanic && r.Float64() < 0.5 {
		person.Given = list[r.IntN(len(list))]
	}
	if x := r.Float64(); x < 0.85 {
		person.Middle = given.name(r)
		if x < 0.2 {
			person.Middle = person.Middle[:1]
		}
	}
	if person.Middle == person.Given {
		person.Middle = ""
	}
	if person.Sex == "M" && r.Float64() < 0.04 {
		person.Suffix = []string{"JR", "JR", "JR", "SR", "II", "III"}[r.IntN(6)]
	}
	if r.Float64() < 0.002 {
		person.Sex = "X"
	}
	if r.Float64() >= p.config.noSSN() {
		person.SSN5 = p.ssn5(r)
	}
	return person
}

func (p *Population) birthday(r *rand.Rand) waypost.Date {
	total := 0.0
	for _, a := range ages {
		total += a.weight
	}
	x := r.Float64() * total
	band := ages[len(ages)-1]
	for _, a := range ages {
		if x -= a.weight; x < 0 {
			band = a
			break
		}
	}
	now := p.config.Now
	for {
		age := band.from + r.IntN(band.to-band.from+1)
		d := time.Date(now.Year-age, time.Month(now.Month), now.Day-r.IntN(365), 0, 0, 0, 0, time.UTC)
		born := waypost.Date{Year: d.Year(), Month: int(d.Month()), Day: d.Day()}
		if r.Float64() < 0.003 {
			born.Month, born.Day = 1, 1 // what is written when the day is not known
		}
		if !p.reservedDate(born) {
			return born
		}
	}
}

// ssn5 draws the last five digits of an SSN.
func (p *Population) ssn5(r *rand.Rand) string {
	for {
		if s := fmt.Sprintf("%05d", r.IntN(100000)); p.freeSSN(s) {
			return s
		}
	}
}

// freeSSN reports whether anybody in the crowd may have these last five digits:
// they are no placeholder, and not those of a scenario's person.
func (p *Population) freeSSN(s string) bool { return matchkey.SSN5(s) != "" && !p.reservedSSN[s] }

// reservedDate reports whether a scenario's person was born on the day, in
// either order of day and month.
func (p *Population) reservedDate(d waypost.Date) bool {
	return p.reserved[d] || p.reserved[swapped(d)]
}

func swapped(d waypost.Date) waypost.Date {
	return waypost.Date{Year: d.Year, Month: d.Day, Day: d.Month}
}

// card fills in the card's side of a record: what it is and how it stands.
func card(r *rand.Rand, rec *waypost.Record) {
	rec.Kind = choose(r, []weight[waypost.CardKind]{
		{waypost.Licence, 84}, {waypost.IDCard, 11}, {waypost.Permit, 3}, {waypost.Commercial, 2}})
	rec.Status = choose(r, []weight[waypost.Status]{
		{waypost.Valid, 88}, {waypost.ExpiredCard, 6}, {waypost.Suspended, 2}, {waypost.Surrendered, 2},
		{waypost.Closed, 1}, {waypost.Revoked, 1}})
	if rec.Kind == waypost.Commercial && r.Float64() < 0.02 {
		rec.Status = waypost.Disqualified
	}
	rec.RealID = rec.Kind != waypost.Permit && r.Float64() < 0.56
	rec.Protected = r.Float64() < 0.001
}

type weight[T any] struct {
	value T
	parts int // of a hundred
}

func choose[T any](r *rand.Rand, of []weight[T]) T {
	x := r.IntN(100)
	for _, w := range of {
		if x -= w.parts; x < 0 {
			return w.value
		}
	}
	return of[0].value
}
