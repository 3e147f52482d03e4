package index

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// holdFile keeps what the file has now in memory until release is called: some systems take
// away within seconds what has not been read lately, and then it is the disk that is
// measured. It needs the right to lock so much (CAP_IPC_LOCK, or ulimit -l).
func holdFile(path string) (release func() error, err error) {
	// Never closed: that would take SQLite's locks from the file, which belong to the process.
	f, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	pages, err := unix.Mmap(f, 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", path, err)
	}
	if err := unix.Mlock(pages); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %d bytes of %s into memory; run as root or with a larger ulimit -l, or without --warm: %w", len(pages), path, err), unix.Munmap(pages))
	}
	return func() error { return unix.Munmap(pages) }, nil
}
