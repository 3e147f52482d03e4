package compelled_test

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/compelled"
)

// TestDrill plays it at its small size.
func TestDrill(t *testing.T) {
	lines, err := drill.Run(t.Context(), compelled.Drill, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	planted := 0
	for _, l := range lines {
		t.Logf("%v %s: %s -> %s", l.OK, l.Party, l.Attempted, l.Obtained)
		if !l.OK {
			t.Errorf("not as it should be: %s: %s", l.Party, l.Obtained)
		}
		if l.Planted {
			planted++
		}
	}
	if planted < 2 {
		t.Errorf("only %d attacks were shown to succeed", planted)
	}
}
