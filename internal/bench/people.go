package bench

import (
	"crypto/rand"
	"fmt"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/matchkey"
)

var states = []waypost.Jurisdiction{"CA", "AZ", "NV", "NY"}

// applicant is someone at the counter of one state whose card is in another.
type applicant struct {
	ask, holder waypost.Jurisdiction
	who         gateway.Applicant
}

// people are everyone that the exchange is loaded with, and the applicants,
// each of them once.
type people struct {
	records map[waypost.Jurisdiction][]waypost.Record
	one     []applicant // one true candidate
	crowded []applicant // one true candidate and falseCandidates others
}

// falseCandidates is how many of the crowded applicants' candidates are other
// people. The design expects about as many at 300 million people.
const falseCandidates = 3

// newPeople makes a population with perState records in each state, and gives
// the first crowded applicants their look-alikes beside it.
func newPeople(perState, crowded int) (*people, error) {
	p := &people{records: make(map[waypost.Jurisdiction][]waypost.Record)}
	single, err := p.populate(perState)
	if err != nil {
		return nil, err
	}
	lookAlikes := newLookAlikes()
	for i := range perState {
		for at, holder := range states {
			if i >= len(single[holder]) {
				continue
			}
			record := single[holder][i]
			// Every state asks every other in turn.
			ask := states[(at+1+i%(len(states)-1))%len(states)]
			who := applicant{ask, holder, gateway.Applicant{Person: record.Person}}
			if len(p.crowded) < crowded {
				if others := lookAlikes.of(record.Person); len(others) == falseCandidates {
					p.place(who.ask, others)
					p.crowded = append(p.crowded, who)
					continue
				}
			}
			p.one = append(p.one, who)
		}
	}
	return p, nil
}

// populate draws the records, and returns those of people with one card only.
func (p *people) populate(perState int) (map[waypost.Jurisdiction][]waypost.Record, error) {
	all, err := population.Generate(population.Config{States: states, PerState: perState, Seed: 1})
	if err != nil {
		return nil, err
	}
	double := make(map[string]bool)
	err = all.EachTruth(func(t population.Truth) error {
		double[t.A], double[t.B] = true, true
		return nil
	})
	if err != nil {
		return nil, err
	}
	single := make(map[waypost.Jurisdiction][]waypost.Record)
	for _, state := range states {
		err := all.Each(state, func(r waypost.Record) error {
			p.records[state] = append(p.records[state], r)
			if !double[r.ID] && !r.Protected { // a special unit answers for those, not a program
				single[state] = append(single[state], r)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return single, nil
}

// place gives the look-alikes cards in the states other than the one that
// will ask.
func (p *people) place(ask waypost.Jurisdiction, others []waypost.Person) {
	at := 0
	for _, state := range states {
		if state == ask {
			continue
		}
		id := fmt.Sprintf("%s-L%06d", state, len(p.records[state]))
		p.records[state] = append(p.records[state], waypost.Record{
			ID: id, Person: others[at], CardNumber: "SYN" + id, Kind: waypost.Licence, Status: waypost.Valid})
		at++
	}
}

// lookAlikes makes people who are candidates for a check about somebody else
// and are told apart by the first leg, as nearly all false candidates are.
type lookAlikes struct{ secret []byte }

func newLookAlikes() lookAlikes {
	l := lookAlikes{make([]byte, 32)}
	_, _ = rand.Read(l.secret) // never fails (Go 1.24)
	return l
}

// of returns up to falseCandidates people with the person's date of birth and
// another name. The match keys themselves say which names do.
func (l lookAlikes) of(p waypost.Person) (others []waypost.Person) {
	asked := make(map[string]bool, matchkey.Probes)
	for _, key := range matchkey.NewQuery(p, l.secret).Keys {
		asked[string(key)] = true
	}
	for _, other := range variants(p) {
		var agreed []matchkey.Slot
		for _, slot := range matchkey.Index(other, l.secret) {
			if asked[string(slot.Key)] {
				agreed = append(agreed, slot)
			}
		}
		if len(agreed) == 0 || matchkey.Continue(agreed) {
			continue
		}
		if others = append(others, other); len(others) == falseCandidates {
			break
		}
	}
	return others
}

// variants are names that share their beginnings, or the letters in their
// middle, or their sound, with the person's.
func variants(p waypost.Person) (all []waypost.Person) {
	n := matchkey.Normalize(p)
	if len(n.Given) == 0 || len(n.Family) == 0 || len(n.Given[0]) < 3 || len(n.Family[0]) < 5 {
		return nil
	}
	given, family := n.Given[0], n.Family[0]
	add := func(g, f string) {
		all = append(all, waypost.Person{Given: g, Family: f, Born: p.Born, Sex: p.Sex})
	}
	for _, tail := range []string{"BLEN", "DOTT", "FISK", "GUMP", "KELZ", "LWIN", "MOVO", "PETT", "RUNJ", "STUM", "VAZQ", "ZIMB"} {
		add(given[:3]+tail[2:], family[:3]+tail)
		add(tail[:1]+given[1:3]+tail[3:], tail[:1]+family[1:3]+tail[1:2]+family[4:5]+tail)
		add(given[:1]+"A"+given[1:], family[:1]+"EH"+family[1:]+tail[1:2])
	}
	return all
}
