package apart

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/matchkey"
)

// TestDrill plays it, small: every line is as it should be, and what is planted is found.
func TestDrill(t *testing.T) {
	lines := drilltest.Play(t, Drill, 7)
	for _, l := range lines {
		if !l.Planted && (l.Figure == nil || !strings.Contains(l.Target, "conceded") && l.Figure.Bound > logBound) {
			t.Errorf("%s has no figure", l.Attempted)
		}
	}
	if len(lines) != 18 {
		t.Errorf("%d lines", len(lines))
	}
}

// crowdOf makes people of whom a number in the middle of noise leaks a share.
func crowdOf(n int, leak func(ssn bool, r *rand.Rand) float64) (out []sample) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		s := sample{ssn: r.IntN(2) == 0, stratum: i % strata, x: []float64{r.NormFloat64(), 0, 1e9 + r.Float64(), 7}}
		s.x[1] = leak(s.ssn, r)
		out = append(out, s)
	}
	return out
}

// TestClassifiers: they find what there is, also what no straight line shows, and
// nothing where there is nothing.
func TestClassifiers(t *testing.T) {
	for name, c := range map[string]struct {
		leak      func(ssn bool, r *rand.Rand) float64
		low, high float64 // of the AUC
	}{
		"nothing": {func(_ bool, r *rand.Rand) float64 { return r.NormFloat64() }, 0.46, 0.54},
		"all":     {func(ssn bool, _ *rand.Rand) float64 { return map[bool]float64{true: 10, false: 9}[ssn] }, 0.999, 1},
		"one in five": {func(ssn bool, r *rand.Rand) float64 {
			if ssn && r.IntN(5) == 0 {
				return 1
			}
			return 0
		}, 0.57, 0.63},
		"in the middle": {func(ssn bool, r *rand.Rand) float64 {
			if ssn {
				return r.Float64() - 0.5
			}
			return float64(2*r.IntN(2)-1) * (0.6 + r.Float64())
		}, 0.95, 1},
	} {
		v := tell(crowdOf(4000, c.leak), rand.New(rand.NewPCG(1, 2)))
		if v.Value < c.low || v.Value > c.high || v.with+v.without != 4000 {
			t.Errorf("%s: %v", name, v)
		}
		for i, one := range v.byCommon {
			if one.Low > v.High || one.High < v.Low {
				t.Errorf("%s: stratum %d says %v, all %v", name, i, one, v)
			}
		}
	}
}

// TestStrangersMeetStandIns: what is drawn as strangers of a person without an SSN is
// what strangers can make: there are digits with which the four keys are anybody's.
func TestStrangersMeetStandIns(t *testing.T) {
	secret := make([]byte, 32)
	secret[0] = 9
	who := waypost.Person{Family: "Balderrama", Given: "Ignacio", Born: waypost.Date{Year: 1972, Month: 7, Day: 31}}
	mine := matchkey.Index(who, secret)
	other := make([]byte, 32) // of another state
	met := 0
	for n := range 100_000 {
		who.SSN5 = string([]byte{byte('0' + n/10_000), byte('0' + n/1000%10), byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)})
		if matchkey.SSN5(who.SSN5) == "" {
			continue
		}
		theirs := matchkey.Index(who, other)
		same := 0
		for i := matchkey.NameSlots; i < matchkey.Slots; i++ {
			if string(mine[i].Key) == string(theirs[i].Key) {
				same++
				if mine[i].Expected != theirs[i].Expected {
					t.Errorf("slot %s: %v strangers, with an SSN %v", mine[i].Kind, mine[i].Expected, theirs[i].Expected)
				}
			}
		}
		if same == matchkey.SSNSlots {
			met++
		} else if same > 0 {
			t.Errorf("digits %d agree on %d slots", n, same)
		}
	}
	if met != 1 {
		t.Errorf("%d SSNs give the keys that stand in", met)
	}
}

func TestPoisson(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, mean := range []float64{0, 0.15, 2.8, 20} {
		sum, square := 0.0, 0.0
		const n = 20_000
		for range n {
			x := float64(poisson(mean, r))
			sum += x
			square += x * x
		}
		m := sum / n
		if d := m - mean; d > 0.05*mean+1e-9 || d < -0.05*mean-1e-9 {
			t.Errorf("mean %v is %v", mean, m)
		}
		if v := square/n - m*m; v > 1.1*mean+1e-9 || v < 0.9*mean-1e-9 {
			t.Errorf("variance of %v is %v", mean, v)
		}
	}
}

