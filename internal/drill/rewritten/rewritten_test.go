package rewritten_test

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/rewritten"
)

// TestDrill: whoever rewrites is named, and nobody else; what is conceded is not noticed,
// and a reader without witnesses is deceived.
func TestDrill(t *testing.T) {
	lines, err := drill.Run(t.Context(), rewritten.Drill, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, l := range lines {
		t.Logf("%s: %s | %s | %s", l.Party, l.Attempted, l.Obtained, l.Noticed)
		if !l.OK {
			t.Errorf("not as it should be: %+v", l)
		}
		if l.Planted {
			planted++
		}
	}
	if len(lines) != 13 || planted != 1 {
		t.Errorf("%d lines, %d of them planted", len(lines), planted)
	}
}
