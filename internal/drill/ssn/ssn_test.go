package ssn

import (
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/waypost/waypost/internal/drill"
)

// TestSSN plays the drill at its smallest.
func TestSSN(t *testing.T) {
	lines, err := drill.Run(t.Context(), Drill, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, l := range lines {
		t.Logf("%v %s: %s\n obtained: %s\n target: %s", l.OK, l.Party, l.Attempted, l.Obtained, l.Target)
		if !l.OK {
			t.Errorf("not as it should be: %s, %s", l.Party, l.Attempted)
		}
		if l.Planted {
			planted++
		}
	}
	if len(lines) != 13 || planted != 3 {
		t.Errorf("%d lines, %d of them planted", len(lines), planted)
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
