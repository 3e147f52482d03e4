//go:build planted

package simulate_test

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/planted"
)

// bugs are all that are planted in the program, with the seed that has found each
// first when it was last looked for in order: docs/simulation.md has the table. That
// seed is tried first. Where the program has changed since, another finds it.
var bugs = []struct {
	name string
	seed uint64
}{
	{"swap-before-history", 7},
	{"cancel-after-swap", 87},
	{"moved-not-checked", 24},
	{"moved-not-told", 3},
	{"forward-lost", 3},
	{"ack-before-commit", 17},
	{"message-not-held", 13},
	{"outbox-not-swept", 3},
	{"owed-check-forgotten", 2},
	{"permit-forgotten", 2},
	{"second-leg-without-continue", 28},
	{"generation-visible-early", 7},
	{"superseded-stays-live", 1},
	{"replay-recounted", 11},
	{"receipt-without-entry", 1},
}

var (
	only    = flag.String("bugs", "", "look for these bugs only, separated by commas")
	inOrder = flag.Bool("inorder", false, "look for them from seed 1 on, to see how many worlds that takes")
)

// TestPlanted: each bug is found within the default number of worlds.
func TestPlanted(t *testing.T) {
	s := stage(t)
	for _, bug := range bugs {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), bug.name) {
			continue
		}
		planted.Plant(bug.name)
		found := uint64(0)
		for _, seed := range order(bug.seed) {
			if res := play(t, s, seed); len(res.Wrong) > 0 {
				found = seed
				t.Logf("%-28s found by seed %3d: %s", bug.name, seed, res.Wrong[0])
				break
			}
		}
		planted.Plant("")
		if found == 0 {
			t.Errorf("%s is not found in 300 worlds", bug.name)
		}
	}
}

// order is that in which seeds are tried.
func order(likely uint64) (all []uint64) {
	if !*inOrder {
		all = append(all, likely)
	}
	for seed := uint64(1); seed <= 300; seed++ {
		all = append(all, seed)
	}
	return all
}
