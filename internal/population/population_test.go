package population

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

var four = []waypost.Jurisdiction{"CA", "AZ", "NV", "NY"}

func generate(t testing.TB, c Config) *Population {
	t.Helper()
	p, err := Generate(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// all collects every record by its ID.
func all(t testing.TB, p *Population) map[string]waypost.Record {
	t.Helper()
	records := map[string]waypost.Record{}
	for _, s := range p.States() {
		last := ""
		err := p.Each(s, func(rec waypost.Record) error {
			if rec.ID <= last {
				t.Errorf("%s comes after %s", rec.ID, last)
			}
			last = rec.ID
			records[rec.ID] = rec
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return records
}

func truths(t testing.TB, p *Population) []Truth {
	t.Helper()
	var list []Truth
	if err := p.EachTruth(func(tr Truth) error { list = append(list, tr); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

func within(t *testing.T, what string, got, low, high float64) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: %.4f, want %.4f to %.4f", what, got, low, high)
	}
}

// TestDeterministic pins the bytes of a small population: a truth file from one
// machine must fit the people made on another.
func TestDeterministic(t *testing.T) {
	digest := func(seed uint64) string {
		p := generate(t, Config{States: four, PerState: 300, Seed: seed})
		h := sha256.New()
		for _, s := range four {
			if err := p.Each(s, func(rec waypost.Record) error { _, err := fmt.Fprintln(h, row(rec)); return err }); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintln(h, truths(t, p), p.Scenarios())
		return fmt.Sprintf("%x", h.Sum(nil)[:8])
	}
	const want = "6ce803df3bc582ad"
	if got := digest(1); got != want {
		t.Errorf("digest of seed 1 is %s, was %s: a change of the population needs a line in the change log", got, want)
	}
	if digest(1) == digest(2) {
		t.Error("two seeds, one population")
	}
}

func TestStatistics(t *testing.T) {
	p := generate(t, Config{States: four, PerState: 5000, Seed: 7})
	records := all(t, p)
	n := float64(len(records))
	if n != 20000 {
		t.Fatalf("%v records", n)
	}
	families, count := map[string]int{}, map[string]float64{}
	years, cards := 0.0, map[string]bool{}
	for _, rec := range records {
		if err := rec.Validate(); err != nil {
			t.Fatalf("%s: %v", rec.ID, err)
		}
		families[rec.Family]++
		cards[rec.CardNumber] = true
		years += float64(2026 - rec.Born.Year)
		for what, is := range map[string]bool{
			"no ssn": rec.SSN5 == "", "women": rec.Sex == "F", "middle": rec.Middle != "", "two surnames": strings.ContainsAny(rec.Family, " -"),
			"REAL ID": rec.RealID, "licences": rec.Kind == waypost.Licence, "valid": rec.Status == waypost.Valid, "protected": rec.Protected,
		} {
			if is {
				count[what]++
			}
		}
	}
	if len(cards) != len(records) {
		t.Errorf("%d card numbers for %d records", len(cards), len(records))
	}
	within(t, "no SSN", count["no ssn"]/n, .09, .11)
	within(t, "women", count["women"]/n, .48, .52)
	within(t, "with a middle name", count["middle"]/n, .80, .87)
	within(t, "with two surnames", count["two surnames"]/n, .03, .10)
	within(t, "REAL ID", count["REAL ID"]/n, .50, .58)
	within(t, "licences", count["licences"]/n, .82, .86)
	within(t, "valid", count["valid"]/n, .85, .91)
	within(t, "protected", count["protected"]/n, .0002, .002)
	within(t, "mean age", years/n, 44, 52)

	// Zipf: the commonest surname is Smith, near its share in the Census (.9 %
	// of everyone, 1 % of the names kept), and rank times count stays level.
	ranked := slices.SortedFunc(maps.Keys(families), func(a, b string) int { return families[b] - families[a] })
	if ranked[0] != "SMITH" {
		t.Errorf("the commonest surname is %s", ranked[0])
	}
	within(t, "share of Smith", float64(families["SMITH"])/n, .006, .013)
	slope := (math.Log(float64(families[ranked[99]])) - math.Log(float64(families[ranked[4]]))) / (math.Log(100) - math.Log(5))
	within(t, "slope of log count over log rank", slope, -1.0, -0.5)
	within(t, "distinct surnames", float64(len(families))/n, .25, .60)
}

func TestNoSSNShare(t *testing.T) {
	for share, want := range map[float64]float64{-1: 0, 0.5: 0.5, 1: 1} {
		p := generate(t, Config{States: four, PerState: 500, NoSSN: share})
		without := 0.0
		for i := range 2000 {
			if p.original("CA", i).SSN5 == "" {
				without++
			}
		}
		within(t, fmt.Sprintf("share for %v", share), without/2000, want-.04, want+.04)
	}
}

// TestTruth holds the truth against the records it speaks of.
func TestTruth(t *testing.T) {
	for _, states := range [][]waypost.Jurisdiction{four, {"CA", "TX"}, {"CA", "TX", "OR"}} {
		p := generate(t, Config{States: states, PerState: 20000 / len(states), Seed: 3})
		records, seen, causes := all(t, p), map[string]bool{}, map[string]float64{}
		list := truths(t, p)
		exact := 0.0
		for _, tr := range list {
			a, okA := records[tr.A]
			b, okB := records[tr.B]
			if !okA || !okB || tr.A[:2] == tr.B[:2] || seen[tr.A] || seen[tr.B] {
				t.Fatalf("%+v: a record is missing, in two pairs, or in the same state", tr)
			}
			seen[tr.A], seen[tr.B] = true, true
			for cause := range strings.SplitSeq(tr.Why, "+") {
				causes[cause]++
			}
			if a.Family == b.Family && a.Given == b.Given && a.Born == b.Born {
				exact++
			}
			checkWhy(t, tr, a.Person, b.Person)
		}
		pairs := float64(len(list))
		within(t, "pairs a record", pairs/20000, .025, .035)
		within(t, "pairs exact in name and date", exact/pairs, .87, .95)
		within(t, "pairs without an SSN", causes["no_ssn"]/pairs, .06, .14)
		for _, cause := range []string{"same", "surname_changed", "nickname", "typo", "date_error", "ssn_missing", "ssn_typo", "surname_part_dropped"} {
			if causes[cause] == 0 {
				t.Errorf("no pair has %s: %v", cause, causes)
			}
		}
	}
}

// checkWhy fails where the cause named is not the difference seen.
func checkWhy(t *testing.T, tr Truth, a, b waypost.Person) {
	t.Helper()
	has := func(cause string) bool { return slices.Contains(strings.Split(tr.Why, "+"), cause) }
	nameCause := has("surname_changed") || has("nickname") || has("middle_as_first") || has("names_swapped") || has("typo") || has("surname_part_dropped")
	if nameDiffers := a.Family != b.Family || a.Given != b.Given; nameDiffers != nameCause && !has("names_swapped") {
		t.Errorf("%s, yet the names differ: %v", tr.Why, nameDiffers)
	}
	if has("date_error") != (a.Born != b.Born) {
		t.Errorf("%s, yet the dates differ: %v", tr.Why, a.Born != b.Born)
	}
	if has("no_ssn") != (a.SSN5 == "" && b.SSN5 == "") || has("ssn_missing") != ((a.SSN5 == "") != (b.SSN5 == "")) ||
		has("ssn_typo") != (a.SSN5 != "" && b.SSN5 != "" && a.SSN5 != b.SSN5) {
		t.Errorf("%s, yet the SSNs are %v %v", tr.Why, a.SSN5 != "", b.SSN5 != "")
	}
}

// TestOrder: the records of a pair do not share their number, or IDs would
// give the truth away.
func TestOrder(t *testing.T) {
	same := 0
	list := truths(t, generate(t, Config{States: four, PerState: 5000, Seed: 9}))
	for _, tr := range list {
		if tr.A[2:] == tr.B[2:] {
			same++
		}
	}
	if same > 3 {
		t.Errorf("%d of %d pairs share a number", same, len(list))
	}
}

func TestPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Population{config: Config{PerState: rapid.IntRange(1, maxPerState).Draw(t, "size"), Seed: rapid.Uint64().Draw(t, "seed")}}
		o := p.order("CA")
		n := rapid.IntRange(0, o.size-1).Draw(t, "position")
		if i := o.index(n); i < 0 || i >= o.size || o.position(i) != n {
			t.Fatalf("position %d of %d: index %d, back to %d", n, o.size, i, o.position(i))
		}
	})
}

// TestScenarios: the named people are there, alone on their birthdays, for any
// states and seed.
func TestScenarios(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		states := rapid.SliceOfNDistinct(rapid.SampledFrom([]waypost.Jurisdiction{"CA", "AZ", "NV", "NY", "TX", "OR", "WA"}), 2, 6,
			func(s waypost.Jurisdiction) waypost.Jurisdiction { return s }).Draw(t, "states")
		p, err := Generate(Config{States: states, PerState: MinPerState, Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		records := map[string]waypost.Record{}
		held := map[string]bool{}
		for _, s := range states {
			n := 0
			if err := p.Each(s, func(rec waypost.Record) error { n++; records[rec.ID] = rec; return nil }); err != nil {
				t.Fatal(err)
			}
			if n != MinPerState {
				t.Fatalf("%d records in %s", n, s)
			}
		}
		if len(p.Scenarios()) != len(scripts) {
			t.Fatalf("%d scenarios", len(p.Scenarios()))
		}
		for _, s := range p.Scenarios() {
			held[s.RecordID] = true
			if !slices.Contains(states, s.Ask) || s.Ask == s.Holder || s.Applicant.Validate() != nil {
				t.Fatalf("%s asks in %s of %s", s.Name, s.Ask, s.Holder)
			}
			rec, found := records[s.RecordID]
			if found != (s.Holder != "") || found && rec.ID[:2] != string(s.Holder) || s.Same && rec.SSN5 != s.Applicant.SSN5 {
				t.Fatalf("%s: record %q of %q", s.Name, s.RecordID, s.Holder)
			}
		}
		for id, rec := range records {
			for _, s := range p.Scenarios() {
				if !held[id] && (rec.Born == s.Applicant.Born || rec.SSN5 != "" && rec.SSN5 == s.Applicant.SSN5) {
					t.Fatalf("%s shares a birthday or SSN with %s", id, s.Name)
				}
			}
		}
	})
}

func TestScenarioStates(t *testing.T) {
	for _, s := range generate(t, Config{States: four, PerState: 100}).Scenarios() {
		if s.Name == "state_down" && (s.Holder != "NV" || !s.Down) {
			t.Errorf("%+v", s)
		}
		if s.Name == "no_ssn" && (s.Ask != "AZ" || s.Holder != "CA" || s.Applicant.SSN5 != "") {
			t.Errorf("%+v", s)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []Config{
		{}, {States: four[:1], PerState: 100}, {States: four, PerState: MinPerState - 1}, {States: four, PerState: maxPerState + 1},
		{States: []waypost.Jurisdiction{"CA", "CA"}, PerState: 100}, {States: []waypost.Jurisdiction{"CA", "nv"}, PerState: 100},
		{States: four, PerState: 100, NoSSN: 1.1},
	} {
		if _, err := Generate(c); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkEach(b *testing.B) {
	p := generate(b, Config{States: four, PerState: maxPerState, Seed: 1})
	n := 0
	b.ResetTimer()
	_ = p.Each("AZ", func(waypost.Record) error {
		if n++; n >= b.N {
			return fmt.Errorf("enough")
		}
		return nil
	})
}
