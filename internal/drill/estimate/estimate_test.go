package estimate_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/waypost/waypost/internal/drill/estimate"
)

// TestAUC: against the definition, pair by pair.
func TestAUC(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		pos, neg := make([]float64, 2+r.IntN(30)), make([]float64, 2+r.IntN(30))
		for i := range pos {
			pos[i] = float64(r.IntN(5))
		}
		for i := range neg {
			neg[i] = float64(r.IntN(4))
		}
		want := 0.0
		for _, p := range pos {
			for _, n := range neg {
				switch {
				case p > n:
					want++
				case p == n:
					want += 0.5
				}
			}
		}
		want /= float64(len(pos) * len(neg))
		got := estimate.AUC(pos, neg)
		if math.Abs(got.Value-want) > 1e-12 || got.Low > got.Value || got.High < got.Value {
			t.Fatalf("%v, by pairs %v", got, want)
		}
	}
	if got := estimate.AUC([]float64{1, 2}, nil); got.Low != 0 || got.High != 1 {
		t.Errorf("without negatives: %v", got)
	}
}

// TestCoverage: nineteen of twenty intervals hold the truth.
func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	// Normal scores one apart: the AUC is Phi(1/sqrt 2).
	auc := 0.5 * (1 + math.Erf(0.5))
	const rounds = 2000
	held := map[string]int{}
	for range rounds {
		pos, neg := make([]float64, 80), make([]float64, 120)
		for i := range pos {
			pos[i] = 1 + r.NormFloat64()
		}
		for i := range neg {
			neg[i] = r.NormFloat64()
		}
		if got := estimate.AUC(pos, neg); got.Low <= auc && auc <= got.High {
			held["AUC"]++
		}
		hits := 0
		for range 200 {
			if r.Float64() < 0.03 {
				hits++
			}
		}
		if got := estimate.Share(hits, 200); got.Low <= 0.03 && 0.03 <= got.High {
			held["Share"]++
		}
	}
	for name, n := range held {
		if share := float64(n) / rounds; share < 0.93 || share > 0.985 {
			t.Errorf("%s: %.3f of the intervals hold the truth", name, share)
		}
	}
	if len(held) != 2 {
		t.Errorf("%v", held)
	}
}

func TestShareAtTheEnds(t *testing.T) {
	if got := estimate.Share(0, 100); got.Low != 0 || got.High < 0.03 || got.High > 0.04 {
		t.Errorf("0 of 100: %v", got) // the rule of three says 0.03, Wilson 0.037
	}
	if got := estimate.Share(0, 0); got.Low != 0 || got.High != 1 {
		t.Errorf("nothing tried: %v", got)
	}
}
