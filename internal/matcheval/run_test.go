package matcheval

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const fileA = `given,family,dob,ssn5,id
Bob,Kowalczyk,1983-11-23,,1
Ophelia,Tiburcio Zelaya,19740502,48213,2
Ophelia,Brandt,1991-07-19,20417,3
Greta,Lindqvist,1969-02-30,30911,4
Nobody,Else,1955-05-05,77001,5
`

const fileB = `id,family,given,middle,suffix,dob,sex,ssn5
x1,Kowalczyk,Robert,,,1983-11-23,M,99999
x2,Zelaya,Ophelia,,,1974-02-05,F,48213
x3,Mandelbaum,Ophelia,,,1991-07-19,F,20417
x4,Lindqvist,Greta,,,1969-02-03,F,30911
x5,Anders,Someone,,,1961-06-06,F,77002
x6,Kowalczyk,Robert,,,1983-11-23,M,
`

const truthAB = "a,b\n1,x1\n2,x2\n3,x3\n4,x4\n5,x5\n"

func TestRun(t *testing.T) {
	r, err := Run(context.Background(), Options{A: write(t, "A.csv", fileA), B: write(t, "B.csv", fileB), Truth: write(t, "T.csv", truthAB)})
	if err != nil {
		t.Fatal(err)
	}
	if r.RecordsA != 5 || r.RecordsB != 6 || r.TruthPairs != 5 || r.BadDates != 1 {
		t.Errorf("counts %d %d %d, bad dates %d", r.RecordsA, r.RecordsB, r.TruthPairs, r.BadDates)
	}
	if r.Recall != 0.8 || r.RecallContinue != 0.8 {
		t.Errorf("recall %v and %v, want 0.8", r.Recall, r.RecallContinue)
	}
	// 1 also agrees with x6, the same person published twice.
	if r.FalsePairs != 1 || r.FalsePairsContinue != 1 {
		t.Errorf("false pairs %d and %d, want 1", r.FalsePairs, r.FalsePairsContinue)
	}
	for name, want := range map[string]Group{
		"no_ssn": {1, 1, 1}, "nickname": {1, 1, 1}, "double_surname": {1, 1, 1}, "date_error": {2, 0.5, 0.5},
		"date_missing": {1, 1, 1}, "name_change": {2, 0.5, 0.5}, "ssn_typo": {1, 0, 0}, "given_spelling": {1, 0, 0},
	} {
		if r.Groups[name] != want {
			t.Errorf("group %s is %+v, want %+v", name, r.Groups[name], want)
		}
	}
	if r.AgreeingKeys[0] != 1 {
		t.Errorf("%d true pairs agree on nothing, want 1", r.AgreeingKeys[0])
	}
	sum := 0
	for _, n := range r.AgreeingKeys {
		sum += n
	}
	if sum != r.TruthPairs {
		t.Errorf("the histogram counts %d pairs", sum)
	}

	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"recall", "0.8000", "nickname", "clear disclosures per 1000 checks"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q", want)
		}
	}
}

func TestNoSSN(t *testing.T) {
	o := Options{A: write(t, "A.csv", fileA), B: write(t, "B.csv", fileB), Truth: write(t, "T.csv", truthAB), NoSSN: true}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	// Left are the nickname and the second surname, whose date is swapped; a
	// changed surname and a missing date cannot be found.
	if r.Recall != 0.4 || r.Groups["no_ssn"].Pairs != 5 || r.BySlot["A"] != 0 {
		t.Errorf("recall %v, %d pairs without SSN, slot A %v", r.Recall, r.Groups["no_ssn"].Pairs, r.BySlot["A"])
	}
}

