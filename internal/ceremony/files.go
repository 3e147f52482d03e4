package ceremony

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/waypost/waypost/internal/durable"
)

// gone begins the names of files that are being destroyed.
const gone = ".gone-"

// destroy overwrites a file, as far as the disk does that in place, and removes it.
// It loses its name first: what is half overwritten is nobody's file after a power
// cut, and [finish] goes on. One that is not there is destroyed already.
func destroy(path string) error {
	folder, name := filepath.Split(path)
	dying := filepath.Join(folder, gone+name)
	err := os.Rename(path, dying)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err = errors.Join(err, durable.SyncFolder(filepath.Clean(folder))); err != nil {
		return err
	}
	return overwrite(dying)
}

// finish destroys what was being destroyed in a folder.
func finish(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), gone) {
			err = errors.Join(err, overwrite(filepath.Join(folder, e.Name())))
		}
	}
	return err
}

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	noise := make([]byte, info.Size())
	_, _ = rand.Read(noise) // never fails (Go 1.24)
	_, err = f.Write(noise)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), durable.SyncFolder(filepath.Dir(path)))
}
