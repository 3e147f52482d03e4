package apart

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

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
	with, without int // people with and without an SSN whom it was tried on
	by            string
	same, numbers int                       // of the numbers known of each person, how many are the same for everybody
	byCommon      [strata]estimate.Interval // among people whose names are about as common
	others        []other
}

// other is a verdict beside another.
type other struct {
	name string
	v    verdict
}

// beside adds what came of others, or of other numbers.
func (v verdict) beside(name string, o verdict) verdict {
	v.others = append(slices.Clone(v.others), other{name, o})
	return v
}

// strata are thirds of the people: with rare, middling and common names.
const strata = 3

// folds is into how many parts people are dealt, each of which is tried once.
const folds = 5

// classifier scores a person: the higher, the likelier is an SSN.
type classifier func(x []float64) float64

// tell trains two classifiers on four fifths of the people, dealt by r, and tries them on
// the others, five times, so that everybody is tried once and by what was learnt of
// others. The figure is the mean of the five. It is that of the better classifier: who
// attacks would choose it too, and who defends is not flattered.
func tell(people []sample, r *rand.Rand) (v verdict) {
	people = slices.Clone(people)
	r.Shuffle(len(people), func(i, j int) { people[i], people[j] = people[j], people[i] })
	v.same, v.numbers = scale(people)
	var parts [folds][]sample
	for _, s := range people { // each part has as many of both kinds
		if s.ssn {
			parts[v.with%folds] = append(parts[v.with%folds], s)
			v.with++
		} else {
			parts[v.without%folds] = append(parts[v.without%folds], s)
			v.without++
		}
	}
	for _, c := range []struct {
		name  string
		learn func([]sample) classifier
	}{{"logistic regression", logistic}, {"a tree", func(s []sample) classifier { return tree(s, 4) }}} {
		var all []estimate.Interval
		var byCommon [strata][]estimate.Interval
		var learnt [folds]classifier
		var group sync.WaitGroup
		for i := range parts {
			group.Go(func() { learnt[i] = c.learn(slices.Concat(slices.Concat(parts[:i]...), slices.Concat(parts[i+1:]...))) })
		}
		group.Wait()
		for i, test := range parts {
			f := learnt[i]
			all = score(all, test, f, -1)
			for stratum := range byCommon {
				byCommon[stratum] = score(byCommon[stratum], test, f, stratum)
			}
		}
		if auc := mean(all); v.by == "" || auc.Value > v.Value {
			v.Interval, v.by = widened(auc, min(v.with, v.without)), c.name
			for i := range byCommon {
				v.byCommon[i] = mean(byCommon[i])
			}
		}
	}
	return v
}

// score adds the AUC of a classifier among the people of a stratum, or all for -1, where
// there are enough of both kinds to say anything.
func score(to []estimate.Interval, test []sample, f classifier, stratum int) []estimate.Interval {
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
	if len(with) < 2 || len(without) < 2 {
		return to
	}
	return append(to, estimate.AUC(with, without))
}

// mean is that of estimates from different people; of none it says nothing.
func mean(of []estimate.Interval) estimate.Interval {
	if len(of) == 0 {
		return estimate.AUC(nil, nil)
	}
	var m estimate.Interval
	below, above, n := 0.0, 0.0, float64(len(of))
	for _, x := range of {
		m.Value += x.Value / n
		below += (x.Value - x.Low) * (x.Value - x.Low)
		above += (x.High - x.Value) * (x.High - x.Value)
	}
	m.Low, m.High = max(0, m.Value-math.Sqrt(below)/n), min(1, m.Value+math.Sqrt(above)/n)
	return m
}

// scale brings each number to mean 0 and deviation 1, and says how many are the same for
// everybody, of how many.
func scale(people []sample) (same, numbers int) {
	if len(people) == 0 {
		return 0, 0
	}
	numbers = len(people[0].x)
	mean, dev := make([]float64, numbers), make([]float64, numbers)
	for _, s := range people {
		for i, v := range s.x {
			mean[i] += v / float64(len(people))
		}
	}
	alike := func(i int) bool {
		return !slices.ContainsFunc(people, func(s sample) bool { return s.x[i] != people[0].x[i] })
	}
	for i := range numbers {
		if alike(i) {
			same++
			continue // dev stays 0
		}
		for _, s := range people {
			dev[i] += (s.x[i] - mean[i]) * (s.x[i] - mean[i]) / float64(len(people))
		}
	}
	for j, s := range people {
		out := make([]float64, numbers)
		for i, v := range s.x {
			if dev[i] > 0 {
				out[i] = (v - mean[i]) / math.Sqrt(dev[i])
			}
		}
		people[j].x = out
	}
	return same, numbers
}

// few is how many people of a kind are too few for the variance of each part to mean
// anything.
const few = 50

// widened is an estimate from so few people, with the largest variance that an AUC can
// have (Birnbaum and Klose, 1957).
func widened(auc estimate.Interval, people int) estimate.Interval {
	if people == 0 || people >= few {
		return auc
	}
	half := 1.96 * math.Sqrt(auc.Value*(1-auc.Value)/float64(people))
	return estimate.Interval{Value: auc.Value, Low: max(0, min(auc.Low, auc.Value-half)), High: min(1, max(auc.High, auc.Value+half))}
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
		slices.SortFunc(sorted, func(a, b sample) int { return cmp.Compare(a.x[f], b.x[f]) })
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
