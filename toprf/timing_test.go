package toprf

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// TestTimingLeak looks for a difference in time between multiplying by one
// fixed share and by random ones, after Reparaz, Balasch and Verbauwhede (Dude,
// is my code constant time?, eprint 2016/1123). The fixed share is a tiny
// number, which a leaking algorithm treats most differently.
//
// It is not part of the default run, because a timing must not fail on a busy
// machine. It takes about fifteen seconds:
//
//	WAYPOST_TIMING=1 go test -run TestTimingLeak -v ./toprf
//
// A twentieth of the measurements, made of the variable-time multiplication and
// judged by the same limit, show that the instrument sees a leak where there is one.
func TestTimingLeak(t *testing.T) {
	if os.Getenv("WAYPOST_TIMING") == "" {
		t.Skip("set WAYPOST_TIMING=1 on a quiet machine")
	}
	const limit = 10 // the paper's is 4.5; this leaves room for what else the machine does
	var p, out point
	verifiableSuite.hashToGroup(&p, []byte("a fixed element"))
	var k Scalar
	constant := welch(400_000, func(b *[ScalarSize]byte) { k.decode(b) }, func() { out.mulSecret(&k, &p) })
	t.Logf("constant time: t = %.2f", constant)
	if math.Abs(constant) > limit {
		t.Errorf("the share multiplication leaks: t = %.1f", constant)
	}

	scalars, points := make([]publicScalar, 1), []*point{&p}
	variable := welch(20_000, func(b *[ScalarSize]byte) { scalars[0].decode(b) }, func() { out.sumPublic(scalars, points) })
	t.Logf("variable time: t = %.2f", variable)
	if math.Abs(variable) < limit {
		t.Errorf("the instrument is blind: t = %.1f for variable time", variable)
	}
}

// welch times run for n scalars, of which about half are fixed and half random
// in random order, drops the slowest tenth of all (interrupts), and returns
// Welch's t statistic between the two kinds.
func welch(n int, set func(*[ScalarSize]byte), run func()) float64 {
	fixed := [ScalarSize]byte{8}
	spent := [2][]float64{}
	var all []float64
	for range n {
		random := RandomScalar() // drawn either way, so that both kinds leave the caches alike
		b, kind := random.encode(), rand.IntN(2)
		if kind == 0 {
			b = fixed
		}
		set(&b)
		start := time.Now()
		run()
		d := float64(time.Since(start))
		spent[kind], all = append(spent[kind], d), append(all, d)
	}
	slices.Sort(all)
	limit := all[len(all)*9/10]
	var mean, variance, count [2]float64
	for kind := range spent {
		for _, d := range spent[kind] { // Welford
			if d > limit {
				continue
			}
			count[kind]++
			delta := d - mean[kind]
			mean[kind] += delta / count[kind]
			variance[kind] += delta * (d - mean[kind])
		}
		variance[kind] /= count[kind] - 1
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]/count[0]+variance[1]/count[1])
}
