package recovery

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost"
)

// TestWorkspace: what a run that was killed left is gone before the next one works, one
// that lives is left alone, and nothing stays behind.
func TestWorkspace(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, ".backup")
	if err := os.MkdirAll(filepath.Join(dir, "share"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"database.sqlite", "share/1-ab.age"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("in clear"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+".lock", nil, 0o600); err != nil { // of the process that was killed
		t.Fatal(err)
	}
	w, err := newWorkspace(dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left of a run that was killed, %v", left, err)
	}
	if info, err := os.Stat(dir); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newWorkspace(dir); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("a second run at a time: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Errorf("a second run takes away what the first one has: %v", err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("%v stays behind, %v", left, err)
	}
}

// TestApart: no password of a database is among the arguments of a program.
func TestApart(t *testing.T) {
	const secret = "s3cret+/ %"
	for given, want := range map[string]struct {
		name     string
		password string
	}{
		"postgres://u@h:5433/d?sslmode=verify-full":              {"postgres://u@h:5433/d?sslmode=verify-full", ""},
		"postgres://u:s3cret+%2F%20%25@h/d":                      {"postgres://u@h/d", secret},
		"postgres://u@h/d?password=s3cret%2B%2F%20%25&port=5433": {"postgres://u@h/d?port=5433", secret},
		"postgres://u:other@h/d?password=s3cret%2B/+%25":         {"postgres://u@h/d", secret},
		"postgres:///d?host=/run/x&user=u&options=-c%20a%3Db":    {"postgres:///d?host=%2Frun%2Fx&options=-c%20a%3Db&user=u", ""},
	} {
		name, secrets, err := apart(given)
		if err != nil || name != want.name || strings.Contains(name, "s3cret") || strings.Contains(name, "other") {
			t.Errorf("%s becomes %s, %v; want %s", given, name, err, want.name)
		}
		var wanted []string
		if want.password != "" {
			wanted = []string{"PGPASSWORD=" + want.password}
		}
		if !slices.Equal(secrets, wanted) {
			t.Errorf("%s: the environment gets %q", given, secrets)
		}
	}
	for _, bad := range []string{"postgres://u@h/d?sslpassword=s3cret", "mysql://u:s3cret@h/d", "postgres://u:s3cret@h/d?%zz", "postgres://u:s3cret%zz@h/d"} {
		if _, _, err := apart(bad); waypost.CodeOf(err) != waypost.InvalidArgument || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
