// Package drilltest plays drills in tests, at their smallest size, and insists on
// every line of their tables.
package drilltest

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
)

// Play plays a drill and fails for each line that is not as it should be, and unless
// at least that many attacks were shown to succeed. What is unusual may be set on its
// stage.
func Play(t *testing.T, d drill.Drill, planted int, set ...func(*drill.Stage)) []drill.Line {
	t.Helper()
	stage := drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)}
	for _, s := range set {
		s(&stage)
	}
	lines, err := drill.Run(t.Context(), d, t.TempDir(), stage)
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
