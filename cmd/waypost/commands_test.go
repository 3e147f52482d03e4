package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestCommands: every command shows an example of itself in its help, and is run
// in at least one script. A group of commands is left to the commands in it.
func TestCommands(t *testing.T) {
	var scripts strings.Builder
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		scripts.WriteString(string(text) + "\n")
	}
	parser, err := kong.New(new(commands), kong.Name("waypost"), kong.Vars{"purposes": ""})
	if err != nil {
		t.Fatal(err)
	}
	leaves := parser.Model.Leaves(true)
	if len(leaves) < 40 {
		t.Fatalf("the program has %d commands", len(leaves))
	}
	for _, leaf := range leaves {
		path := "waypost " + leaf.Path()
		short := path // as it is called where it is the group's default
		if leaf.Parent != nil && leaf.Parent.DefaultCmd == leaf {
			short = "waypost " + leaf.Parent.Path()
		}
		if !regexp.MustCompile(`(?m)\b` + regexp.QuoteMeta(short) + `( |$)`).MatchString(scripts.String()) {
			t.Errorf("no script runs %s", path)
		}
		if path != "waypost version" && !strings.Contains(leaf.Detail, short) {
			t.Errorf("the help of %s has no example: %q", path, leaf.Detail)
		}
	}
}
