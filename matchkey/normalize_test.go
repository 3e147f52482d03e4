package matchkey

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/waypost/waypost"
)

func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		given, family  string
		wantG, wantF   string // parts joined by |
		suffix, wantSf string
	}{
		{given: "José", family: "Peña", wantG: "JOSE", wantF: "PENA"},
		{given: "Søren", family: "Straße", wantG: "SOREN", wantF: "STRASSE"},
		{given: "Mary-Ann", family: "O'Brien", wantG: "MARY|ANN", wantF: "OBRIEN"},
		{given: "mary", family: "O’Brien", wantG: "MARY", wantF: "OBRIEN"},
		{given: "Ana", family: "de la Cruz y García", wantG: "ANA", wantF: "DELACRUZ|GARCIA"},
		{given: "Jan", family: "van der Berg-Smith", wantG: "JAN", wantF: "VANDERBERG|SMITH"},
		{given: "Ian", family: "Mc Donald", wantG: "IAN", wantF: "MCDONALD"},
		{given: "Ian", family: "Saint John", wantG: "IAN", wantF: "STJOHN"},
		{given: "Thi", family: "De", wantG: "THI", wantF: "DE"},
		{given: "John", family: "Smith Jr.", wantG: "JOHN", wantF: "SMITH", wantSf: "JR"},
		{given: "John III", family: "Smith", wantG: "JOHN", wantF: "SMITH", wantSf: "III"},
		{given: "Mary V", family: "Smith V", wantG: "MARY|V", wantF: "SMITH", wantSf: "V"},
		{given: "John", family: "Smith", suffix: "2nd", wantG: "JOHN", wantF: "SMITH", wantSf: "II"},
		{given: "Jr", family: "Jr", wantG: "JR", wantF: "JR"},
		{given: "FNU", family: "Suparman", wantG: "", wantF: "SUPARMAN"},
		{given: "Ｊｏｈｎ", family: "Łukasz", wantG: "JOHN", wantF: "LUKASZ"},
		{given: "J0hn", family: "Smith 3", wantG: "JHN", wantF: "SMITH"},
		{given: "李", family: "\xff\xfe", wantG: "", wantF: ""},
	} {
		n := Normalize(waypost.Person{Given: c.given, Family: c.family, Suffix: c.suffix})
		if got := strings.Join(n.Given, "|"); got != c.wantG {
			t.Errorf("given %q is %q, want %q", c.given, got, c.wantG)
		}
		if got := strings.Join(n.Family, "|"); got != c.wantF {
			t.Errorf("family %q is %q, want %q", c.family, got, c.wantF)
		}
		if n.Suffix != c.wantSf {
			t.Errorf("%q %q %q has suffix %q, want %q", c.given, c.family, c.suffix, n.Suffix, c.wantSf)
		}
	}
	for _, d := range []waypost.Date{{Year: 2023, Month: 2, Day: 29}, {Year: 1990, Month: 13, Day: 1}, {Year: 1, Month: 1, Day: 1}} {
		if n := Normalize(waypost.Person{Born: d}); !n.Born.IsZero() {
			t.Errorf("the date %v, which does not exist, was kept", d)
		}
	}
}

func TestNicknames(t *testing.T) {
	for nick, formal := range map[string]string{
		"BOB": "ROBERT", "PEGGY": "MARGARET", "BILL": "WILLIAM", "LIZ": "ELIZABETH", "ROBERT": "ROBERT", "ERIN": "ERIN", "": "",
	} {
		if got := NicknameRoot(nick); got != formal {
			t.Errorf("NicknameRoot(%s) = %s, want %s", nick, got, formal)
		}
	}
	for nick, formal := range formalNames() {
		if again := NicknameRoot(formal[0]); again != formal[0] {
			t.Errorf("%s is short for %s, which is itself short for %s", nick, formal[0], again)
		}
	}
}

func TestFrequencies(t *testing.T) {
	within := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s is %.3g, want between %.3g and %.3g", what, got, low, high)
		}
	}
	// Census 2000: 2,376,206 Smiths of 270 million.
	within("SMITH", FamilyFrequency("SMITH"), 0.0080, 0.0096)
	within("JAMES", GivenFrequency("JAMES"), 0.012, 0.020)
	within("an unlisted name", NameFrequency("QXZQ", "QXZQ"), 1e-16, 1e-10)
	apart := GivenFrequency("MARIA") * FamilyFrequency("GARCIA")
	within("MARIA GARCIA to independence", NameFrequency("MARIA", "GARCIA")/apart, 7, 8.3)
}

