package compelled_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/compelled"
	"github.com/waypost/waypost/internal/drill/drilltest"
)

// TestDrill plays it at its small size.
func TestDrill(t *testing.T) {
	lines := drilltest.Play(t, compelled.Drill, 2)
	page, err := os.ReadFile("../../../THREAT-MODEL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- waypost drill compelled: begin -->")
	table, _, _ := strings.Cut(rest, "<!-- waypost drill compelled: end -->")
	if got, want := form(table), form(drill.Table(lines)); !slices.Equal(got, want) {
		t.Errorf("the table of THREAT-MODEL.md has the form %q, the drill's %q: make it anew with waypost drill --only compelled --report THREAT-MODEL.md", got, want)
	}
}

// form is a table without its figures: the columns, and the party of each row.
func form(table string) (lines []string) {
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if i > 0 {
			line, _, _ = strings.Cut(strings.TrimPrefix(line, "| "), " |")
		}
		lines = append(lines, line)
	}
	return lines
}
