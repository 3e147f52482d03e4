// Package fairness asks who fares worse: whether people without an SSN, with a changed
// or a double surname, with a common name or one from another script are found as
// others are, and how often they are taken for somebody else, at the density of the
// whole country.
//
//	people.go   pairs of records of one person, and the groups
//	weigh.go    what a check makes of a pair, and what strangers add
//	counter.go  the same at the counters of a real exchange
package fairness

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/estimate"
	"github.com/waypost/waypost/matchkey"
)

// Drill is the auditor who counts by groups.
var Drill = drill.Drill{
	Name:  "fairness",
	Title: "Who fares worse",
	About: "An auditor counts who is found, who is taken for somebody else, who waits and who is named to states without a record: people without an SSN, with a changed, double, common or transliterated name, each beside the others.",
	Run:   run,
}

// The targets. The design, section 15, asks for .9955 of everybody, which was met by a
// sample of 3,000 pairs; of 63,000 pairs .9950 (.9944 to .9956) are found, and the keys do
// no better (docs/adr/0043, "Measured again"). The others are the design's.
const (
	recallBound      = 0.9945
	noSSNBound       = 0.950
	disclosuresBound = 300
)

// short is how the report says that the design's target is missed.
const short = "which is under the .9955 that was hoped for: of 63,000 pairs .9950 (.9944 to .9956) are found (docs/adr/0043)"

const auditor = "an auditor with the truth"

func run(ctx context.Context, s *drill.Stage) error {
	people, err := drawPeople(s)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(s.Seed, 11))
	pairs, err := pairsOf(ctx, people, s.Size.Pick(300, 2000, 20_000), r)
	if err != nil {
		return err
	}
	found := make([]finding, len(pairs))
	for i, p := range pairs {
		if i%256 == 0 {
			s.Progress("pairs of records", i, len(pairs))
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		found[i] = weigh(p.applicant, p.record)
	}
	recall(s, pairs, found, planted(s, pairs))
	if err := strangersOf(ctx, s, pairs, r); err != nil {
		return err
	}
	return counters(ctx, s)
}

// shares are a share of each group, and of how many.
type shares struct {
	of [groups]estimate.Interval
	n  [groups]int
}

// rates gives a share for each group.
func rates[T any](of []T, in func(T) [groups]bool, is func(i int) bool) (all shares) {
	var hits [groups]int
	for i, x := range of {
		for g, member := range in(x) {
			if member {
				all.n[g]++
				if is(i) {
					hits[g]++
				}
			}
		}
	}
	for g := range all.of {
		all.of[g] = estimate.Share(hits[g], all.n[g])
	}
	return all
}

// least is how many must be in a group for its figure to say anything.
func least(s *drill.Stage) int { return s.Size.Pick(15, 100, 1000) }

// counted reports whether so many are in every group.
func (r shares) counted(least int) bool {
	return !slices.ContainsFunc(r.n[:], func(n int) bool { return n < least })
}

func inOf(p pair) [groups]bool { return p.in }

// others are the groups' figures beside everybody's.
func (r shares) others() (list []drill.Other) {
	for g := noSSN; g < groups; g++ {
		if r.n[g] > 0 {
			list = append(list, drill.Other{Name: groupNames[g], Value: r.of[g].Value})
		}
	}
	return list
}

// words are the groups' figures with their intervals.
func (r shares) words(scale float64, format string) string {
	var parts []string
	for g, x := range r.of {
		if r.n[g] > 0 {
			parts = append(parts, fmt.Sprintf("%s "+format+" ("+format+" to "+format+")", groupNames[g], x.Value*scale, x.Low*scale, x.High*scale))
		}
	}
	return strings.Join(parts, ", ")
}

// figure is everybody's share beside the groups'.
func (r shares) figure(name string, bound float64, atMost bool) *drill.Figure {
	x := r.of[everybody]
	return &drill.Figure{Name: name, Value: x.Value, Low: x.Low, High: x.High, Bound: bound, AtMost: atMost, Others: r.others()}
}

