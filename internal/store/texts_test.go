package store

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// A sqlText is a statement in the source of the program. One that is not whole goes on
// with what its function was given, a condition or a list.
type sqlText struct {
	at, text string
	whole    bool
}

// sqlStart is how a statement begins in the source, and no sentence does.
var sqlStart = regexp.MustCompile(`^\s*(SELECT\s|INSERT\s+(OR|INTO)\s|UPDATE\s+\w+\s+(SET|AS)\s|UPDATE\s+\w+\s+\w+\s+SET\s|DELETE\s+FROM\s|WITH\s+(RECURSIVE\s+)?\w+\s|CREATE\s|ALTER\s|DROP\s|LISTEN\s|NOTIFY\s|PREPARE\s|PRAGMA\s|LOCK\s)`)

// outside are the folders and files whose statements are for one engine: what sets servers
// up, other programs, the simulation, and ourselves.
var outside = []string{"internal/store", "internal/shards", "internal/simulate", "internal/bench/peer.go", "internal/drill/seized/server.go", "internal/witness/litewitnesstest"}

// texts returns the statements in the Go files of a tree, put together from constants.
func texts(tree fs.FS) (found []sqlText, err error) {
	packages := make(map[string][]*ast.File)
	set := token.NewFileSet()
	err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && name != "." && strings.HasPrefix(e.Name(), ".") {
			return fs.SkipDir // what git does there meanwhile is its own affair
		}
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		dir := path.Dir(name)
		if slices.ContainsFunc(outside, func(o string) bool { return name == o || strings.HasPrefix(name, o+"/") }) {
			return nil
		}
		raw, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(set, name, raw, parser.SkipObjectResolution)
		packages[dir] = append(packages[dir], f)
		return err
	})
	for _, files := range packages {
		known := constants(files)
		for _, f := range files {
			found = append(found, inFile(set, f, known)...)
		}
	}
	slices.SortFunc(found, func(a, b sqlText) int { return strings.Compare(a.at, b.at) })
	return found, err
}

// constants are the names of a package that stand for one text. A name that stands
// for different ones in different functions is not among them.
func constants(files []*ast.File) map[string]string {
	known, clash := make(map[string]string), make(map[string]bool)
	for again := true; again; { // one may be made from another
		again = false
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				spec, ok := n.(*ast.ValueSpec)
				if !ok {
					return true
				}
				for i, v := range spec.Values {
					text, whole := fold(v, known)
					name := spec.Names[i].Name
					if old, there := known[name]; whole && there && old != text {
						clash[name] = true
					} else if whole && !there {
						known[name], again = text, true
					}
				}
				return true
			})
		}
	}
	for name := range clash {
		delete(known, name)
	}
	return known
}

// fold puts a text together. whole says that nothing in it is unknown.
func fold(e ast.Expr, known map[string]string) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.ParenExpr:
		return fold(e.X, known)
	case *ast.Ident:
		text, whole = known[e.Name]
		return text, whole
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			a, wholeA := fold(e.X, known)
			b, wholeB := fold(e.Y, known)
			return a + b, wholeA && wholeB
		}
	}
	return "", false
}

func inFile(set *token.FileSet, f *ast.File, known map[string]string) (found []sqlText) {
	ast.Inspect(f, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		switch e.(type) {
		case *ast.BasicLit, *ast.BinaryExpr:
		default:
			return true
		}
		text, whole := fold(e, known)
		if !sqlStart.MatchString(text) {
			return true
		}
		p := set.Position(e.Pos())
		found = append(found, sqlText{fmt.Sprintf("%s:%d", p.Filename, p.Line), text, whole})
		return false
	})
	return found
}

// A ban is what a statement must not contain, and why.
type ban struct {
	*regexp.Regexp
	why string
}

func bans(list ...string) (all []ban) {
	for i := 0; i < len(list); i += 2 {
		all = append(all, ban{regexp.MustCompile(`(?i)` + list[i]), list[i+1]})
	}
	return all
}

