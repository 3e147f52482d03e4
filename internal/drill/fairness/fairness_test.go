package fairness

import (
	"math/rand/v2"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill/drilltest"
)

// TestDrill plays it, small: the targets hold, every group is counted, and the unfair
// index is found to be unfair.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, Drill, 1); len(lines) != 12 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestWeigh(t *testing.T) {
	born := waypost.Date{Year: 1983, Month: 11, Day: 23}
	who := waypost.Person{Family: "Kowalczyk", Given: "Ophelia", Middle: "Rose", Sex: "F", Born: born, SSN5: "48213"}
	married, written, stranger, without := who, who, who, who
	married.Family, written.Given, without.SSN5 = "Brandt", "Ofelia", ""
	stranger.Family, stranger.Given, stranger.SSN5 = "Moretti", "Ludmila", "10001"
	for name, c := range map[string]struct {
		applicant waypost.Person
		agrees    bool
		first     bool
		seen      bool
	}{
		"as before":     {who, true, true, true},
		"married":       {married, true, false, true},
		"written so":    {written, true, true, true},
		"without":       {without, true, true, true},
		"somebody else": {stranger, false, false, false},
	} {
		if f := weigh(c.applicant, who); f.agrees != c.agrees || f.first != c.first || f.seen() != c.seen {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestAmong: common names meet namesakes who look possible, rare ones nobody, and no
// namesake who is told by the birthday alone is called the same person.
func TestAmong(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	james := waypost.Person{Family: "Smith", Given: "James", Born: waypost.Date{Year: 1957, Month: 3, Day: 14}}
	ophelia := waypost.Person{Family: "Kowalczyk", Given: "Ophelia", Born: james.Born}
	possible, many := 0, 0
	for range 200 {
		c := among(james, 3, func() string { return "" }, r)
		if c.mistaken {
			t.Fatal("a James Smith was taken for another")
		}
		if c.possible {
			possible++
		}
		if among(ophelia, 30, func() string { return "" }, r).tooMany {
			many++
		}
		if c := among(ophelia, 0.1, func() string { return "" }, r); c.possible || c.tooMany {
			t.Fatal("a rare name met somebody")
		}
	}
	if possible < 150 || many < 180 {
		t.Errorf("%d of 200 met a possible namesake, %d too many", possible, many)
	}
}

func TestRomanise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		p := pair{record: waypost.Person{Family: "A", Given: "B"}}
		romanise(&p, r)
		if p.record.Family == p.applicant.Family && p.record.Given == p.applicant.Given {
			t.Fatalf("written alike: %+v", p)
		}
	}
}

// TestMeans against one worked by hand.
func TestMeans(t *testing.T) {
	got := means([]met{{in: [groups]bool{true}, shown: 0.1}, {in: [groups]bool{true}, shown: 0.3}})
	if m := got.of[everybody]; got.n[everybody] != 2 || m.Value != 200 || m.Low > 4.1 || m.Low < 3.9 {
		t.Errorf("%+v", m)
	}
}

// TestEmptyGroup: a figure of nobody is no figure.
func TestEmptyGroup(t *testing.T) {
	of := make([]pair, 40)
	for i := range of {
		for g := range of[i].in {
			of[i].in[g] = group(g) != noSSN || i < 14
		}
	}
	r := rates(of, inOf, func(int) bool { return true })
	if r.counted(15) || !r.counted(14) || r.n[noSSN] != 14 || r.n[everybody] != 40 {
		t.Errorf("%+v", r.n)
	}
	if len(r.others()) != int(groups)-1 {
		t.Errorf("%+v", r.others())
	}
}
