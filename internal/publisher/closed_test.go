package publisher

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
)

// TestDeclared: what a log says about its predecessor is published, and again where
// somebody has taken it away.
func TestDeclared(t *testing.T) {
	r := newRig(t)
	r.source.declared = []journal.Declared{{Log: 7, Opened: []byte(`{"kind":"successor"}`)}}
	r.source.append(3)
	p := r.open()
	for range 2 {
		r.flush(p)
		if got, err := os.ReadFile(filepath.Join(r.folder(), "successor", "7")); err != nil || string(got) != string(r.source.declared[0].Opened) {
			t.Fatalf("%q, %v", got, err)
		}
		must(t, os.Remove(filepath.Join(r.folder(), "successor", "7")))
		r.source.append(1)
	}
}

// TestLay: of a closed log, what came back is there for readers, without a checkpoint; a
// folder that has all that the world has seen stays as it is.
func TestLay(t *testing.T) {
	r := newRig(t)
	r.source.append(700)
	p := r.open()
	r.flush(p)
	whole := r.check().Tree
	c := Config{Origin: origin, Dir: r.dir}
	if kept, err := Lay(t.Context(), c, r.source, whole, whole.N, slog.New(slog.DiscardHandler)); err != nil || !kept {
		t.Fatalf("a folder with everything in it: %v, %v", kept, err)
	}
	r.check()

	older := &memory{rows: r.source.rows[:600]}
	e := new(edge)
	for _, row := range older.rows {
		must(t, e.add(tlog.RecordHash(row.Leaf), func(tlog.Tile, []byte) error { return nil }))
	}
	root, err := e.root()
	must(t, err)
	tree := tlog.Tree{N: 600, Hash: root}
	if _, err := Lay(t.Context(), Config{Origin: origin, Dir: t.TempDir()}, older, tlog.Tree{N: 600}, 700, slog.New(slog.DiscardHandler)); !errors.Is(err, errContradicts) {
		t.Errorf("a tree that is not that of the entries: %v", err)
	}
	for _, dir := range []string{t.TempDir(), r.dir} { // where nothing is left, and where too little is
		c.Dir = dir
		for range 2 {
			if kept, err := Lay(t.Context(), c, older, tree, 900, slog.New(slog.DiscardHandler)); err != nil || kept {
				t.Fatal(kept, err)
			}
			f := openFolder(filepath.Join(dir, "hub", "1"), nil)
			must(t, checkTree(f, tree))
			for _, name := range []string{"checkpoint", "signed"} {
				if _, err := f.read(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there: %v", name, err)
				}
			}
		}
	}
}
