package ssn

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/internal/drill/estimate"
)

// TestSSN plays the drill at its smallest.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, Drill, 3); len(lines) != 15 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestGuess: the attacker finds a word that tells, also one that tells only sometimes,
// and makes nothing of chance.
func TestGuess(t *testing.T) {
	var rng *rand.Rand
	const n = 400
	for name, c := range map[string]struct {
		word      func(has bool) string
		low, high float64 // where the advantage must lie
	}{
		"tells":         {func(has bool) string { return strconv.FormatBool(has) }, 0.95, 1},
		"tells a third": {func(has bool) string { return strconv.FormatBool(has && rng.IntN(3) == 0) }, 0.15, 0.6},
		"one word":      {func(bool) string { return "no" }, 0, 0},
		"chance":        {func(bool) string { return strconv.Itoa(rng.IntN(5)) }, 0, 0},
		"all different": {func(bool) string { return strconv.Itoa(rng.Int()) }, 0, 0},
	} {
		rng = rand.New(rand.NewPCG(1, 1)) // for each: a map has no order
		words, has := make([][]string, n), make([]bool, n)
		for i := range words {
			has[i] = i%2 == 0
		}
		rng.Shuffle(n, func(i, j int) { has[i], has[j] = has[j], has[i] })
		for i := range words {
			words[i] = []string{c.word(has[i]), "alike"}
		}
		if a := over(guess(words, has)); a.Low < c.low || a.Low > c.high {
			t.Errorf("%s: the advantage is %+v", name, a)
		}
	}
}

// TestLine: where nobody is answered nothing is told, and the line is not well; nor where
// the baselines tell nothing.
func TestLine(t *testing.T) {
	rows := make([]waypost.Record, 40)
	for i := range rows {
		rows[i].Person = waypost.Person{Family: "EXAMPLE", Given: "A" + strconv.Itoa(i), Born: waypost.Date{Year: 1990, Month: 1, Day: 1 + i%28}}
		if i%2 == 0 {
			rows[i].Person.SSN5 = strconv.Itoa(12345 + i)
		}
	}
	than := openly(rows)
	if than.plain.Value != 1 || than.unkeyed.Value != 1 {
		t.Errorf("the baselines tell with an advantage of %v and %v", than.plain, than.unkeyed)
	}
	if n, m := hashes(rows[1].Person), hashes(rows[0].Person); n != 1 || m != 12347 {
		t.Errorf("the endings were found with %d and %d hashes", n, m)
	}
	none := over(estimate.Share(20, 40))
	for name, c := range map[string]struct {
		full int
		than baselines
		a    advantage
		ok   bool
	}{
		"answered, and nothing told": {40, than, none, true},
		"told":                       {40, than, over(estimate.Share(40, 40)), false},
		"refused":                    {0, than, none, false},
		"the baselines tell nothing": {40, baselines{none, none}, none, false},
	} {
		lines, err := drill.Run(t.Context(), drill.Drill{Name: "line", Run: func(_ context.Context, s *drill.Stage) error {
			p := &play{Stage: s, elsewhere: map[waypost.Jurisdiction]baselines{honest: c.than}}
			p.line(asked{"asked", honest, 40, c.full}, c.a)
			return nil
		}}, t.TempDir(), drill.Stage{})
		if err != nil || len(lines) != 1 || lines[0].OK != c.ok {
			t.Errorf("%s: %v, %+v", name, err, lines)
		}
	}
}
