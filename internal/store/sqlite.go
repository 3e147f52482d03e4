package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteFile is a database file held by this process alone.
type sqliteFile struct {
	path     string
	lock     *os.File
	unsynced bool // of a simulation
	made     bool // by a simulation, which knows its own files: not looked into again
}

// applicationID marks our files ("WAYP"), so that a path typed wrong never
// adds tables to another program's database.
const applicationID = 0x57415950

// Settings of every connection. FULL makes COMMIT return after the sync of the
// write-ahead log. Foreign keys are checked because PostgreSQL would. Names in
// double quotes are never taken for strings, and functions with side effects
// cannot hide in the schema of a file that somebody else prepared.
const sqliteSettings = "_dqs=0&_defensive=1" +
	"&_pragma=busy_timeout(5000)" +
	"&_pragma=synchronous(FULL)" +
	"&_pragma=foreign_keys(ON)" +
	"&_pragma=trusted_schema(OFF)" +
	"&_pragma=temp_store(MEMORY)"

// Settings of the kinds of connection. The cache is in KiB; beyond it the
// operating system's is used. A checkpoint runs beside the writer (checkpoint.go),
// and in a commit only where that is not enough and the log has 16,000 pages
// (64 MiB). What is deleted or overwritten inside a page is zeroed: an
// erased entry of the ledger must not be left over in the file.
const (
	writerSettings     = sqliteSettings + "&_pragma=secure_delete(FAST)&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(16000)&_pragma=journal_size_limit(67108864)"
	readerSettings     = sqliteSettings + "&_pragma=cache_size(-16384)&_pragma=query_only(ON)"
	checkpointSettings = sqliteSettings + "&_pragma=journal_size_limit(67108864)"
)

// absolute is the path of a file in a folder that is there.
func absolute(path string) (string, error) {
	if path == "" || strings.HasPrefix(path, ":") || strings.ContainsRune(path, 0) {
		return "", errors.New("store: sqlite: needs the path of a file after it")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("store: the folder %s does not exist; create it first, so that a mistyped path cannot start a new database", dir)
	}
	return path, nil
}

func openSQLite(ctx context.Context, path string, unsynced bool) (*sqliteFile, error) {
	path, err := absolute(path)
	if err != nil {
		return nil, err
	}
	f := &sqliteFile{path: path, unsynced: unsynced}
	if f.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); unsynced && err == nil && info.Size() > 0 {
		f.made = true
		return f, nil
	}
	if err := f.prepare(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// prepare creates the file, readable by this user alone as are the log and
// index that SQLite puts beside it, or checks that it is one of ours.
func (f *sqliteFile) prepare(ctx context.Context) error {
	// Before any connection: closing a descriptor of the file later would
	// drop the locks that SQLite holds on it.
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	c := newConn(func(ctx context.Context) (session, error) { return f.connect(ctx, true) }, nil)
	if err := c.connect(ctx); err != nil {
		return fmt.Errorf("store: %s cannot be opened as a database: %w", f.path, err)
	}
	defer c.close()
	var id, objects int64
	if err := c.call(func(tx *Tx) error {
		if err := tx.Row("SELECT application_id FROM pragma_application_id").Scan(&id); err != nil {
			return err
		}
		return tx.Row("SELECT count(*) FROM sqlite_master").Scan(&objects)
	}); err != nil {
		return fmt.Errorf("store: %s cannot be read as a database: %w", f.path, err)
	}
	if id == applicationID {
		return nil
	}
	if id != 0 || objects != 0 {
		return fmt.Errorf("store: %s belongs to another program", f.path)
	}
	// WAL is kept in the file.
	return c.s.control([]string{"PRAGMA journal_mode = WAL", fmt.Sprintf("PRAGMA application_id = %d", applicationID)})
}

func (f *sqliteFile) dsn(settings string) string {
	if f.unsynced {
		settings += "&_pragma=synchronous(OFF)"
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(f.path), RawQuery: settings}).String()
}

func (f *sqliteFile) opening(write bool) []string {
	if write {
		return []string{"BEGIN IMMEDIATE"}
	}
	return []string{"BEGIN"}
}

func (f *sqliteFile) connect(ctx context.Context, write bool) (session, error) {
	settings := readerSettings
	if write {
		settings = writerSettings
	}
	return f.session(ctx, settings)
}

func (f *sqliteFile) session(ctx context.Context, settings string) (session, error) {
	raw, err := f.open(ctx, settings)
	if err != nil {
		return nil, err
	}
	return &sqliteSession{raw: raw, controls: make(map[string]driver.Stmt)}, nil
}

func (f *sqliteFile) open(ctx context.Context, settings string) (driver.Conn, error) {
	connector, err := sqlite.NewConnector(f.dsn(settings))
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	raw, err := connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return raw, nil
}

func (f *sqliteFile) migrate(ctx context.Context, role string) error {
	if f.made {
		return nil
	}
	connector, err := sqlite.NewConnector(f.dsn(writerSettings))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return migrate(ctx, "sqlite3", connector, portable{translate: forSQLite}, role)
}

// doubt: after a failed sync the kernel may have dropped what was written and
// will not say so again.
func (f *sqliteFile) doubt(err error) (unknown, broken bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return true, true
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true, true
	}
	return false, false
}

// close gives the file free. The lock file stays: removing it would let two
// processes lock two different files of one name.
func (f *sqliteFile) close() error { return f.lock.Close() }

var errInUse = errors.New("in use by another process")

func inUse(path string, taken bool, err error) error {
	path = strings.TrimSuffix(path, ".lock")
	if taken {
		return fmt.Errorf("store: %s is %w; stop that one first", path, errInUse)
	}
	return fmt.Errorf("store: %s cannot be locked: %w", path, err)
}