// never is what neither a statement nor a schema may contain: what ties the program to
// one engine or to one server, and what a second run would answer otherwise.
var never = bans(
	`\b(LISTEN|NOTIFY)\b`, "LISTEN is one server's",
	`\bpg_(try_)?advisory`, "advisory locks are one server's",
	`\b(BIG|SMALL)?SERIAL\b|\bnextval\b|\bCREATE\s+SEQUENCE\b|\bAS\s+IDENTITY\b|\bAUTOINCREMENT\b`, "numbers are given in the program: no sequences",
	`\bPREPARE\s+TRANSACTION\b|\bCOMMIT\s+PREPARED\b`, "no two-phase commit",
	`\bCREATE\s+(OR\s+REPLACE\s+)?(TRIGGER|FUNCTION|PROCEDURE|RULE|VIEW|EXTENSION)\b`, "what happens is written in Go",
	`\bnow\s*\(|\bCURRENT_(TIME|DATE)|\bdatetime\s*\(|\bstrftime\s*\(|\brandom\w*\s*\(|\bgen_random`, "clocks and chance are the program's",
	`\bFOR\s+(UPDATE|SHARE)\b|\bLOCK\s+TABLE\b`, "the writers' lock is the store's",
)

// inStatements is what a statement must not contain besides.
var inStatements = bans(
	`\bSELECT\s+(\w+\.)?\*|,\s*\w+\.\*|\bRETURNING\s+\*`, "columns are named",
	`\bINSERT\s+OR\b|\bREPLACE\s+INTO\b`, "conflicts are handled with ON CONFLICT",
	`^\s*(CREATE|ALTER|DROP|LOCK|PRAGMA|PREPARE)\b`, "schemas change in migrations",
	`\bINSERT\s+INTO\s+label\b[^$]*VALUES\s*\([^()]*\)\s*,`, "one label row for a write: two may lie on two servers",
	`\bIFNULL\s*\(|\bGLOB\b|\bILIKE\b|::|\bDISTINCT\s+ON\b|\bINDEXED\s+BY\b|\bANY\s*\(|\bjson_`, "one engine has it, the other not",
)

func judge(s sqlText) (findings []string) {
	for _, b := range append(slices.Clone(never), inStatements...) {
		if b.MatchString(s.text) {
			findings = append(findings, s.at+": "+b.why+": "+s.text)
		}
	}
	return findings
}

