package compare

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// TestCases plays testdata/cases.txt, both ways round.
func TestCases(t *testing.T) {
	data, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.SplitSeq(string(data), "\n\n") {
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
		if len(lines) == 0 {
			continue
		}
		t.Run(lines[0], func(t *testing.T) { play(t, lines[1:]) })
	}
}

func play(t *testing.T, lines []string) {
	var applicant, record Candidate
	var agreed []matchkey.Kind
	var want waypost.Outcome
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "applicant":
			applicant = parse(t, rest)
		case "record":
			record = parse(t, rest)
		case "agreed":
			for k := range strings.FieldsSeq(rest) {
				agreed = append(agreed, map[string]matchkey.Kind{"A": matchkey.A, "B": matchkey.B, "C": matchkey.C, "E": matchkey.E}[k])
			}
		default:
			want = waypost.Outcome(word)
		}
	}
	e := Explain(applicant, record, agreed)
	if e.Outcome != want {
		t.Errorf("%s, want %s: %.1f bits %+v", e.Outcome, want, e.Bits, e.Evidence)
	}
	if back := Compare(record, applicant, agreed); back != e.Outcome {
		t.Errorf("%s, the other way round %s", e.Outcome, back)
	}
}

func parse(t *testing.T, text string) Candidate {
	t.Helper()
	f := strings.Split(text, "/")
	if len(f) != 7 {
		t.Fatalf("%q is not seven fields", text)
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	c := Candidate{CardNumber: f[6]}
	if rest, ok := strings.CutPrefix(f[6], "CA-"); ok {
		c.CardNumber, c.CardState = rest, "CA"
	}
	c.Given, c.Middle, c.Family, c.Suffix, c.Sex = f[0], f[1], f[2], f[3], waypost.Sex(f[5])
	if f[4] != "" {
		born, err := waypost.ParseDate(f[4])
		if err != nil {
			t.Fatal(err)
		}
		c.Born = born
	}
	return c
}

// Generators: few values, so that fields agree, nearly agree and differ often.
var (
	anyGiven  = rapid.SampledFrom([]string{"James", "Jamse", "Jim", "J", "Desmond", "Mary Ann", "MaryAnn", "Mary", "Ann", "Smith", "Zyx", "", "José", "Raymond"})
	anyMiddle = rapid.SampledFrom([]string{"", "A", "Allen", "Raymond", "James", "Vanderhoof", "R"})
	anyFamily = rapid.SampledFrom([]string{"Smith", "Smyth", "Achterberg", "Achterbreg", "Garcia", "Garcia Lopez", "Lopez-Garcia", "Garcia Garcia", "Vanderhoof", "James", "Qzk", ""})
	anySuffix = rapid.SampledFrom([]string{"", "Jr", "SR", "III"})
	anyDate   = rapid.SampledFrom([]waypost.Date{{}, {Year: 1957, Month: 8, Day: 9}, {Year: 1957, Month: 9, Day: 8}, {Year: 1958, Month: 8, Day: 9}, {Year: 1980, Month: 1, Day: 1}})
	anySex    = rapid.SampledFrom([]waypost.Sex{"", "M", "F", "X"})
	anyCard   = rapid.SampledFrom([]string{"", "D123 4567", "d1234567", "D7654321", "X1"})
	anyState  = rapid.SampledFrom([]waypost.Jurisdiction{"", "CA", "NV"})
	anySSN    = rapid.SampledFrom([]string{"", "12346", "65432", "99999"})
	anyKinds  = rapid.SliceOfDistinct(rapid.SampledFrom([]matchkey.Kind{matchkey.Fa, matchkey.G, matchkey.Q, matchkey.A, matchkey.B, matchkey.C, matchkey.E}),
		func(k matchkey.Kind) matchkey.Kind { return k })
)

var anyCandidate = rapid.Custom(func(t *rapid.T) Candidate {
	return Candidate{
		Person: waypost.Person{
			Given: anyGiven.Draw(t, "given"), Middle: anyMiddle.Draw(t, "middle"), Family: anyFamily.Draw(t, "family"), Suffix: anySuffix.Draw(t, "suffix"),
			Born: anyDate.Draw(t, "born"), Sex: anySex.Draw(t, "sex"), SSN5: anySSN.Draw(t, "ssn5"),
		},
		CardNumber: anyCard.Draw(t, "card"), CardState: anyState.Draw(t, "state"),
	}
})

func rank(o waypost.Outcome) int {
	return slices.Index([]waypost.Outcome{waypost.NoMatch, waypost.Possible, waypost.Match}, o)
}

// TestSSNTellsNothingWhereNamesAndDateAgree: the class of a pair that agrees in
// names and date does not depend on the SSN keys.
func TestSSNTellsNothingWhereNamesAndDateAgree(t *testing.T) {
	agreeing := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCandidate.Draw(t, "applicant"), anyCandidate.Draw(t, "record")
		b.Given, b.Family, b.Born = strings.ToUpper(a.Given), " "+strings.ToLower(a.Family), a.Born
		without, with := Explain(a, b, nil), Explain(a, b, anyKinds.Draw(t, "agreed"))
		if named := a.Given != "" && a.Family != "" && !a.Born.IsZero(); without.NamesAndDateAgree != named {
			t.Fatalf("names and date agree: %v", without.NamesAndDateAgree)
		}
		if without.NamesAndDateAgree {
			agreeing++
			if with.Outcome != without.Outcome || with.Bits != without.Bits {
				t.Fatalf("%s became %s", without.Outcome, with.Outcome)
			}
		}
	})
	if agreeing == 0 {
		t.Error("no pair agreed")
	}
}

