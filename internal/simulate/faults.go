package simulate

import (
	"math/rand/v2"
	"time"
)

// faults decides what goes wrong, from the seed. Each world has weather of its
// own, from calm to rough.
type faults struct {
	rng    *rand.Rand
	over   bool    // nothing goes wrong any more
	crash  float64 // at each of the two points of a commit
	loss   float64 // of each way of a call
	double float64 // a call comes twice
	repeat float64 // a message is sent again later
	slow   time.Duration
	cut    map[[2]string]bool // who does not reach whom, either way
}

func newFaults(seed uint64) *faults {
	f := &faults{rng: rand.New(rand.NewPCG(seed, 2)), cut: make(map[[2]string]bool)}
	pick := func(of ...float64) float64 { return of[f.rng.IntN(len(of))] }
	f.crash = pick(0, .001, .003, .01)
	f.loss = pick(0, .005, .03)
	f.double = pick(0, .02, .1)
	f.repeat = pick(0, .05, .3)
	f.slow = []time.Duration{time.Millisecond, time.Millisecond, 50 * time.Millisecond, time.Second}[f.rng.IntN(4)]
	return f
}

// chance draws even where nothing may go wrong, so that what is drawn next does
// not depend on it.
func (f *faults) chance(p float64) bool { return f.rng.Float64() < p && !f.over }

func (f *faults) crashes() bool { return f.chance(f.crash) }
func (f *faults) lost() bool    { return f.chance(f.loss) }
func (f *faults) twice() bool   { return f.chance(f.double) }

// again says whether a message comes once more, and when.
func (f *faults) again() (bool, time.Duration) {
	return f.chance(f.repeat), f.upTo([]time.Duration{time.Second, time.Minute, 2 * 24 * time.Hour}[f.rng.IntN(3)])
}

// downtime is how long a process is down after it has died.
func (f *faults) downtime() time.Duration {
	return f.upTo(f.someTime())
}

// someTime is short as a rule, and sometimes days.
func (f *faults) someTime() time.Duration {
	return []time.Duration{time.Second, time.Second, 5 * time.Second, time.Minute, time.Minute, time.Hour, 30 * time.Hour}[f.rng.IntN(7)]
}

// latency is how long one way of a call takes.
func (f *faults) latency() time.Duration {
	if f.over {
		return time.Millisecond
	}
	return time.Millisecond + f.upTo(f.slow)
}

// lag is how long a process waits before it does one of its things.
func (f *faults) lag(what string) time.Duration {
	if what == step {
		return f.upTo(3 * time.Second)
	}
	return f.upTo(20 * time.Millisecond)
}

func (f *faults) upTo(d time.Duration) time.Duration {
	return time.Duration(f.rng.Int64N(int64(d) + 1))
}

func (f *faults) shuffle(n int, swap func(i, j int)) {
	if f.rng.IntN(2) == 0 && !f.over {
		f.rng.Shuffle(n, swap)
	}
}

// part keeps two from reaching each other until they are joined again.
func (f *faults) part(a, b string) { f.cut[pair(a, b)] = true }
func (f *faults) join(a, b string) { delete(f.cut, pair(a, b)) }

func (f *faults) parted(a, b string) bool { return f.cut[pair(a, b)] && !f.over }

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}
