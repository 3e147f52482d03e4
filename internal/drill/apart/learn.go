package apart

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/waypost/waypost/internal/drill/estimate"
)

// sample is what an adversary has of one person, as numbers, and the truth.
type sample struct {
	ssn     bool
	stratum int // by how common the name is, 0 to strata-1
	x       []float64
}

// verdict is how well two kinds of person are told apart.
type verdict struct {
	estimate.Interval
	tested   int
	by       string                    // the better of the classifiers
	byCommon [strata]estimate.Interval // among people whose names are about as common
}

// strata are thirds of the people: with rare, middling and common names.
const strata = 3

// classifier scores a person: the higher, the likelier is an SSN.
type classifier func(x []float64) float64

// tell trains two classifiers on one half of the people, drawn by r, and tries them on
// the other. It returns the better one's figure: who attacks would choose it too.
func tell(people []sample, r *rand.Rand) (v verdict) {
	people = slices.Clone(people)
	r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	scale := scaling(people)
	for i := range people {
		people[i].x = scale(people[i].x)
	}
	train, test := people[:len(people)/2], people[len(people)/2:]
	v.tested = len(test)
	for _, c := range []struct {
		name  string
		learn func([]sample) classifier
	}{{"logistic regression", logistic}, {"a tree", func(s []sample) classifier { return tree(s, 4) }}} {
		f := c.learn(train)
		if auc := score(test, f, -1); v.by == "" || auc.Value > v.Value {
			v.Interval, v.by = auc, c.name
			for i := range v.byCommon {
				v.byCommon[i] = score(test, f, i)
			}
		}
	}
	return v
}

// score is the AUC of a classifier among the people of a stratum, or all for -1.
func score(test []sample, f classifier, stratum int) estimate.Interval {
	var with, without []float64
	for _, s := range test {
		switch {
		case stratum >= 0 && s.stratum != stratum:
		case s.ssn:
			with = append(with, f(s.x))
		default:
			without = append(without, f(s.x))
		}
	}
	return estimate.AUC(with, without)
}

// scaling returns what brings each number to mean 0 and deviation 1.
func scaling(people []sample) func([]float64) []float64 {
	if len(people) == 0 {
		return func(x []float64) []float64 { return x }
	}
	mean, dev := make([]float64, len(people[0].x)), make([]float64, len(people[0].x))
	for _, s := range people {
		for i, v := range s.x {
			mean[i] += v / float64(len(people))
		}
	}
	for _, s := range people {
		for i, v := range s.x {
			dev[i] += (v - mean[i]) * (v - mean[i]) / float64(len(people))
		}
	}
	return func(x []float64) []float64 {
		out := make([]float64, len(x))
		for i, v := range x {
			if dev[i] > 0 {
				out[i] = (v - mean[i]) / math.Sqrt(dev[i])
			}
		}
		return out
	}
}

// Of the logistic regression: steps of gradient descent, their length, and the weight
// of the penalty on large coefficients.
const (
	descents = 300
	pace     = 0.5
	ridge    = 1e-3
)

// logistic fits a logistic regression by gradient descent.
func logistic(train []sample) classifier {
	if len(train) == 0 {
		return func([]float64) float64 { return 0 }
	}
	w := make([]float64, len(train[0].x)+1) // the last is the intercept
	linear := func(x []float64) float64 {
		z := w[len(w)-1]
		for i, v := range x {
			z += w[i] * v
		}
		return z
	}
	slope := make([]float64, len(w))
	for range descents {
		clear(slope)
		for _, s := range train {
			miss := 1 / (1 + math.Exp(-linear(s.x)))
			if s.ssn {
				miss--
			}
			for i, v := range s.x {
				slope[i] += miss * v
			}
			slope[len(w)-1] += miss
		}
		for i := range w {
			w[i] -= pace * (slope[i]/float64(len(train)) + ridge*w[i])
		}
	}
	return linear
}

// minLeaf is how many people the leaf of a tree has at least.
const minLeaf = 10

// tree grows a tree of the depth, by Gini impurity. It scores a person by the share of
// people with an SSN in the leaf, drawn towards one half where that has few.
func tree(train []sample, depth int) classifier {
	with := 0
	for _, s := range train {
		if s.ssn {
			with++
		}
	}
	share := (float64(with) + 1) / (float64(len(train)) + 2)
	leaf := func([]float64) float64 { return share }
	feature, at := 0, 0.0
	best := impurity(with, len(train))
	if depth > 0 && len(train) >= 2*minLeaf {
		feature, at, best = split(train, best)
	}
	if best >= impurity(with, len(train))-1e-9 {
		return leaf
	}
	var low, high []sample
	for _, s := range train {
		if s.x[feature] <= at {
			low = append(low, s)
		} else {
			high = append(high, s)
		}
	}
	below, above := tree(low, depth-1), tree(high, depth-1)
	return func(x []float64) float64 {
		if x[feature] <= at {
			return below(x)
		}
		return above(x)
	}
}

// impurity is Gini's, times the number of people.
func impurity(with, n int) float64 {
	if n == 0 {
		return 0
	}
	p := float64(with) / float64(n)
	return 2 * p * (1 - p) * float64(n)
}

// split finds the number and the threshold that leave least impurity, if any leaves
// less than best.
func split(train []sample, best float64) (feature int, at, left float64) {
	sorted := slices.Clone(train)
	for f := range train[0].x {
		slices.SortStableFunc(sorted, func(a, b sample) int { return cmp.Compare(a.x[f], b.x[f]) })
		total := 0
		for _, s := range sorted {
			if s.ssn {
				total++
			}
		}
		with := 0
		for i, s := range sorted[:len(sorted)-1] {
			if s.ssn {
				with++
			}
			n := i + 1
			if n < minLeaf || len(sorted)-n < minLeaf || s.x[f] == sorted[i+1].x[f] {
				continue
			}
			if g := impurity(with, n) + impurity(total-with, len(sorted)-n); g < best {
				feature, at, best = f, (s.x[f]+sorted[i+1].x[f])/2, g
			}
		}
	}
	return feature, at, best
}
