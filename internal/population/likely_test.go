package population_test

import (
	"testing"

	"github.com/waypost/waypost/internal/population"
)

// TestEachLikely: from the most frequent down, nothing twice, and the shares are those
// of a crowd.
func TestEachLikely(t *testing.T) {
	type name struct{ family, given string }
	seen := make(map[population.Likely]bool)
	names := make(map[name]float64)
	last, n, sum := 1.0, 0, 0.0
	population.EachLikely(func(l population.Likely) bool {
		bare := l
		bare.Share = 0
		if seen[bare] || l.Share > last {
			t.Fatalf("%+v comes twice, or after %g", l, last)
		}
		seen[bare], last = true, l.Share
		names[name{l.Family, l.Given}] += l.Share
		sum += l.Share
		n++
		return n < 100_000
	})
	if n != 100_000 || sum < 0.05 || sum > 0.5 {
		t.Errorf("%d combinations are of %.3f of all", n, sum)
	}
	if s := names[name{"SMITH", "JAMES"}]; s < 5e-5 || s > 1e-3 {
		t.Errorf("JAMES SMITH is %g of all", s)
	}
}
