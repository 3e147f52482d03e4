package publisher

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/store"
)

// syncs is how many files are brought to disk at once: a file system's journal
// commits them together, so this is several times faster than one by one.
const syncs = 16

// Fault is asked before every change of a file ("write <path>", "rename
// <path>", "sync", "remove <path>"); an error is what the disk would say.
// For tests.
type Fault func(step string) error

// folder is the place of one log on disk. Paths are relative and use slashes.
// It is not safe for concurrent changes.
type folder struct {
	root  string
	fault Fault
	known map[string]bool // folders that are there
}

func openFolder(root string, fault Fault) *folder {
	if fault == nil {
		fault = func(string) error { return nil }
	}
	return &folder{root: root, fault: fault, known: make(map[string]bool)}
}

func (f *folder) name(path string) string { return filepath.Join(f.root, filepath.FromSlash(path)) }

func (f *folder) read(path string) ([]byte, error) { return os.ReadFile(f.name(path)) }

// list returns the names of the files in a folder, none where it is not there.
func (f *folder) list(path string) ([]string, error) {
	entries, err := os.ReadDir(f.name(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// remove deletes a file or an empty folder that is no longer needed.
func (f *folder) remove(path string) error {
	if err := f.fault("remove " + path); err != nil {
		return err
	}
	delete(f.known, path)
	if err := os.Remove(f.name(path)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write replaces one file; it is on disk afterwards.
func (f *folder) write(path string, content []byte) error {
	b := f.batch()
	if err := b.put(path, content); err != nil {
		return errors.Join(err, b.abandon())
	}
	return b.commit()
}

// A batch is a set of files that are on disk, whole and under their names,
// when commit has returned nil. A reader sees each file whole or not at all.
type batch struct {
	*folder
	group errgroup.Group
	paths []string
	dirs  map[string]bool // whose listing has changed
}

func (f *folder) batch() *batch {
	b := &batch{folder: f, dirs: make(map[string]bool)}
	b.group.SetLimit(syncs)
	return b
}

// put begins to write a file beside its place. It keeps content.
func (b *batch) put(path string, content []byte) error {
	if err := b.fault("write " + path); err != nil {
		return err
	}
	if err := b.mkdir(path); err != nil {
		return err
	}
	b.paths = append(b.paths, path)
	name := b.name(temporary(path))
	b.group.Go(func() error { return writeSynced(name, content) })
	return nil
}

// temporary is the name under which a file is written: always the same one, so
// that what a crash leaves behind is overwritten, and never one that is served.
func temporary(p string) string {
	return path.Join(path.Dir(p), "."+path.Base(p)+".tmp")
}

func writeSynced(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // published: others read it
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// mkdir makes the folder of a file; the folders above whose listing changes
// by that are remembered, to be brought to disk with the files.
func (b *batch) mkdir(p string) error {
	dir := path.Dir(p)
	b.dirs[dir] = true
	if b.known[dir] {
		return nil
	}
	if err := os.MkdirAll(b.name(dir), 0o755); err != nil { //nolint:gosec // published: others read it
		return err
	}
	for ; dir != "." && !b.known[dir]; dir = path.Dir(dir) {
		b.dirs[path.Dir(dir)] = true
	}
	return nil
}

// commit gives the files their names, in the order of put.
func (b *batch) commit() error {
	err := b.rename()
	if err != nil {
		clear(b.known) // perhaps somebody has removed a folder
	}
	return err
}

func (b *batch) rename() error {
	if err := b.group.Wait(); err != nil {
		return err
	}
	for _, p := range b.paths {
		if err := b.fault("rename " + p); err != nil {
			return err
		}
		if err := os.Rename(b.name(temporary(p)), b.name(p)); err != nil {
			return err
		}
	}
	if err := b.fault("sync"); err != nil {
		return err
	}
	for dir := range b.dirs {
		b.group.Go(func() error { return durable.SyncFolder(b.name(dir)) })
	}
	if err := b.group.Wait(); err != nil {
		return err
	}
	for dir := range b.dirs {
		b.known[dir] = true
	}
	return nil
}

// abandon removes what was begun; nothing gets its name.
func (b *batch) abandon() error {
	err := b.group.Wait()
	clear(b.known)
	for _, p := range b.paths {
		err = errors.Join(err, b.remove(temporary(p)))
	}
	return err
}

// lockFolder locks the folder of a log among processes, until the file is closed or
// the process ends.
func lockFolder(root string) (*os.File, error) {
	if err := os.MkdirAll(root, 0o755); err != nil { //nolint:gosec // published: others read it
		return nil, err
	}
	return store.LockFile(filepath.Join(root, ".lock"))
}

// hidden reports whether a file is none of the log's objects.
func hidden(name string) bool { return strings.HasPrefix(name, ".") }
