package offrecord_test

import (
	"log/slog"
	"testing"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/offrecord"
)

// TestDrill: everybody who answers off the record is named, nobody else is, and
// nothing is noticed where there is only one ledger.
func TestDrill(t *testing.T) {
	lines, err := drill.Run(t.Context(), offrecord.Drill, t.TempDir(), drill.Stage{Size: drill.Small, Seed: 1, Log: slog.New(slog.DiscardHandler)})
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
	if len(lines) != 10 || planted != 2 {
		t.Errorf("%d lines, %d of them planted", len(lines), planted)
	}
}
