// Package apart is the adversary who wants to know who has no SSN: a classifier that
// learns from people about whom it knows, and is tried on others. It has the hub's
// database, or all that a running hub is shown, at the density of the whole country.
//
//	play.go     the exchange: people of whom half have no SSN, whatever their names
//	move.go     some of them move to another state
//	elsewhere.go  others are asked about by a state that has no record of them
//	tap.go      what the hub is shown
//	baselines.go  the same adversary on the plain index and on unkeyed hashes
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
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/estimate"
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

// allChecks is what is conceded of checks in one state about a record of another, where
// the design's .60 is missed: about one in five goes on to part two, and tells.
const allChecks = 0.75

const (
	guessing = 0.5 // the AUC of who knows nothing
	certain  = 0.9 // of who knows of nearly everybody: a baseline, or what is conceded
)

const nobody = "nobody can: it is reading"

func run(ctx context.Context, s *drill.Stage) (err error) {
	beside, err := baselines(ctx, s)
	if err != nil {
		return err
	}
	if err := beside.many(ctx); err != nil {
		return err
	}
	p, err := open(ctx, beside)
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
	p.fromChecks(t)
	return nil
}

func (p *trial) chance(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(p.Seed, stream)) }

// figure is a verdict as the report shows it.
func (p *trial) figure(v verdict, bound float64, atMost bool) *drill.Figure {
	f := &drill.Figure{Name: "AUC", Value: v.Value, Low: v.Low, High: v.High, Bound: bound, AtMost: atMost}
	for _, o := range v.others {
		f.Others = append(f.Others, drill.Other{Name: o.name, Value: o.v.Value})
	}
	for i, name := range [strata]string{"rare names", "middling names", "common names"} {
		f.Others = append(f.Others, drill.Other{Name: name, Value: v.byCommon[i].Value})
	}
	f.Others = append(f.Others, drill.Other{Name: "plain index", Value: p.plain.Value}, drill.Other{Name: "unkeyed hashes", Value: p.unkeyed.Value})
	return f
}

func (v verdict) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "AUC %.3f (95 %%: %.3f to %.3f), by %s, tried on %d with and %d without an SSN; of the %d numbers known of each, %d are the same for all",
		v.Value, v.Low, v.High, v.by, v.with, v.without, v.numbers, v.same)
	for _, o := range v.others {
		fmt.Fprintf(&text, "; %s: %.3f (%.3f to %.3f)", o.name, o.v.Value, o.v.Low, o.v.High)
	}
	return text.String()
}

// tried reports whether a verdict rests on enough people of both kinds.
func (v verdict) tried(least int) bool { return v.with >= least && v.without >= least }

// limits are what a line must keep: the target, what its interval must exclude at this
// size, which says no more than as many people can, and how many people of each kind
// there must be.
type limits struct {
	bound, excluded float64
	least           int
	but             string // what else is to be said of the target
}

// told adds a line that must keep them.
func (p *trial) told(party, attempted string, v verdict, l limits) {
	p.Add(drill.Line{Party: party, Attempted: attempted, Obtained: v.String(), Noticed: nobody, Baseline: p.beside(),
		Target: fmt.Sprintf("AUC at most %.2f; more than %.3f excluded, of at least %d people of each kind", l.bound, l.excluded, l.least) + l.but,
		OK:     v.tried(l.least) && v.High <= l.excluded, Figure: p.figure(v, l.bound, true)})
}

// found adds a line in which a weakness is planted, which must be found: the figure is
// above what is allowed, and all of its interval above guessing.
func found(s *drill.Stage, party, planted string, v verdict, bound float64) {
	s.Add(drill.Line{Party: party, Attempted: "planted: " + planted, Obtained: v.String(), Planted: true, OK: v.Value > bound && v.Low > guessing,
		Target: fmt.Sprintf("found: above %.2f, and the interval above guessing", bound)})
}

// conceded adds a line in which the attack succeeds, and is said to in THREAT-MODEL.md:
// who does not find it has not tried.
func (p *trial) conceded(party, attempted string, v verdict, whom, why string) {
	least, nearly := p.Size.Pick(5, 40, 200), p.pick(0.75, certain, certain)
	p.Add(drill.Line{Party: party, Attempted: attempted, Obtained: v.String() + "; " + whom, Noticed: nobody, Baseline: p.beside(),
		Target: fmt.Sprintf("conceded (THREAT-MODEL.md): %s. It must be found: all of the interval above %.2f, of at least %d people of each kind", why, nearly, least),
		OK:     v.tried(least) && v.Low >= nearly, Figure: p.figure(v, nearly, false)})
}

// many tries what a running hub counts on as many people as can be drawn.
func (p *trial) many(ctx context.Context) error {
	const issued, renamed = "by how many strangers share the tokens of a card issued on a check, which shows which of them were in part two (keys drawn, no exchange)",
		"the same of a changed surname, which shows which tokens stay (keys drawn, no exchange)"
	n := p.Size.Pick(6000, 30_000, 300_000)
	r := p.chance(6)
	people, err := draw(ctx, p.Stage, n, none)
	if err != nil {
		return err
	}
	enough := limits{bound: logBound, excluded: p.pick(0.55, 0.53, 0.52), least: n / 3}
	p.told("a live hub", issued, tell(asSamples(people, false), r).beside("control: by the name alone", tell(byName(people), r)), enough)
	p.told("a live hub, given an alias", renamed, tell(asSamples(people, true), r), enough)
	if people, err = draw(ctx, p.Stage, n, alone); err != nil {
		return err
	}
	found(p.Stage, "a live hub", "what takes the place of an SSN is a key that no stranger shares", tell(asSamples(people, false), r), logBound)
	found(p.Stage, "a live hub, given an alias", "the same", tell(asSamples(people, true), r), logBound)
	if people, err = draw(ctx, p.Stage, n/5, anew); err != nil {
		return err
	}
	found(p.Stage, "a live hub, given an alias", "digits that stand in for an SSN are drawn again from the new name", tell(asSamples(people, true), r), certain)
	return nil
}

