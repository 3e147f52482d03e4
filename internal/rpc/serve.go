package rpc

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// graceTime is how long running calls may take to finish at the end.
	graceTime = 2 * time.Second
	// lastTime is how long those may take that are cut off then.
	lastTime = time.Second
	// settled is for how long no connection has a call before all are closed: the
	// last bytes of an answer are on their way when its call is over.
	settled = 50 * time.Millisecond
	// How many connections there may be, and from one address. A stranger who
	// opens more than that shall not take the files that the role needs.
	maxConns        = 2048
	maxAddressConns = 256
)

// Serve answers on the listener until the context ends, then lets running calls
// finish for a moment.
func Serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	return serve(ctx, server, listener, graceTime, lastTime)
}

func serve(ctx context.Context, server *http.Server, listener net.Listener, finish, cutOff time.Duration) error {
	calls := countCalls(server)
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(Limit(listener), "", "") }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), finish)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Shutdown(grace) // what it leaves is closed below
	}()
	// Shutdown alone would wait a second for each client that keeps an HTTP/2
	// connection, though nothing is asked in it.
	calls.settle(done)
	_ = server.Close()
	for end := time.Now().Add(cutOff); calls.running.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// calls knows which connections have a call in them.
type calls struct {
	running atomic.Int64 // handlers
	mu      sync.Mutex
	active  map[net.Conn]struct{}
}

func countCalls(server *http.Server) *calls {
	c := &calls{active: make(map[net.Conn]struct{})}
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.running.Add(1)
		defer c.running.Add(-1)
		handler.ServeHTTP(w, r)
	})
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if state == http.StateActive {
			c.active[conn] = struct{}{}
		} else {
			delete(c.active, conn)
		}
	}
	return c
}

// settle waits until no connection has had a call for a moment, or done.
func (c *calls) settle(done <-chan struct{}) {
	tick := time.NewTicker(settled / 10)
	defer tick.Stop()
	for since := time.Now(); time.Since(since) < settled; {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		if len(c.active) > 0 {
			since = time.Now()
		}
		c.mu.Unlock()
	}
}

// Limit closes connections at once beyond a number, and beyond a smaller one
// from the same address: in IPv6 the same network of a subscriber, 64 bits.
func Limit(listener net.Listener) net.Listener {
	return &limited{Listener: listener, from: make(map[netip.Prefix]int)}
}

type limited struct {
	net.Listener
	mu   sync.Mutex
	open int
	from map[netip.Prefix]int
}

// Accept returns the next connection within the limits.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := source(conn.RemoteAddr())
		if l.take(from) {
			return &counted{Conn: conn, release: sync.OnceFunc(func() { l.release(from) })}, nil
		}
		_ = conn.Close()
	}
}

func (l *limited) take(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= maxConns || l.from[from] >= maxAddressConns {
		return false
	}
	l.open++
	l.from[from]++
	return true
}

func (l *limited) release(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
}

// source is where a connection comes from; addresses that are no IP address
// are one.
func source(addr net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	from, _ := ip.Prefix(bits) // both lengths are possible
	return from
}

// counted is a connection that makes room when it is closed.
type counted struct {
	net.Conn
	release func()
}

// Close closes the connection.
func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
