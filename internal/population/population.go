package population

import (
	"fmt"
	"slices"

	"github.com/waypost/waypost"
)

// Truth says that records A and B, in two states, are one person, and why they
// may look different: "same", or causes joined by "+", such as
// "surname_changed+ssn_typo".
type Truth struct{ A, B, Why string }

// Config describes a population. The zero value is not valid: it has no states.
type Config struct {
	States   []waypost.Jurisdiction // at least two, all different
	PerState int                    // records of each state, MinPerState or more
	Seed     uint64
	Now      waypost.Date // ages are counted back from here; zero means 2026-01-01
	NoSSN    float64      // share of people without an SSN; zero means DefaultNoSSN, less than zero nobody
}

const (
	// DefaultNoSSN is the share of people who have no SSN.
	DefaultNoSSN = 0.10
	// MinPerState leaves room for the scenarios' people in every state.
	MinPerState = 20
	maxPerState = 100_000_000
	// shared is the number of pairs of records that are one person, as a share
	// of all records.
	shared = 0.03
)

func (c Config) noSSN() float64 {
	if c.NoSSN == 0 {
		return DefaultNoSSN
	}
	return c.NoSSN
}

// Population is a synthetic population. It holds no records, only what is
// needed to draw them, and may be used by several goroutines at once.
type Population struct {
	config      Config
	scenarios   []Scenario
	fixed       map[waypost.Jurisdiction][]waypost.Record
	reserved    map[waypost.Date]bool // birthdays of the scenarios' people
	reservedSSN map[string]bool
}

// Generate checks the configuration and lays out the population. It is quick;
// the records are drawn by Each.
func Generate(c Config) (*Population, error) {
	if len(c.States) < 2 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a population needs at least two states, for example CA and AZ")
	}
	for i, s := range c.States {
		if j, err := waypost.ParseJurisdiction(string(s)); err != nil || j != s {
			return nil, waypost.Errorf(waypost.InvalidArgument, "a state is two capital letters, like CA")
		}
		if slices.Contains(c.States[:i], s) {
			return nil, waypost.Errorf(waypost.InvalidArgument, "the state %s is named twice", s)
		}
	}
	if c.PerState < MinPerState || c.PerState > maxPerState {
		return nil, waypost.Errorf(waypost.InvalidArgument, "a state has between %d and %d people", MinPerState, maxPerState)
	}
	if c.NoSSN > 1 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the share of people without an SSN is at most 1")
	}
	c.States = slices.Clone(c.States)
	if c.Now.IsZero() {
		c.Now = waypost.Date{Year: 2026, Month: 1, Day: 1}
	}
	p := &Population{config: c}
	p.stage()
	return p, nil
}

// States returns the states in the order of the configuration.
func (p *Population) States() []waypost.Jurisdiction { return slices.Clone(p.config.States) }

// Each calls fn with every record of the state, in the order of its ID, and
// stops at the first error, which it returns. A state that the population does
// not have has no records.
func (p *Population) Each(state waypost.Jurisdiction, fn func(waypost.Record) error) error {
	if !slices.Contains(p.config.States, state) {
		return nil
	}
	for _, rec := range p.fixed[state] {
		if err := fn(rec); err != nil {
			return err
		}
	}
	order := p.order(state)
	for n := range order.size {
		if err := fn(p.record(state, order.index(n), n)); err != nil {
			return err
		}
	}
	return nil
}

// EachTruth calls fn for every pair of records that are one person, each pair
// once, and stops at the first error, which it returns. No record is in two
// pairs. The applicants of the scenarios are not in it: they have no record.
func (p *Population) EachTruth(fn func(Truth) error) error {
	orders := map[waypost.Jurisdiction]permutation{}
	for _, s := range p.config.States {
		orders[s] = p.order(s)
	}
	for i := range p.config.PerState {
		for _, pair := range p.pairs(i) {
			_, why := p.second(pair, i)
			err := fn(Truth{
				A:   p.id(pair.first, orders[pair.first].position(i)),
				B:   p.id(pair.second, orders[pair.second].position(i)),
				Why: why,
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// record draws the n-th record of the crowd, which has the given index.
func (p *Population) record(state waypost.Jurisdiction, index, n int) waypost.Record {
	rec := waypost.Record{ID: p.id(state, n)}
	rec.Person = p.original(state, index)
	for _, pair := range p.pairs(index) {
		if pair.second == state {
			rec.Person, _ = p.second(pair, index)
		}
	}
	r := p.random("card "+string(state), index)
	rec.CardNumber = cardNumber(r, rec.ID)
	card(r, &rec)
	return rec
}

func (p *Population) original(state waypost.Jurisdiction, index int) waypost.Person {
	return p.identity(p.random("person "+string(state), index))
}

// pair says that the records with one index in two states are one person.
type pair struct{ first, second waypost.Jurisdiction }

// second draws the later record of a pair's person.
func (p *Population) second(of pair, index int) (waypost.Person, string) {
	return p.drift(p.original(of.first, index), p.random("drift "+string(of.second), index))
}

// pairs returns the pairs among the records that share an index. The states are
// dealt into couples and each couple is a pair with the probability that makes
// the total come out at shared. So no record is in two pairs.
func (p *Population) pairs(index int) []pair {
	states := slices.Clone(p.config.States)
	r := p.random("pairs", index)
	r.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	couples := len(states) / 2
	rate := shared * float64(len(states)) / float64(couples)
	var pairs []pair
	for i := range couples {
		of := pair{states[2*i], states[2*i+1]}
		if r.Float64() < rate && index < p.crowd(of.first) && index < p.crowd(of.second) {
			pairs = append(pairs, of)
		}
	}
	return pairs
}

// crowd is the number of records of a state beside the scenarios' people.
func (p *Population) crowd(state waypost.Jurisdiction) int {
	return p.config.PerState - len(p.fixed[state])
}

// id names the n-th record of the crowd; the scenarios' people come first.
func (p *Population) id(state waypost.Jurisdiction, n int) string {
	return recordID(state, len(p.fixed[state])+n+1)
}

func recordID(state waypost.Jurisdiction, number int) string {
	return fmt.Sprintf("%s-%06d", state, number)
}

// permutation is an affine shuffle of 0 to size-1, so that the two records of
// a pair, which share an index, do not share a number.
type permutation struct{ size, factor, inverse, shift int }

func (p *Population) order(state waypost.Jurisdiction) permutation {
	r := p.random("order "+string(state), 0)
	size := p.crowd(state)
	for {
		factor := 1 + r.IntN(size)
		if inverse, ok := invert(factor, size); ok {
			return permutation{size, factor, inverse, r.IntN(size)}
		}
	}
}

func (o permutation) index(position int) int { return (position*o.factor + o.shift) % o.size }

func (o permutation) position(index int) int {
	return (index - o.shift + o.size) % o.size * o.inverse % o.size
}

// invert returns a's inverse modulo n by the extended Euclidean algorithm, and
// whether there is one.
func invert(a, n int) (int, bool) {
	r0, r1, t0, t1 := n, a%n, 0, 1
	for r1 != 0 {
		q := r0 / r1
		r0, r1, t0, t1 = r1, r0-q*r1, t1, t0-q*t1
	}
	return (t0 + n) % n, r0 == 1
}
