// Package clerk is the drill of somebody who enumerates: a clerk with a list of names
// at an honest counter, and a state whose gateway was replaced by a program that puts
// up to 32 people into one ticket, alone, with key holders who help it, and with the
// hub. The quotas are those of a roster in earnest: of one operator's hour, of a
// member's day.
//
//	clerk.go    the exchange, and the lines in their order
//	counter.go  the clerk at the counter
//	tickets.go  tickets for several people, and who helps with them
//	noticed.go  who notices
package clerk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/roster"
)

// Drill is the clerk who enumerates.
var Drill = drill.Drill{
	Name:  "clerk",
	Title: "A clerk who enumerates",
	About: "A clerk, or a whole state, looks people up from a list for whom nobody stands at the counter: how many before it is refused, with which helpers, and who notices.",
	Run:   run,
}

const (
	clerkState = waypost.Jurisdiction("AZ") // its gateway is honest, its clerk is not
	rogueState = waypost.Jurisdiction("NV") // its gateway was replaced
)

// play is one run of the drill.
type play struct {
	*drill.Stage
	x     *drill.Exchange
	quota roster.Quota
	// What those who help have in hand.
	mu      sync.Mutex
	helpers map[string]keyholder.Deps
	hub     hub.Deps

	list      []listed // everybody that is looked up, in the order of the list
	plain     int      // how many of the list are in a plain index
	unkeyed   int      // and in an unkeyed one, of the first that are tried with every SSN
	tried     int
	unkeyedIn time.Duration
}

// listed is one name on the list, with the truth, which the attacker does not have.
type listed struct {
	waypost.Person
	ssn5  string // which the attacker does not have either
	known bool   // has a record in another state
}

// quotaOf is what a member has. A day at full size is that of a state of three million:
// 1.3 times its part of 225,000 checks a business day. The smaller sizes have a day in
// scale; an operator's hour is 60 checks but for the smallest.
func quotaOf(size drill.Size, people int) roster.Quota {
	return roster.Quota{
		TicketsPerDay: size.Pick(16, 120, 2800), TicketsPerOperatorHour: size.Pick(12, 60, 60), Operators: size.Pick(6, 20, 400),
		PublishElementsPerDay: 1000, PublishElementsForALoad: 2 * people * waypost.RecordElements,
	}
}

func run(ctx context.Context, s *drill.Stage) (err error) {
	people := s.Size.Pick(60, 400, 4000)
	p := &play{Stage: s, quota: quotaOf(s.Size, people), helpers: make(map[string]keyholder.Deps)}
	p.x, err = s.Open(ctx, "exchange", people, cluster.Config{
		Quota: p.quota,
		Hub:   func(d *hub.Deps) { p.hub = *d },
		KeyHolders: func(name string, d *keyholder.Deps) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.helpers[name] = *d
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.x.Close()) }()
	if err := p.draw(people); err != nil {
		return err
	}
	p.baselines()
	// From early in a day on, so that no window ends in the middle of an attack.
	p.tomorrow()
	if err := p.counter(ctx); err != nil {
		return fmt.Errorf("at the counter: %w", err)
	}
	if err := p.replaced(ctx); err != nil {
		return fmt.Errorf("the gateway that was replaced: %w", err)
	}
	return nil
}

// tomorrow lets the clocks run to an hour into the next day, UTC.
func (p *play) tomorrow() {
	now := p.x.Clock.Now().UTC()
	p.x.Clock.Advance(now.Truncate(24 * time.Hour).Add(25 * time.Hour).Sub(now))
}

// draw makes the list: half of it have a record in CA or NY, half have none anywhere.
func (p *play) draw(people int) error {
	var with, without []listed
	for _, state := range []waypost.Jurisdiction{"CA", "NY"} {
		for _, r := range p.x.Records[state] {
			if r.Status == waypost.Valid && !r.Protected {
				with = append(with, listed{Person: withoutSSN(r.Person), ssn5: r.Person.SSN5, known: true})
			}
		}
	}
	others, err := population.Generate(population.Config{States: []waypost.Jurisdiction{"TX", "WA"}, PerState: 2 * people, Seed: p.Seed + 1})
	if err != nil {
		return err
	}
	err = others.Each("TX", func(r waypost.Record) error {
		without = append(without, listed{Person: withoutSSN(r.Person), ssn5: r.Person.SSN5})
		return nil
	})
	if err != nil {
		return err
	}
	p.list = slices.Concat(with, without[:len(with)])
	rng := rand.New(rand.NewPCG(p.Seed, 3))
	rng.Shuffle(len(p.list), func(i, j int) { p.list[i], p.list[j] = p.list[j], p.list[i] })
	return nil
}

func withoutSSN(p waypost.Person) waypost.Person {
	p.SSN5 = ""
	return p
}

// baselines look the list up in the two other indexes. The unkeyed one is asked with
// every SSN that there is, for the first of the list.
func (p *play) baselines() {
	plain, unkeyed := drill.NewBaselines(p.x.Records)
	type name struct{ family, given, born string }
	rows := make(map[name]bool)
	for _, r := range plain.Rows {
		rows[name{r.Family, r.Given, r.Born}] = true
	}
	began := time.Now()
	p.tried = p.Size.Pick(3, 20, 100)
	for i, l := range p.list {
		row := drill.RowOf(l.Person, "")
		if rows[name{row.Family, row.Given, row.Born}] {
			p.plain++
		}
		if i >= p.tried {
			continue
		}
		for n := range 100_000 {
			if _, ok := unkeyed.Find(row.Family, row.Given, row.Born, fmt.Sprintf("%05d", n)); ok {
				p.unkeyed++
				break
			}
		}
	}
	p.unkeyedIn = time.Since(began)
}

// inBaselines says what they gave.
func (p *play) inBaselines() string {
	return fmt.Sprintf("plain index: all %d names at once, %d found, nobody asks why; unkeyed index: no limit but the machine's, %d of the first %d found in %.1f s with every SSN tried",
		len(p.list), p.plain, p.unkeyed, p.tried, p.unkeyedIn.Seconds())
}
