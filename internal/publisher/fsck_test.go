package publisher

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// fsckProgram finds the checker of tessera, another implementation.
func fsckProgram(t testing.TB) string {
	if name := os.Getenv("WAYPOST_FSCK"); name != "" {
		return name
	}
	if name, err := filepath.Abs("../../bin/fsck"); err == nil {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	// Many systems have another program of this name, for disks.
	if name, err := exec.LookPath("fsck"); err == nil {
		if help, _ := exec.Command(name, "--help").CombinedOutput(); bytes.Contains(help, []byte("storage_url")) {
			return name
		}
	}
	return ""
}

// fsck has tessera's checker read the log as a client does: every tile, every
// entry, the signature. It must accept the log, and not once a leaf is altered.
func fsck(t *testing.T, r *rig) {
	t.Helper()
	program := fsckProgram(t)
	if program == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("tessera's fsck is not there: make tools, or set WAYPOST_FSCK")
		}
		t.Log("not checked with tessera's fsck: it is not there")
		return
	}
	if out, err := runFsck(t, program, r, 5*time.Minute); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	bundle := r.folder() + "/tile/entries/001"
	content, err := os.ReadFile(bundle)
	must(t, err)
	altered := bytes.Clone(content)
	altered[40] ^= 1
	must(t, os.WriteFile(bundle, altered, 0o644))
	// It says nothing then and waits for better data, for ever.
	if _, err := runFsck(t, program, r, 2*time.Second); err == nil {
		t.Error("fsck accepts an altered leaf")
	}
	must(t, os.WriteFile(bundle, content, 0o644))
}

func runFsck(t *testing.T, program string, r *rig, limit time.Duration) ([]byte, error) {
	server := httptest.NewServer(Handler(r.dir))
	defer server.Close()
	vkey, err := note.NewEd25519VerifierKey(origin, logPublic())
	must(t, err)
	key := filepath.Join(t.TempDir(), "key.pub")
	must(t, os.WriteFile(key, []byte(vkey), 0o600))
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return exec.CommandContext(limited, program, "--storage_url="+server.URL+"/log/hub/1/", "--public_key="+key, "--origin="+origin, "--ui=false").CombinedOutput()
}
