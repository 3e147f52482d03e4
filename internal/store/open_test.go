package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func refused(t *testing.T, url, role, word string) {
	t.Helper()
	db, err := Open(ctx, url, role)
	if err == nil {
		_ = db.Close()
		t.Fatalf("%s was opened for %s", url, role)
	}
	if !strings.Contains(err.Error(), word) {
		t.Errorf("%s: %v does not say %q", url, err, word)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return "sqlite:" + path
	}
	refused(t, "mysql://user:secret@host/db", "test", "sqlite:")
	refused(t, "postgres://user:secret@host/db", "test", "verify-full")
	refused(t, "postgres://user:secret@host/db?sslmode=require", "test", "verify-full")
	if _, err := Open(ctx, "postgres://user:secret@host/db", "test"); strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is in %q", err)
	}
	refused(t, dir+"/test.db", "test", "sqlite:")
	refused(t, "", "test", "sqlite:")
	refused(t, "sqlite:", "test", "path")
	refused(t, "sqlite::memory:", "test", "path")
	refused(t, "sqlite:"+dir+"/typo/test.db", "test", "folder")
	refused(t, "sqlite:"+dir, "test", "directory")
	refused(t, "sqlite:"+dir+"/new.db", "hubb", "no schema")
	refused(t, write("text.db", strings.Repeat("not a database ", 500)), "test", "database")
	if _, err := os.Stat(dir + "/typo"); !os.IsNotExist(err) {
		t.Error("a folder was made")
	}
}

// raw changes a database behind the store's back.
func raw(t *testing.T, url string, statements ...string) {
	t.Helper()
	f := &sqliteFile{path: strings.TrimPrefix(url, "sqlite:")}
	c, err := f.connect(ctx, true)
	must(t, err)
	must(t, c.control(statements))
	must(t, c.close(nil))
}

func TestOpenOfAnother(t *testing.T) {
	dir := t.TempDir()
	url := "sqlite:" + dir + "/test.db"
	db := openURL(t, url)
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 1) }))
	must(t, db.Close())

	refused(t, url, "keyholder", "of a test, not of a keyholder")
	raw(t, url, "INSERT INTO schema_version_journal (version_id, is_applied) VALUES (99, 1)")
	refused(t, url, "test", "version 99")
	raw(t, url, "DELETE FROM schema_version_journal WHERE version_id = 99")
	db = openURL(t, url) // and none of this has changed it
	if n := count(t, db); n != 1 {
		t.Errorf("%d rows", n)
	}
	must(t, db.Close())

	other := "sqlite:" + dir + "/other.db"
	raw(t, other, "CREATE TABLE bookmarks (url TEXT)")
	refused(t, other, "test", "another program")
}

// TestInterruptedFirstOpen: a process that died between the schema and the
// binding to its role is taken up where it stopped.
func TestInterruptedFirstOpen(t *testing.T) {
	url := "sqlite:" + t.TempDir() + "/test.db"
	must(t, openURL(t, url).Close())
	raw(t, url, "DELETE FROM store_role")
	must(t, openURL(t, url).Close())
	refused(t, url, "keyholder", "of a test")
}

func TestOpenTwice(t *testing.T) {
	url := "sqlite:" + t.TempDir() + "/test.db"
	db := openURL(t, url)
	refused(t, url, "test", "in use") // by this process

	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "STORE_TEST_CHILD=open", "STORE_TEST_URL="+url)
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another process") {
		t.Errorf("another process: %v, %s", err, out)
	}
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 1) })) // the first is none the worse
	must(t, db.Close())
	must(t, openURL(t, url).Close())
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b%20?c#d'ü")
	must(t, os.Mkdir(dir, 0o700))
	db := openURL(t, "sqlite:"+dir+"/te?st%41.db")
	must(t, db.Write(ctx, func(tx *Tx) error { return add(tx, 1) }))
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		must(t, err)
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	want := "te?st%41.db te?st%41.db-shm te?st%41.db-wal te?st%41.db.lock"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	must(t, db.Close())
	entries, err = os.ReadDir(dir)
	must(t, err)
	if len(entries) != 2 { // the database and the lock
		t.Errorf("files left after Close: %v", entries)
	}
}

// TestSettings: durability rests on these, so a connection that came without
// them must not pass.
func TestSettings(t *testing.T) {
	db := openURL(t, "sqlite:"+t.TempDir()+"/test.db")
	settings := func(tx *Tx) (mode string, sync, keys, readOnly int, err error) {
		err = tx.Row(`SELECT journal_mode, synchronous, foreign_keys, query_only FROM pragma_journal_mode,
			pragma_synchronous, pragma_foreign_keys, pragma_query_only`).Scan(&mode, &sync, &keys, &readOnly)
		return
	}
	must(t, db.Write(ctx, func(tx *Tx) error {
		mode, sync, keys, readOnly, err := settings(tx)
		if mode != "wal" || sync != 2 || keys != 1 || readOnly != 0 {
			t.Errorf("writer: %s %d %d %d", mode, sync, keys, readOnly)
		}
		return err
	}))
	must(t, db.Read(ctx, func(tx *Tx) error {
		mode, _, keys, readOnly, err := settings(tx)
		if mode != "wal" || keys != 1 || readOnly != 1 {
			t.Errorf("reader: %s %d %d", mode, keys, readOnly)
		}
		return err
	}))
}

func TestSchemaText(t *testing.T) {
	in := "CREATE TABLE a (id BYTEA PRIMARY KEY, BIGINTS BIGINT) /* sqlite: STRICT, WITHOUT ROWID */;"
	want := "CREATE TABLE a (id BLOB PRIMARY KEY, BIGINTS INTEGER) STRICT, WITHOUT ROWID;"
	if got := string(forSQLite([]byte(in))); got != want {
		t.Errorf("got %s", got)
	}
	// Every schema in the program applies, and no table is left without the
	// checks of types that PostgreSQL makes.
	for _, role := range append(roles(), "test") {
		db, err := Open(ctx, "sqlite:"+t.TempDir()+"/"+role+".db", role)
		if err != nil {
			t.Error(err)
			continue
		}
		must(t, db.Read(ctx, func(tx *Tx) error {
			return tx.Query(`SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND schema = 'main'
				AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'schema_version_%'`, nil, func(scan func(...any) error) error {
				var name string
				err := scan(&name)
				t.Errorf("%s: table %s is not STRICT", role, name)
				return err
			})
		}))
		must(t, db.Close())
	}
}
