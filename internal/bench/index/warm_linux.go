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
	if err := readPages(f, info.Size()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
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

// readPages reads what is not in memory yet, into pages of 4 KiB. Read ahead, as mlock
// itself would do it, newer kernels take pieces of up to 2 MiB, and where 4 KiB are written
// into such a piece ext4 looks at each block of it: a published record then takes twice the
// processor time. Reads of a database, all over the file, make small pages.
func readPages(f int, size int64) error {
	if err := unix.Fsync(f); err != nil {
		return err
	}
	for _, advice := range []int{unix.FADV_DONTNEED, unix.FADV_RANDOM} {
		if err := unix.Fadvise(f, 0, 0, advice); err != nil {
			return err
		}
	}
	piece := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(piece)) {
		if _, err := unix.Pread(f, piece, at); err != nil {
			return err
		}
	}
	return nil
}