var update = flag.Bool("update", false, "write testdata/vectors.json anew: only for a new profile")

// vector is one line of testdata/vectors.json, which other implementations of
// profile 1 must reproduce. Secret, index and query are in hexadecimal.
type vector struct {
	Person waypost.Person `json:"person"`
	Secret string         `json:"secret"`
	Index  []string       `json:"index"`
	Query  []string       `json:"query"`
}

func TestVectors(t *testing.T) {
	born := waypost.Date{Year: 1983, Month: 11, Day: 23}
	people := []waypost.Person{
		{Given: "Ophelia", Family: "Kowalczyk", Born: born, SSN5: "48213"},
		{Given: "Ophelia", Family: "Kowalczyk", Born: born},
		{Given: "James", Family: "Smith", Born: waypost.Date{Year: 1957, Month: 3, Day: 14}, SSN5: "99999"},
		{Given: "María José", Middle: "Pilar", Family: "de la Cruz-García", Born: waypost.Date{Year: 1990, Month: 9, Day: 5}, SSN5: "10001"},
		{Given: "Bob", Family: "O'Brien Jr", Born: born, SSN5: "12345"},
		{Given: "Wei", Family: "Zhang", Born: waypost.Date{Year: 1988, Month: 1, Day: 1}},
		{Family: "Suparman", Given: "FNU", Born: born},
		{Given: "Ophelia", Family: "Kowalczyk", SSN5: "48213"},
		{},
	}
	var got []vector
	for _, p := range people {
		v := vector{Person: p, Secret: hex.EncodeToString(secretA)}
		for _, s := range Index(p, secretA) {
			v.Index = append(v.Index, hex.EncodeToString(s.Key))
		}
		for _, k := range NewQuery(p, secretA).Keys {
			v.Query = append(v.Query, hex.EncodeToString(k))
		}
		got = append(got, v)
	}
	const path = "testdata/vectors.json"
	if *update {
		text, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want []vector
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("the keys are no longer those of profile 1: every state would have to publish again")
	}
}

var letters = regexp.MustCompile(`^[A-Z]+$`)

// FuzzNormalize: whatever stands in the fields, the result has the documented
// shape, is stable, and gives a full query.
func FuzzNormalize(f *testing.F) {
	f.Add("de la Cruz y García", "José Mª", "NMN", "Jr.", "99999", 1990, 2, 29)
	f.Add("O'Brien", "\xff\xfe", "ﬁ ß ㎏", "III", "48213", 0, 0, 0)
	f.Add(strings.Repeat("a b ", 400), strings.Repeat("é", 500), "", "", "１２３４５", -1, 99, 1<<40)
	f.Fuzz(func(t *testing.T, family, given, middle, suffix, ssn string, y, m, d int) {
		p := waypost.Person{Family: family, Given: given, Middle: middle, Suffix: suffix, SSN5: ssn,
			Born: waypost.Date{Year: y, Month: m, Day: d}}
		n := Normalize(p)
		for _, names := range [][]string{n.Family, n.Given, n.Middle} {
			if len(names) > maxTokens {
				t.Errorf("%d parts of a name", len(names))
			}
			for _, w := range names {
				if !letters.MatchString(w) {
					t.Errorf("%q is not a normalised name", w)
				}
			}
		}
		if !n.Born.IsZero() && !validDate(n.Born) {
			t.Error("a date that does not exist")
		}
		if n.SSN5 != "" && (len(n.SSN5) != 5 || !utf8.ValidString(n.SSN5)) {
			t.Errorf("SSN5 %q", n.SSN5)
		}
		q := NewQuery(p, secretA)
		seen := make(map[string]bool)
		for _, k := range q.Keys {
			seen[string(k)] = true
		}
		if len(seen) != Probes {
			t.Errorf("%d distinct keys", len(seen))
		}
		for i, s := range Index(p, secretA) {
			if string(q.Keys[q.Index[i]]) != string(s.Key) {
				t.Errorf("slot %v is not in the query", s.Kind)
			}
		}
	})
}