// TestTooFew: nothing is well that too few people say, and what is conceded must be found.
func TestTooFew(t *testing.T) {
	noise := func(_ bool, r *rand.Rand) float64 { return r.NormFloat64() }
	all := func(ssn bool, _ *rand.Rand) float64 { return map[bool]float64{true: 1, false: 0}[ssn] }
	of := func(n int, leak func(bool, *rand.Rand) float64) verdict {
		return tell(crowdOf(n, leak), rand.New(rand.NewPCG(1, 2)))
	}
	enough := limits{bound: logBound, excluded: 0.7, least: 100}
	lines, err := drill.Run(t.Context(), drill.Drill{Name: "few", Run: func(_ context.Context, s *drill.Stage) error {
		p := &trial{Stage: s}
		p.told("", "enough", of(400, noise), enough)
		p.conceded("", "found", of(400, all), "", "")
		p.told("", "nobody", of(0, noise), enough)
		p.told("", "too few", of(150, noise), enough)
		p.told("", "told apart", of(400, all), enough)
		p.told("", "not excluded", of(400, noise), limits{bound: logBound, excluded: 0.5, least: 100})
		p.conceded("", "not found", of(400, noise), "", "")
		p.conceded("", "nobody", of(2, all), "", "")
		return nil
	}}, t.TempDir(), drill.Stage{Size: drill.Small})
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		if l.OK != (i < 2) {
			t.Errorf("%s: %v, %s", l.Attempted, l.OK, l.Obtained)
		}
	}
}

// TestKeptDigits: a change of the surname leaves the same slots with and without an SSN;
// digits that were drawn again from the new name would leave none.
func TestKeptDigits(t *testing.T) {
	people, err := draw(t.Context(), &drill.Stage{Size: drill.Small}, 800, none)
	if err != nil {
		t.Fatal(err)
	}
	kept := make(map[bool]map[int]int)
	for _, d := range people {
		if kept[d.ssn] == nil {
			kept[d.ssn] = make(map[int]int)
		}
		kept[d.ssn][len(d.kept)]++
	}
	// A and E go by the date and the first name.
	if kept[false][2] < 300 || kept[true][2] < 300 || len(kept[false]) != len(kept[true]) {
		t.Errorf("kept slots: %v", kept)
	}
	if people, err = draw(t.Context(), &drill.Stage{Size: drill.Small}, 800, anew); err != nil {
		t.Fatal(err)
	}
	for _, d := range people {
		if !d.ssn && len(d.kept) > 0 && len(d.kept) < 4 {
			t.Errorf("%d slots kept with other digits", len(d.kept))
		}
	}
}

// TestAbroad: what part two leads to is seen, and what strangers meet is not it.
func TestAbroad(t *testing.T) {
	token := func(i byte) waypost.Token { return waypost.Token{i} }
	there, own := &pointer{state: "CA"}, &pointer{state: "AZ"}
	s := &subject{to: "AZ", check: waypost.TicketID{1}, record: waypost.Record{ID: "X"}, written: waypost.Person{Family: "Balderrama", Given: "Ignacio", Born: waypost.Date{Year: 1972, Month: 7, Day: 31}}}
	check := &search{state: "AZ"}
	check.parts[0].tokens = map[waypost.Token]bool{token(1): true, token(2): true}
	tr := &transcript{tap: newTap(), holders: map[waypost.Token][]*pointer{token(1): {there, own}, token(2): {there}, token(3): {there, own}, token(4): {there}}}
	tr.searches[s.check] = check
	if _, some := tr.byPart([]*subject{s, {}}); len(some) != 0 {
		t.Error("nobody has sent part two")
	}
	before := tr.abroad(s)
	check.parts[1].tokens = map[waypost.Token]bool{token(3): true, token(4): true, token(5): true}
	after := tr.abroad(s)
	if n := len(after); n != 10 || before[n-1] != 0 || after[n-2] != 1 || after[n-1] != 2 || after[3] != 2 || after[7] != 2 {
		t.Errorf("before part two %v, after %v", before, after)
	}
	if _, some := tr.byPart([]*subject{s, {}}); len(some) != 1 {
		t.Error("part two was sent")
	}
}
