package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/roster"
)

var quiet = slog.New(slog.DiscardHandler)

func plan() Plan {
	return Plan{
		States: []waypost.Jurisdiction{"AZ", "CA"}, Holders: 3, Threshold: 2, Now: time.Now(),
		Quota: roster.Quota{TicketsPerDay: 10, UnattendedPerDay: 10, TicketsPerOperatorHour: 10, Operators: 10,
			PublishElementsPerDay: 100, PublishElementsForALoad: 100},
	}
}

// create makes an exchange in a new folder.
func create(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := Create(dir, plan()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open opens a role and closes it at the end of the test.
func open(t *testing.T, folder string) (*Role, error) {
	t.Helper()
	r, err := Open(t.Context(), folder, time.Now, quiet)
	if err == nil {
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return r, err
}

// TestCreateOpensAll: every role opens from its folder, and every file is for
// its owner alone.
func TestCreateOpensAll(t *testing.T) {
	dir := create(t)
	for _, folder := range []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3", "gateway-AZ", "gateway-CA"} {
		if _, err := open(t, filepath.Join(dir, folder)); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if runtime.GOOS == "windows" {
		t.Skip("the rest is about file modes, which Windows does not have")
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %o: others can use it", strings.TrimPrefix(path, dir), mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCreateRefuses: what is there is never overwritten.
func TestCreateRefuses(t *testing.T) {
	dir := create(t)
	if err := Create(dir, plan()); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("a second exchange in the folder: %v", err)
	}
	other := t.TempDir()
	mine := filepath.Join(other, "gateway-CA", "identity.key")
	if err := durable.WriteFile(mine, []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if err := Create(other, plan()); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("an exchange on top of a role's folder: %v", err)
	}
	if left, err := os.ReadFile(mine); err != nil || string(left) != "mine" {
		t.Errorf("the role's key is gone: %q, %v", left, err)
	}
	bad := plan()
	bad.Threshold = 4
	third := t.TempDir()
	if err := Create(third, bad); err == nil {
		t.Error("four of three key holders were accepted")
	}
	if left, err := os.ReadDir(third); err != nil || len(left) != 0 {
		t.Errorf("a failed creation left %v (%v)", left, err)
	}
}

// TestCreateAfterACrash: whatever a crash has left, Create makes one whole
// exchange of it.
func TestCreateAfterACrash(t *testing.T) {
	t.Run("while building", func(t *testing.T) {
		dir := t.TempDir()
		if err := durable.WriteFile(filepath.Join(dir, building, "hub", "identity.key"), []byte("half")); err != nil {
			t.Fatal(err)
		}
		if err := Create(dir, plan()); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, filepath.Join(dir, "hub")); err != nil {
			t.Error(err)
		}
	})
	for moved := range 4 {
		t.Run("while moving into place", func(t *testing.T) {
			whole := create(t)
			folders, err := filepath.Glob(filepath.Join(whole, "*"))
			if err != nil || len(folders) != 8 {
				t.Fatalf("%v, %v", folders, err)
			}
			// As it is with some of the folders moved, and governance not.
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, built), 0o700); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, folder := range folders {
				to := filepath.Join(dir, built)
				if filepath.Base(folder) != mark && n < 2*moved {
					to = dir
					n++
				}
				if err := os.Rename(folder, filepath.Join(to, filepath.Base(folder))); err != nil {
					t.Fatal(err)
				}
			}
			if err := Create(dir, plan()); err != nil {
				t.Fatal(err)
			}
			for _, role := range []string{"hub", "keyholder-3", "gateway-CA"} {
				if _, err := open(t, filepath.Join(dir, role)); err != nil {
					t.Error(err)
				}
			}
			if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestOpenSays: each thing that can be wrong with a folder, in words, and never
// with a key in them.
func TestOpenSays(t *testing.T) {
	whole := create(t)
	for name, c := range map[string]struct {
		folder string
		spoil  func(dir string) error
		says   string
	}{
		"no folder":         {"gateway-NV", func(string) error { return nil }, "does not exist"},
		"no identity key":   {"gateway-AZ", func(d string) error { return os.Remove(filepath.Join(d, "identity.key")) }, "identity.key"},
		"no roster":         {"gateway-AZ", func(d string) error { return os.RemoveAll(filepath.Join(d, "roster")) }, "no roster"},
		"no certificate":    {"gateway-AZ", func(d string) error { return os.Remove(filepath.Join(d, "tls.crt")) }, "tls.crt"},
		"no label key":      {"hub", func(d string) error { return os.Remove(filepath.Join(d, "label.key")) }, "label.key"},
		"no share":          {"keyholder-1", func(d string) error { return os.RemoveAll(filepath.Join(d, "share")) }, "does not have the share"},
		"no operators":      {"gateway-AZ", func(d string) error { return os.RemoveAll(filepath.Join(d, "operators")) }, "operator"},
		"a bad operator":    {"gateway-AZ", func(d string) error { return os.WriteFile(filepath.Join(d, "operators", "x.crt"), []byte("x"), 0o600) }, "not a certificate"},
		"an operator twice": {"gateway-AZ", func(d string) error { return copyAs(d, "operators/clerk-1.crt", d, "operators/clerk-2.crt") }, "of their own"},
		"a damaged key":     {"gateway-AZ", func(d string) error { return os.WriteFile(filepath.Join(d, "secret.key"), []byte("6f6f7xyz\n"), 0o600) }, "not in hex"},
		"a short key":       {"gateway-AZ", func(d string) error { return os.WriteFile(filepath.Join(d, "identity.key"), []byte("6f6f\n"), 0o600) }, "64 hex digits"},
		"another's key":     {"gateway-AZ", func(d string) error { return copyAs(whole, "gateway-CA/identity.key", d, "identity.key") }, "not the key that the roster names"},
		"another's cert": {"gateway-AZ", func(d string) error {
			return errors.Join(copyAs(whole, "gateway-CA/tls.key", d, "tls.key"), copyAs(whole, "gateway-CA/tls.crt", d, "tls.crt"))
		}, "not the certificate"},
		"another's share": {"keyholder-1", func(d string) error {
			return errors.Join(copyOnly(whole, "keyholder-2/share", d, "share"), copyOnly(whole, "keyholder-2/identities", d, "identities"))
		}, "does not have the share"},
		"another's config": {"gateway-AZ", func(d string) error { return copyAs(whole, "hub/config.json", d, "config.json") }, "not the key that the roster names for hub"},
		"a misspelt setting": {"hub", func(d string) error {
			return os.WriteFile(filepath.Join(d, "config.json"), []byte(`{"listne": "127.0.0.1:1"}`), 0o600)
		}, "listne"},
		"a key for everyone": {"hub", func(d string) error { return os.Chmod(filepath.Join(d, "label.key"), 0o644) }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a key for everyone" && runtime.GOOS == "windows" {
				t.Skip("Windows has no file modes")
			}
			folder := filepath.Join(t.TempDir(), c.folder)
			if c.folder != "gateway-NV" {
				if err := os.CopyFS(folder, os.DirFS(filepath.Join(whole, c.folder))); err != nil {
					t.Fatal(err)
				}
			}
			// CopyFS does not keep modes tight.
			_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					err = os.Chmod(path, 0o600)
				}
				return err
			})
			if err := c.spoil(folder); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, folder)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want words with %q", err, c.says)
			}
			if secret, readErr := os.ReadFile(filepath.Join(whole, "gateway-AZ", "identity.key")); readErr != nil ||
				strings.Contains(err.Error(), string(secret[:8])) || strings.Contains(err.Error(), "6f6f") {
				t.Errorf("the words carry a key: %v (%v)", err, readErr)
			}
		})
	}
}

