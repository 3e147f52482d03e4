package rewritten_test

import (
	"testing"

	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/internal/drill/rewritten"
)

// TestDrill: whoever rewrites is named, and nobody else; what is conceded is not noticed,
// and a reader without witnesses is deceived.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, rewritten.Drill, 2); len(lines) != 14 {
		t.Errorf("%d lines", len(lines))
	}
}