var (
	tables  = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \(\n(.*?)\n\)`)
	keyed   = regexp.MustCompile(`PRIMARY KEY \((\w+)`)
	typed   = regexp.MustCompile(`^\s+\w+\s+(BIGINT|INTEGER|TEXT|BYTEA)\b`)
	comment = regexp.MustCompile(`(?m)--.*$`)
)

// schemaRules: every table has a primary key that begins with its first column, and
// columns of four types.
func schemaRules(tree fs.FS) (findings []string) {
	_ = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		text := comment.ReplaceAllString(string(raw), "")
		for _, b := range never {
			if b.MatchString(text) {
				findings = append(findings, name+": "+b.why)
			}
		}
		for _, table := range tables.FindAllStringSubmatch(text, -1) {
			findings = append(findings, tableRules(name+": table "+table[1], table[2])...)
		}
		return nil
	})
	return findings
}

func tableRules(at, body string) (findings []string) {
	first, keys := "", 0
	for line := range strings.SplitSeq(body, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "PRIMARY":
			keys++
			if key := keyed.FindStringSubmatch(line); key == nil || key[1] != first {
				findings = append(findings, at+": the key comes first")
			}
		case slices.Contains([]string{"UNIQUE", "CHECK", "FOREIGN"}, fields[0]):
		default:
			if !typed.MatchString(line) {
				findings = append(findings, at+": a column is BIGINT, INTEGER, TEXT or BYTEA: "+strings.TrimSpace(line))
			}
			if strings.Contains(line, "PRIMARY KEY") {
				keys++
				if first != "" {
					findings = append(findings, at+": the key comes first")
				}
			}
			if first == "" {
				first = fields[0]
			}
		}
	}
	if keys != 1 {
		findings = append(findings, fmt.Sprintf("%s: %d primary keys", at, keys))
	}
	return findings
}

// TestStatements: the SQL of the program keeps to what every engine of the family runs
// (see the package's documentation), in statements and in schemas.
func TestStatements(t *testing.T) {
	found, err := texts(os.DirFS("../.."))
	must(t, err)
	if len(found) < 300 {
		t.Errorf("only %d statements were found: the search does not search", len(found))
	}
	for _, s := range found {
		for _, finding := range judge(s) {
			t.Error(finding)
		}
	}
	for _, finding := range schemaRules(schemas) {
		t.Error(finding)
	}
}

// TestStatementsCanFail: each rule finds what was planted against it.
func TestStatementsCanFail(t *testing.T) {
	planted := []string{
		"SELECT * FROM pointer", "SELECT p.*, 1 FROM pointer p", "DELETE FROM a RETURNING *", "INSERT OR IGNORE INTO a (b) VALUES ($1)",
		"SELECT n FROM a FOR UPDATE", "UPDATE a SET at = now()", "SELECT random()",
		"LISTEN mail", "SELECT pg_advisory_lock(1)", "SELECT nextval('a')", "PREPARE TRANSACTION 'a'", "DROP TABLE a", "SELECT a::text FROM b",
		"INSERT INTO label (label, pointer) VALUES ($1, $2), ($3, $4)", "INSERT INTO a (at) VALUES (CURRENT_TIMESTAMP)",
	}
	source := "package p\n\nconst tail = \" FROM x\"\n\nfunc f(tx *Tx) {\n"
	for _, p := range planted {
		source += "\ttx.Exec(" + strconv.Quote(p) + ")\n"
	}
	source += "\ttx.Exec(`SELECT a, b.*` +\n\t\ttail)\n}\n"
	found, err := texts(fstest.MapFS{"internal/p/p.go": {Data: []byte(source)}})
	must(t, err)
	if len(found) != len(planted)+1 {
		t.Errorf("%d of %d statements were found", len(found), len(planted)+1)
	}
	for _, s := range found {
		if len(judge(s)) == 0 {
			t.Errorf("nothing is found in %q", s.text)
		}
	}
	for _, schema := range []string{
		"CREATE TABLE a (\n    id BIGSERIAL PRIMARY KEY\n);", "CREATE TABLE a (\n    n BIGINT NOT NULL\n);",
		"CREATE TABLE a (\n    n BIGINT NOT NULL,\n    id BYTEA PRIMARY KEY\n);", "CREATE TABLE a (\n    n BIGINT,\n    id BYTEA,\n    PRIMARY KEY (id, n)\n);",
		"CREATE TABLE a (\n    id UUID PRIMARY KEY\n);", "CREATE TRIGGER a AFTER INSERT ON b;", "CREATE TABLE a (\n    at BIGINT PRIMARY KEY DEFAULT now()\n);",
	} {
		if len(schemaRules(fstest.MapFS{"a.sql": {Data: []byte(schema)}})) == 0 {
			t.Errorf("nothing is found in %q", schema)
		}
	}
}

// TestStatementsPrepare: both engines take every statement of the program, in the
// database of one role at least, and of the same roles.
func TestStatementsPrepare(t *testing.T) {
	found, err := texts(os.DirFS("../.."))
	must(t, err)
	taken := make(map[string]bool)
	why := make(map[string]error)
	for _, role := range roles() {
		lite, server := openRole(t, "sqlite:"+t.TempDir()+"/role.db", role), openRole(t, pgtest.Shared(t).URL(), role)
		for _, s := range found {
			if strings.Contains(s.text, "IN ()") {
				continue // the list is made at run time
			}
			_, first := prepares(lite, s.text)
			p, second := prepares(server, s.text)
			if (first == nil) != (second == nil) {
				t.Errorf("%s: in the database of a %s: SQLite says %v, PostgreSQL %v", s.at, role, first, second)
			}
			if first == nil && second == nil {
				foreignTypes(t, s, p.prepared.(wireStmt))
			}
			taken[s.at] = taken[s.at] || first == nil
			if first != nil {
				why[s.at] = first
			}
		}
	}
	for at, ok := range taken {
		if !ok {
			t.Errorf("%s: no role's database has it: %v", at, why[at])
		}
	}
}

func openRole(t *testing.T, url, role string) *DB {
	t.Helper()
	db, err := Open(ctx, url, role)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// prepares asks an engine whether it takes a statement, and leaves nothing behind.
func prepares(db *DB, text string) (*stmt, error) {
	c := db.conn(true)
	c.opening = nil
	c.s = db.writer.s // which nobody uses now
	p, err := c.prepare(text)
	for _, s := range c.stmts {
		_ = s.close()
	}
	return p, err
}

// foreignTypes finds what a server makes of a statement that the other engine does not
// know: the SUM of a BIGINT is a NUMERIC, for example, and must be CAST.
func foreignTypes(t *testing.T, s sqlText, p wireStmt) {
	for i, f := range p.Fields {
		if _, err := decode(f.DataTypeOID, make([]byte, 8)); err != nil && f.DataTypeOID != pgtype.Int4OID && f.DataTypeOID != pgtype.BoolOID {
			t.Errorf("%s: column %d: %v in %q", s.at, i+1, err, s.text)
		}
	}
	for i, oid := range p.ParamOIDs {
		if !slices.Contains([]uint32{pgtype.Int8OID, pgtype.Int4OID, pgtype.TextOID, pgtype.ByteaOID}, oid) {
			t.Errorf("%s: parameter $%d has PostgreSQL's type %d in %q", s.at, i+1, oid, s.text)
		}
	}
}
