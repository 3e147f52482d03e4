package ssn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/estimate"
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
	full   map[string]bool     // by the way of asking: that there was an answer to it, no refusal
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
				p.people[state] = append(p.people[state], &subject{record: r, ssn5: r.Person.SSN5, words: make(map[string][]string), full: make(map[string]bool)})
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
		if err := errors.Join(p.load(ctx, state, rows), p.photograph(ctx, state)); err != nil {
			return err
		}
		p.elsewhere[state] = openly(rows)
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

// photograph stores portraits of everybody, all of one size.
func (p *play) photograph(ctx context.Context, state waypost.Jurisdiction) error {
	door, _, err := cluster.Door(p.x.Dir, state)
	if err != nil {
		return err
	}
	file := waypostv1connect.NewRecordsClient(door)
	for i, s := range p.people[state] {
		jpeg := make([]byte, 12<<10)
		binary.BigEndian.PutUint64(jpeg[4:], uint64(i))
		copy(jpeg, []byte{0xff, 0xd8, 0xff, 0xe0})
		if _, err := file.SetPortrait(ctx, &waypostv1.SetPortraitRequest{Record: s.record.ID, Jpeg: jpeg}); err != nil {
			return err
		}
	}
	return nil
}

// baselines is what the same question obtains of the plain and the unkeyed index.
type baselines struct{ plain, unkeyed advantage }

// openly asks both indexes about the same people, once about each: whether the column
// says that there is no SSN, and whether that guess is found.
func openly(rows []waypost.Record) baselines {
	plain, unkeyed := drill.NewBaselines(map[waypost.Jurisdiction][]waypost.Record{honest: rows})
	right := [2]int{}
	for i, row := range plain.Rows {
		without := rows[i].Person.SSN5 == ""
		if (row.SSN5 == drill.NoSSN) == without {
			right[0]++
		}
		if _, found := unkeyed.Find(row.Family, row.Given, row.Born, drill.NoSSN); found == without {
			right[1]++
		}
	}
	return baselines{over(estimate.Share(right[0], len(rows))), over(estimate.Share(right[1], len(rows)))}
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

// SetPortrait passes on what is not changed.
func (p *planted) SetPortrait(ctx context.Context, id string, jpeg []byte) error {
	keeper, ok := p.System.(records.PortraitKeeper)
	if !ok {
		return waypost.Errorf(waypost.InvalidArgument, "the portraits of %s are kept elsewhere", telling)
	}
	return keeper.SetPortrait(ctx, id, jpeg)
}
