package livehub_test

import (
	"testing"

	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/internal/drill/livehub"
)

// TestDrill plays it at its small size.
func TestDrill(t *testing.T) { drilltest.Play(t, livehub.Drill, 9) }
