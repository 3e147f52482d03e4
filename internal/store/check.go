package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// A Report is what [Check] found, in words.
type Report struct {
	Facts    []string `json:"facts"`
	Warnings []string `json:"warnings,omitempty"`
	// File is the path of a database that is a file, and InUse whether a process has it.
	File  string `json:"-"`
	InUse bool   `json:"-"`
}

func (r *Report) factf(format string, args ...any) {
	r.Facts = append(r.Facts, fmt.Sprintf(format, args...))
}
func (r *Report) warnf(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Check looks whether [Open] would open the database at url for the role, or has opened
// it elsewhere, and changes nothing. The error says what is wrong and what to do; warnings
// are what works and should not stay so. Where all tables are there, each of looks is run
// on a snapshot of its own.
func Check(ctx context.Context, url, role string, looks ...func(tx *Tx) error) (r Report, err error) {
	scheme, path, err := engineOf(url)
	if err != nil {
		return r, err
	}
	if scheme == "postgres" {
		return r, r.server(ctx, url, role, looks)
	}
	return r, r.file(ctx, path, role, looks)
}

// file reads beside the process that has the file, if one has. What nobody has is read
// as it lies there: to take part in its locks would make files beside it. A log of writes
// that was left by a process which died is read too.
func (r *Report) file(ctx context.Context, path, role string, looks []func(tx *Tx) error) (err error) {
	if path, err = absolute(path); err != nil {
		return err
	}
	r.File = path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		r.factf("the file %s is not there yet: the first start makes it", path)
		return nil
	}
	if r.InUse = isLocked(path + ".lock"); r.InUse {
		r.factf("SQLite file %s, in use", path)
	} else {
		r.factf("SQLite file %s", path)
	}
	settings := readerSettings + "&mode=ro"
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		settings += "&immutable=1"
	}
	f := &sqliteFile{path: path}
	c := newConn(func(ctx context.Context) (session, error) { return f.session(ctx, settings) }, f.opening(false))
	if err := c.connect(ctx); err != nil {
		return fmt.Errorf("store: %s cannot be opened as a database: %w", path, err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	var id int64
	if err := c.look(func(tx *Tx) error { return tx.Row("SELECT application_id FROM pragma_application_id").Scan(&id) }); err != nil {
		return fmt.Errorf("store: %s cannot be read as a database: %w", path, err)
	}
	return r.tables(c, role, "SELECT name FROM sqlite_master WHERE type = 'table'", id == applicationID, looks)
}

// needs is the oldest version of PostgreSQL with which this program is tested.
const needs = 15

func (r *Report) server(ctx context.Context, url, role string, looks []func(tx *Tx) error) error {
	p, err := openPostgres(url, role, false)
	if err != nil {
		return err
	}
	s, err := p.connect(ctx, false)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	pg := s.(*wire).pg
	version, encoding := pg.ParameterStatus("server_version"), pg.ParameterStatus("server_encoding")
	r.factf("PostgreSQL %s at %s, database %s, user %s", version, p.config.Host, p.config.Database, p.config.User)
	if major, _ := strconv.Atoi(strings.FieldsFunc(version+".", func(c rune) bool { return c < '0' || c > '9' })[0]); major < needs {
		r.warnf("version %s is older than %d, with which this program was not tested", version, needs)
	}
	c := newConn(func(context.Context) (session, error) { return s, nil }, p.opening(false))
	if encoding != "UTF8" {
		err = fmt.Errorf("store: the database has the encoding %s: create it with ENCODING 'UTF8'", encoding)
	} else if err = r.settings(c); err == nil {
		err = r.tables(c, role, "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()", true, looks)
	}
	return errors.Join(err, c.close())
}

// settings looks at what durability and the start of the role rest on.
func (r *Report) settings(c *conn) error {
	var fsync, pages, ssl string
	var standby, create, open bool
	var connections, size int64
	if err := c.look(func(tx *Tx) error {
		return tx.Row(`SELECT current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(),
			coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), `+openToAll+`, CAST(current_setting('max_connections') AS BIGINT),
			coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), 'none'), pg_database_size(current_database())`).
			Scan(&fsync, &pages, &standby, &create, &open, &connections, &ssl, &size)
	}); err != nil {
		return err
	}
	r.factf("TLS: %s; at most %d connections; it has %d MB on the server's disk", ssl, connections, size>>20)
	if fsync != "on" || pages != "on" {
		r.warnf("fsync or full_page_writes is off on the server: what was acknowledged is lost when its machine stops")
	}
	switch {
	case standby:
		return errors.New("store: the server is a standby and takes no writes: name the primary, or give several hosts and target_session_attrs=read-write")
	case open:
		return errOpenToAll
	case !create:
		return errors.New("store: the user may not create tables: let it own the database, or GRANT CREATE ON SCHEMA public")
	}
	return nil
}

// tables looks whose the database is, and whether its tables are those of this program.
func (r *Report) tables(c *conn, role, list string, ours bool, looks []func(tx *Tx) error) error {
	names := make(map[string]bool)
	if err := c.look(func(tx *Tx) error {
		return tx.Query(list, nil, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names[name] = true
			return err
		})
	}); err != nil {
		return err
	}
	if len(names) == 0 {
		r.factf("it is empty: the first start makes the tables")
		return nil
	}
	if !ours || !names["store_role"] {
		if ours && names["store_gate"] || names["schema_version_store"] {
			r.factf("its first start was interrupted: the next goes on")
			return nil
		}
		return errors.New("store: the database belongs to another program: create one of its own")
	}
	var behind int
	if err := c.look(func(tx *Tx) (err error) {
		behind, err = r.versions(tx, role, names)
		return err
	}); err != nil {
		return err
	}
	r.factf("it is a %s's", role)
	if behind > 0 {
		r.factf("%d migrations are to be made: the next start makes them", behind)
		return nil
	}
	for _, look := range looks {
		if err := c.look(look); err != nil {
			return err
		}
	}
	return nil
}

// versions counts the migrations that are to be made.
func (r *Report) versions(tx *Tx, role string, names map[string]bool) (behind int, err error) {
	var bound string
	if err := tx.Row("SELECT role FROM store_role").Scan(&bound); err != nil && !errors.Is(err, ErrNoRows) {
		return 0, err
	}
	if bound != "" && bound != role {
		return 0, fmt.Errorf("store: this is the database of a %s, not of a %s", bound, role)
	}
	for _, set := range schemaSets(role) {
		files, err := fs.Glob(schemas, "schema/"+set+"/*.sql")
		if err != nil || len(files) == 0 {
			return 0, fmt.Errorf("store: there is no schema for the role %q; roles: %v", role, roles())
		}
		have, known := 0, len(files)
		if names["schema_version_"+set] {
			if err := tx.Row("SELECT coalesce(max(version_id), 0) FROM schema_version_" + set).Scan(&have); err != nil {
				return 0, err
			}
		}
		if have > known {
			return 0, fmt.Errorf("store: the database has version %d of schema %q and this program knows %d; run the newer program", have, set, known)
		}
		behind += known - have
	}
	return behind, nil
}

// look runs fn on a connection of its own, which changes nothing.
func (c *conn) look(fn func(tx *Tx) error) error {
	c.begin()
	defer c.leave()
	return c.call(fn)
}
