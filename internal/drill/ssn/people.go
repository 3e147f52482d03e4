package ssn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/statefile"
)

// subject is somebody who is asked about, and what was seen.
type subject struct {
	record waypost.Record // as its state has it
	ssn5   string         // which the record has only where has is set
	has    bool
	words  map[string][]string // by the way of asking: the answer in pieces
	times  []time.Duration     // of each ticket
}

// populate draws people who all have an SSN, takes it from half of them by lot, and
// has their states load them. They live alike otherwise.
func (p *play) populate(ctx context.Context) error {
	drawn, err := population.Generate(population.Config{States: []waypost.Jurisdiction{"TX", "WA"}, PerState: p.Size.Pick(100, 400, 3000), Seed: p.Seed + 1, NoSSN: -1})
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(p.Seed, 4))
	for state, from := range map[waypost.Jurisdiction]waypost.Jurisdiction{honest: "TX", telling: "WA"} {
		n := p.Size.Pick(24, 120, 1000)
		if state == telling {
			n = p.Size.Pick(20, 30, 100)
		}
		err := drawn.Each(from, func(r waypost.Record) error {
			if len(p.people[state]) < n && !r.Protected && r.Status == waypost.Valid && r.Person.SSN5 != "" {
				r.ID, r.CardNumber = fmt.Sprintf("SUBJECT-%s-%d", state, len(p.people[state])), fmt.Sprintf("SYN%s%06d", state, len(p.people[state]))
				p.people[state] = append(p.people[state], &subject{record: r, ssn5: r.Person.SSN5, words: make(map[string][]string)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(p.people[state]) != n {
			return fmt.Errorf("%d of %d people were drawn", len(p.people[state]), n)
		}
	}
	for _, state := range []waypost.Jurisdiction{honest, telling} {
		all := p.people[state]
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for i, s := range all {
			if s.has = i < len(all)/2; !s.has {
				s.record.Person.SSN5 = ""
			}
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		rows := make([]waypost.Record, len(all))
		for i, s := range all {
			rows[i] = s.record
		}
		if err := p.load(ctx, state, rows); err != nil {
			return err
		}
	}
	p.planted.on.Store(true)
	return nil
}

// load has a state load records, all of which it must take.
func (p *play) load(ctx context.Context, state waypost.Jurisdiction, rows []waypost.Record) error {
	counter, err := p.x.Counter(state)
	if err != nil {
		return err
	}
	loader := cluster.NewLoader(counter, 0, func(int) {})
	for i, r := range rows {
		if err := loader.Add(ctx, statefile.Row{Line: i + 1, Record: r}); err != nil {
			return err
		}
	}
	loaded, err := loader.Finish(ctx)
	if err == nil && loaded.Published != len(rows) {
		err = fmt.Errorf("%d of %d records of %s were published", loaded.Published, len(rows), state)
	}
	return err
}

// planted is the licensing system of a state that tells: where there is an SSN it takes
// longer, and where there is none it holds the card to be expired.
type planted struct {
	records.System
	on atomic.Bool
}

// Record is slower for some.
func (p *planted) Record(ctx context.Context, id string) (waypost.Record, error) {
	r, err := p.System.Record(ctx, id)
	switch {
	case err != nil || !p.on.Load():
	case r.Person.SSN5 == "":
		r.Status = waypost.ExpiredCard
	default:
		time.Sleep(plantedDelay)
	}
	return r, err
}
