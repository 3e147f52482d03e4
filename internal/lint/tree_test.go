package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/waypost/waypost"

// source is one Go file.
type source struct {
	path      string // slash-separated, from the root of the repository
	lines     int
	test      bool
	generated bool
	ast       *ast.File
}

// dir is the folder of the file's package, "" for the root.
func (s source) dir() string {
	if d := path.Dir(s.path); d != "." {
		return d
	}
	return ""
}

// imports are the import paths of the file.
func (s source) imports() []string {
	var all []string
	for _, i := range s.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // the parser has checked it
		all = append(all, p)
	}
	return all
}

// read parses every Go file of the tree, whatever its build constraints.
func read(t *testing.T, tree fs.FS) []source {
	t.Helper()
	var all []source
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{
			path: name, lines: strings.Count(string(text), "\n"), ast: file,
			test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(file),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// skipped are the folders that the go command leaves out too, and built tools.
func skipped(name string) bool {
	return name == "testdata" || name == "bin" || len(name) > 1 && (name[0] == '.' || name[0] == '_')
}

// packages groups files by their folder.
func packages(files []source) map[string][]source {
	byDir := make(map[string][]source)
	for _, f := range files {
		byDir[f.dir()] = append(byDir[f.dir()], f)
	}
	return byDir
}

// within reports whether the folder or import path name is dir or lies in it.
func within(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/")
}
