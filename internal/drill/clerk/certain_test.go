package clerk

import (
	"math/rand/v2"
	"testing"

	"github.com/waypost/waypost"
)

// tickets has the asker use so many tickets against an index that has the truth.
func tickets(a *asker, n int, lie int) {
	answer := func(q question) (found int) {
		for _, who := range q.who {
			if a.list[who].known {
				found++
			}
		}
		return found + lie
	}
	for range n {
		first, second := a.ask(waypost.NameElements), a.ask(waypost.SSNElements)
		a.learn(first, answer(first))
		a.learn(second, answer(second))
	}
}

// TestAsker: what full tickets and divided groups make certain, of a list with many card
// holders and of one with few, and that nothing of it is wrong unless the answers are.
func TestAsker(t *testing.T) {
	listOf := func(share float64) (list []listed) {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 32_000 {
			list = append(list, listed{known: rng.Float64() < share})
		}
		return list
	}
	const n = 1000
	for _, c := range []struct {
		list, groups float64
		least, most  float64 // certain names a ticket
		holders      bool
	}{
		{0.5, 0, 0, 0.1, false},
		{0.5, 0.5, 2.1, 2.5, true},
		{0.03, 0, 18, 21, false}, // 20 x 0.97^20 + 12 x 0.97^12 = 19.2
		{0.03, 0.03, 7, 12, true},
	} {
		a := newAsker(listOf(c.list), c.groups)
		tickets(a, n, 0)
		holders, wrong := a.judge()
		if each := float64(len(a.sure)) / n; each < c.least || each > c.most || wrong > 0 || holders > 0 != c.holders {
			t.Errorf("%.2f in groups for %.2f: certain of %.1f names a ticket, %d holders, %d wrong", c.list, c.groups, each, holders, wrong)
		}
	}
	a := newAsker(listOf(0.03), 0.03)
	tickets(a, n, 1)
	if _, wrong := a.judge(); wrong == 0 {
		t.Error("false answers make nobody's certainty wrong")
	}
}
