package lint

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the repository, seen from this package.
var root = os.DirFS("../..")

// rules are all that is judged of Go files alone.
func rules(t *testing.T, tree fs.FS) (findings []string) {
	t.Helper()
	files := read(t, tree)
	for _, rule := range []func([]source) []string{
		importRules, placed, packageNames, packageDocs, exportedDocs, lengths, unfinished,
	} {
		findings = append(findings, rule(files)...)
	}
	findings = append(findings, corpora(tree, files)...)
	slices.Sort(findings)
	return findings
}

func TestRepository(t *testing.T) {
	files := read(t, root)
	if len(files) < 50 || !slices.ContainsFunc(files, func(f source) bool { return f.path == "ticket.go" }) {
		t.Fatalf("%d files were read: this is not the repository", len(files))
	}
	for _, finding := range rules(t, root) {
		t.Error(finding)
	}
}

// TestRulesCanFail plants one violation at a time into a tree that has none.
func TestRulesCanFail(t *testing.T) {
	clean := map[string]string{
		"waypost.go":               "// Package waypost is a vocabulary.\npackage waypost\n\nimport \"fmt\"\n\n// Say speaks.\nfunc Say() { fmt.Println() }\n",
		"toprf/group.go":           "// Package toprf counts.\npackage toprf\n\nimport _ \"github.com/oasisprotocol/curve25519-voi/curve\"\n",
		"internal/hub/hub.go":      "// Package hub is central.\npackage hub\n\nimport _ \"github.com/waypost/waypost\"\n",
		"internal/hub/hub_test.go": "package hub\n\nimport _ \"math/rand/v2\"\n\nimport _ \"github.com/waypost/waypost/internal/cluster\"\n",
	}
	for _, plant := range []struct{ file, text, want string }{
		{"", "", ""},
		{"internal/hub/a.go", "package hub\n\nimport _ \"github.com/waypost/waypost/internal/cluster\"\n", "internal/hub/a.go imports internal/cluster, which is below it"},
		{"internal/hub/a.go", "package hub\n\nimport _ \"github.com/waypost/waypost/internal/keyholder\"\n", "internal/hub/a.go imports internal/keyholder: roles do not import each other"},
		{"a.go", "package waypost\n\nimport _ \"github.com/waypost/waypost/toprf\"\n", "a.go imports toprf, which is below it"},
		{"a.go", "package waypost\n\nimport _ \"net/http\"\n", "a.go imports net/http: the vocabulary"},
		{"toprf/a.go", "package toprf\n\nimport _ \"github.com/oasisprotocol/curve25519-voi/curve/scalar\"\n", "toprf/a.go imports github.com/oasisprotocol"},
		{"toprf/a_test.go", "package toprf\n\nimport _ \"github.com/oasisprotocol/curve25519-voi/curve\"\n", "toprf/a_test.go imports github.com/oasisprotocol"},
		{"internal/hub/a.go", "package hub\n\nimport _ \"math/rand/v2\"\n", "internal/hub/a.go imports math/rand/v2"},
		{"internal/hub/a.go", "package hub\n\nimport \"C\"\n", "internal/hub/a.go imports C"},
		{"internal/hub/a.go", "package hub\n\nimport _ \"database/sql\"\n", "internal/hub/a.go imports database/sql"},
		{"internal/attic/a.go", "// Package attic is nowhere.\npackage attic\n", "internal/attic is not a room"},
		{"internal/hub/util/a.go", "// Package util is a drawer.\npackage util\n", "internal/hub/util: util does not say"},
		{"api/v1/a.go", "// About hubs.\npackage v1\n", "api/v1/doc.go: no comment begins with"},
		{"toprf/a.go", "package toprf\n\nfunc Exported() {}\n", "toprf/a.go: Exported is exported"},
		{"toprf/a.go", "package toprf\n\n// T is.\ntype T[P any] struct{}\n\nfunc (*T[P]) M() {}\n", "toprf/a.go: T.M is exported"},
		{"toprf/a.go", "package toprf\n\ntype T int\n", "toprf/a.go: T is exported"},
		{"toprf/a.go", "package toprf\n\n// T is.\ntype T int\n\nconst (\n\tA T = iota\n\tB\n\tC = 3\n)\n", "toprf/a.go: C is exported"},
		{"toprf/a.go", "package toprf\n" + strings.Repeat("\n", maxLines), "toprf/a.go has 451 lines"},
		{"toprf/a.go", "package toprf\n\n// TO" + "DO: more.\n", "toprf/a.go: a comment says"},
		{"toprf/a_test.go", "package toprf\n\nimport \"testing\"\n\nfunc FuzzIt(f *testing.F) {}\n", "toprf/a_test.go: FuzzIt has no seed"},
	} {
		tree := fstest.MapFS{}
		for name, text := range clean {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if plant.file != "" {
			tree[plant.file] = &fstest.MapFile{Data: []byte(plant.text)}
		}
		findings := rules(t, tree)
		switch {
		case plant.want == "" && len(findings) > 0:
			t.Errorf("a clean tree has findings: %q", findings)
		case plant.want != "" && (len(findings) != 1 || !strings.HasPrefix(findings[0], plant.want)):
			t.Errorf("want one finding %q, got %q", plant.want, findings)
		}
	}
}