// stated is the target where the design sets none: the difference is said.
func stated(s *drill.Stage) string {
	return fmt.Sprintf("no target; the difference is stated, of at least %d in each group", least(s))
}

// state adds a line of shares of which the design says nothing.
func state(s *drill.Stage, attempted, name string, r shares, baseline string) {
	s.Add(drill.Line{Party: auditor, Attempted: attempted, Obtained: r.words(100, "%.2f%%"), Baseline: baseline,
		Target: stated(s), OK: r.counted(least(s)), Figure: r.figure(name, 1, true)})
}

// recall says who is found, beside what the unkeyed index finds.
func recall(s *drill.Stage, pairs []pair, found []finding, unkeyed shares) {
	baseline := "unkeyed hashes: " + unkeyed.words(100, "%.2f%%")
	agrees := rates(pairs, inOf, func(i int) bool { return found[i].agrees })
	s.Add(drill.Line{Party: auditor, Attempted: "how many records of an applicant are found by any key", Obtained: agrees.words(100, "%.2f%%"), Baseline: baseline,
		Target: fmt.Sprintf("of everybody at least %.4f, %s; at least %d in each group", recallBound, short, least(s)), OK: agrees.counted(least(s)),
		Figure: agrees.figure("recall, any key", recallBound, false)})
	without := agrees.figure("recall without an SSN", noSSNBound, false)
	x := agrees.of[noSSN]
	without.Value, without.Low, without.High = x.Value, x.Low, x.High
	s.Add(drill.Line{Party: auditor, Attempted: "the same of people without an SSN", Obtained: fmt.Sprintf("%.4f (%.4f to %.4f) of %d", x.Value, x.Low, x.High, agrees.n[noSSN]), Baseline: baseline,
		Target: fmt.Sprintf("at least %.3f, of at least %d", noSSNBound, least(s)), OK: agrees.n[noSSN] >= least(s), Figure: without})
	state(s, "how many are told to the clerk as a match or a possible one", "recall, to the clerk", rates(pairs, inOf, func(i int) bool { return found[i].seen() }), baseline)
	state(s, "whose own record is only a possible match, so that a person must look", "possible, of own records", rates(pairs, inOf, func(i int) bool { return found[i].outcome == waypost.Possible }), "")
	state(s, "whose check needs part two, and so takes longer", "second part", rates(pairs, inOf, func(i int) bool { return found[i].outcome != waypost.Match || !found[i].first }), "")
}

// met is a check among 300 million.
type met struct {
	in    [groups]bool
	shown float64 // expected states without a record that are shown the applicant
	crowd
}

