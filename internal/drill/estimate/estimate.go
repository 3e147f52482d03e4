// Package estimate gives numbers of the drills with their 95 % confidence
// intervals.
package estimate

import (
	"math"
	"slices"
)

// Interval is an estimate between the ends of its 95 % confidence interval.
type Interval struct{ Value, Low, High float64 }

// z is the 97.5 % point of the normal distribution.
const z = 1.959964

// Share estimates a probability from hits among trials: the interval is Wilson's
// (1927), which keeps within 0 and 1 and is honest for few trials. Without trials
// it is all of [0, 1].
func Share(hits, trials int) Interval {
	if trials == 0 {
		return Interval{Value: 0, Low: 0, High: 1}
	}
	n, p := float64(trials), float64(hits)/float64(trials)
	centre := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return Interval{p, max(centre-half, 0), min(centre+half, 1)}
}

// AUC estimates the probability that a score drawn from positives is higher than
// one drawn from negatives, ties counted as half: 0.5 is guessing. The variance is
// that of DeLong, DeLong and Clarke-Pearson (1988), computed from ranks in
// O(n log n). Without scores on both sides it is all of [0, 1].
func AUC(positives, negatives []float64) Interval {
	m, n := len(positives), len(negatives)
	if m < 2 || n < 2 {
		return Interval{0.5, 0, 1}
	}
	pos, neg := slices.Sorted(slices.Values(positives)), slices.Sorted(slices.Values(negatives))
	value, varPos := placements(pos, neg, func(below float64) float64 { return below })
	_, varNeg := placements(neg, pos, func(below float64) float64 { return 1 - below })
	half := z * math.Sqrt(varPos/float64(m)+varNeg/float64(n))
	return Interval{value, max(value-half, 0), min(value+half, 1)}
}

// placements gives mean and variance of the share of others that lie below each
// of the scores, as turned by of. Both are sorted.
func placements(scores, others []float64, of func(below float64) float64) (mean, variance float64) {
	values := make([]float64, len(scores))
	for i, s := range scores {
		low, _ := slices.BinarySearch(others, s)
		high, _ := slices.BinarySearchFunc(others, s, after)
		values[i] = of((float64(low) + float64(high-low)/2) / float64(len(others)))
		mean += values[i]
	}
	mean /= float64(len(values))
	for _, v := range values {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(values)-1)
}

// after puts a score behind all that are equal to it.
func after(other, score float64) int {
	if other <= score {
		return -1
	}
	return 1
}
