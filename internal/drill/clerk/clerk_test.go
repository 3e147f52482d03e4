package clerk

import (
	"testing"

	"github.com/waypost/waypost/internal/drill/drilltest"
)

// TestClerk plays the drill at its smallest.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, Drill, 1); len(lines) != 10 {
		t.Errorf("%d lines", len(lines))
	}
}
