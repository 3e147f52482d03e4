// Package clerk is the drill of somebody who enumerates: a clerk with a list of names
// at an honest counter, and a state whose gateway was replaced by a program that puts
// up to 32 people into one ticket, alone, with key holders who help it, and with the
// hub. The quotas are those of a roster in earnest: of one operator's hour, of a
// member's day.
//
//	clerk.go    the exchange, and the lines in their order
//	counter.go  the clerk at the counter
//	tickets.go  tickets for several people, and who helps with them
//	certain.go  what such tickets say of single people
//	ask.go      the owners are asked who it was
//	judge.go    what came of it
//	noticed.go  who notices
package clerk

import (
	"context"
	"errors"
	"fmt"
	"math"
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

	list []listed // half of them have a record elsewhere
	rare []listed // few of them have
	// What the baselines gave of the list.
	plain, unkeyed baseline
}

// baseline is what an index without tickets gave.
type baseline struct {
	asked int // names that were looked up
	known int // those of them that have a record elsewhere
	found int
	took  time.Duration
}

// whole reports whether it gave what there was: all but a few who have a record under
// another form of their first name.
func (b baseline) whole() bool { return b.known > 0 && 20*b.found >= 19*b.known }

// rareShare is how many of the rare list have a record elsewhere.
const rareShare = 0.03

// listed is one name on the list, with the truth, which the attacker does not have.
type listed struct {
	waypost.Person
	ssn5  string // which the attacker does not have either
	known bool   // has a record in another state: some state of the exchange but the rogue one
}

// quotaOf is what a member has. A day at full size is that of a state of three million:
// 1.3 times its part of 225,000 checks a business day. The smaller sizes have a day in
// scale; an operator's hour is 60 checks but for the smallest.
func quotaOf(size drill.Size, people int) roster.Quota {
	return roster.Quota{
		TicketsPerDay: size.Pick(16, 80, 2800), TicketsPerOperatorHour: size.Pick(12, 60, 60), Operators: size.Pick(6, 20, 400),
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
	if p.baselines(); !p.plain.whole() || !p.unkeyed.whole() {
		return fmt.Errorf("the baselines do not give what is in them: %s", p.inBaselines())
	}
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

// draw makes the lists, of people who have a record in CA or NY, and others who most likely
// have none anywhere. Who has one is said by the records themselves.
func (p *play) draw(people int) error {
	holds := make(map[string]bool)
	var with, without []listed
	for _, state := range drill.States {
		for _, r := range p.x.Records[state] {
			if state != rogueState {
				holds[string(keyOf(r.Person))] = true
			}
			if slices.Contains(owners, state) && r.Status == waypost.Valid && !r.Protected {
				with = append(with, listed{Person: withoutSSN(r.Person), ssn5: r.Person.SSN5})
			}
		}
	}
	rare := waypost.CheckElements * p.quota.TicketsPerDay
	others, err := population.Generate(population.Config{States: []waypost.Jurisdiction{"TX", "WA"}, PerState: max(2*people, rare), Seed: p.Seed + 1})
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
	few := min(int(rareShare*float64(rare)), len(with))
	p.list = slices.Concat(with, without[:len(with)])
	p.rare = slices.Concat(with[:few], without[:rare-few])
	rng := rand.New(rand.NewPCG(p.Seed, 3))
	for _, list := range [][]listed{p.list, p.rare} {
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for i := range list {
			list[i].known = holds[string(keyOf(list[i].Person))]
		}
	}
	return nil
}

func withoutSSN(p waypost.Person) waypost.Person {
	p.SSN5 = ""
	return p
}

// baselines look the list up in the two other indexes. The unkeyed one is asked with
// every SSN that there is, for the first of the list who have a record and as many who have
// none.
func (p *play) baselines() {
	plain, unkeyed := drill.NewBaselines(p.x.Records)
	type name struct{ family, given, born string }
	rows := make(map[name]bool)
	for _, r := range plain.Rows {
		rows[name{r.Family, r.Given, r.Born}] = true
	}
	began := time.Now()
	for _, l := range p.list {
		row := drill.RowOf(l.Person, "")
		p.plain.count(l, rows[name{row.Family, row.Given, row.Born}])
	}
	p.plain.took = time.Since(began)
	began = time.Now()
	left := map[bool]int{true: p.Size.Pick(2, 10, 50), false: p.Size.Pick(2, 10, 50)}
	for _, l := range p.list {
		if left[l.known] > 0 {
			left[l.known]--
			p.unkeyed.count(l, everySSN(unkeyed, l.Person))
		}
	}
	p.unkeyed.took = time.Since(began)
}

func (b *baseline) count(l listed, found bool) {
	b.asked++
	if l.known {
		b.known++
	}
	if found {
		b.found++
	}
}

// everySSN tries a person with every end of an SSN.
func everySSN(unkeyed *drill.Unkeyed, who waypost.Person) bool {
	row := drill.RowOf(who, "")
	for n := range 100_000 {
		if _, ok := unkeyed.Find(row.Family, row.Given, row.Born, fmt.Sprintf("%05d", n)); ok {
			return true
		}
	}
	return false
}

// inBaselines says what they gave.
func (p *play) inBaselines() string {
	return fmt.Sprintf("plain index: all %d names in %v, %d found of %d, nobody asks why; unkeyed index: no limit but the machine's, %d found of %d among %d names in %.1f s with every SSN tried",
		p.plain.asked, p.plain.took.Round(time.Microsecond), p.plain.found, p.plain.known, p.unkeyed.found, p.unkeyed.known, p.unkeyed.asked, p.unkeyed.took.Seconds())
}

// others are how many names they were looked up in; of the unkeyed one what this machine
// would try in a day.
func (p *play) others() []drill.Other {
	day := float64(p.unkeyed.asked) * float64(24*time.Hour) / float64(max(1, p.unkeyed.took))
	return []drill.Other{{Name: "plain index, the list at once", Value: float64(p.plain.asked)}, {Name: "unkeyed index, extrapolated to a day of this machine", Value: math.Floor(day)}}
}
