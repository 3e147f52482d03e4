package store

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// answerLimit is for how long what was sent may stay without a sign that it has
// arrived: keepalives do not count while anything is under way. A long statement is no
// such silence.
const answerLimit = 15 * time.Second

// impatient has the system end a connection whose other end is gone without a word.
func impatient(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(answerLimit.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}
