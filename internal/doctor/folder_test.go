package doctor_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/doctor"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// broken is one thing that is wrong with the folder of a role, and what is said of it.
var broken = []struct {
	name, role  string
	how         func(t *testing.T, dir, folder string)
	level       doctor.Level
	what, words string
	next        string
}{
	{"no config", "hub", remove("config.json"), doctor.Wrong, "config.json", "does not exist", "--exchange"},
	{"what moves the cursor", "hub", set("name", "\x1b[2J\x1b[Hhub\u202e"), doctor.Wrong, "config.json", "?[2J?[Hhub?", "correct config.json"},
	{"misspelt setting", "hub", set("listne", "127.0.0.1:1"), doctor.Wrong, "config.json", `unknown field "listne"`, "correct config.json"},
	{"no JSON", "hub", write("config.json", "{"), doctor.Wrong, "config.json", "unexpected EOF", "correct config.json"},
	{"config of another", "hub", copyFrom("gateway-CA", "config.json"), doctor.Wrong, "identity.key", "is not the key that the roster names for CA", "72 hours"},
	{"role of another", "hub", set("role", "gateway"), doctor.Wrong, "config.json", "in the roster hub is a hub, not a gateway", "correct config.json"},
	{"not in the roster", "hub", set("name", "hub-9"), doctor.Wrong, "config.json", `"hub-9" is not in the roster`, "correct config.json"},
	{"instance", "keyholder-1", set("instance", 0), doctor.Wrong, "config.json", "a key holder is one process", "correct config.json"},
	{"origin", "hub", set("origin", "waypost.test/CA/1"), doctor.Wrong, "config.json", "<domain>/hub/1", "correct config.json"},
	{"retention", "gateway-CA", set("retention_years", map[string]int{"lost": 3}), doctor.Wrong, "config.json", "the retention of records names statuses", "correct config.json"},
	{"opener", "hub", set("openers", []string{"age1nobody"}), doctor.Wrong, "config.json", "openers", "correct config.json"},
	{"no listen", "hub", set("listen", "8443"), doctor.Wrong, "listen", `"8443" is no address to listen on`, "host:port"},
	{"address of another machine", "hub", set("listen", "192.0.2.7:8443"), doctor.Wrong, "listen", "192.0.2.7:8443 is no address of this machine", "config.json"},
	{"metrics for all", "hub", set("metrics", "0.0.0.0:9464"), doctor.Wrong, "metrics", "not on this machine only", "loopback"},
	{"no identity", "gateway-CA", remove("identity.key"), doctor.Wrong, "identity.key", "a key is missing", "72 hours"},
	{"no label key", "hub", remove("label.key"), doctor.Wrong, "label.key", "a key is missing", "every state has to publish again"},
	{"no secret", "gateway-CA", remove("secret.key"), doctor.Wrong, "secret.key", "a key is missing", "message keys do not open"},
	{"short key", "gateway-CA", write("secret.key", "0011"), doctor.Wrong, "secret.key", "64 hex digits", "backup"},
	{"no hex", "hub", write("log.key", strings.Repeat("zz", 32)), doctor.Wrong, "log.key", "not in hex", "backup"},
	{"another log key", "hub", write("log.key", strings.Repeat("ab", 32)), doctor.Wrong, "log.key", "not the key that the roster names for hub", "72 hours"},
	{"another witness key", "keyholder-1", write("witness.key", strings.Repeat("ab", 32)), doctor.Wrong, "witness.key", "not the key that the roster names", "72 hours"},
	{"a stranger as witness", "witness-1", write("witness.key", strings.Repeat("ab", 32)), doctor.Wrong, "witness.key", "not the key of any witness", "72 hours"},
	{"key for all", "hub", mode("label.key", 0o644), doctor.Wrong, "label.key", "can be read by everybody", "chmod 600"},
	{"key for the group", "hub", mode("identity.key", 0o640), doctor.Warning, "identity.key", "can be used by its group", "chmod 600"},
	{"opener for all", "hub", mode("opener.key", 0o644), doctor.Wrong, "opener.key", "read by everybody", "another one"},
	{"folder for all", "hub", mode("", 0o777), doctor.Wrong, "", "others can put files into the folder", "chmod 700"},
	{"operators for all", "gateway-CA", func(t *testing.T, _, folder string) {
		must(t, os.Chmod(folder, 0o711))
		must(t, os.Chmod(filepath.Join(folder, "operators"), 0o777))
	}, doctor.Wrong, "operators", "others can change operators", "go-w"},
	{"governance for the group", "gateway-CA", func(t *testing.T, _, folder string) {
		must(t, os.Chmod(folder, 0o750))
		must(t, os.Chmod(filepath.Join(folder, "governance.json"), 0o660))
	}, doctor.Wrong, "governance.json", "others can change governance.json", "go-w"},
	{"certificate of another", "hub", copyFrom("keyholder-1", "tls.crt", "tls.key"), doctor.Wrong, "tls.crt", "not the certificate that the roster names for hub", "governance name the new key"},
	{"certificate without its key", "hub", copyFrom("keyholder-1", "tls.crt"), doctor.Wrong, "tls.crt", "does not match", "backup"},
	{"no counter", "gateway-CA", remove("counter.key"), doctor.Wrong, "counter.crt", "a key is missing", "give the certificate to the counters"},
	{"expired", "hub", dated("tls", -400, -1), doctor.Wrong, "tls.crt", "it expired on", "same key"},
	{"expires soon", "hub", dated("tls", -1, 12), doctor.Warning, "tls.crt", "it expires in 1", "same key"},
	{"not valid yet", "gateway-CA", dated("counter", 2, 90), doctor.Wrong, "counter.crt", "valid only from", "clock"},
	{"operator expired", "gateway-CA", dated("operators/clerk-1", -400, -1), doctor.Wrong, "clerk-1.crt", "it expired on", "whoever holds its key"},
	{"no operators", "gateway-CA", remove("operators/clerk-1.crt"), doctor.Wrong, "operators", "no operator's certificate", "NAME.crt"},
	{"one key, two operators", "gateway-CA", copyTo("operators/clerk-1.crt", "operators/clerk-2.crt"), doctor.Wrong, "operators", "has the key of", "NAME.crt"},
	{"no roster", "hub", remove("roster/000001"), doctor.Wrong, "roster", "has no roster", "every version since the first"},
	{"altered roster", "hub", write("roster/000001", "x\n\n— y z\n"), doctor.Wrong, "roster", "", "every version since the first"},
	{"no governance", "hub", remove("governance.json"), doctor.Wrong, "governance.json", "does not exist", "whose signatures"},
	{"share lost", "keyholder-1", func(t *testing.T, _, folder string) { must(t, os.Remove(only(t, folder, "share/*.age"))) },
		doctor.Wrong, "share", "names a share of key epoch 1 for keyholder-1 that is not held here", "without_share"},
	{"identity lost", "keyholder-1", func(t *testing.T, _, folder string) { must(t, os.Remove(only(t, folder, "identities/*.key"))) },
		doctor.Wrong, "share", "its identity is not there", "bring the identity back"},
	{"share damaged", "keyholder-1", func(t *testing.T, _, folder string) {
		path := only(t, folder, "share/*.age")
		raw, err := os.ReadFile(path)
		must(t, err)
		raw[len(raw)-1] ^= 1
		must(t, os.WriteFile(path, raw, 0o600))
	}, doctor.Wrong, "share", "it is damaged", ""},
	{"share of another", "keyholder-1", func(t *testing.T, dir, folder string) {
		for _, kind := range []string{"share/*.age", "identities/*.key"} {
			must(t, os.Remove(only(t, folder, kind)))
			from := only(t, dir, "keyholder-2", kind)
			raw, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(folder, filepath.Dir(kind), filepath.Base(from)), raw, 0o600))
		}
	}, doctor.Wrong, "share", "that is not held here", "reshare"},
	{"share for all", "keyholder-1", func(t *testing.T, _, folder string) { must(t, os.Chmod(only(t, folder, "share/*.age"), 0o644)) },
		doctor.Wrong, "share", "can be used by others", "refresh"},
	{"identity for all", "keyholder-1", func(t *testing.T, _, folder string) { must(t, os.Chmod(only(t, folder, "identities/*.key"), 0o640)) },
		doctor.Wrong, "share", "can be read by others", "refresh"},
	{"in one backup", "keyholder-1", func(*testing.T, string, string) {}, doctor.Warning, "share", "lie under one folder", "share_identities"},
	{"database nowhere", "hub", set("database", "sqlite:nowhere/hub.db"), doctor.Wrong, "database", "does not exist", "database in config.json"},
	{"no database", "gateway-CA", set("people", ""), doctor.Wrong, "people", "names no database", "sqlite:FILE"},
	{"database of another", "hub", set("database", "sqlite:../gateway-CA/gateway.db"), doctor.Wrong, "database", "of a gateway, not of a hub", "databases.md"},
	{"no database file", "hub", write("hub.db", strings.Repeat("not a database\n", 400)), doctor.Wrong, "database", "cannot be opened as a database", "databases.md"},
	{"database for all", "hub", func(t *testing.T, _, folder string) {
		must(t, os.WriteFile(filepath.Join(folder, "hub.db"), nil, 0o644))
		must(t, os.Chmod(filepath.Join(folder, "hub.db"), 0o644))
	}, doctor.Wrong, "hub.db", "can be used by others", "chmod 600"},
	{"password in a config for all", "hub", func(t *testing.T, dir, folder string) {
		set("database", "postgres://hub:hunter2@127.0.0.1:1/hub")(t, dir, folder)
		must(t, os.Chmod(filepath.Join(folder, "config.json"), 0o644))
	}, doctor.Wrong, "config.json", "has the password of a database", "change the password"},
	{"server down", "hub", set("database", "postgres://hub:hunter2@127.0.0.1:1/hub"), doctor.Wrong, "database", "connect", "or the server"},
	{"server without TLS", "hub", set("database", "postgres://hub:hunter2@db.example/hub"), doctor.Wrong, "database", "verify-full", ""},
}

