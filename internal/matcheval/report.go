package matcheval

import (
	"context"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// Report is what was measured. Every share is between 0 and 1.
type Report struct {
	RecordsA   int `json:"records_a"`
	RecordsB   int `json:"records_b"`
	TruthPairs int `json:"truth_pairs"`
	Elsewhere  int `json:"truth_pairs_elsewhere,omitempty"` // not between these files, and left out
	BadDates   int `json:"bad_dates"`                       // in both files; treated as missing
	// IgnoredColumns of the two files of people are not among those that are
	// known. Look here when hardly anyone is found.
	IgnoredColumns []string `json:"ignored_columns,omitempty"`

	// Recall is the share of the true pairs of which any key agrees, and
	// RecallContinue of those that also pass the first leg.
	Recall         float64 `json:"recall"`
	RecallContinue float64 `json:"recall_continue"`
	// FalsePairs agree although they are no true pair.
	FalsePairs         int `json:"false_pairs"`
	FalsePairsContinue int `json:"false_pairs_continue"`

	Groups map[string]Group `json:"groups"` // by kind of pair; one without pairs is left out
	// AgreeingKeys is how many true pairs agree on 0, 1, ... 10 slots.
	AgreeingKeys [matchkey.Slots + 1]int `json:"agreeing_keys"`
	// BySlot is the share of the true pairs that agree on each kind of slot.
	BySlot map[string]float64 `json:"by_slot"`

	// ExpectedFalseCandidates is how many of 300 million other people one check
	// by a person of file A finds by chance: the mean of the sum over its
	// distinct probes, an upper bound.
	ExpectedFalseCandidates float64 `json:"expected_false_candidates"`
	// ExpectedClearDisclosuresPer1000 is how many of them per 1000 checks pass
	// the first leg and are shown the applicant in clear, estimated as
	// matchkey.Expect says.
	ExpectedClearDisclosuresPer1000 float64 `json:"expected_clear_disclosures_per_1000"`
	ExpectationSample               int     `json:"expectation_sample"` // checks that both are the mean of
}

// Group is the recall of one kind of pair.
type Group struct {
	Pairs          int     `json:"pairs"`
	Recall         float64 `json:"recall"`
	RecallContinue float64 `json:"recall_continue"`
}

// tally counts the pairs of one kind.
type tally struct{ pairs, found, continued int }

func (t *tally) add(found, continued bool) {
	t.pairs++
	if found {
		t.found++
	}
	if continued {
		t.continued++
	}
}

func share64(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// count compares the pairs that agree with the truth.
func (in *input) count(agreeing map[pair]outcome) Report {
	r := Report{
		RecordsA: len(in.a.people), RecordsB: len(in.b.people), TruthPairs: len(in.truthList), Elsewhere: in.elsewhere,
		BadDates: in.a.badDates, IgnoredColumns: slices.Clone(in.a.ignored), Groups: make(map[string]Group), BySlot: make(map[string]float64),
	}
	if !in.dedup {
		r.BadDates += in.b.badDates
		r.IgnoredColumns = append(r.IgnoredColumns, in.b.ignored...)
	}
	slices.Sort(r.IgnoredColumns)
	r.IgnoredColumns = slices.Compact(r.IgnoredColumns)
	var all tally
	byGroup := make([]tally, len(groups))
	var bySlot [matchkey.Slots]int
	for _, p := range in.truthList {
		o, found := agreeing[p]
		all.add(found, o.continues)
		for _, g := range groupsOf(in.a.people[p.a], in.b.people[p.b]) {
			byGroup[g].add(found, o.continues)
		}
		r.AgreeingKeys[bits.OnesCount16(o.kinds)]++
		for k := range bySlot {
			bySlot[k] += int(o.kinds >> k & 1)
		}
	}
	for p, o := range agreeing {
		if _, ok := in.truth[p]; ok {
			continue
		}
		r.FalsePairs++
		if o.continues {
			r.FalsePairsContinue++
		}
	}
	r.Recall, r.RecallContinue = share64(all.found, all.pairs), share64(all.continued, all.pairs)
	for i, t := range byGroup {
		if t.pairs > 0 {
			r.Groups[groups[i].name] = Group{t.pairs, share64(t.found, t.pairs), share64(t.continued, t.pairs)}
		}
	}
	for k, n := range bySlot {
		r.BySlot[matchkey.Kind(k).String()] = share64(n, all.pairs)
	}
	return r
}

// expect averages what chance brings at national size over a sample.
func (r *Report) expect(ctx context.Context, people []waypost.Person, sample int) error {
	if sample <= 0 {
		sample = defaultSample
	}
	n := min(sample, len(people))
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := matchkey.Expect(people[i*len(people)/n])
		r.ExpectedFalseCandidates += e.Candidates / float64(n)
		r.ExpectedClearDisclosuresPer1000 += 1000 * e.Disclosures / float64(n)
	}
	r.ExpectationSample = n
	return nil
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "records\t%d asked about, %d published, %d true pairs\n", r.RecordsA, r.RecordsB, r.TruthPairs)
	if r.Elsewhere > 0 {
		fmt.Fprintf(t, "truth\t%d pairs are not between these files, and left out\n", r.Elsewhere)
	}
	if r.BadDates > 0 {
		fmt.Fprintf(t, "dates\t%d are not in the calendar and were taken as missing\n", r.BadDates)
	}
	if len(r.IgnoredColumns) > 0 {
		fmt.Fprintf(t, "columns\t%s not used\n", strings.Join(r.IgnoredColumns, ", "))
	}
	fmt.Fprintf(t, "\tany key agrees\tpasses the first leg\n")
	fmt.Fprintf(t, "recall\t%.4f\t%.4f\n", r.Recall, r.RecallContinue)
	fmt.Fprintf(t, "false pairs\t%d\t%d\n", r.FalsePairs, r.FalsePairsContinue)
	fmt.Fprintf(t, "\nrecall by kind of pair\tany key agrees\tpasses the first leg\tpairs\n")
	for _, g := range groups {
		if x, ok := r.Groups[g.name]; ok {
			fmt.Fprintf(t, "  %s\t%.4f\t%.4f\t%d\n", g.name, x.Recall, x.RecallContinue, x.Pairs)
		}
	}
	fmt.Fprintf(t, "\nslot\ttrue pairs that agree on it\n")
	for k := range matchkey.Kind(matchkey.Slots) {
		fmt.Fprintf(t, "  %s\t%.4f\n", k, r.BySlot[k.String()])
	}
	fmt.Fprintf(t, "\nagreeing slots\ttrue pairs\n")
	for n, pairs := range slices.All(r.AgreeingKeys[:]) {
		fmt.Fprintf(t, "  %d\t%d\n", n, pairs)
	}
	fmt.Fprintf(t, "\nat 300 million people, from public name frequencies (mean of %d checks)\n", r.ExpectationSample)
	fmt.Fprintf(t, "  false candidates a check\t%.2f\tat most: one person may be found by several keys\n", r.ExpectedFalseCandidates)
	fmt.Fprintf(t, "  clear disclosures per 1000 checks\t%.0f\tto states that may have no record of the person\n", r.ExpectedClearDisclosuresPer1000)
	return t.Flush()
}
