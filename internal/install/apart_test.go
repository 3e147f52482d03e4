package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// TestApart: in production a key holder does not start with its share and the identity
// that opens it in one folder, unless its settings say so in words.
func TestApart(t *testing.T) {
	dir := create(t)
	folder := FolderOf(dir, "keyholder-1")
	open := func() error {
		r, err := Open(t.Context(), folder, time.Now, quiet)
		if err == nil {
			must(t, r.Close())
		}
		return err
	}
	setIdentities := func(path string) {
		raw, err := os.ReadFile(filepath.Join(folder, "config.json"))
		must(t, err)
		var c map[string]any
		must(t, json.Unmarshal(raw, &c))
		c["share_identities"] = path
		raw, err = json.Marshal(c)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(folder, "config.json"), raw, 0o600))
	}
	must(t, open()) // in a test environment that is the default

	signed, err := os.ReadFile(rosterFile(folder, 1))
	must(t, err)
	r, err := roster.Read(signed)
	must(t, err)
	r.Environment = waypost.Prod
	secret, err := os.ReadFile(filepath.Join(dir, "governance", "governance.key"))
	must(t, err)
	officer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	must(t, err)
	signed, err = r.Sign(officer)
	must(t, err)
	must(t, os.WriteFile(rosterFile(folder, 1), signed, 0o600))
	if err := open(); waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), "set share_identities to a folder on another disk") {
		t.Fatalf("share and identity lie in one folder by default: %v", err)
	}

	elsewhere := filepath.Join(t.TempDir(), "token")
	must(t, os.Rename(filepath.Join(folder, "identities"), elsewhere))
	setIdentities(elsewhere)
	must(t, open())
	must(t, os.Rename(elsewhere, filepath.Join(folder, "identities")))
	if err := open(); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("without the identity the share opens: %v", err)
	}
	setIdentities("identities") // in words
	must(t, open())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