func remove(name string) func(*testing.T, string, string) {
	return func(t *testing.T, _, folder string) { must(t, os.Remove(filepath.Join(folder, name))) }
}

func write(name, content string) func(*testing.T, string, string) {
	return func(t *testing.T, _, folder string) {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
}

func mode(name string, m os.FileMode) func(*testing.T, string, string) {
	return func(t *testing.T, _, folder string) { must(t, os.Chmod(filepath.Join(folder, name), m)) }
}

func set(name string, value any) func(*testing.T, string, string) {
	return func(t *testing.T, _, folder string) { edit(t, folder, func(c map[string]any) { c[name] = value }) }
}

func copyFrom(other string, names ...string) func(*testing.T, string, string) {
	return func(t *testing.T, dir, folder string) {
		for _, name := range names {
			raw, err := os.ReadFile(filepath.Join(dir, other, name))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(folder, name), raw, 0o600))
		}
	}
}

func copyTo(from, to string) func(*testing.T, string, string) {
	return func(t *testing.T, _, folder string) {
		raw, err := os.ReadFile(filepath.Join(folder, from))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(folder, to), raw, 0o600))
	}
}

func dated(file string, from, until int) func(*testing.T, string, string) {
	return func(t *testing.T, _, folder string) {
		day := 24 * time.Hour
		renewed(t, folder, file, time.Now().Add(time.Duration(from)*day), time.Now().Add(time.Duration(until)*day))
	}
}

