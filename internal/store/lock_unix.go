//go:build unix

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock locks an open file at once, alone or beside others who do not want it alone; taken
// says that somebody else has it.
func lock(f *os.File, alone bool) (taken bool, err error) {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	return err == unix.EWOULDBLOCK, err
}