// pick is the number for the size.
func (p *trial) pick(small, normal, full float64) float64 {
	switch p.Size {
	case drill.Small:
		return small
	case drill.Full:
		return full
	}
	return normal
}

// atRest tries the database.
func (p *play) atRest(ctx context.Context, t *transcript) error {
	c, err := p.copied(ctx)
	if err != nil {
		return err
	}
	p.told("a copy of the hub's database", "every column of the pointers, number and places of labels, order, times, batches",
		tell(t.samples(p.loaded, c.features), p.chance(11)), limits{bound: restBound, excluded: p.pick(0.62, 0.535, 0.52), least: len(p.loaded) / 3})
	p.told("a copy, of cards issued in the last minutes", "the same, and what is left of their searches, at national density",
		tell(t.samples(p.issued, c.recent(t)), p.chance(12)), p.logged(p.issued))
	return nil
}

// logged are the limits of a line about those people. What can be excluded depends on how
// many there are: three times the half of the interval above guessing.
func (p *play) logged(all []*subject) limits {
	half := 1.96 / math.Sqrt(3*float64(max(1, len(all)))) // of who knows nothing, both kinds as many
	return limits{bound: logBound, excluded: min(1, max(logBound, guessing+3*half)), least: max(len(all)/3, p.Size.Pick(8, 60, 400))}
}

// fromLogs tries the transcripts.
func (p *play) fromLogs(_ context.Context, t *transcript) error {
	alone := func(all []*subject, features func(*subject) []float64, stream uint64) verdict {
		return tell(t.samples(all, features), p.chance(stream)).
			beside("of whom one state alone has a record", tell(t.samples(single(all), features), p.chance(stream+20)))
	}
	p.told("a live hub that logs everything", "of people who came with a load: their tokens, who shares them, here and abroad",
		alone(p.loaded, t.load, 21), p.logged(p.loaded))
	p.told("a live hub that logs everything", "of people who were checked, issued a card and checked again: searches, both parts, hits, repeats, publication",
		alone(p.issued, t.issue, 22), p.logged(p.issued))
	p.told("a live hub, given an alias", "of people who changed their surname and are found by the former one too: three publications, what stays, who shares it",
		alone(p.changed, t.rename, 23), p.logged(p.changed))
	var twins []*subject
	for _, s := range p.loaded {
		if s.twin {
			twins = append(twins, s)
		}
	}
	p.conceded("a live hub, given a duplicate", "of people of whom two states have a record: how many tokens the two share",
		tell(t.samples(twins, t.twin), p.chance(24)), fmt.Sprintf("%d of %d records", len(twins), len(p.loaded)), "two states that know the same SSN make the same tokens")
	return nil
}

// single are those who have one record.
func single(all []*subject) []*subject {
	return slices.DeleteFunc(slices.Clone(all), func(s *subject) bool { return s.twin })
}

// fromChecks tries the transcripts of checks in one state about records that were made in
// another. Where nobody is recognised by name part two is sent, and tells.
func (p *play) fromChecks(t *transcript) {
	both := func(s *subject) []float64 { return append(t.abroad(s), t.issue(s)...) }
	first, second := t.byPart(p.moved)
	p.told("a live hub, given a move", fmt.Sprintf("of %d people whom a new state checks under the name on their record, and checks again: the %d whom it recognised by name, so that part two was not sent and the record passed to it", len(p.moved), len(first)),
		tell(t.samples(first, both), p.chance(25)).beside("of all of them", tell(t.samples(p.moved, both), p.chance(28))), p.logged(first))
	_, natural := t.byPart(p.abroad)
	_, altered := t.byPart(p.altered)
	share := estimate.Share(len(natural), len(p.abroad))
	concerned := fmt.Sprintf("part two was sent about %d of %d who are asked about as clerks write them, %.1f %% (%.1f to %.1f)",
		len(natural), len(p.abroad), 100*share.Value, 100*share.Low, 100*share.High)
	l := p.logged(p.abroad)
	l.bound, l.excluded, l.but = allChecks, p.pick(0.95, 0.85, 0.80), "; the design asks for 0.60, which is not reached: conceded (THREAT-MODEL.md)"
	p.told("a live hub, given a check in another state", "of people who have a record in one state and are asked about by another, as its clerks write them: to which pointers each part leads ("+concerned+")",
		tell(t.samples(p.abroad, t.abroad), p.chance(26)), l)
	p.conceded("a live hub, given a check in another state", "the same of those alone about whom part two was sent: a person must look, they have changed their surname or are misspelt, or the answer came late",
		tell(t.samples(slices.Concat(natural, altered, second), t.abroad), p.chance(27)), concerned,
		"part two leads to the pointer where another state knows the same SSN, and nowhere where there is none")
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
	return nil
}
