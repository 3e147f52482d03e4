package store

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock locks an open file at once, alone or beside others who do not want it alone; taken
// says that somebody else has it.
func lock(f *os.File, alone bool) (taken bool, err error) {
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if alone {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	return err == windows.ERROR_LOCK_VIOLATION, err
}
