package offrecord_test

import (
	"testing"

	"github.com/waypost/waypost/internal/drill/drilltest"
	"github.com/waypost/waypost/internal/drill/offrecord"
)

// TestDrill: everybody who answers off the record is named, nobody else is, and
// nothing is noticed where there is only one ledger.
func TestDrill(t *testing.T) {
	if lines := drilltest.Play(t, offrecord.Drill, 2); len(lines) != 12 {
		t.Errorf("%d lines", len(lines))
	}
}
