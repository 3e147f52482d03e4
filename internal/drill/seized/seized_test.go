package seized_test

import (
	"testing"

	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/internal/drill/seized"
)

// TestDrill plays it at its small size.
func TestDrill(t *testing.T) { drilltest.Play(t, seized.Drill, 5) }
