// Package drilltest plays drills in tests, at their smallest size, and insists on
// every line of their tables.
package drilltest

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
)

// Play plays a drill and fails for each line that is not as it should be, and unless
// at least that many attacks were shown to succeed.
func Play(t *testing.T, d drill.Drill, planted int) []drill.Line {
	t.Helper()
	lines, err := drill.Run(t.Context(), d, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, l := range lines {
		t.Logf("%v %s: %s | %s | %s | %s", l.OK, l.Party, l.Attempted, l.Obtained, l.Noticed, l.Target)
		if !l.OK {
			t.Errorf("not as it should be: %s: %s | %s | %s %+v", l.Party, l.Attempted, l.Obtained, l.Noticed, l.Figure)
		}
		if l.Planted {
			shown++
		}
	}
	if shown < planted {
		t.Errorf("%d attacks were shown to succeed, want at least %d", shown, planted)
	}
	return lines
}
