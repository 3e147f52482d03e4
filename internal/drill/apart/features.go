package apart

import (
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// transcript is what the hub has logged, with the strangers that there would be at
// national density.
type transcript struct {
	*tap
	crowded
	holders map[waypost.Token][]*pointer // who was published under a token, in that order
	third   func(common float64) int
	seed    uint64
}

// transcribe prepares the log for questions.
func (p *play) transcribe() *transcript {
	t := &transcript{tap: p.tap, crowded: make(crowded), seed: p.Seed, holders: make(map[waypost.Token][]*pointer)}
	var common []float64
	for _, group := range [][]*subject{p.loaded, p.issued} {
		for _, s := range group {
			t.among(s, p.secret(s), p.Seed)
			common = append(common, commonness(s.before))
		}
	}
	for _, at := range p.tap.order {
		for _, token := range at.tokens {
			t.holders[token] = append(t.holders[token], at)
		}
	}
	t.third = thirds(common)
	return t
}

// commonness is how many others the name keys of a person are expected to meet: it
// knows nothing of an SSN.
func commonness(who waypost.Person) (sum float64) {
	slots := matchkey.Index(who, make([]byte, 32))
	for _, slot := range slots[:matchkey.NameSlots] {
		sum += slot.Expected
	}
	return sum
}

// thirds returns which third somebody is in by how common their name is.
func thirds(common []float64) func(float64) int {
	slices.Sort(common)
	return func(c float64) int {
		at, _ := slices.BinarySearch(common, c)
		return min(strata-1, at*strata/max(1, len(common)))
	}
}

// samples gives each subject its features.
func (t *transcript) samples(all []*subject, features func(*subject) []float64) (out []sample) {
	for _, s := range all {
		out = append(out, sample{ssn: s.ssn(), stratum: t.third(commonness(s.before)), x: features(s)})
	}
	return out
}

// Places in what published returns.
const (
	sharedAbroad = 5
	mostAbroad   = 7
)

// published are the features of how a pointer was published: its tokens' strangers,
// and what other pointers share, in this state and in others.
func (t *transcript) published(p *pointer) []float64 {
	counts := make([]int, 0, len(p.tokens))
	others, abroad, here := 0.0, make(map[*pointer]int), make(map[*pointer]int)
	for _, token := range p.tokens {
		counts = append(counts, t.crowded[token])
		for _, other := range t.holders[token] {
			switch {
			case other == p:
			case other.state == p.state:
				here[other]++
			default:
				abroad[other]++
			}
		}
		others += float64(len(t.holders[token]) - 1)
	}
	slices.Sort(counts)
	most := func(of map[*pointer]int) (n float64) {
		for _, shared := range of {
			n = max(n, float64(shared))
		}
		return n
	}
	return []float64{
		t.sum(p.tokens), t.shared(p.tokens), float64(counts[len(counts)-1]), others,
		float64(len(here)), float64(len(abroad)), most(here), most(abroad), float64(len(p.tokens)),
	}
}

// load are the features of somebody who came with a load.
func (t *transcript) load(s *subject) []float64 { return t.published(s.pointers[0]) }

// twin are those of somebody who has a record in another state too: how many pointers
// there share tokens, and how many tokens one does at most.
func (t *transcript) twin(s *subject) []float64 {
	x := t.published(s.pointers[0])
	return []float64{x[sharedAbroad], x[mostAbroad]}
}

// issue are those of somebody who was checked, issued a card and checked again: the
// searches tell which of the published tokens were in part two.
func (t *transcript) issue(s *subject) []float64 {
	card := s.pointers[0]
	x := t.published(card)
	var before *search
	for _, id := range []waypost.TicketID{s.check, s.again} {
		check := t.searches[id]
		if check == nil {
			check = &search{}
		}
		for part := range check.parts {
			asked := check.parts[part]
			var both []waypost.Token
			for _, token := range card.tokens {
				if asked.tokens[token] {
					both = append(both, token)
				}
			}
			x = append(x, float64(len(asked.tokens)), float64(asked.candidates)+t.sum(both), float64(len(both)), t.sum(both), t.shared(both))
			if before != nil {
				n := 0.0
				for token := range asked.tokens {
					if before.parts[part].tokens[token] {
						n++
					}
				}
				x = append(x, n)
			}
		}
		before = check
	}
	return x
}

// rename are those of somebody who has changed their name and kept the former one: of
// the three pointers, which tokens stay and how many strangers share these.
func (t *transcript) rename(s *subject) (x []float64) {
	for i := range 3 {
		if i >= len(s.pointers) {
			x = append(x, make([]float64, 12)...)
			continue
		}
		p := s.pointers[i]
		x = append(x, t.sum(p.tokens), t.shared(p.tokens), float64(len(p.tokens)))
		for j := range 3 {
			var stayed []waypost.Token
			if j < len(s.pointers) && j != i {
				set := setOf(s.pointers[j].tokens)
				for _, token := range p.tokens {
					if set[token] {
						stayed = append(stayed, token)
					}
				}
			}
			x = append(x, float64(len(stayed)), t.sum(stayed), t.shared(stayed))
		}
	}
	return x
}
