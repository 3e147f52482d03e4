package ssn

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/waypost/waypost/internal/drill/drilltest"
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
	rng := rand.New(rand.NewPCG(1, 1))
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
