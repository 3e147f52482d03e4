package seized_test

import (
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/internal/drill/seized"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestDrill plays it at its small size, with a PostgreSQL server where there is one.
func TestDrill(t *testing.T) {
	planted := 6
	lines := drilltest.Play(t, seized.Drill, planted, func(s *drill.Stage) {
		if pgtest.Installed() {
			s.Database = pgtest.Start(t, 1)[0].URL()
		}
	})
	served := 0
	for _, l := range lines {
		if strings.Contains(l.Party+l.Attempted, "PostgreSQL") && strings.Contains(l.Attempted, "all files of the server") {
			served++
		}
	}
	if pgtest.Installed() && served != 1 {
		t.Errorf("the files of the server were searched in %d lines", served)
	}
}
