package ssn

import (
	"math"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill/estimate"
)

// advantage is how much better than chance a guess is, from 0 to 1, with the ends of
// its 95 % interval.
type advantage struct{ estimate.Interval }

// over turns an interval around one half into an advantage. Whoever guesses worse than
// chance guesses the other way.
func over(i estimate.Interval) advantage {
	lo, hi := 2*i.Low-1, 2*i.High-1
	a := advantage{estimate.Interval{Value: math.Abs(2*i.Value - 1), High: max(math.Abs(lo), math.Abs(hi))}}
	if lo > 0 || hi < 0 {
		a.Low = min(math.Abs(lo), math.Abs(hi))
	}
	return a
}

// byWord guesses from what was answered: from each piece of it by what those of one
// half are who got the same, for those of the other half.
func (p *play) byWord(of waypost.Jurisdiction, name string) advantage {
	answers, has := make([][]string, 0, len(p.people[of])), make([]bool, 0, len(p.people[of]))
	for _, s := range p.people[of] {
		answers, has = append(answers, s.words[name]), append(has, s.has)
	}
	return over(guess(answers, has))
}

// guess returns the share of those of whom it says rightly whether they have it, by the
// sum of the logarithms of the odds of each piece of an answer (naive Bayes). Each half
// has as many who have as the other, so that who can only toss a coin is right in half
// of all.
func guess(answers [][]string, has []bool) estimate.Interval {
	half := make([]int, len(answers))
	var next [2]int
	for i, h := range has {
		kind := 0
		if h {
			kind = 1
		}
		half[i] = next[kind] % 2
		next[kind]++
	}
	var with, without [2]map[string]float64
	for h := range with {
		with[h], without[h] = make(map[string]float64), make(map[string]float64)
	}
	for i, answer := range answers {
		for _, piece := range answer {
			if has[i] {
				with[half[i]][piece]++
			} else {
				without[half[i]][piece]++
			}
		}
	}
	right := 0
	for i, answer := range answers {
		odds, other := 0.0, 1-half[i]
		for _, piece := range answer {
			odds += math.Log((with[other][piece] + 1) / (without[other][piece] + 1))
		}
		if (odds >= 0) == has[i] {
			right++
		}
	}
	return estimate.Share(right, len(answers))
}

// byTime guesses from the shortest of the times: what else the machine does only
// lengthens one.
func (p *play) byTime(of waypost.Jurisdiction) advantage {
	var with, without []float64
	for _, s := range p.people[of] {
		if m := float64(slices.Min(s.times)); s.has {
			with = append(with, m)
		} else {
			without = append(without, m)
		}
	}
	return over(estimate.AUC(with, without))
}
