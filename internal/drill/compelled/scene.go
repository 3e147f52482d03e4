package compelled

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/population"
)

// person is somebody in the exchange, and the truth: which states have a record, with
// which SSN or none, and at whose counters they have stood.
type person struct {
	waypost.Person
	records  map[waypost.Jurisdiction]string
	counters map[waypost.Jurisdiction]bool
}

// holds reports whether a state has a record of the person.
func (p *person) holds(state waypost.Jurisdiction) bool {
	_, ok := p.records[state]
	return ok
}

// scene is an exchange with a past, stopped.
type scene struct {
	*drill.Stage
	x         *drill.Exchange
	people    []*person
	by        map[drill.PlainRow]*person
	born      map[string][]*person
	taken     map[string]*holding // by party
	portraits [][]byte
	visits    int
	members   []string
	threshold int
}

// bare is what two records of one person are known by here: names and date.
func bare(p waypost.Person) drill.PlainRow {
	row := drill.RowOf(p, "")
	row.SSN5 = ""
	return row
}

func (c *scene) add(p waypost.Person) *person {
	one := c.by[bare(p)]
	if one == nil {
		one = &person{Person: p, records: make(map[waypost.Jurisdiction]string), counters: make(map[waypost.Jurisdiction]bool)}
		c.people, c.by[bare(p)] = append(c.people, one), one
		c.born[p.Born.String()] = append(c.born[p.Born.String()], one)
	}
	return one
}

// play loads the states, gives some people portraits, and has people stand at counters:
// of every state, its own, other states' and people without a card. Letters to one
// state stay unread.
func play(ctx context.Context, s *drill.Stage) (*scene, error) {
	x, err := s.Open(ctx, "exchange", s.Size.Pick(30, 150, 3_000), cluster.Config{})
	if err != nil {
		return nil, err
	}
	c := &scene{Stage: s, x: x, by: make(map[drill.PlainRow]*person), born: make(map[string][]*person), taken: make(map[string]*holding)}
	for _, state := range drill.States {
		for _, r := range x.Records[state] {
			c.add(r.Person).records[state] = r.Person.SSN5
		}
	}
	err = c.past(ctx)
	if closed := x.Close(); err == nil {
		err = closed
	}
	return c, err
}

func (c *scene) past(ctx context.Context) error {
	if err := c.photograph(ctx); err != nil {
		return err
	}
	each := c.Size.Pick(4, 15, 200)
	for i := range each {
		for at, state := range drill.States {
			c.Progress("a past", i*len(drill.States)+at, each*len(drill.States))
			other := drill.States[(at+1+i%(len(drill.States)-1))%len(drill.States)]
			if err := c.visit(ctx, state, c.x.Records[other][i].Person, waypost.IssueRealID); err != nil {
				return err
			}
		}
	}
	if err := c.since(ctx); err != nil {
		return err
	}
	newcomers, err := population.Generate(population.Config{States: drill.States, PerState: population.MinPerState, Seed: c.Seed + 1})
	if err != nil {
		return err
	}
	n := 0
	if err := newcomers.Each("NY", func(r waypost.Record) error {
		if n++; n > each || c.by[bare(r.Person)] != nil {
			return nil
		}
		return c.visit(ctx, theState, r.Person, waypost.IssueLicence)
	}); err != nil {
		return err
	}
	// What is written to the state from here on waits at the hub.
	if err := c.x.Stop(string(theState)); err != nil {
		return err
	}
	late, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	return c.visit(late, "NY", c.x.Records[theState][each].Person, waypost.IssueRealID)
}

// since has people come to the state who have an SSN by now, which the state of their card
// does not know.
func (c *scene) since(ctx context.Context) error {
	n := 0
	for _, r := range slices.Concat(c.x.Records["AZ"], c.x.Records["NV"], c.x.Records["NY"]) {
		if r.Person.SSN5 != "" || n == c.Size.Pick(2, 6, 60) {
			continue
		}
		n++
		r.Person.SSN5 = fmt.Sprintf("%05d", 20_000+int(c.Seed%10_000)+n)
		if err := c.visit(ctx, theState, r.Person, waypost.IssueRealID); err != nil {
			return err
		}
	}
	return nil
}

func (c *scene) visit(ctx context.Context, state waypost.Jurisdiction, p waypost.Person, why waypost.Purpose) error {
	c.visits++
	c.add(p).counters[state] = true
	_, err := c.x.Made(ctx, state, p, why, fmt.Sprintf("PAST-%d", c.visits))
	return err
}

// photograph gives people of each state portraits that can be known again.
func (c *scene) photograph(ctx context.Context) error {
	for _, state := range drill.States {
		door, _, err := cluster.Door(c.x.Dir, state)
		if err != nil {
			return err
		}
		file := waypostv1connect.NewRecordsClient(door)
		for _, r := range c.x.Records[state][:c.Size.Pick(3, 20, 200)] {
			jpeg := binary.BigEndian.AppendUint64([]byte{0xff, 0xd8, 0xff, 0xe0}, uint64(len(c.portraits)+1)*0x9e3779b97f4a7c15)
			if _, err := file.SetPortrait(ctx, &waypostv1.SetPortraitRequest{Record: r.ID, Jpeg: jpeg}); err != nil {
				return err
			}
			c.portraits = append(c.portraits, jpeg)
		}
	}
	return nil
}
