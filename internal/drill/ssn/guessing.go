package ssn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/matchkey"
)

// endings is how many last five digits of an SSN there are: ten times the four-digit
// serials, which are never 0000.
const endings = 10 * 9999

// guessed is what came of trying endings.
type guessed struct {
	people, among int // people, endings tried for each
	tickets       int // that led to a record, of all people together
	right         int // people of whom the right ending was found
	most          int // elements that the key holders take with a ticket
	pass          int // tickets that all these endings took for somebody whom none of them leads to
	hashes        int // that the same takes on the unkeyed index, of all people together
	answered      int // people of whom the first leg by that ending was answered
}

// tryAll tries the endings of SSNs, 32 a ticket, until one leads to the state of a
// person, and then asks by the keys of that ending alone. Everybody's record is found by
// some ending, without an SSN by that which stands in for it. It is played with some
// hundred endings, among them the one that leads to the record; for one person without
// that one, which takes all tickets. How many all endings take is scaled from it.
func (p *play) tryAll(ctx context.Context, g *rogue.Gateway) error {
	rng := rand.New(rand.NewPCG(p.Seed, 6))
	people := p.people[honest][:p.Size.Pick(10, 40, 200)]
	out := guessed{people: len(people), among: waypost.CheckElements * p.Size.Pick(2, 6, 30)}
	answers, has := make([][]string, 0, len(people)), make([]bool, 0, len(people))
	for i, s := range people {
		at := p.endingOf(s)
		used, found, err := p.try(ctx, g, s, endingsWith(rng, at, out.among))
		if err != nil {
			return err
		}
		if out.tickets += used; found == at {
			out.right++
		}
		out.hashes += hashes(s.record.Person)
		who := s.record.Person
		who.SSN5 = found
		h, err := p.ask(ctx, g, honest, bySSN(who), nil)
		if err != nil {
			return err
		}
		if len(h.first) > 2 { // more than two empty parts
			out.answered++
		}
		answers, has = append(answers, append(h.first, fmt.Sprint("found ", found != ""))), append(has, s.has)
		p.Progress("trying endings", i+1, len(people))
	}
	var err error
	if out.pass, err = p.tryInVain(ctx, g, people[0], endingsWith(rng, "", out.among)); err != nil {
		return err
	}
	if out.most, err = p.most(ctx, g); err != nil {
		return err
	}
	p.tried(out, over(guess(answers, has)))
	return nil
}

// tryInVain is how many tickets all of a list take, of which none leads to the person.
func (p *play) tryInVain(ctx context.Context, g *rogue.Gateway, s *subject, list []string) (tickets int, err error) {
	own := p.endingOf(s)
	if i := slices.Index(list, own); i >= 0 {
		list[i] = "98765" // whatever else
	}
	tickets, found, err := p.try(ctx, g, s, list)
	if err == nil && found != "" {
		err = errors.New("an ending leads to a record that is not its own")
	}
	return tickets, err
}

// most is how many elements the key holders take with one ticket.
func (p *play) most(ctx context.Context, g *rogue.Gateway) (most int, err error) {
	keys := rogue.Keys(nobody)
	for n := len(keys); n <= 4*len(keys); n++ {
		for len(keys) < n {
			keys = append(keys, rogue.Keys(waypost.Person{Family: "NOBODY", Given: fmt.Sprint("ATALL", n), Born: nobody.Born})[0])
		}
		look, err := g.Look(keys, g.Folder.Identity, func(t *waypost.Ticket) {
			oneClerk(t)
			t.Elements = n
		})
		if err != nil {
			return most, err
		}
		switch err := g.Evaluated(ctx, look); {
		case waypost.CodeOf(err) == waypost.InvalidArgument && most > 0:
			return most, nil
		case err != nil:
			return most, err
		}
		most = n
	}
	return most, nil
}

// hashes is how many tries it takes to find the ending of a person in the unkeyed index:
// first that which stands for none, then all in order.
func hashes(who waypost.Person) int {
	row := drill.RowOf(who, honest)
	_, index := drill.NewBaselines(map[waypost.Jurisdiction][]waypost.Record{honest: {{Person: who}}})
	if _, found := index.Find(row.Family, row.Given, row.Born, drill.NoSSN); found {
		return 1
	}
	for n := range 100_000 {
		if _, found := index.Find(row.Family, row.Given, row.Born, fmt.Sprintf("%05d", n)); found {
			return n + 2
		}
	}
	return 100_001
}

// tried adds the line about whether there is an SSN, and the one about its digits.
func (p *play) tried(r guessed, a advantage) {
	all := math.Ceil(float64(endings) * float64(r.pass) / float64(r.among) * waypost.CheckElements / float64(r.most))
	mean, each := float64(r.tickets)/float64(r.people), float64(r.hashes)/float64(r.people)
	p.line(asked{fmt.Sprintf("all of %d endings of SSNs tried, %d a ticket, then the first leg by what was found", r.among, waypost.CheckElements), honest, r.people, r.answered}, a)
	p.Add(drill.Line{
		Party:     "a state, by tickets",
		Attempted: fmt.Sprintf("the same for the digits themselves: %d people of whom it knows name and date, %d endings each", r.people, r.among),
		Obtained: fmt.Sprintf("the ending that leads to the record, of %d of %d people in %.1f tickets each; it may be an SSN's or stand in for one. Without it all %d endings took %d tickets; a ticket carries %d. Scaled to all %d endings: up to %.0f tickets for one person, half of them on average: each day's checks of a state of three million (2800) for %.1f days, or those of one operator (60 an hour) for %.0f hours",
			r.right, r.people, mean, r.among, r.pass, r.most, endings, all, all/2800, all/60),
		Noticed:  fmt.Sprintf("the alarms of the quotas on the first day; %.0f of the %.0f tickets are drawn for opening at 0.5 %%, expected, and show no applicant: the drill clerk plays both", 0.005*all, all),
		Baseline: fmt.Sprintf("plain index: stands there; unkeyed index: found with %.0f hashes each, and nobody is asked", each),
		Target:   "conceded within quotas (five digits are few): more than 3000 tickets to try all for one person, and no word whether it is an SSN",
		OK:       r.right == r.people,
		Planted:  true,
		Figure: &drill.Figure{Name: "tickets to try all endings for one person", Value: all, Low: all, High: all, Bound: 3000,
			Others: []drill.Other{{Name: "plain index, tickets", Value: 0}, {Name: "unkeyed index, hashes offline", Value: each}}},
	})
}

// endingOf is the ending that leads to somebody's record.
func (p *play) endingOf(s *subject) string {
	if s.has {
		return s.ssn5
	}
	return p.standIn(s.record.Person)
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

// endingsWith returns n different endings in random order, a given one among them if any
// is given.
func endingsWith(rng *rand.Rand, given string, n int) []string {
	chosen := map[string]bool{given: true}
	var list []string
	if given != "" {
		list = append(list, given)
	}
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
	look, err := g.Look(keys, g.Folder.Identity, oneClerk)
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