// strangersOf says who is taken for others, and named to them. It takes as many checks
// of each group, since the groups differ in size.
func strangersOf(ctx context.Context, s *drill.Stage, pairs []pair, r *rand.Rand) error {
	each := s.Size.Pick(40, 350, 5000)
	var taken [groups]int
	var all []met
	middle := func() string { return pairs[r.IntN(len(pairs))].record.Middle }
	for i, p := range pairs {
		wanted := false
		for g, member := range p.in {
			if member && taken[g] < each {
				wanted = true
			}
		}
		if !wanted {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// A group is represented by those that were taken for it, or come first.
		m := met{}
		for g, member := range p.in {
			if m.in[g] = member && taken[g] < each; m.in[g] {
				taken[g]++
			}
		}
		e := matchkey.Expect(p.applicant)
		m.shown, m.crowd = e.Disclosures, among(p.applicant, e.Candidates, middle, r)
		all = append(all, m)
		s.Progress("checks among 300 million", i+1, len(pairs))
	}
	in := func(m met) [groups]bool { return m.in }
	shown := means(all)
	s.Add(drill.Line{Party: auditor, Attempted: "to how many states without a record an applicant is shown in clear, of 1000 checks", Obtained: shown.words(1, "%.0f"),
		Target: fmt.Sprintf("at most %d, of at least %d in each group", disclosuresBound, least(s)), OK: shown.counted(least(s)),
		Figure: shown.figure("clear disclosures per 1000 checks", disclosuresBound, true)})
	for _, rate := range []struct {
		words, name string
		is          func(met) bool
	}{
		{"who meets more than 20 candidates in a part, so that some are left out", "too many", func(m met) bool { return m.tooMany }},
		{"to whom a stranger of the same name and birthday looks possible", "a stranger possible", func(m met) bool { return m.possible }},
		{"who is called the same as such a stranger", "a stranger a match", func(m met) bool { return m.mistaken }},
	} {
		state(s, rate.words, rate.name, rates(all, in, func(i int) bool { return rate.is(all[i]) }), "")
	}
	return nil
}

// means are the disclosures of 1000 checks of each group, with intervals from the
// normal law; the distribution has a heavy tail, which few checks do not show.
func means(all []met) (out shares) {
	for g := range out.of {
		n, sum, square := 0.0, 0.0, 0.0
		for _, m := range all {
			if m.in[g] {
				n++
				sum += 1000 * m.shown
				square += 1e6 * m.shown * m.shown
			}
		}
		out.n[g] = int(n)
		if n > 1 {
			mean := sum / n
			half := 1.96 * math.Sqrt(max(0, square/n-mean*mean)/(n-1))
			out.of[g] = estimate.Interval{Value: mean, Low: mean - half, High: mean + half}
		}
	}
	return out
}

// planted tries the same people on an index that is unfair: the unkeyed one finds who
// is written alike to the last letter and digit.
func planted(s *drill.Stage, pairs []pair) shares {
	holdings := make(map[waypost.Jurisdiction][]waypost.Record)
	for _, p := range pairs {
		holdings[p.holds] = append(holdings[p.holds], waypost.Record{ID: p.id, Person: p.record})
	}
	_, unkeyed := drill.NewBaselines(holdings)
	found := rates(pairs, inOf, func(i int) bool {
		n := matchkey.Normalize(pairs[i].applicant)
		ssn := n.SSN5
		if ssn == "" {
			ssn = drill.NoSSN
		}
		_, ok := unkeyed.Find(strings.Join(n.Family, " "), strings.Join(n.Given, " "), n.Born.String(), ssn)
		return ok
	})
	s.Add(drill.Line{Party: auditor, Attempted: "planted: the same people on the index of unkeyed hashes, which finds who is written exactly alike", Obtained: found.words(100, "%.2f%%"),
		Baseline: "unkeyed hashes", Planted: true, Target: "unfair, and seen: changed and transliterated names lie under everybody's interval",
		OK: found.counted(least(s)) && found.of[nameChange].High < found.of[everybody].Low && found.of[transliterated].High < found.of[everybody].Low})
	return found
}

// counters holds what is counted above against a real exchange.
func counters(ctx context.Context, s *drill.Stage) error {
	all, err := atCounters(ctx, s)
	if err != nil {
		return err
	}
	enough := s.Size.Pick(20, 80, 800)
	in := func(a asked) [groups]bool { return a.in }
	late := rates(all, in, func(i int) bool { return all[i].late })
	s.Add(drill.Line{Party: auditor, Attempted: "at real counters: who is told to wait for an answer", Obtained: late.words(100, "%.1f%%"),
		Target: fmt.Sprintf("no target; stated, of at least %d checks", enough), OK: len(all) >= enough, Figure: late.figure("late", 1, true)})
	all = slices.DeleteFunc(all, func(a asked) bool { return a.open })
	agree := 0
	for _, a := range all {
		if f := weigh(a.applicant, a.record); f.outcome == a.outcome || f.seen() && a.outcome == waypost.Match {
			agree++ // another record of that state may be more like the applicant
		}
	}
	share := estimate.Share(agree, len(all))
	s.Add(drill.Line{Party: auditor, Attempted: "at real counters: whether answers are what is counted above", Obtained: fmt.Sprintf("%d of %d are", agree, len(all)),
		Target: fmt.Sprintf("all, of at least %d", enough), OK: agree == len(all) && len(all) >= enough,
		Figure: &drill.Figure{Name: "answers as counted", Value: share.Value, Low: share.Low, High: share.High, Bound: 1}})
	return nil
}
