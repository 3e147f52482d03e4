package livehub_test

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/livehub"
)

// TestDrill plays it at its small size.
func TestDrill(t *testing.T) {
	lines, err := drill.Run(t.Context(), livehub.Drill, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
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
	if planted < 1 {
		t.Errorf("only %d attacks were shown to succeed", planted)
	}
}