// TestFolders: each thing that can be wrong in a folder is named with its next step,
// nothing secret is, and no file is touched.
func TestFolders(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("half of it is about file modes")
	}
	dir := made(t, nil)
	gateway, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "gateway-CA", "gateway.db"), "gateway")
	must(t, err)
	must(t, gateway.Close())
	for _, role := range []string{"hub", "keyholder-1", "gateway-AZ", "witness-1"} {
		unchanged(t, dir, func() {
			r := doctor.Examine(t.Context(), filepath.Join(dir, role), doctor.Options{Offline: true})
			if !r.OK() || r.Running || len(r.Findings) < 5 {
				t.Errorf("%s, with which nothing is wrong: %s", role, text(r))
			}
		})
	}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			all := t.TempDir()
			must(t, os.CopyFS(all, os.DirFS(dir)))
			closed(t, all)
			folder := filepath.Join(all, b.role)
			b.how(t, all, folder)
			var r doctor.Report
			unchanged(t, all, func() { r = doctor.Examine(t.Context(), folder, doctor.Options{Offline: true}) })
			if !says(r, b.level, b.what, b.words, b.next) || r.OK() != (b.level == doctor.Warning) {
				t.Errorf("nothing says %q: %s", b.words, text(r))
			}
			// So much of the keys that no name of a file has it by chance.
			for _, secret := range []string{"hunter2", strings.Repeat("ab", 6), strings.Repeat("z", 8)} {
				if strings.Contains(text(r), secret) {
					t.Errorf("it repeats a secret: %s", text(r))
				}
			}
		})
	}
}

