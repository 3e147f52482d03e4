package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLookedAt: who looks at the moment in which a process starts does not keep it from
// starting; who has the file does.
func TestLookedAt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.lock")
	must(t, os.WriteFile(path, nil, 0o600))
	looker, err := os.Open(path)
	must(t, err)
	_, err = lock(looker, false)
	must(t, err)
	time.AfterFunc(lockPause/2, func() { looker.Close() })
	f, err := lockFile(path)
	if err != nil {
		t.Fatalf("a file that was looked at cannot be locked: %v", err)
	}
	if other, err := lockFile(path); !errors.Is(err, errInUse) {
		t.Errorf("locked twice: %v, %v", other, err)
	}
	if !isLocked(path) {
		t.Error("nobody seems to have the file")
	}
	must(t, f.Close())
	// A process that another test is just starting has our open files until it runs.
	eventually(t, func() bool { return !isLocked(path) })
}
