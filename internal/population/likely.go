package population

import (
	"container/heap"
	"slices"

	"github.com/waypost/waypost"
)

// Likely is a name, and those born in ten years who may have it.
type Likely struct {
	Family, Given string
	Sex           waypost.Sex
	Decade        int     // the first year: 1930 to 2000
	Share         float64 // of all adults that the tables are about
}

// EachLikely calls fn with the combinations of first name and surname in the tables,
// by decade of birth and sex, from the most frequent down, until fn returns false: the
// dictionary of somebody who has nothing but public tables, who takes first names and
// surnames for independent of each other.
func EachLikely(fn func(Likely) bool) {
	t := tables()
	families := shares(&t.family)
	var q likelyQueue
	total := 0.0
	for _, w := range t.given {
		total += w.sums[len(w.sums)-1]
	}
	total *= t.family.sums[len(t.family.sums)-1]
	lists := make(map[cohort][]share)
	for of, w := range t.given {
		lists[of] = shares(w)
		q = append(q, likelyAt{of: of, weight: families[0].weight * lists[of][0].weight})
	}
	heap.Init(&q)
	for len(q) > 0 {
		at := heap.Pop(&q).(likelyAt)
		given := lists[at.of]
		if !fn(Likely{families[at.family].name, given[at.given].name, at.of.sex, at.of.decade, at.weight / total}) {
			return
		}
		// Each combination is reached by one way: along the surnames, then along the first
		// names of the commonest surname only.
		if next := at.family + 1; next < len(families) {
			heap.Push(&q, likelyAt{at.of, next, at.given, families[next].weight * given[at.given].weight})
		}
		if next := at.given + 1; at.family == 0 && next < len(given) {
			heap.Push(&q, likelyAt{at.of, 0, next, families[0].weight * given[next].weight})
		}
	}
}

// share is a name of a table and how many have it.
type share struct {
	name   string
	weight float64
}

// shares are the names of a table, the commonest first.
func shares(w *weighted) []share {
	all, before := make([]share, len(w.names)), 0.0
	for i, name := range w.names {
		all[i] = share{name, w.sums[i] - before}
		before = w.sums[i]
	}
	slices.SortStableFunc(all, func(a, b share) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	return all
}

// likelyAt is a combination by its places in the two lists.
type likelyAt struct {
	of            cohort
	family, given int
	weight        float64
}

// likelyQueue has the heaviest first; equal ones in an order that is always the same.
type likelyQueue []likelyAt

func (q likelyQueue) Len() int { return len(q) }
func (q likelyQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	switch {
	case a.weight != b.weight:
		return a.weight > b.weight
	case a.of.decade != b.of.decade:
		return a.of.decade < b.of.decade
	}
	return a.of.sex < b.of.sex
}
func (q likelyQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *likelyQueue) Push(x any)   { *q = append(*q, x.(likelyAt)) }
func (q *likelyQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
