package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxLines of a file that a person has written, tests included.
const maxLines = 450

// emptyNames say nothing about what a package knows.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "model", "models", "type", "types", "misc", "shared", "base"}

func lengths(files []source) (findings []string) {
	for _, f := range files {
		if !f.generated && f.lines > maxLines {
			findings = append(findings, fmt.Sprintf("%s has %d lines: divide it, %d are enough", f.path, f.lines, maxLines))
		}
	}
	return findings
}

func packageNames(files []source) (findings []string) {
	for dir, pkg := range packages(files) {
		for _, name := range []string{path.Base(dir), strings.TrimSuffix(pkg[0].ast.Name.Name, "_test")} {
			if slices.Contains(emptyNames, name) {
				findings = append(findings, dir+": "+name+" does not say what the package knows")
				break
			}
		}
	}
	return findings
}

// packageDocs: one file of each package says what it is.
func packageDocs(files []source) (findings []string) {
	for dir, pkg := range packages(files) {
		name, documented := "", false
		for _, f := range pkg {
			if f.test {
				continue
			}
			name = f.ast.Name.Name
			doc := f.ast.Doc.Text()
			documented = documented || strings.HasPrefix(doc, "Package "+name+" ") || name == "main" && doc != "" || f.generated && doc != ""
		}
		if name != "" && !documented {
			findings = append(findings, fmt.Sprintf("%s: no comment begins with \"Package %s\"", path.Join(dir, "doc.go"), name))
		}
	}
	return findings
}

// exportedDocs: every exported name of the program has a comment of its own, or
// its group has; values of a documented type of the package need none.
func exportedDocs(files []source) (findings []string) {
	for _, pkg := range packages(files) {
		declared := make(map[string]bool)
		for _, f := range pkg {
			for _, spec := range typeSpecs(f.ast) {
				declared[spec.Name.Name] = true
			}
		}
		for _, f := range pkg {
			if f.test || f.generated || f.ast.Name.Name == "main" {
				continue
			}
			for _, d := range f.ast.Decls {
				for _, name := range undocumented(d, declared) {
					findings = append(findings, f.path+": "+name+" is exported and has no comment")
				}
			}
		}
	}
	return findings
}

func typeSpecs(f *ast.File) (specs []*ast.TypeSpec) {
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
			for _, s := range g.Specs {
				specs = append(specs, s.(*ast.TypeSpec))
			}
		}
	}
	return specs
}

func undocumented(d ast.Decl, declared map[string]bool) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		receiver := receiverName(d)
		if d.Name.IsExported() && (receiver == "" || ast.IsExported(receiver)) && d.Doc.Text() == "" {
			names = append(names, strings.TrimPrefix(receiver+"."+d.Name.Name, "."))
		}
	case *ast.GenDecl:
		enumerated := false // a spec without a type repeats the one before
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc.Text() == "" && s.Doc.Text() == "" {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Type != nil || len(s.Values) > 0 {
					typ, ok := s.Type.(*ast.Ident)
					enumerated = ok && declared[typ.Name]
				}
				if enumerated || d.Doc.Text() != "" || s.Doc.Text() != "" || s.Comment.Text() != "" {
					continue
				}
				for _, n := range s.Names {
					if n.IsExported() {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// receiverName is the type that a method belongs to, or "".
func receiverName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	e := d.Recv.List[0].Type
	for {
		switch typ := e.(type) {
		case *ast.StarExpr:
			e = typ.X
		case *ast.IndexExpr:
			e = typ.X
		case *ast.Ident:
			return typ.Name
		default:
			return "?"
		}
	}
}

var later = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

// unfinished: what is not done stands in an issue, not in the code.
func unfinished(files []source) (findings []string) {
	for _, f := range files {
		for _, group := range f.ast.Comments {
			if word := later.FindString(group.Text()); word != "" && !f.generated {
				findings = append(findings, f.path+": a comment says "+word)
			}
		}
	}
	return findings
}
