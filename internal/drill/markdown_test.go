package drill_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/drill"
)

// TestMarkdown: the table takes the place of the one before, and nothing else changes.
func TestMarkdown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	figure := func(a, b float64) *drill.Figure {
		return &drill.Figure{Others: []drill.Other{{Name: "cards", Value: a}, {Name: "names", Value: b}}}
	}
	r := drill.Report{Drills: []drill.Drill{{Name: "one"}}, Lines: []drill.Line{
		{Drill: "one", Party: "nobody"}, {Drill: "one", Party: "the hub", Figure: figure(0, 12.5)},
		{Drill: "one", Party: "a state", Figure: figure(3, 4)},
		{Drill: "one", Party: "other columns", Figure: &drill.Figure{Others: []drill.Other{{Name: "x"}, {Name: "y"}}}},
		{Drill: "two", Party: "of another drill", Figure: figure(1, 1)},
	}}
	write("before\n<!-- waypost drill one: begin -->\nold\n<!-- waypost drill one: end -->\nafter\n")
	if err := r.WriteMarkdown(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := "before\n<!-- waypost drill one: begin -->\n\n| party | cards | names |\n|---|---|---|\n| the hub | 0 | 12.5 |\n| a state | 3 | 4 |\n\n<!-- waypost drill one: end -->\nafter\n"
	if err != nil || string(got) != want {
		t.Errorf("%v, the page is\n%s", err, got)
	}
	write("no place\n")
	if err := r.WriteMarkdown(path); err == nil || !strings.Contains(err.Error(), "has no line") {
		t.Errorf("a page without a place: %v", err)
	}
}
