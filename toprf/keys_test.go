package toprf

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The derivations of TestSeed, for the seed 01 00 .. 00 02.
const (
	goldenBlind   = "8bf41d5f669c3986b7ce091004ca8cff18eae59f164794a7c0bd4548f6fc9c0d"
	goldenShuffle = "[7 1 19 17 8 12 16 0 15 6 13 18 11 9 10 3 4 14 2 5]"
)

// TestSeed fixes the derivations, which others must be able to repeat, and
// checks that seeds and positions separate.
func TestSeed(t *testing.T) {
	seed := [32]byte{0: 1, 31: 2}
	if got, want := fmt.Sprintf("%x", BlindFromSeed(seed, 5).Bytes()), goldenBlind; got != want {
		t.Errorf("blind 5 is %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(ShuffleFromSeed(seed, 20)), goldenShuffle; got != want {
		t.Errorf("the order is %s, want %s", got, want)
	}
	seen := map[string]bool{}
	for _, s := range [][32]byte{seed, {}} {
		for i := range 40 {
			seen[string(BlindFromSeed(s, i).Bytes())] = true
		}
	}
	if len(seen) != 80 {
		t.Errorf("%d distinct blinds of 80", len(seen))
	}
}

func TestShuffleFromSeed(t *testing.T) {
	for _, n := range []int{0, 1, 2, 32, 1000} {
		order := ShuffleFromSeed([32]byte{1}, n)
		sorted := slices.Sorted(slices.Values(order))
		for i, v := range sorted {
			if i != v {
				t.Fatalf("n = %d: %v is no permutation", n, order)
			}
		}
		if len(order) != n {
			t.Fatalf("n = %d: %d positions", n, len(order))
		}
	}
	// Chi-squared over the 24 orders of four: 23 degrees of freedom, and the
	// seeds are fixed, so this gives the same figure every time. 49.7 is the
	// 0.999 quantile.
	const draws = 24_000
	counts := map[string]int{}
	for i := range draws {
		counts[fmt.Sprint(ShuffleFromSeed([32]byte{byte(i), byte(i >> 8)}, 4))]++
	}
	chi2 := 0.0
	for _, c := range counts {
		d := float64(c) - draws/24
		chi2 += d * d / (draws / 24)
	}
	if len(counts) != 24 || chi2 > 49.7 {
		t.Errorf("%d orders, chi squared %.1f", len(counts), chi2)
	}
}

func TestPublicKeys(t *testing.T) {
	keys, shares, _ := deal(t, 3, 5)
	again, err := ParsePublicKeys(keys.Bytes())
	if err != nil || again.id != keys.id || again.Threshold() != 3 || again.Holders() != 5 || !again.Group().Equal(keys.Group()) {
		t.Fatalf("the keys do not round trip: %v", err)
	}
	for j := 1; j <= 5; j++ {
		if e, err := again.Share(j); err != nil || !e.Equal(shares[j-1].Public()) {
			t.Errorf("share %d: %v", j, err)
		}
	}
	publics := again.shares
	swapped := slices.Clone(publics)
	swapped[0], swapped[4] = swapped[4], swapped[0]
	stranger := slices.Clone(publics)
	stranger[4] = keys.Group()
	zero := slices.Clone(publics)
	zero[4] = Element{}
	for name, tc := range map[string]struct {
		threshold int
		group     Element
		shares    []Element
	}{
		"another group key": {3, publics[0], publics},
		"swapped":           {3, keys.group, swapped},
		"a stranger":        {3, keys.group, stranger},
		"too low a degree":  {2, keys.group, publics},
		"threshold 0":       {0, keys.group, publics},
		"threshold above n": {6, keys.group, publics},
		"a zero share":      {3, keys.group, zero},
		"a zero group key":  {3, Element{}, publics},
		"too many":          {3, keys.group, make([]Element, MaxHolders+1)},
		"no shares":         {1, keys.group, nil},
	} {
		if _, err := NewPublicKeys(tc.threshold, tc.group, tc.shares); !errors.Is(err, ErrKeys) && !errors.Is(err, ErrElement) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range keys.Bytes() {
		if _, err := ParsePublicKeys(keys.Bytes()[:n]); err == nil {
			t.Fatalf("a prefix of %d bytes parses", n)
		}
	}
}

// TestLagrange checks the integer coefficients against the definition, over
// polynomials with integer coefficients.
func TestLagrange(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		indexes := rapid.SliceOfNDistinct(rapid.IntRange(1, MaxHolders), 1, 12, rapid.ID).Draw(rt, "indexes")
		x := rapid.IntRange(0, MaxHolders).Draw(rt, "x")
		polynomial := rapid.SliceOfN(rapid.Int64Range(-9, 9), 1, len(indexes)).Draw(rt, "polynomial")
		at := func(x int) *big.Int {
			y := new(big.Int)
			for _, p := range slices.Backward(polynomial) {
				y.Mul(y, big.NewInt(int64(x))).Add(y, big.NewInt(p))
			}
			return y
		}
		c, d := lagrange(indexes, x)
		sum := new(big.Int)
		for j, xj := range indexes {
			sum.Add(sum, new(big.Int).Mul(c[j], at(xj)))
		}
		if want := new(big.Int).Mul(d, at(x)); sum.Cmp(want) != 0 || d.Sign() <= 0 {
			rt.Fatalf("interpolated %v, want %v", sum, want)
		}
	})
	c, d := lagrange([]int{1, 2, 3}, 0)
	if fmt.Sprint(c, d) != "[3 -3 1] 1" {
		t.Errorf("holders 1, 2, 3: %v over %v", c, d)
	}
}

// TestSumSteps holds the short additions against a full multiplication.
func TestSumSteps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		small := rapid.SliceOfN(rapid.Int64(), 1, 5).Draw(rt, "coefficients")
		coefficients := make([]*big.Int, len(small))
		scalars := make([]publicScalar, len(small))
		points := make([]*point, len(small))
		for i, c := range small {
			coefficients[i] = big.NewInt(c)
			scalars[i].setBig(coefficients[i])
			points[i] = new(point)
			verifiableSuite.hashToGroup(points[i], []byte{byte(i)})
		}
		var short, full point
		short.sumSteps(schedule(coefficients), points)
		full.sumPublic(scalars, points)
		if !short.equal(&full) {
			rt.Fatalf("%v: the sums differ", small)
		}
	})
}
