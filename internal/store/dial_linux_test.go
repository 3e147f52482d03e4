package store

import (
	"context"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSilentServer: the system ends a connection to a server that is gone without a
// word long before a reader's own limit.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	p, err := openPostgres("postgres://u:p@"+l.Addr().String()+"/d?sslmode=disable", "test", false)
	must(t, err)
	c, err := p.config.DialFunc(context.Background(), "tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	got := 0
	must(t, raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }))
	if err != nil || got != int(answerLimit.Milliseconds()) {
		t.Errorf("unacknowledged data may wait %d ms: %v", got, err)
	}
}
