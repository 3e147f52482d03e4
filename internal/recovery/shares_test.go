package recovery

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
)

// TestWithoutShares: an archive of a key holder's keys has shares and what opens them, or
// neither, wherever the config says that they lie.
func TestWithoutShares(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(install.Create(dir, install.Plan{States: []waypost.Jurisdiction{"AZ"}, Holders: 2, Threshold: 2, Quota: roster.Quota{TicketsPerDay: 9}, Now: time.Now()}))
	folder := filepath.Join(dir, "keyholder-1")
	own, err := age.GenerateHybridIdentity()
	must(err)
	lie := func(at string) { // sets where the identities lie, and nothing else
		path := filepath.Join(folder, "config.json")
		raw, err := os.ReadFile(path)
		must(err)
		var c map[string]any
		must(json.Unmarshal(raw, &c))
		c["share_identities"] = at
		raw, err = json.Marshal(c)
		must(err)
		must(os.WriteFile(path, raw, 0o600))
	}
	archived := func(without bool) (names []string, rep Report, err error) {
		t.Helper()
		to := filepath.Join(t.TempDir(), "keys.age")
		rep, err = Backup(t.Context(), BackupOptions{Dir: folder, To: to, Recipients: []age.Recipient{own.Recipient()}, Keys: true, WithoutShares: without, Now: time.Now})
		if err != nil {
			return nil, rep, err
		}
		raw, err := os.ReadFile(to)
		must(err)
		opened, err := age.Decrypt(bytes.NewReader(raw), own)
		must(err)
		_, err = read(opened, func(Head) error { return nil }, func(name string, _ int64, _ io.Reader) error {
			names = append(names, name)
			return nil
		})
		must(err)
		return names, rep, nil
	}
	has := func(names []string, below string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, below+"/") })
	}
	where := "identities"
	for _, next := range []string{"identities", "vault/mine", filepath.Join(folder, "absolute")} {
		at := next
		if !filepath.IsAbs(at) {
			at = filepath.Join(folder, next)
		}
		must(os.MkdirAll(filepath.Dir(at), 0o700))
		if at != filepath.Join(folder, where) {
			must(os.Rename(filepath.Join(folder, where), at))
		}
		where, err = filepath.Rel(folder, at)
		must(err)
		lie(next)
		names, rep, err := archived(false)
		must(err)
		if !has(names, "share") || !has(names, filepath.ToSlash(where)) || !slices.Contains(names, "identity.key") || len(rep.LeftOut) != 0 {
			t.Errorf("%s: the keys are %q, without %q", next, names, rep.LeftOut)
		}
		names, rep, err = archived(true)
		must(err)
		if has(names, "share") || has(names, filepath.ToSlash(where)) || !slices.Contains(names, "identity.key") || len(rep.LeftOut) != 2 {
			t.Errorf("%s: without shares the keys are %q, without %q", next, names, rep.LeftOut)
		}
	}
	token := t.TempDir()
	must(os.CopyFS(filepath.Join(token, "ids"), os.DirFS(filepath.Join(folder, where))))
	must(os.RemoveAll(filepath.Join(folder, where)))
	must(os.Symlink(filepath.Join(token, "ids"), filepath.Join(folder, "linked")))
	lie("linked")
	if names, rep, err := archived(false); err != nil || has(names, "linked") || len(rep.LeftOut) != 1 || !strings.Contains(rep.LeftOut[0], "lies outside the folder") {
		t.Errorf("on a token: the keys are %q, without %q, %v", names, rep.LeftOut, err)
	}
	lie(".")
	if _, _, err := archived(true); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("identities among the other keys: %v", err)
	}
}
