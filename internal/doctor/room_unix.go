//go:build linux || darwin

package doctor

import "golang.org/x/sys/unix"

// room returns the free and all bytes of the disk that a path lies on, for this user.
func room(path string) (free, all uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize)
	return s.Bavail * block, s.Blocks * block, nil
}
