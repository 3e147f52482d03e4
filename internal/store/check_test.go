package store

import (
	"os"
	"strings"
	"testing"

	"github.com/waypost/waypost/internal/store/pgtest"
)

// TestCheck: what it says of databases that are right, wrong and not there, and that it
// changes none of them.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	server := pgtest.Shared(t)
	fresh, other, newer, half := server.URL(), server.URL(), server.URL(), server.URL()
	lite, taken := "sqlite:"+dir+"/lite.db", "sqlite:"+dir+"/taken.db"
	for _, url := range []string{lite, newer, half} {
		must(t, openURL(t, url).Close())
	}
	openURL(t, taken)
	server.SQL(name(other), "CREATE TABLE bookmarks (url TEXT)")
	server.SQL(name(newer), "INSERT INTO schema_version_journal (version_id, is_applied) VALUES (99, true)")
	server.SQL(name(half), "DELETE FROM schema_version_test")
	server.SQL(name(half), "DELETE FROM store_role")
	for _, c := range []struct{ url, role, fact, wrong string }{
		{lite, "test", "it is a test's", ""},
		{lite, "hub", "", "of a test, not of a hub"},
		{taken, "test", "in use", ""},
		{"sqlite:" + dir + "/new.db", "test", "not there yet", ""},
		{"sqlite:" + dir + "/typo/new.db", "test", "", "does not exist"},
		{"sqlite:", "test", "", "path of a file"},
		{"mysql:x", "test", "", "sqlite:/path"},
		{fresh, "test", "it is empty", ""},
		{other, "test", "", "another program"},
		{newer, "test", "", "version 99"},
		{half, "test", "1 migrations", ""},
		{strings.Replace(fresh, name(fresh), "nothing", 1), "test", "", "create it first"},
		{strings.Replace(fresh, "waypost:", "waypost:x", 1), "test", "", "password is wrong"},
		{"postgres://user@db.example/name", "test", "", "verify-full"},
	} {
		report, err := Check(ctx, c.url, c.role)
		facts := strings.Join(report.Facts, "; ")
		if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) || !strings.Contains(facts, c.fact) {
			t.Errorf("%s for a %s: %s; %v", c.url, c.role, facts, err)
		}
		if err != nil && strings.Contains(err.Error(), "x") && strings.Contains(err.Error(), "waypost:x") {
			t.Errorf("a password is in %v", err)
		}
		// The server of the tests does not sync.
		if warned := strings.Contains(strings.Join(report.Warnings, " "), "fsync"); warned != strings.Contains(facts, "TLS") {
			t.Errorf("%s: warnings %q", c.url, report.Warnings)
		}
	}
	if _, err := os.Stat(dir + "/new.db"); !os.IsNotExist(err) {
		t.Error("a file was made")
	}
	// Everybody may put functions where this program's are looked up.
	open := server.URL()
	server.SQL(name(open), "GRANT CREATE ON SCHEMA public TO PUBLIC")
	if _, err := Check(ctx, open, "test"); err == nil || !strings.Contains(err.Error(), "REVOKE CREATE ON SCHEMA public FROM PUBLIC") {
		t.Errorf("a schema that is open to all: %v", err)
	}
	if db, err := Open(ctx, open, "test"); err == nil || !strings.Contains(err.Error(), "REVOKE CREATE") {
		t.Errorf("it is opened: %v", err)
		must(t, db.Close())
	}
	report, err := Check(ctx, fresh, "test")
	if err != nil || !strings.Contains(strings.Join(report.Facts, " "), "it is empty") {
		t.Errorf("tables were made: %v, %v", report, err)
	}
}
