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
}

func (r *Report) factf(format string, args ...any) {
	r.Facts = append(r.Facts, fmt.Sprintf(format, args...))
}
func (r *Report) warnf(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Check looks whether [Open] would open the database at url for the role, and changes
// nothing. The error says what is wrong and what to do; warnings are what works and
// should not stay so.
func Check(ctx context.Context, url, role string) (r Report, err error) {
	scheme, path, err := engineOf(url)
	if err != nil {
		return r, err
	}
	if scheme == "postgres" {
		return r, r.server(ctx, url, role)
	}
	path, err = absolute(path)
	if err != nil {
		return r, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		r.factf("the file %s is not there yet: the first start makes it", path)
		return r, nil
	}
	f, err := openSQLite(ctx, path, false)
	if errors.Is(err, errInUse) {
		r.factf("SQLite file %s is in use: its role is running, or something else is", path)
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	r.factf("SQLite file %s", f.path)
	c := newConn(func(ctx context.Context) (session, error) { return f.connect(ctx, false) }, f.opening(false))
	return r, errors.Join(r.tables(c, role, "SELECT name FROM sqlite_master WHERE type = 'table'"), c.close())
}

// needs is the oldest version of PostgreSQL with which this program is tested.
const needs = 15

func (r *Report) server(ctx context.Context, url, role string) error {
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
		err = r.tables(c, role, "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
	}
	return errors.Join(err, c.close())
}

// settings looks at what durability and the start of the role rest on.
func (r *Report) settings(c *conn) error {
	var fsync, pages, ssl string
	var standby, create bool
	var connections int
	if err := c.look(func(tx *Tx) error {
		return tx.Row(`SELECT current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(),
			coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), CAST(current_setting('max_connections') AS INTEGER),
			coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), 'none')`).Scan(&fsync, &pages, &standby, &create, &connections, &ssl)
	}); err != nil {
		return err
	}
	r.factf("TLS: %s; at most %d connections", ssl, connections)
	if fsync != "on" || pages != "on" {
		r.warnf("fsync or full_page_writes is off on the server: what was acknowledged is lost when its machine stops")
	}
	switch {
	case standby:
		return errors.New("store: the server is a standby and takes no writes: name the primary, or give several hosts and target_session_attrs=read-write")
	case !create:
		return errors.New("store: the user may not create tables: let it own the database, or GRANT CREATE ON SCHEMA public")
	}
	return nil
}

// tables looks whose the database is, and whether its tables are those of this program.
func (r *Report) tables(c *conn, role, list string) error {
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
	if !names["store_role"] {
		if names["store_gate"] || names["schema_version_store"] {
			r.factf("its first start was interrupted: the next goes on")
			return nil
		}
		return errors.New("store: the database belongs to another program: create one of its own")
	}
	return c.look(func(tx *Tx) error { return r.versions(tx, role, names) })
}

func (r *Report) versions(tx *Tx, role string, names map[string]bool) error {
	var bound string
	if err := tx.Row("SELECT role FROM store_role").Scan(&bound); err != nil && !errors.Is(err, ErrNoRows) {
		return err
	}
	if bound != "" && bound != role {
		return fmt.Errorf("store: this is the database of a %s, not of a %s", bound, role)
	}
	behind := 0
	for _, set := range schemaSets(role) {
		files, err := fs.Glob(schemas, "schema/"+set+"/*.sql")
		if err != nil || len(files) == 0 {
			return fmt.Errorf("store: there is no schema for the role %q; roles: %v", role, roles())
		}
		have, known := 0, len(files)
		if names["schema_version_"+set] {
			if err := tx.Row("SELECT coalesce(max(version_id), 0) FROM schema_version_" + set).Scan(&have); err != nil {
				return err
			}
		}
		if have > known {
			return fmt.Errorf("store: the database has version %d of schema %q and this program knows %d; run the newer program", have, set, known)
		}
		behind += known - have
	}
	r.factf("it is a %s's", role)
	if behind > 0 {
		r.factf("%d migrations are to be made: the next start makes them", behind)
	}
	return nil
}

// look runs fn on a connection of its own, which changes nothing.
func (c *conn) look(fn func(tx *Tx) error) error {
	c.begin()
	defer c.leave()
	return c.call(fn)
}
