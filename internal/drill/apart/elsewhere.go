package apart

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/matchkey"
)

// drawAbroad draws people who have a record in one state and are asked about by another:
// as its clerks happen to write them, and as many of those alone of whom they write a
// name or the date in another way. Half of the latter have changed their surname.
func (p *play) drawAbroad() error {
	people, err := population.Generate(population.Config{States: drill.States, PerState: p.Size.Pick(2500, 15_000, 120_000), Seed: p.Seed + 6, NoSSN: 0.5})
	if err != nil {
		return err
	}
	var truth []population.Truth
	needed := make(map[string]*subject)
	if err := people.EachTruth(func(t population.Truth) error {
		truth = append(truth, t)
		needed[t.A], needed[t.B] = &subject{why: t.Why}, &subject{}
		return nil
	}); err != nil {
		return err
	}
	for _, state := range drill.States {
		if err := people.Each(state, func(r waypost.Record) error {
			if s := needed[r.ID]; s != nil {
				s.state, s.record, s.before = state, r, r.Person
				s.record.ID, s.record.Protected = "X-"+r.ID, false
			}
			return nil
		}); err != nil {
			return err
		}
	}
	asItComes, renamed, misspelt := p.Size.Pick(40, 300, 3000), p.Size.Pick(15, 100, 1000), p.Size.Pick(15, 100, 1000)
	former := ""
	for _, t := range truth {
		s, other := needed[t.A], needed[t.B]
		s.written, s.to = other.record.Person, other.state
		switch {
		case len(p.abroad) < asItComes:
			p.abroad = append(p.abroad, s)
		case misspelt > 0 && otherwise(t.Why):
			misspelt--
			p.altered = append(p.altered, s)
		case renamed > 0 && s.before.Family != former:
			renamed--
			s.written.Family, s.why = former, "surname_changed"
			p.altered = append(p.altered, s)
		}
		former = s.before.Family
	}
	return nil
}

// otherwise reports whether a name or a date is written in another way, whatever has
// become of the SSN.
func otherwise(why string) bool {
	return slices.ContainsFunc(strings.Split(why, "+"), func(cause string) bool {
		return cause != "same" && !strings.Contains(cause, "ssn")
	})
}

// elsewhere has them checked.
func (p *play) elsewhere(ctx context.Context) error {
	all := slices.Concat(p.abroad, p.altered)
	return p.each(ctx, "checks by another state", all, func(ctx context.Context, s *subject, _ waypostv1connect.RecordsClient) error {
		answer, err := p.x.Made(ctx, s.to, s.written, waypost.IssueLicence, s.record.ID+"-X")
		s.check = answer.Ticket
		return err
	})
}

// byPart parts people by whether the check about them went on to part two, as the hub
// sees.
func (t *transcript) byPart(all []*subject) (first, second []*subject) {
	for _, s := range all {
		if check := t.searches[s.check]; check != nil && check.parts[1].tokens != nil {
			second = append(second, s)
		} else {
			first = append(first, s)
		}
	}
	return first, second
}

// abroad are the features of somebody whom a state asks about that has no record of them:
// which pointers of other states each part leads to, and by how many tokens. Strangers
// meet part two too, by one token each.
func (t *transcript) abroad(s *subject) []float64 {
	check := t.searches[s.check]
	if check == nil {
		check = &search{}
	}
	var met [2]map[*pointer]float64
	x := make([]float64, 0, 12)
	for part := range check.parts {
		met[part] = make(map[*pointer]float64)
		for token := range check.parts[part].tokens {
			for _, at := range t.holders[token] {
				if at.state != s.to {
					met[part][at]++
				}
			}
		}
		most := 0.0
		for _, n := range met[part] {
			most = max(most, n)
		}
		x = append(x, float64(len(check.parts[part].tokens)), float64(check.parts[part].candidates), float64(len(met[part])), most)
	}
	both, most := 0.0, 0.0
	for at, n := range met[1] {
		if met[0][at] > 0 {
			both, most = both+1, max(most, n)
		}
	}
	if others := t.meets(s); check.parts[1].tokens != nil {
		x[5], x[6], x[7] = x[5]+others, x[6]+others, max(x[7], min(1, others))
	}
	return append(x, both, most)
}

// meets draws how many strangers share a key of part two with an applicant at national
// density: as many with digits that stand in for an SSN as with one.
func (t *transcript) meets(s *subject) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.record.ID))
	r := rand.New(rand.NewPCG(t.seed, h.Sum64()))
	secret, n := make([]byte, 32), 0
	slots := matchkey.Index(standing(s.written, s.written, secret), secret)
	for _, slot := range slots[matchkey.NameSlots:] {
		n += strangers(slot, r)
	}
	return float64(n)
}
