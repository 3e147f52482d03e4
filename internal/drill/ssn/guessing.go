package ssn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/matchkey"
)

// endings is how many last five digits of an SSN there are: ten times the four-digit
// serials, which are never 0000.
const endings = 10 * 9999

// tryAll tries the endings of SSNs, 32 a ticket, until one leads to the state of a
// person, and then asks by the keys of that ending alone. Everybody's record is found by
// some ending, without an SSN by that which stands in for it. It is played with some
// hundred endings, among them the one that leads to the record. How many tickets all
// endings take follows from it: each ticket tries 32, and none tells of another.
func (p *play) tryAll(ctx context.Context, g *rogue.Gateway) error {
	rng := rand.New(rand.NewPCG(p.Seed, 6))
	people := p.people[honest][:p.Size.Pick(10, 40, 200)]
	among := waypost.CheckElements * p.Size.Pick(2, 6, 30)
	tickets, right := 0, 0
	answers, has := make([][]string, 0, len(people)), make([]bool, 0, len(people))
	for i, s := range people {
		at := s.ssn5
		if !s.has {
			at = p.standIn(s.record.Person)
		}
		used, found, err := p.try(ctx, g, s, endingsWith(rng, at, among))
		if err != nil {
			return err
		}
		if tickets += used; found == at {
			right++
		}
		who := s.record.Person
		who.SSN5 = found
		h, err := p.ask(ctx, g, honest, bySSN(who), nil)
		if err != nil {
			return err
		}
		answers, has = append(answers, append(h.first, fmt.Sprint("found ", found != ""))), append(has, s.has)
		p.Progress("trying endings", i+1, len(people))
	}
	p.tried(len(people), among, tickets, right, over(guess(answers, has)))
	return nil
}

// tried adds the line about whether there is an SSN, and the one about its digits.
func (p *play) tried(people, among, tickets, right int, a advantage) {
	all := (endings + waypost.CheckElements - 1) / waypost.CheckElements
	p.line(fmt.Sprintf("all of %d endings of SSNs tried, %d a ticket, then the first leg by what was found", among, waypost.CheckElements), honest, people, a)
	p.Add(drill.Line{
		Party:     "a state, by tickets",
		Attempted: fmt.Sprintf("the same for the digits themselves: %d people of whom it knows name and date, %d endings each", people, among),
		Obtained: fmt.Sprintf("the ending that leads to the record, of %d of %d people in %.1f tickets each; it may be an SSN's or stand in for one. All %d endings take up to %d tickets for one person, extrapolated: each day's checks of a state of three million (2800) for %.1f days, or those of one operator (60 an hour) for %.0f hours",
			right, people, float64(tickets)/float64(people), endings, all, float64(all)/2800, float64(all)/60),
		Noticed:  fmt.Sprintf("the alarms of the quotas on the first day; %.0f of the %d tickets are drawn for opening at 0.5 %%, expected, and show no applicant: the drill clerk plays both", 0.005*float64(all), all),
		Baseline: "plain index: stands there; unkeyed index: all endings in a moment",
		Target:   "conceded within quotas (five digits are few): more than 3000 tickets for one person, and no word whether it is an SSN",
		OK:       right == people,
		Planted:  true,
		Figure: &drill.Figure{Name: "tickets for one person", Value: float64(all), Low: float64(all), High: float64(all), Bound: 3000,
			Others: []drill.Other{{Name: "plain index", Value: 1}, {Name: "unkeyed index", Value: 1}}},
	})
}

// standIn is the ending by which a record without an SSN is found. The attacker cannot
// compute it: it is looked up here, so that not all have to be tried.
func (p *play) standIn(who waypost.Person) string {
	m := hmac.New(sha256.New, p.secret[:])
	m.Write([]byte("waypost gateway v1 decoys"))
	own := keyA(who, m.Sum(nil))
	for n := range 100_000 {
		if who.SSN5 = fmt.Sprintf("%05d", n); matchkey.SSN5(who.SSN5) != "" && string(keyA(who, m.Sum(nil))) == string(own) {
			return who.SSN5
		}
	}
	return ""
}

// keyA is the key of the ending and the date.
func keyA(who waypost.Person, secret []byte) []byte {
	for _, slot := range matchkey.Index(who, secret) {
		if slot.Kind == matchkey.A {
			return slot.Key
		}
	}
	return nil
}

// endingsWith returns n different endings in random order, a given one among them.
func endingsWith(rng *rand.Rand, given string, n int) []string {
	chosen := map[string]bool{given: true}
	list := []string{given}
	for len(list) < n {
		e := fmt.Sprintf("%d%04d", rng.IntN(10), 1+rng.IntN(9999))
		if !chosen[e] && matchkey.SSN5(e) != "" {
			chosen[e] = true
			list = append(list, e)
		}
	}
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// try puts key A of each ending into tickets until one leads to the person's state, and
// then each of that ticket's by itself.
func (p *play) try(ctx context.Context, g *rogue.Gateway, s *subject, list []string) (tickets int, found string, err error) {
	for from := 0; from < len(list); from += waypost.CheckElements {
		some := list[from : from+waypost.CheckElements]
		hit, err := p.hits(ctx, g, s, some)
		if tickets++; err != nil {
			return tickets, "", err
		}
		for hit && len(some) > 1 { // half of them, until one is left
			half := some[:len(some)/2]
			in, err := p.hits(ctx, g, s, half)
			if tickets++; err != nil {
				return tickets, "", err
			}
			if some = some[len(half):]; in {
				some = half
			}
		}
		if hit {
			return tickets, some[0], nil
		}
	}
	return tickets, "", nil
}

// hits reports whether any of the endings leads to the person's state.
func (p *play) hits(ctx context.Context, g *rogue.Gateway, s *subject, some []string) (bool, error) {
	keys := rogue.Keys(nobody)
	for i, ending := range some {
		who := s.record.Person
		who.SSN5 = ending
		keys[i] = keyA(who, make([]byte, 32))
	}
	look, err := g.Look(keys, g.Folder.Identity, func(*waypost.Ticket) {})
	if err == nil {
		err = g.Evaluated(ctx, look)
	}
	if err != nil {
		return false, err
	}
	for part := uint32(1); part <= 2; part++ {
		found, err := g.Search(ctx, look, part)
		if err != nil {
			return false, err
		}
		for _, c := range found.List {
			if c.Owner == honest {
				return true, nil
			}
		}
	}
	return false, nil
}

// nobody is in no index.
var nobody = waypost.Person{Family: "NOBODY", Given: "ATALL", Born: waypost.Date{Year: 1901, Month: 3, Day: 4}}

// bySSN are the keys of a person of which only those from the SSN are true.
func bySSN(who waypost.Person) [][]byte {
	keys := rogue.Keys(nobody)
	copy(keys[waypost.NameElements:], rogue.Keys(who)[waypost.NameElements:])
	return keys
}
