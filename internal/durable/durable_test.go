package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/internal/durable"
)

// TestWriteFile: the new content in the place of the old, for the owner alone, and
// nothing else left beside it; where it cannot be written the old one stays.
func TestWriteFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(folder, "file")
	for _, content := range []string{"first", "second"} {
		if err := durable.WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || os.PathSeparator == '/' && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(folder, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(filepath.Join(folder, "taken"), nil); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("%v are there, %v", entries, err)
	}
	if err := durable.SyncFolder(filepath.Join(folder, "nothing")); err == nil {
		t.Error("a folder that is not there was synced")
	}
	if err := durable.SyncTree(filepath.Dir(folder)); err != nil {
		t.Error(err)
	}
	if err := durable.SyncTree(filepath.Join(folder, "nothing")); err == nil {
		t.Error("folders that are not there were synced")
	}
}