// copyOnly has a folder hold the one file that another has, and nothing else.
func copyOnly(from, folder, to, as string) error {
	files, err := os.ReadDir(filepath.Join(from, folder))
	own, missing := os.ReadDir(filepath.Join(to, as))
	if err = errors.Join(err, missing); err != nil || len(files) != 1 || len(own) != 1 {
		return fmt.Errorf("%d and %d files: %w", len(files), len(own), err)
	}
	return errors.Join(os.Remove(filepath.Join(to, as, own[0].Name())), copyAs(from, filepath.Join(folder, files[0].Name()), to, filepath.Join(as, files[0].Name())))
}

func copyAs(from, name, to, as string) error {
	raw, err := os.ReadFile(filepath.Join(from, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, filepath.FromSlash(as)), raw, 0o600)
}

// TestPortInUse says so, and leaves nothing open.
func TestPortInUse(t *testing.T) {
	dir := create(t)
	f, err := OpenFolder(filepath.Join(dir, "hub"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", f.Config.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, f.Dir); err == nil || !strings.Contains(err.Error(), "is it running already?") {
		t.Errorf("a port in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, f.Dir); err != nil {
		t.Errorf("with the port free again: %v", err)
	}
}

// TestRenew: over the expiry, and after a crash that gave the new roster to
// some roles only, there is one chain and every role has it.
func TestRenew(t *testing.T) {
	dir := create(t)
	now := time.Now()
	versions := func() (n []int) {
		t.Helper()
		folders, err := roleFolders(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			signed, err := Rosters(folder)
			if err != nil {
				t.Fatal(err)
			}
			n = append(n, len(signed))
		}
		return n
	}
	all := func(want int) {
		t.Helper()
		for _, n := range versions() {
			if n != want {
				t.Fatalf("the roles have %v rosters, want %d each", versions(), want)
			}
		}
	}
	if err := Renew(dir, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	all(1) // nothing to do yet
	running, err := OpenFolder(filepath.Join(dir, "gateway-AZ"), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(6*24*time.Hour + time.Hour)
	if err := Renew(dir, now); err != nil {
		t.Fatal(err)
	}
	all(2)
	signed, err := Rosters(running.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Roster.Update(signed...); err != nil || running.Roster.Current().Version != 2 {
		t.Errorf("a running role has version %d (%v), want 2", running.Roster.Current().Version, err)
	}
	// A crash: the second roster reached some roles only.
	for _, folder := range []string{"gateway-AZ", "hub"} {
		if err := os.Remove(filepath.Join(dir, folder, "roster", "000002")); err != nil {
			t.Fatal(err)
		}
	}
	if err := Renew(dir, now); err != nil {
		t.Fatal(err)
	}
	all(2)
	// A month nobody ran it.
	now = now.Add(31 * 24 * time.Hour)
	if _, err := OpenFolder(filepath.Join(dir, "hub"), func() time.Time { return now }); err == nil {
		t.Error("a roster that ran out was accepted")
	}
	if err := Renew(dir, now); err != nil {
		t.Fatal(err)
	}
	all(3)
	for _, folder := range []string{"hub", "keyholder-2", "gateway-CA"} {
		if _, err := OpenFolder(filepath.Join(dir, folder), func() time.Time { return now }); err != nil {
			t.Errorf("%s after the renewal: %v", folder, err)
		}
	}
	if err := Renew(t.TempDir(), now); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("renewing nothing: %v", err)
	}
}

// TestWriteFileIsWhole: the old content or the new, and no scrap beside it.
func TestWriteFileIsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deep", "file")
	for _, content := range []string{"one", "two"} {
		if err := durable.WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestOperators: every certificate in the folder opens the door, under the name
// of its file.
func TestOperators(t *testing.T) {
	dir := create(t)
	folder := filepath.Join(dir, "gateway-AZ")
	if _, err := certificate(folder, filepath.Join(operatorsFolder, "night-shift"), "AZ night shift"); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFolder(folder, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	operators, err := f.operators(operatorsFolder)
	if err != nil || len(operators) != 2 {
		t.Fatalf("%v, %v", operators, err)
	}
	names := make(map[string]bool)
	for _, name := range operators {
		names[name] = true
	}
	if !names["clerk-1"] || !names["night-shift"] {
		t.Errorf("the operators are %v", names)
	}
	if _, _, err := DialDoor(folder); err != nil {
		t.Error(err)
	}
	if _, _, err := DialDoor(t.TempDir()); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("the door of nothing: %v", err)
	}
}

// TestRoleStops: Run returns when its context ends, and Close frees everything.
func TestRoleStops(t *testing.T) {
	dir := create(t)
	for range 2 {
		for _, folder := range []string{"hub", "keyholder-1", "gateway-CA"} {
			r, err := Open(t.Context(), filepath.Join(dir, folder), time.Now, quiet)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			stop()
			if err := errors.Join(<-ended, r.Close()); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
		}
	}
}
