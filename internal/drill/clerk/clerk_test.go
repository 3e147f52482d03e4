package clerk

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
)

// TestClerk plays the drill at its smallest.
func TestClerk(t *testing.T) {
	lines, err := drill.Run(t.Context(), Drill, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, l := range lines {
		t.Logf("%v %s: %s\n obtained: %s\n noticed: %s\n baseline: %s\n target: %s", l.OK, l.Party, l.Attempted, l.Obtained, l.Noticed, l.Baseline, l.Target)
		if !l.OK {
			t.Errorf("not as it should be: %s", l.Party)
		}
		if l.Planted {
			planted++
		}
	}
	if len(lines) != 7 || planted != 1 {
		t.Errorf("%d lines, %d of them planted", len(lines), planted)
	}
}
