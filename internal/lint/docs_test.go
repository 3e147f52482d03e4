package lint

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// corpora: every fuzz target has seeds that are committed, as files or in code.
func corpora(tree fs.FS, files []source) (findings []string) {
	for _, f := range files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !f.test || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			seeds, err := fs.ReadDir(tree, path.Join(path.Dir(f.path), "testdata/fuzz", fn.Name.Name))
			if (err != nil || len(seeds) == 0) && !calls(fn, "Add") {
				findings = append(findings, f.path+": "+fn.Name.Name+" has no seed: add files to testdata/fuzz")
			}
		}
	}
	return findings
}

// calls reports whether a method of that name is called in the function.
func calls(fn *ast.FuncDecl, method string) (found bool) {
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		found = found || ok && s.Sel.Name == method
		return true
	})
	return found
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s#]+)(?:#[^)]*)?\)|<img[^>]* src="([^"]+)"`)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*\b`)
	// `folder/file.go`: `name`, `name` are declared there.
	namedIn = regexp.MustCompile("`([a-z0-9_/.-]+\\.go)`: (`[A-Za-z]+`(?:, `[A-Za-z]+`)*)")
	goFile  = regexp.MustCompile("`([a-z0-9_/.-]+\\.(?:go|proto|sql|json))`")
)

// documents: what a page links to or names exists.
func documents(t *testing.T, tree fs.FS) (findings []string) {
	t.Helper()
	declared := make(map[string]bool) // by name, and by file:name
	for _, f := range read(t, tree) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				declared[fn.Name.Name] = true
				declared[f.path+":"+fn.Name.Name] = true
			}
		}
	}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := fs.Stat(tree, path.Join(path.Dir(name), target)); err != nil {
				findings = append(findings, fmt.Sprintf("%s links to %s, which is not there", name, target))
			}
		}
		for _, test := range testName.FindAllString(string(text), -1) {
			if !declared[test] {
				findings = append(findings, fmt.Sprintf("%s names %s, which does not exist", name, test))
			}
		}
		for _, m := range namedIn.FindAllStringSubmatch(string(text), -1) {
			for function := range strings.SplitSeq(m[2], ", ") {
				if function = strings.Trim(function, "`"); !declared[m[1]+":"+function] {
					findings = append(findings, fmt.Sprintf("%s looks for %s in %s, where it is not", name, function, m[1]))
				}
			}
		}
		for _, m := range goFile.FindAllStringSubmatch(string(text), -1) {
			if _, err := fs.Stat(tree, m[1]); strings.Contains(m[1], "/") && err != nil {
				findings = append(findings, fmt.Sprintf("%s names %s, which does not exist", name, m[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

func TestDocuments(t *testing.T) {
	for _, finding := range documents(t, root) {
		t.Error(finding)
	}
	readme := text(t, "README.md")
	if n := strings.Count(readme, "\n"); n > 150 {
		t.Errorf("README.md has %d lines, more than 150: who reads that?", n)
	}
}

func TestDocumentsCanFail(t *testing.T) {
	tree := fstest.MapFS{
		"docs/a.md": {Data: []byte("[b](b.md) [web](https://example.com/x) [gone](../gone.md#part) TestReal TestUnreal `c/d.go`: `TestReal`, `gone` `e/f.go`\n<img alt=\"\" src=\"no.svg\">\n")},
		"docs/b.md": {Data: []byte("b\n")},
		"c/d.go":    {Data: []byte("package c\n\nfunc TestReal() {}\n")},
	}
	findings := documents(t, tree)
	want := []string{
		"docs/a.md links to ../gone.md, which is not there",
		"docs/a.md links to no.svg, which is not there",
		"docs/a.md names TestUnreal, which does not exist",
		"docs/a.md looks for gone in c/d.go, where it is not",
		"docs/a.md names e/f.go, which does not exist",
	}
	if !slices.Equal(findings, want) {
		t.Errorf("got %q, want %q", findings, want)
	}
}

// TestRoomsAreDescribed: ARCHITECTURE.md has a line about every room that there
// is, in the order of the import rule, and about no other.
func TestRoomsAreDescribed(t *testing.T) {
	var described []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(text(t, "ARCHITECTURE.md"), -1) {
		described = append(described, strings.TrimSuffix(m[1], "/"))
	}
	var built []string
	for _, r := range rooms {
		if entries, err := fs.ReadDir(root, path.Join(".", r)); err == nil && len(entries) > 0 {
			built = append(built, r)
		}
	}
	if built[0] = "waypost"; !slices.Equal(described, built) {
		t.Errorf("ARCHITECTURE.md describes\n%q\nthe rooms built are\n%q", described, built)
	}
}

// TestFeatures: docs/features.md has the seventy functions, in order.
func TestFeatures(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*\|$`).FindAllStringSubmatch(text(t, "docs/features.md"), -1)
	if len(rows) != 70 {
		t.Fatalf("%d rows, want 70", len(rows))
	}
	for i, row := range rows {
		if row[1] != fmt.Sprint(i+1) || strings.Count(row[0], "|") != strings.Count(rows[0][0], "|") {
			t.Errorf("row %d is not well formed: %s", i+1, row[0])
		}
	}
}

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
