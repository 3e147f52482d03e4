package storetest

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// databases are those that PostgreSQL has in place of files, by the path of the file;
// models are empty SQLite files, by role, since making the tables takes longer than
// most tests.
var databases, models sync.Map

// URL names a database for a test, with the tables of its role: the SQLite file at
// path, or, where the environment says WAYPOST_TEST_STORE=postgres, one on the
// PostgreSQL server that all tests of the process share. One path is always one
// database.
func URL(t testing.TB, path, role string) string {
	t.Helper()
	switch which := os.Getenv("WAYPOST_TEST_STORE"); which {
	case "", "sqlite":
		if err := file(path, role); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + path
	case "postgres":
	default:
		t.Fatalf("WAYPOST_TEST_STORE is sqlite or postgres, not %q", which)
	}
	if url, ok := databases.Load(path); ok {
		return url.(string)
	}
	url, drop := pgtest.Shared(t).Like(role, func(url string) error { return fill(url, role) })
	databases.Store(path, url)
	t.Cleanup(func() {
		databases.Delete(path)
		drop()
	})
	return url
}

// Server gives every role of an exchange a database of its own on PostgreSQL.
func Server(t testing.TB) func(name, kind string) (url string, err error) {
	cluster := pgtest.Shared(t)
	return func(_, kind string) (string, error) {
		url, drop := cluster.Like(kind, func(url string) error { return fill(url, kind) })
		t.Cleanup(drop)
		return url, nil
	}
}

func fill(url, role string) error {
	db, err := store.Open(context.Background(), url, role)
	if err != nil {
		return err
	}
	return db.Close()
}

// file makes a copy of the role's model at path, if nothing is there.
func file(path, role string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	model, ok := models.Load(role)
	if !ok {
		if err := fill("sqlite:"+path, role); err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		models.Store(role, raw)
		return err
	}
	return os.WriteFile(path, model.([]byte), 0o600)
}

// File passes a test over where databases are no files: it looks into them.
func File(t testing.TB) {
	t.Helper()
	if os.Getenv("WAYPOST_TEST_STORE") == "postgres" {
		t.Skip("a server's files are its own")
	}
}
