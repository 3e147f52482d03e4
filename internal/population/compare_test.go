package population

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/compare"
	"github.com/waypost/waypost/matchkey"
)

// verdict plays both legs for one record: whether the keys that agree let the
// check continue, and the class.
func verdict(applicant, record waypost.Person) (found bool, class waypost.Outcome) {
	query := matchkey.NewQuery(applicant, []byte("the asking gateway's own secret!"))
	return answer(applicant, query, record, matchkey.Index(record, []byte("the answering gateway's secret!!")))
}

func answer(applicant waypost.Person, query matchkey.Query, record waypost.Person, index [matchkey.Slots]matchkey.Slot) (found bool, class waypost.Outcome) {
	var slots []matchkey.Slot
	var kinds []matchkey.Kind
	for _, slot := range index {
		for _, key := range query.Keys {
			if !slot.Decoy && bytes.Equal(key, slot.Key) {
				slots, kinds = append(slots, slot), append(kinds, slot.Kind)
			}
		}
	}
	applicant.SSN5 = "" // it does not travel
	return matchkey.Continue(slots), compare.Compare(compare.Candidate{Person: applicant}, compare.Candidate{Person: record}, kinds)
}

// TestScenarioTruth: each named person is found, or not, and judged as said.
func TestScenarioTruth(t *testing.T) {
	p := generate(t, Config{States: four, PerState: 500, Seed: 1})
	queries := map[string]matchkey.Query{}
	for _, s := range p.Scenarios() {
		queries[s.Name] = matchkey.NewQuery(s.Applicant, []byte("the asking gateway's own secret!"))
	}
	for id, rec := range all(t, p) {
		index := matchkey.Index(rec.Person, []byte("the answering gateway's secret!!"))
		for _, s := range p.Scenarios() {
			if id[:2] == string(s.Ask) {
				continue
			}
			found, class := answer(s.Applicant, queries[s.Name], rec.Person, index)
			switch {
			case id == s.RecordID && (!found || class != s.Expect):
				t.Errorf("%s: found %v, %s; want %s", s.Name, found, class, s.Expect)
			case id != s.RecordID && found && class != waypost.NoMatch:
				t.Errorf("%s: record %s is a %s", s.Name, id, class)
			}
		}
	}
}

// TestTruthIsRecognised compares the true pairs and, for every record, all
// others that share a birth date or both names with it. The bounds are a little
// under what was measured; see the log with -v.
func TestTruthIsRecognised(t *testing.T) {
	p := generate(t, Config{States: four, PerState: 5000, Seed: 11})
	records := all(t, p)
	partner := map[string]string{}
	groups := map[string]map[waypost.Outcome]int{}
	count := func(group string, class waypost.Outcome) {
		if groups[group] == nil {
			groups[group] = map[waypost.Outcome]int{}
		}
		groups[group][class]++
	}
	for _, tr := range truths(t, p) {
		partner[tr.A], partner[tr.B] = tr.B, tr.A
		found, class := verdict(records[tr.A].Person, records[tr.B].Person)
		if !found {
			class = "not found"
		}
		count("all", class)
		if strings.Contains(tr.Why, "+") {
			tr.Why = "several"
		}
		count(tr.Why, class)
	}
	blocks := map[string][]string{}
	for _, id := range slices.Sorted(maps.Keys(records)) { // who asks about whom makes a difference
		rec := records[id]
		for _, k := range []string{rec.Born.String(), rec.Given + "/" + rec.Family} {
			blocks[k] = append(blocks[k], id)
		}
	}
	others := 0
	for _, ids := range blocks {
		for i, a := range ids {
			for _, b := range ids[:i] {
				if a[:2] != b[:2] && partner[a] != b {
					others++
					if found, class := verdict(records[a].Person, records[b].Person); found {
						count("others", class)
					}
				}
			}
		}
	}
	for group, classes := range groups {
		t.Logf("%-22s %v", group, classes)
	}
	t.Logf("other pairs: %d", others)
	all, pairs := groups["all"], 0
	for _, n := range all {
		pairs += n
	}
	if match := float64(all[waypost.Match]) / float64(pairs); match < .84 {
		t.Errorf("match for %.4f of the true pairs", match)
	}
	if seen := float64(all[waypost.Match]+all[waypost.Possible]) / float64(pairs); seen < .985 {
		t.Errorf("match or possible for %.4f of the true pairs", seen)
	}
	if o := groups["others"]; o[waypost.Match] > 0 || o[waypost.Possible] > 3 {
		t.Errorf("other pairs: %v", o)
	}
}

// TestNamesakesAcrossTheCountry estimates how often, at 300 million people,
// somebody else with the applicant's name and birthday is called a match: for
// each applicant the expected number of such namesakes, times the share of
// them, drawn with middle name, suffix and sex of other people, that match.
func TestNamesakesAcrossTheCountry(t *testing.T) {
	const applicants, draws = 4000, 5
	p := generate(t, Config{States: four, PerState: applicants * (draws + 1), Seed: 13})
	expected := map[waypost.Outcome]float64{}
	for i := range applicants {
		applicant := p.original("CA", i)
		n := matchkey.Normalize(applicant)
		namesakes := 300e6 * matchkey.NameFrequency(n.Given[0], n.Family[0]) * 2 / 26_500
		for d := range draws {
			other := p.original("NY", i*draws+d)
			other.Given, other.Family, other.Born = applicant.Given, applicant.Family, applicant.Born
			class := compare.Compare(compare.Candidate{Person: applicant}, compare.Candidate{Person: other}, nil)
			expected[class] += namesakes / draws * 1000 / applicants
		}
	}
	t.Logf("namesakes per 1000 checks: %.1f; called match %.2f, possible %.1f",
		expected[waypost.Match]+expected[waypost.Possible]+expected[waypost.NoMatch], expected[waypost.Match], expected[waypost.Possible])
	if expected[waypost.Match] > 2 {
		t.Errorf("%.2f namesakes per 1000 checks are called a match", expected[waypost.Match])
	}
}
