package store

import (
	"fmt"
	"os"
	"time"
)

// Who looks whether a file is locked ([isLocked]) has it for an instant, in which a
// process that starts is not to be told that another one runs.
const (
	lockTries = 6
	lockPause = 50 * time.Millisecond
)

// lockFile makes the file if need be and locks it until it is closed or the process
// ends. Not the database itself: on some systems this kind of lock and SQLite's own
// exclude each other.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	for try := 1; ; try++ {
		taken, err := lock(f, true)
		if err == nil {
			return f, nil
		}
		if !taken || try == lockTries {
			f.Close()
			return nil, inUse(path, taken, err)
		}
		time.Sleep(lockPause)
	}
}

// isLocked reports whether a process has the lock file, and does not make one.
func isLocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() // and so gives it free again
	taken, _ := lock(f, false)
	return taken
}
