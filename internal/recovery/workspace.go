package recovery

import (
	"errors"
	"os"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// workspace is an empty folder that one run has for itself, for copies of databases and
// keys in clear. What a run that was killed left in it goes with the next one's.
type workspace struct {
	dir  string
	lock *os.File
}

func newWorkspace(dir string) (*workspace, error) {
	lock, err := lockedAt(dir + ".lock")
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "another backup or restore of this folder is at work: wait for it").WithCause(err)
	}
	w := &workspace{dir, lock}
	err = os.RemoveAll(dir)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// lockedAt locks the file that has this name: not one that its last owner took away when
// it was opened already.
func lockedAt(path string) (*os.File, error) {
	for {
		lock, err := store.LockFile(path)
		if err != nil {
			return nil, err
		}
		mine, err := lock.Stat()
		if err == nil {
			var named os.FileInfo
			if named, err = os.Stat(path); err == nil && os.SameFile(mine, named) {
				return lock, nil
			}
		}
		if closeErr := lock.Close(); closeErr != nil || !errors.Is(err, os.ErrNotExist) && err != nil {
			return nil, errors.Join(err, closeErr)
		}
	}
}

func (w *workspace) close() error {
	err := os.RemoveAll(w.dir)
	_ = os.Remove(w.lock.Name()) // where a file that is open cannot be removed it stays, and is in nobody's way
	return errors.Join(err, w.lock.Close())
}
