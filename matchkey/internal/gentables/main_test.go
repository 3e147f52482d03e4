package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/matchkey/internal/freq"
)

// TestCommittedTables makes the tables again and compares: what is embedded is
// what the public data say, and nobody has edited it.
func TestCommittedTables(t *testing.T) {
	tables, nicknames, err := generate(sharedData(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range tables {
		if got := maps.Collect(freq.Get(name).All()); !maps.Equal(got, want) {
			t.Errorf("table %s differs from the public data: run go generate ./matchkey and raise the profile", name)
		}
	}
	committed, err := os.ReadFile(filepath.Join("..", "..", "nicknames.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, nicknames) {
		t.Error("nicknames.txt differs from the public data: run go generate ./matchkey and raise the profile")
	}
}

// sharedData finds the folder of public data: WAYPOST_DATA, or shared/data
// beside any folder above this one.
func sharedData(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("WAYPOST_DATA"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, "shared", "data")); err == nil && info.IsDir() {
			return filepath.Join(dir, "shared", "data")
		}
	}
	t.Skip("needs the public name data: no shared/data above this folder, and WAYPOST_DATA is not set")
	return ""
}
