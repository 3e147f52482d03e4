package apart

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// crowded is the world at national density: how many strangers share a token, where
// anybody does. The exchange that is played holds thousands of people; of 300 million
// as many more share each key as public name frequencies say.
type crowded map[waypost.Token]int

// strangers draws how many of 300 million others have the same key. The draws of the
// keys are independent; a key that no other party can make has no strangers.
func strangers(slot matchkey.Slot, r *rand.Rand) int {
	return poisson(slot.Expected, r)
}

// poisson draws by inversion; means here are small.
func poisson(mean float64, r *rand.Rand) (n int) {
	left := r.Float64()
	for p := math.Exp(-mean); left > p && n < 1000; n++ {
		left -= p
		p *= mean / float64(n+1)
	}
	return n
}

// among draws the strangers of all tokens of a subject, from the seed and the name of
// the record alone: handles and tokens are other ones in every run.
func (c crowded) among(s *subject, secret []byte, seed uint64) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.record.ID))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	was, is := matchkey.Index(standing(s.before, s.before, secret), secret), matchkey.Index(standing(s.record.Person, s.before, secret), secret)
	for i, k := range s.own {
		slots := is
		if i == 0 || k.alias {
			slots = was
		}
		for at, slot := range slots {
			n := strangers(slot, r)
			token := k.tokens[at]
			if _, drawn := c[token]; drawn || k.random&(1<<at) != 0 || k.alias && at >= matchkey.NameSlots {
				continue
			}
			c[token] = n
		}
	}
}

// standing is somebody with the digits that stand in for an SSN where there is none: as
// they were drawn from the name that the record had first, whatever it is now.
func standing(now, first waypost.Person, secret []byte) waypost.Person {
	if matchkey.SSN5(now.SSN5) == "" {
		now.SSN5 = matchkey.StandIn(first, secret, 0)
	}
	return now
}

// sum and shared are the strangers of tokens, and how many of these have any.
func (c crowded) sum(tokens []waypost.Token) (n float64) {
	for _, t := range tokens {
		n += float64(c[t])
	}
	return n
}

func (c crowded) shared(tokens []waypost.Token) (n float64) {
	for _, t := range tokens {
		n += float64(min(1, c[t]))
	}
	return n
}
