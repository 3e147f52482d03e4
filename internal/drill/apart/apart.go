// Package apart is the adversary who wants to know who has no SSN: a classifier that
// learns from people about whom it knows, and is tried on others. It has the hub's
// database, or all that a running hub is shown, at the density of the whole country.
//
//	play.go     the exchange: people of whom half have no SSN, whatever their names
//	move.go     some of them move to another state
//	tap.go      what the hub is shown
//	density.go  strangers, as many as there are among 300 million
//	features.go what can be counted in a log
//	rest.go     what stands in the hub's database
//	drawn.go    many more people, without an exchange
//	learn.go    the classifiers
package apart

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
)

// Drill is the adversary.
var Drill = drill.Drill{
	Name:  "apart",
	Title: "Telling people with and without an SSN apart",
	About: "Whoever has the hub's database, or runs the hub and logs all that it is shown, trains classifiers on half of the people and tries them on the others. Half of them have no SSN. An AUC of 0.5 is guessing, 1 is certainty.",
	Run:   run,
}

// The targets of the design, section 15.
const (
	restBound = 0.51
	logBound  = 0.60
)

const (
	nobody  = "nobody can: it is reading"
	plainly = "plain index: AUC 1, it says 99999; unkeyed hashes: AUC 1, 100,000 guesses a person"
)

func run(ctx context.Context, s *drill.Stage) (err error) {
	if err := many(ctx, s); err != nil {
		return err
	}
	p, err := open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.x.Close()) }()
	t := p.transcribe()
	for _, do := range []func(context.Context, *transcript) error{p.atRest, p.fromLogs, p.planted} {
		if err := do(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) chance(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(p.Seed, stream)) }

// figure is a verdict as the report shows it.
func figure(v verdict, bound float64, more ...drill.Other) *drill.Figure {
	f := &drill.Figure{Name: "AUC", Value: v.Value, Low: v.Low, High: v.High, Bound: bound, AtMost: true, Others: more}
	for i, name := range [strata]string{"rare names", "middling names", "common names"} {
		f.Others = append(f.Others, drill.Other{Name: name, Value: v.byCommon[i].Value})
	}
	f.Others = append(f.Others, drill.Other{Name: "plain index", Value: 1})
	return f
}

func (v verdict) String() string {
	return fmt.Sprintf("AUC %.3f (95 %%: %.3f to %.3f), by %s, tried on %d people", v.Value, v.Low, v.High, v.by, v.tested)
}

// told adds a line that must keep its bound.
func told(s *drill.Stage, party, attempted string, v verdict, bound float64, more ...drill.Other) {
	s.Add(drill.Line{Party: party, Attempted: attempted, Obtained: v.String(), Noticed: nobody, Baseline: plainly,
		Target: fmt.Sprintf("AUC at most %.2f", bound), OK: true, Figure: figure(v, bound, more...)})
}

// guessing is the AUC of who knows nothing.
const guessing = 0.5

// found adds a line in which a weakness is planted, which must be found: the figure is
// above what is allowed, and all of its interval above guessing.
func found(s *drill.Stage, party, planted string, v verdict, bound float64) {
	s.Add(drill.Line{Party: party, Attempted: "planted: " + planted, Obtained: v.String(), Planted: true, OK: v.Value > bound && v.Low > guessing,
		Target: fmt.Sprintf("found: above %.2f, and the interval above guessing", bound)})
}

// many tries what a running hub counts on as many people as can be drawn.
func many(ctx context.Context, s *drill.Stage) error {
	n := s.Size.Pick(6000, 30_000, 300_000)
	people, err := draw(ctx, s, n, false)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(s.Seed, 6))
	control := tell(byName(people), r)
	told(s, "a live hub", "by how many strangers share the tokens of a card issued on a check, which shows which of them were in part two (keys drawn, no exchange)",
		tell(asSamples(people, false), r), logBound, drill.Other{Name: "control: by the name alone", Value: control.Value})
	told(s, "a live hub, given an alias", "the same of a changed surname, which shows which tokens stay (keys drawn, no exchange)",
		tell(asSamples(people, true), r), logBound)
	if people, err = draw(ctx, s, n, true); err != nil {
		return err
	}
	found(s, "a live hub", "what takes the place of an SSN is a key that no stranger shares", tell(asSamples(people, false), r), logBound)
	found(s, "a live hub, given an alias", "the same", tell(asSamples(people, true), r), logBound)
	return nil
}