// TestSSNNeverLowers: an SSN key that agrees never lowers the class, keys of
// names and dates change nothing, and what stands in SSN5 changes nothing.
func TestSSNNeverLowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCandidate.Draw(t, "applicant"), anyCandidate.Draw(t, "record")
		agreed := anyKinds.Draw(t, "agreed")
		with := Compare(a, b, agreed)
		if without := Compare(a, b, nil); rank(with) < rank(without) {
			t.Fatalf("%s became %s", without, with)
		}
		if Compare(a, b, []matchkey.Kind{matchkey.Fa, matchkey.G, matchkey.H, matchkey.I, matchkey.Ka, matchkey.Q}) != Compare(a, b, nil) {
			t.Fatal("name keys count")
		}
		a.SSN5, b.SSN5 = anySSN.Draw(t, "ssn5 of the applicant"), anySSN.Draw(t, "ssn5 of the record")
		if Compare(a, b, agreed) != with {
			t.Fatal("the class depends on SSN5")
		}
	})
}

func TestCardNeverLowersAndOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCandidate.Draw(t, "applicant"), anyCandidate.Draw(t, "record")
		agreed := anyKinds.Draw(t, "agreed")
		with, back := Explain(a, b, agreed), Explain(b, a, agreed)
		if with.Outcome != back.Outcome || math.Abs(with.Bits-back.Bits) > 1e-9 {
			t.Fatalf("%v, the other way round %v", with, back)
		}
		a.CardNumber = ""
		if without := Compare(a, b, agreed); rank(with.Outcome) < rank(without) {
			t.Fatalf("%s became %s", without, with.Outcome)
		}
	})
}

// TestCommonNamesakesNeverMatch: whatever a man called James Smith was born and
// whatever agrees beside, name and date make no match.
func TestCommonNamesakesNeverMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		james := Candidate{Person: waypost.Person{Given: "James", Family: "Smith", Sex: anySex.Draw(t, "sex"), SSN5: "12346",
			Born: waypost.Date{Year: rapid.IntRange(1930, 2008).Draw(t, "year"), Month: rapid.IntRange(1, 12).Draw(t, "month"), Day: rapid.IntRange(1, 28).Draw(t, "day")}}}
		if o := Compare(james, james, anyKinds.Draw(t, "agreed")); o != waypost.Possible {
			t.Fatalf("%s", o)
		}
	})
}

// TestDistance holds the edit distance against its definition.
func TestDistance(t *testing.T) {
	for _, test := range []struct {
		x, y string
		want int
	}{{"SMITH", "SMITH", 0}, {"SMITH", "SMYTH", 1}, {"JAMES", "JAMSE", 1}, {"ANN", "ANNE", 1}, {"", "ABC", 3}, {"CA", "ABC", 3}} {
		if got := distance(test.x, test.y); got != test.want {
			t.Errorf("%s, %s: %d, want %d", test.x, test.y, got, test.want)
		}
	}
	name := rapid.StringMatching(`[A-C]{0,7}`)
	rapid.Check(t, func(t *rapid.T) {
		x, y := name.Draw(t, "x"), name.Draw(t, "y")
		d := distance(x, y)
		if d != distance(y, x) || (d == 0) != (x == y) || d > max(len(x), len(y)) || d < max(len(x)-len(y), len(y)-len(x)) {
			t.Fatalf("%d", d)
		}
	})
}

// FuzzCompare: no names, however odd, make the comparison panic, leave the
// three classes or give a total that is no number.
func FuzzCompare(f *testing.F) {
	f.Add("José", "", "O’Brien-Smith", "JR", "D1", "Jose", "M", "de la O", "", 1957, 8, 9)
	f.Add("", "\xff", "Ü", "2nd", "", "-", "", "..", "v", 0, 13, 99)
	f.Fuzz(func(t *testing.T, g1, m1, f1, s1, card, g2, m2, f2, s2 string, year, month, day int) {
		a := Candidate{Person: waypost.Person{Given: g1, Middle: m1, Family: f1, Suffix: s1, Born: waypost.Date{Year: year, Month: month, Day: day}}, CardNumber: card}
		b := Candidate{Person: waypost.Person{Given: g2, Middle: m2, Family: f2, Suffix: s2, Born: waypost.Date{Year: year, Month: day, Day: month}}, CardNumber: card}
		for _, agreed := range [][]matchkey.Kind{nil, {matchkey.A}} {
			if e := Explain(a, b, agreed); rank(e.Outcome) < 0 || math.IsNaN(e.Bits) || math.IsInf(e.Bits, 0) {
				t.Fatalf("%s, %v bits", e.Outcome, e.Bits)
			}
		}
	})
}

func BenchmarkCompare(b *testing.B) {
	p := Candidate{Person: waypost.Person{Given: "Desmond", Middle: "Louis", Family: "Achterbreg", Born: waypost.Date{Year: 1984, Month: 3, Day: 17}}}
	q := p
	q.Family = "Achterberg"
	for b.Loop() {
		Compare(p, q, nil)
	}
}
