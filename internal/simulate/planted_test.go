//go:build planted

package simulate_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost/internal/planted"
)

// bugs are all that are planted in the program, see docs/simulation.md.
var bugs = []string{
	"swap-before-history", "cancel-after-swap", "moved-not-checked", "forward-lost", "moved-not-told",
	"ack-before-commit", "message-not-held", "message-id-not-remembered", "outbox-not-swept", "owed-check-forgotten",
	"question-not-remembered", "reply-before-commit", "second-leg-without-continue", "generation-visible-early", "superseded-stays-live",
	"replay-recounted", "receipt-without-entry",
}

// TestPlanted: each bug is found within the default number of worlds.
func TestPlanted(t *testing.T) {
	s := stage(t)
	for _, bug := range bugs {
		planted.Plant(bug)
		begun := time.Now()
		found := uint64(0)
		for seed := uint64(1); seed <= 300 && found == 0; seed++ {
			if res := play(t, s, seed); len(res.Wrong) > 0 {
				found = seed
				t.Logf("%-28s found by seed %3d in %v: %s", bug, seed, time.Since(begun).Round(time.Second), res.Wrong[0])
			}
		}
		planted.Plant("")
		if found == 0 {
			t.Errorf("%s is not found in 300 worlds", bug)
		}
	}
}