// atRest tries the database.
func (p *play) atRest(ctx context.Context, t *transcript) error {
	c, err := p.copied(ctx)
	if err != nil {
		return err
	}
	told(p.Stage, "a copy of the hub's database", "every column of the pointers, number and places of labels, order, times, batches",
		tell(t.samples(p.loaded, c.features), p.chance(11)), restBound)
	told(p.Stage, "a copy, of cards issued in the last minutes", "the same, and what is left of their searches, at national density",
		tell(t.samples(p.issued, c.recent(t)), p.chance(12)), logBound)
	return nil
}

// fromLogs tries the transcripts.
func (p *play) fromLogs(_ context.Context, t *transcript) error {
	told(p.Stage, "a live hub that logs everything", "of people who came with a load: their tokens, who shares them, here and abroad",
		tell(t.samples(p.loaded, t.load), p.chance(21)), logBound)
	told(p.Stage, "a live hub that logs everything", "of people who were checked, issued a card and checked again: searches, both parts, hits, repeats, publication",
		tell(t.samples(p.issued, t.issue), p.chance(22)), logBound)
	told(p.Stage, "a live hub, given an alias", "of people who changed their surname and are found by the former one too: three publications, what stays, who shares it",
		tell(t.samples(p.changed, t.rename), p.chance(23)), logBound)
	told(p.Stage, "a live hub, given a move", "of people who were found by a new state, whose record passed to it, and who were checked there again",
		tell(t.samples(p.moved, t.issue), p.chance(25)), logBound)
	var twins []*subject
	for _, s := range p.loaded {
		if s.twin {
			twins = append(twins, s)
		}
	}
	v := tell(t.samples(twins, t.load), p.chance(24))
	p.Add(drill.Line{Party: "a live hub, given a duplicate", Attempted: "of people of whom two states have a record: how many tokens the two share",
		Obtained: fmt.Sprintf("%s; %d of %d records", v, len(twins), len(p.loaded)), Noticed: nobody, Baseline: plainly,
		Target: "conceded (THREAT-MODEL.md): two states that know the same SSN make the same tokens", OK: true, Figure: figure(v, 1)})
	return nil
}

// planted weakens the database, and has a look at the plain index.
func (p *play) planted(ctx context.Context, t *transcript) error {
	for i, weakness := range []struct {
		words      string
		share      float64
		perPointer int
	}{
		{"one label in twenty of those in the place of an SSN's is left out", 0.05, 4},
		{"a pointer has a label fewer where there is no SSN", 1, 1},
	} {
		if err := p.without(ctx, weakness.share, weakness.perPointer); err != nil {
			return err
		}
		c, err := p.copied(ctx)
		if err != nil {
			return err
		}
		found(p.Stage, "a copy of the hub's database", weakness.words, tell(t.samples(p.loaded, c.features), p.chance(31+uint64(i))), restBound)
	}
	holdings := make(map[waypost.Jurisdiction][]waypost.Record)
	for _, s := range p.loaded {
		holdings[s.state] = append(holdings[s.state], s.record)
	}
	plain, _ := drill.NewBaselines(holdings)
	var samples []sample
	same := make(map[string]float64)
	for _, row := range plain.Rows {
		same[row.SSN5]++
	}
	for _, row := range plain.Rows {
		samples = append(samples, sample{ssn: row.SSN5 != drill.NoSSN, x: []float64{same[row.SSN5]}})
	}
	found(p.Stage, "a copy of the plain index", "how often the last five digits stand there", tell(samples, p.chance(33)), restBound)
	return nil
}
