package ssn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/drill/rogue"
)

// probeAll asks about everybody of both states, in mixed order, in every way in which
// the answer is a word or a size.
func (p *play) probeAll(ctx context.Context, g *rogue.Gateway) error {
	for _, of := range []waypost.Jurisdiction{honest, telling} {
		for i, s := range p.people[of] {
			if err := p.probe(ctx, g, of, s); err != nil {
				return fmt.Errorf("person %d of %s: %w", i, of, err)
			}
			p.Progress("asking about people of "+string(of), i+1, len(p.people[of]))
		}
	}
	return nil
}

func (p *play) probe(ctx context.Context, g *rogue.Gateway, of waypost.Jurisdiction, s *subject) error {
	who := s.record.Person
	who.SSN5 = ""
	right, err := p.ask(ctx, g, of, rogue.Keys(who), applicant(who))
	if err != nil {
		return err
	}
	s.words["first"] = right.first
	s.full["first"], s.full["told"], s.full["size"] = right.agreed, right.outcome == waypost.Match || right.outcome == waypost.Possible, len(right.sizes) > 1
	told, sizes := numbered(0, right.second), numbered(0, right.sizes)
	slip, later := who, who
	slip.Given = swapped(who.Given)
	if later.Born.Day++; later.Born.Day > 28 {
		later.Born.Day = 1
	}
	shown := applicant(who)
	shown.CardNumber, shown.CardState = s.record.CardNumber, string(of)
	for i, other := range []struct {
		waypost.Person
		named *waypostv1.Applicant
	}{{slip, applicant(slip)}, {later, applicant(later)}, {who, shown}} {
		a, err := p.ask(ctx, g, of, rogue.Keys(other.Person), other.named)
		if err != nil {
			return err
		}
		told, sizes = append(told, numbered(i+1, append(a.first, a.second...))...), append(sizes, numbered(i+1, a.sizes)...)
	}
	s.words["told"], s.words["size"] = told, sizes
	single, err := p.ask(ctx, g, of, singleKind(who), nil)
	s.words["single"], s.full["single"] = single.first, len(single.first) > 0
	return err
}

// numbered tells the answers to one question from those to another.
func numbered(question int, pieces []string) []string {
	out := make([]string, len(pieces))
	for i, piece := range pieces {
		out[i] = fmt.Sprint(question, " ", piece)
	}
	return out
}

// swapped exchanges the second and the third letter.
func swapped(name string) string {
	b := []byte(name)
	if len(b) > 2 {
		b[1], b[2] = b[2], b[1]
	}
	return string(b)
}

// singleKind are 32 keys of which only the first is of the person's name. In part two
// stand the keys that anybody can derive for a person without an SSN, and for the
// endings that systems hold in the place of one.
func singleKind(who waypost.Person) [][]byte {
	keys := rogue.Keys(nobody)
	own := rogue.Keys(who)
	keys[0] = own[0]
	copy(keys[waypost.NameElements:], own[waypost.NameElements:waypost.NameElements+4])
	for i, ssn := range []string{"00000", "99999", "11111", "12345"} {
		filled := who
		filled.SSN5 = ssn
		for j, key := range rogue.Keys(filled)[waypost.NameElements : waypost.NameElements+2] {
			at := waypost.NameElements + 4 + 2*i + j
			if !slices.ContainsFunc(keys, func(k []byte) bool { return string(k) == string(key) }) {
				keys[at] = key
			}
		}
	}
	return keys
}

// heard is what came back about one person under one ticket.
type heard struct {
	first  []string // candidates of both parts, and the bit of each first leg
	second []string // all that second legs told
	sizes  []string

	agreed  bool            // in a first leg
	outcome waypost.Outcome // of the last second leg

	took time.Duration // of the searches and the legs
}

// ask makes a ticket for the keys and asks the state by it: both parts of the search,
// the first leg, and where a person is given the second.
func (p *play) ask(ctx context.Context, g *rogue.Gateway, of waypost.Jurisdiction, keys [][]byte, who *waypostv1.Applicant) (h heard, err error) {
	look, err := g.Look(keys, g.Folder.Identity, oneClerk)
	if err != nil {
		return h, err
	}
	if err := g.Evaluated(ctx, look); err != nil {
		return h, err
	}
	began := time.Now()
	var candidates []waypost.Candidate
	for part := uint32(1); part <= 2; part++ {
		found, err := g.Search(ctx, look, part)
		if err != nil {
			return h, err
		}
		found.List = slices.DeleteFunc(found.List, func(c waypost.Candidate) bool { return c.Owner != of })
		candidates = append(candidates, found.List...)
		h.first = append(h.first, fmt.Sprintf("part %d: %d", part, len(found.List)))
	}
	for _, c := range candidates {
		first, err := g.FirstLeg(ctx, look, c)
		if err != nil {
			return h, err
		}
		h.first, h.sizes = append(h.first, fmt.Sprintf("continue %v", first.Continue), "refused "+first.Refused), append(h.sizes, fmt.Sprint(g.Heard))
		h.agreed = h.agreed || first.Continue
		if !first.Continue || who == nil {
			continue
		}
		second, err := g.SecondLeg(ctx, look, c, who)
		if err != nil {
			return h, err
		}
		h.outcome = waypost.Outcome(second.Outcome)
		h.second = append(h.second, "outcome "+second.Outcome, "status "+second.Status, "kind "+second.CardKind,
			fmt.Sprint("termination ", second.TerminationRequired), "refused "+second.Refused)
		h.sizes = append(h.sizes, fmt.Sprint(g.Heard))
	}
	h.took = time.Since(began)
	return h, nil
}

// oneClerk has all tickets be by one operator: there is a quota of how many a state has.
func oneClerk(t *waypost.Ticket) {
	clear(t.Operator[:])
	t.Operator[0] = 1
}

// applicant is a person as a second leg names it.
func applicant(p waypost.Person) *waypostv1.Applicant {
	return &waypostv1.Applicant{Family: p.Family, Given: p.Given, Middle: p.Middle, Suffix: p.Suffix, Born: p.Born.String(), Sex: string(p.Sex)}
}

// timeAll takes the time of tickets about everybody of a state, in rounds through all
// of them, so that what else the machine does meets both kinds alike; anew, or beside
// those that it has.
func (p *play) timeAll(ctx context.Context, g *rogue.Gateway, of waypost.Jurisdiction, rounds int, beside bool) error {
	all := p.people[of]
	for _, s := range all {
		if !beside {
			s.times = nil
		}
	}
	rng := rand.New(rand.NewPCG(p.Seed, uint64(5+len(all[0].times))))
	for round := range rounds {
		for i, next := range rng.Perm(len(all)) {
			s := all[next]
			who := s.record.Person
			who.SSN5 = ""
			h, err := p.ask(ctx, g, of, rogue.Keys(who), applicant(who))
			if err != nil {
				return err
			}
			s.times = append(s.times, h.took)
			p.Progress("taking the time of "+string(of), round*len(all)+i+1, rounds*len(all))
		}
	}
	return nil
}
