package compelled_test

import (
	"log/slog"
	"os"
	"slices"
	"strings"
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
