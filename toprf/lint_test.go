package toprf

import (
	"fmt"
	"go/ast"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// The rules that keep secrets out of variable-time code:
//
//  1. Only group.go imports the curve library.
//  2. Only the functions of vartimeAllowed call its variable-time functions.
//  3. Those have nothing secret in their signature or body.
//  4. Only group.go touches the representation of points and scalars, and there
//     only the functions of mixAllowed have secret and public scalars at once.
//  5. Nothing converts a secret into a public scalar.
//  6. Only the functions of openAllowed turn a secret into bytes.
const (
	curveLibrary = "github.com/oasisprotocol/curve25519-voi"
	groupFile    = "group.go"
)

// vartimeAllowed are the wrappers of variable-time arithmetic on public data.
var vartimeAllowed = []string{"point.mulBasePublic", "point.sumPublic"}

// mixAllowed are the functions that see secret and public scalars at once.
var mixAllowed = []string{
	"Scalar.mulPublic", // secret times public is secret
	"respond",          // the response of a Schnorr proof is public by design
}

// openAllowed are the functions that turn a secret scalar into bytes.
var openAllowed = []string{
	"Scalar.Bytes",        // the caller's decision: a blind that is opened
	"Share.MarshalBinary", // into an encrypted file
	"Ceremony.encodeDeal", // into a sealed message
	"hedgedNonce",         // as the key of an HMAC
	"Ceremony.proofNonce", // as the key of an HMAC
}

// variableTime reports whether a function of the curve library may take time
// that depends on its arguments: those that say so in their name or comment,
// and the digit expansions of which only variable-time algorithms make use.
func variableTime(name string) bool {
	return strings.Contains(name, "Vartime") ||
		slices.Contains([]string{"NonAdjacentForm", "ToRadix2w", "IsCanonical"}, name)
}

func TestLintSecretsStayConstantTime(t *testing.T) {
	for _, finding := range lint(t, ".") {
		t.Error(finding)
	}
}

// TestLintCanFail runs the rules over a package that breaks each of them.
func TestLintCanFail(t *testing.T) {
	findings := strings.Join(lint(t, "./testdata/lint/leaky"), "\n")
	for _, want := range []string{
		"elsewhere.go imports the curve library",
		"point.mul calls DoubleScalarMulBasepointVartime",
		"digits calls NonAdjacentForm",
		"point.sumPublic calls variable-time code and handles a Scalar",
		"launder handles secret and public scalars",
		"convert converts a secret to a public scalar",
		"forge touches the representation",
		"expose opens a secret",
	} {
		if !strings.Contains(findings, want) {
			t.Errorf("the lint does not find: %s\nit found:\n%s", want, findings)
		}
	}
}

// TestLintListsAreUsed: an allowance for nothing is one for the next mistake.
func TestLintListsAreUsed(t *testing.T) {
	pkg := load(t, ".")
	declared := map[string]bool{}
	for _, f := range pkg.Syntax {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				declared[funcName(fn)] = true
			}
		}
	}
	for _, name := range slices.Concat(vartimeAllowed, mixAllowed, openAllowed) {
		if !declared[name] {
			t.Errorf("%s is allowed something and does not exist", name)
		}
	}
}

func load(t *testing.T, dir string) *packages.Package {
	t.Helper()
	mode := packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo
	pkgs, err := packages.Load(&packages.Config{Mode: mode}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) != 1 || len(pkgs[0].Errors) > 0 {
		t.Fatalf("loading %s: %d packages, %v", dir, len(pkgs), pkgs[0].Errors)
	}
	return pkgs[0]
}

func lint(t *testing.T, dir string) (findings []string) {
	t.Helper()
	pkg := load(t, dir)
	for _, f := range pkg.Syntax {
		file := filepath.Base(pkg.Fset.Position(f.Pos()).Filename)
		for _, imp := range f.Imports {
			if strings.Contains(imp.Path.Value, curveLibrary) && file != groupFile {
				findings = append(findings, file+" imports the curve library")
			}
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				findings = append(findings, lintFunc(pkg, file, fn)...)
			}
		}
	}
	return findings
}

func lintFunc(pkg *packages.Package, file string, fn *ast.FuncDecl) (findings []string) {
	name := funcName(fn)
	report := func(format string, args ...any) {
		findings = append(findings, fmt.Sprintf("%s: %s %s", file, name, fmt.Sprintf(format, args...)))
	}
	var vartime, secret, public, touches bool
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if callee, ok := pkg.TypesInfo.Uses[n].(*types.Func); ok && fromCurveLibrary(callee) && variableTime(callee.Name()) {
				vartime = true
				if !slices.Contains(vartimeAllowed, name) {
					report("calls %s and is not on the list", callee.Name())
				}
			}
		case *ast.SelectorExpr:
			opens := n.Sel.Name == "encode" || n.Sel.Name == "Bytes"
			if opens && mentions(pkg.TypesInfo.TypeOf(n.X), "Scalar") && !slices.Contains(openAllowed, name) {
				report("opens a secret and is not on the list")
			}
		case *ast.CallExpr:
			if to, ok := pkg.TypesInfo.Types[n.Fun]; ok && to.IsType() && len(n.Args) == 1 {
				from := pkg.TypesInfo.TypeOf(n.Args[0])
				if mentions(to.Type, "publicScalar") && mentions(from, "Scalar") {
					report("converts a secret to a public scalar")
				}
			}
		}
		if e, ok := n.(ast.Expr); ok {
			if typ := pkg.TypesInfo.TypeOf(e); typ != nil {
				secret = secret || mentions(typ, "Scalar")
				public = public || mentions(typ, "publicScalar")
				named, ok := typ.(*types.Named)
				touches = touches || ok && named.Obj().Pkg() != nil && strings.HasPrefix(named.Obj().Pkg().Path(), curveLibrary)
			}
		}
		return true
	})
	if vartime && secret {
		report("calls variable-time code and handles a Scalar")
	}
	if touches && file != groupFile {
		report("touches the representation of points or scalars")
	}
	if file == groupFile && secret && public && !slices.Contains(mixAllowed, name) {
		report("handles secret and public scalars and is not on the list")
	}
	return findings
}

func fromCurveLibrary(f *types.Func) bool {
	return f.Pkg() != nil && strings.HasPrefix(f.Pkg().Path(), curveLibrary)
}

// mentions reports whether a type is the named type of the linted package, or
// is made of it: a pointer, slice, array, map, function or struct.
func mentions(t types.Type, name string) bool {
	switch t := t.(type) {
	case *types.Named:
		pkg := t.Obj().Pkg()
		return pkg != nil && !strings.HasPrefix(pkg.Path(), curveLibrary) && t.Obj().Name() == name
	case *types.Pointer:
		return mentions(t.Elem(), name)
	case *types.Slice:
		return mentions(t.Elem(), name)
	case *types.Array:
		return mentions(t.Elem(), name)
	case *types.Map:
		return mentions(t.Key(), name) || mentions(t.Elem(), name)
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				if mentions(v.Type(), name) {
					return true
				}
			}
		}
	case *types.Struct:
		for field := range t.Fields() {
			if mentions(field.Type(), name) {
				return true
			}
		}
	}
	return false
}

// funcName is "name" or "Type.name".
func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if index, ok := t.(*ast.IndexExpr); ok {
		t = index.X
	}
	return t.(*ast.Ident).Name + "." + fn.Name.Name
}
