package follow

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/internal/durable"
)

// Folder returns a function that puts objects into the folder of a published
// log, for [Deps]: each is on disk, whole and under its name, when it returns
// nil. Names of unfinished files begin with a dot and are never served.
func Folder(dir string) func(path string, content []byte) error {
	return func(path string, content []byte) (err error) {
		if !filepath.IsLocal(filepath.FromSlash(path)) {
			return errors.New("follow: an object outside the folder of its log")
		}
		name := filepath.Join(dir, filepath.FromSlash(path))
		parent := filepath.Dir(name)
		if err := os.MkdirAll(parent, 0o755); err != nil { //nolint:gosec // published: others read it
			return err
		}
		temporary := filepath.Join(parent, "."+filepath.Base(name)+".tmp")
		if err := writeSynced(temporary, content); err != nil {
			return err
		}
		if err := os.Rename(temporary, name); err != nil {
			return err
		}
		return durable.SyncFolder(parent)
	}
}

func writeSynced(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // published: others read it
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