// closed gives a copied tree the modes that it had.
func closed(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}))
}

// TestDaysAndRoom: the roster's last days, its end, and a disk that is filling up.
func TestDaysAndRoom(t *testing.T) {
	dir := made(t, nil)
	for _, c := range []struct {
		after       time.Duration
		free        uint64
		level       doctor.Level
		what, words string
	}{
		{0, 100 << 30, doctor.OK, "roster", "roster 1 is good for 6 days"},
		{6 * 24 * time.Hour, 100 << 30, doctor.Warning, "roster", "is good for 2"},
		{8 * 24 * time.Hour, 100 << 30, doctor.Wrong, "roster", "ran out"},
		{-time.Hour, 100 << 30, doctor.Wrong, "roster", "valid only from"},
		{0, 2 << 30, doctor.Warning, "room", "2048 MB of"},
		{0, 1 << 20, doctor.Wrong, "room", "1 MB of"},
		{340 * 24 * time.Hour, 100 << 30, doctor.Warning, "tls.crt", "it expires in 2"},
	} {
		r := doctor.Examine(t.Context(), filepath.Join(dir, "hub"), doctor.Options{Offline: true,
			Now:  func() time.Time { return time.Now().Add(c.after) },
			Room: func(string) (uint64, uint64, error) { return c.free, 200 << 30, nil }})
		if !says(r, c.level, c.what, c.words, "") {
			t.Errorf("%v later, %d free: nothing says %q: %s", c.after, c.free, c.words, text(r))
		}
	}
	r := doctor.Examine(t.Context(), filepath.Join(dir, "hub"), doctor.Options{Offline: true,
		Room: func(string) (uint64, uint64, error) { return 0, 0, errors.New("no such disk") }})
	if !r.OK() {
		t.Errorf("a disk that cannot be asked is wrong: %s", text(r))
	}
}

// TestBeside: what only shows beside each other.
func TestBeside(t *testing.T) {
	dir := made(t, nil)
	edit(t, filepath.Join(dir, "gateway-AZ"), func(az map[string]any) {
		edit(t, filepath.Join(dir, "gateway-CA"), func(ca map[string]any) { ca["listen"] = az["listen"] })
	})
	two := filepath.Join(dir, "hub-2")
	must(t, os.CopyFS(two, os.DirFS(filepath.Join(dir, "hub"))))
	closed(t, two)
	signed, err := install.Govern(dir, time.Now(), func(*roster.Roster) error { return nil })
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "hub", "roster", "000002"), signed, 0o600))
	for _, name := range []string{"keyholder-2", "keyholder-3"} {
		must(t, os.WriteFile(filepath.Join(dir, name, "config.json"), []byte("{"), 0o600))
	}

	calls := 0
	reports, err := doctor.Exchange(t.Context(), dir, doctor.Options{Offline: true}, func(n, all int) {
		if calls++; n != calls || all != 8 {
			t.Errorf("%d of %d after %d", n, all, calls)
		}
	})
	must(t, err)
	by := make(map[string]doctor.Report)
	for _, r := range reports {
		by[filepath.Base(r.Dir)] = r
	}
	for _, c := range []struct{ folder, what, words string }{
		{"gateway-CA", "config.json", "gateway-AZ too"},
		{"hub-2", "config.json", "hub too"},
		{"hub-2", "database", "is of the same member, and has another database"},
		{"hub-2", "ledger", "is of the same member, and has another folder of logs"},
		{"keyholder-1", "roster", "another role on this machine has a newer roster"},
	} {
		if !says(by[c.folder], doctor.Wrong, c.what, c.words, "") {
			t.Errorf("%s: nothing says %q: %s", c.folder, c.words, text(by[c.folder]))
		}
	}
	if r := by["keyholder-3"]; says(r, doctor.Wrong, "", "of the same member", "") || !says(r, doctor.Wrong, "config.json", "", "") {
		t.Errorf("two folders whose config.json cannot be read: %s", text(r))
	}
	if !by["hub"].OK() || calls != 8 {
		t.Errorf("%d looks; the hub: %s", calls, text(by["hub"]))
	}
	if _, err := doctor.Exchange(t.Context(), t.TempDir(), doctor.Options{}, nil); err == nil {
		t.Error("an empty folder is an exchange")
	}
}