func TestDeduplication(t *testing.T) {
	file := write(t, "people.csv", `id,family,given,dob
1,Kowalczyk,Bob,1983-11-23
2,Kowalczyk,Robert,1983-11-23
3,Brandt,Ophelia,1991-07-19
`)
	r, err := Run(context.Background(), Options{A: file, B: file, Truth: write(t, "T.csv", "a,b\n2,1\n1,2\n")})
	if err != nil {
		t.Fatal(err)
	}
	if r.TruthPairs != 1 || r.Recall != 1 || r.FalsePairs != 0 {
		t.Errorf("%d true pairs, recall %v, %d false pairs; want 1, 1, 0", r.TruthPairs, r.Recall, r.FalsePairs)
	}
	if r.RecordsA != 3 || r.RecordsB != 3 {
		t.Errorf("records %d, %d", r.RecordsA, r.RecordsB)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	good := "id\n1\n2\n"
	for _, c := range []struct{ name, a, truth, want string }{
		{"no id column", "family,given\nSECRET,x\n", "a,b\n", "line 1, column 3: the header lacks the column id"},
		{"empty file", "", "a,b\n", "line 1, column 1: the file is empty"},
		{"column twice", "id,given,given\n", "a,b\n", "line 1, column 3: the header names the column given twice"},
		{"empty id", "family,id\nSECRET,\n", "a,b\n", "line 2, column 8: id: is empty"},
		{"id twice", "id\n1\n1\n", "a,b\n", "line 3, column 1: id: is that of an earlier line"},
		{"short row", "id,family\n1\n", "a,b\n", "line 2, column 1: wrong number of fields"},
		{"bad quote", "id,family\n1,SEC\"RET\n", "a,b\n", `line 2, column 6: bare "`},
		{"truth without b", good, "a\n1\n", "line 1, column 2: the header lacks the column b"},
		{"truth of nobody", good, "a,b\nSECRET,1\n", "none of its 1 pairs is between "},
		{"truth with itself", good, "a,b\n1,2\n1,1\n", "line 3, column 3: b: pairs a record with itself"},
	} {
		a := write(t, "A.csv", c.a)
		_, err := Run(context.Background(), Options{A: a, B: a, Truth: write(t, "T.csv", c.truth)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the error repeats what is in the file", c.name)
		}
		if waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: code %s", c.name, waypost.CodeOf(err))
		}
	}
	_, err := Run(context.Background(), Options{A: "no/such/file.csv"})
	if waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a := write(t, "A.csv", fileA)
	if _, err := Run(ctx, Options{A: a, B: a, Truth: write(t, "T.csv", "a,b\n")}); err != context.Canceled {
		t.Errorf("a run whose context is done ends with %v", err)
	}
}

// TestReportKeys holds the JSON names that others read.
func TestReportKeys(t *testing.T) {
	text, err := json.Marshal(Report{})
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(m))
	for _, want := range []string{"recall", "recall_continue", "false_pairs", "false_pairs_continue", "groups",
		"expected_false_candidates", "expected_clear_disclosures_per_1000", "agreeing_keys"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in %v", want, got)
		}
	}
}

func TestGroups(t *testing.T) {
	born := waypost.Date{Year: 1983, Month: 11, Day: 23}
	p := func(given, middle, family string) waypost.Person {
		return waypost.Person{Given: given, Middle: middle, Family: family, Born: born, SSN5: "48213"}
	}
	for _, c := range []struct {
		a, b waypost.Person
		want string
	}{
		{p("Ann", "", "Lee"), p("Ann", "", "Lee"), "exact"},
		{p("Bob", "", "Lee"), p("Robert", "", "Lee"), "nickname"},
		{p("Ann", "", "Lee"), p("Marie", "Ann", "Lee"), "middle_as_first"},
		{p("Ann", "", "Lee"), p("Lee", "", "Ann"), "names_swapped"},
		{p("Ann", "", "Kowalczyk"), p("Ann", "", "Brandt"), "name_change"},
		{p("Ann", "", "Kowalczyk"), p("Ann", "", "Kovalcik"), "surname_spelling"},
		{p("Ann", "", "Ruiz Paz"), p("Ann", "", "Paz"), "double_surname"},
		{p("Anke", "", "Lee"), p("Antje", "", "Lee"), "given_spelling"},
		{p("", "", "Lee"), p("Ann", "", "Lee"), "name_missing"},
	} {
		var got []string
		for _, g := range groupsOf(c.a, c.b) {
			got = append(got, groups[g].name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %s / %s %s: %v, want %s", c.a.Given, c.a.Family, c.b.Given, c.b.Family, got, c.want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		s, t string
		want int
	}{{"", "", 0}, {"LEE", "", 3}, {"", "LEE", 3}, {"SMITH", "SMYTHE", 2}, {"NEUMANN", "NUEMANN", 2}, {"BRANDT", "BRANDT", 0}} {
		if got := edits(c.s, c.t); got != c.want {
			t.Errorf("edits(%s, %s) = %d, want %d", c.s, c.t, got, c.want)
		}
	}
}

// FuzzReadPeople: no file makes the reader fail in another way than with an
// error that names the place.
func FuzzReadPeople(f *testing.F) {
	f.Add([]byte(fileA))
	f.Add([]byte(fileB))
	f.Add([]byte("\ufeffID , Family\n1,\"a\nb\"\n"))
	f.Add([]byte("id\n\"\n"))
	path := filepath.Join(f.TempDir(), "people.csv")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := readPeople(path, false)
		if err != nil {
			if !strings.HasPrefix(err.Error(), path+", line ") {
				t.Errorf("the error does not name the place: %v", err)
			}
			return
		}
		if len(p.position) != len(p.people) {
			t.Errorf("%d ids for %d people", len(p.position), len(p.people))
		}
		for _, person := range p.people {
			if person.SSN5 != matchkey.SSN5(person.SSN5) {
				t.Errorf("SSN5 %q", person.SSN5)
			}
		}
	})
}
