package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"github.com/pressly/goose/v3"
)

//go:embed schema
var schemas embed.FS

// rooms are the rooms of a gateway that keep tables of their own in its database,
// in the order in which their schemas apply.
var rooms = []string{"errand", "records", "driver", "questions", "move", "duplicate"}

// schemaSets lists the migrations of a role, in the order they apply. The
// people of a state (its own licensing records, synthetic or loaded) are no
// business of the exchange and have no ledger; neither has a witness that
// stands alone. A key holder is a witness too.
func schemaSets(role string) []string {
	switch role {
	case "people", "witness":
		return []string{"store", role}
	case "keyholder":
		return []string{"store", "journal", "follow", "witness", role}
	case "gateway":
		return append([]string{"store", "journal", "follow", role}, rooms...)
	}
	return []string{"store", "journal", "follow", role}
}

// migrate brings the schemas of role up to date. It looks at all of them
// before it changes any: a database of another role or of a newer version
// stays as it is.
func migrate(ctx context.Context, dialect goose.Dialect, connector driver.Connector, text portable, role string) (err error) {
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()

	sets := schemaSets(role)
	var pending []*goose.Provider
	for _, set := range sets {
		p, err := provider(dialect, db, text, set)
		if err != nil {
			return err
		}
		have, known, err := p.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("store: reading the version of schema %q: %w", set, err)
		}
		if have > known {
			return fmt.Errorf("store: the database has version %d of schema %q and this program knows %d; run the newer program", have, set, known)
		}
		if set == "store" && have > 0 {
			if err := checkRole(ctx, db, role); err != nil {
				return err
			}
		}
		pending = append(pending, p)
	}
	for i, p := range pending {
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("store: bringing schema %q up to date: %w", sets[i], err)
		}
		if sets[i] == "store" {
			if err := bindRole(ctx, db, role); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindRole makes the database that of role, unless it is another's.
func bindRole(ctx context.Context, db *sql.DB, role string) error {
	if _, err := db.ExecContext(ctx, `INSERT INTO store_role (role)
		SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM store_role)`, role); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return checkRole(ctx, db, role)
}

func checkRole(ctx context.Context, db *sql.DB, role string) error {
	var bound string
	err := db.QueryRowContext(ctx, `SELECT role FROM store_role`).Scan(&bound)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // its first opening was interrupted; bindRole goes on from there
	}
	if err != nil {
		return fmt.Errorf("store: reading whose database this is: %w", err)
	}
	if bound != role {
		return fmt.Errorf("store: this is the database of a %s, not of a %s", bound, role)
	}
	return nil
}

func provider(dialect goose.Dialect, db *sql.DB, text portable, set string) (*goose.Provider, error) {
	dir, err := fs.Sub(schemas, "schema/"+set)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if files, err := fs.Glob(dir, "*.sql"); err != nil || len(files) == 0 {
		return nil, fmt.Errorf("store: there is no schema for the role %q; roles: %v", set, roles())
	}
	text.FS = dir
	return goose.NewProvider(dialect, db, text,
		goose.WithTableName("schema_version_"+set), goose.WithDisableGlobalRegistry(true))
}

// roles lists the roles there is a schema for.
func roles() []string {
	entries, err := schemas.ReadDir("schema")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if !slices.Contains([]string{"store", "journal", "follow", "test"}, e.Name()) && !slices.Contains(rooms, e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// portable serves the migrations in the dialect of one engine.
type portable struct {
	translate func([]byte) []byte
	fs.FS
}

var (
	sqliteTypes   = regexp.MustCompile(`\b(BIGINT|BYTEA)\b`)
	sqliteOptions = regexp.MustCompile(`/\* sqlite: ([A-Z, ]+) \*/`)
)

// forSQLite names the types as SQLite's strict tables want them and puts the
// table options in.
func forSQLite(b []byte) []byte {
	b = sqliteTypes.ReplaceAllFunc(b, func(t []byte) []byte {
		if string(t) == "BYTEA" {
			return []byte("BLOB")
		}
		return []byte("INTEGER")
	})
	return sqliteOptions.ReplaceAll(b, []byte("$1"))
}

var postgresText = regexp.MustCompile(`\bTEXT\b`)

// forPostgres has text compared and ordered by its bytes, as SQLite does, whatever
// the language of the server.
func forPostgres(b []byte) []byte {
	return postgresText.ReplaceAll(b, []byte(`TEXT COLLATE "C"`))
}

// Open implements fs.FS.
func (p portable) Open(name string) (fs.File, error) {
	f, err := p.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	b, err := fs.ReadFile(p.FS, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &translated{f, bytes.NewReader(p.translate(b))}, nil
}

// translated is a file with other contents.
type translated struct {
	fs.File
	text *bytes.Reader
}

// Read implements fs.File.
func (t *translated) Read(b []byte) (int, error) { return t.text.Read(b) }
