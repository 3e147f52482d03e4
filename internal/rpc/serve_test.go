package rpc_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/rpc/rpctest"
)

// serveOnce serves a key holder until the returned stop is called, which waits
// for the end. Running calls then have the grace to finish, and much time to end when they
// are cut off.
func serveOnce(t *testing.T, h *holder, grace time.Duration) (client waypostv1connect.KeyHolderClient, stop func() time.Duration) {
	t.Helper()
	r := rpctest.New(t, rpctest.Ample, "CA")
	me := r.Party("keyholder-1")
	server := rpc.NewServer(r.View, slog.New(slog.DiscardHandler), nil)
	waypostv1connect.RegisterKeyHolderHandler(server, h)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r.Serve(me.Name, func(_ context.Context, l net.Listener) error {
		defer close(ended)
		return rpc.ServeFor(ctx, rpc.NewHTTPServer(rpc.Mount(server), roster.ServerTLS(me.Cert, r.View, roster.Gateway), slog.New(slog.DiscardHandler)), l, grace, 60*rpc.LastTime)
	})
	return waypostv1connect.NewKeyHolderClient(r.Dial("CA", "keyholder-1")), func() time.Duration {
		begun := time.Now()
		cancel()
		<-ended
		return time.Since(begun)
	}
}

// TestStop: a server that stops lets a running call finish, and does not wait
// for clients that keep their connection and ask nothing.
func TestStop(t *testing.T) {
	t.Parallel()
	h := &holder{}
	begun := make(chan struct{})
	h.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		close(begun)
		time.Sleep(300 * time.Millisecond)
		return &waypostv1.EvaluateResponse{}, nil
	})
	client, stop := serveOnce(t, h, 30*rpc.GraceTime)
	answer := make(chan error, 1)
	go func() {
		_, err := client.Evaluate(context.Background(), &waypostv1.EvaluateRequest{})
		answer <- err
	}()
	<-begun
	stop()
	if err := <-answer; err != nil {
		t.Errorf("a running call was cut off: %v", err)
	}

	h.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return &waypostv1.EvaluateResponse{}, nil
	})
	best := time.Hour
	for range 60 { // one of them while the machine is not too busy
		client, stop := serveOnce(t, h, rpc.GraceTime)
		if _, err := client.Evaluate(context.Background(), &waypostv1.EvaluateRequest{}); err != nil {
			t.Fatal(err)
		}
		if best = min(best, stop()); best < 500*time.Millisecond {
			return
		}
	}
	t.Errorf("with an idle client the server took %s to stop", best)
}

// TestStopCutsOff: a call that does not end is cut off, and has ended when the
// server has stopped: what it wrote is written.
func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	h := &holder{}
	begun, written := make(chan struct{}), false
	h.set(func(ctx context.Context, _ *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		close(begun)
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond)
		written = true
		return nil, ctx.Err()
	})
	client, stop := serveOnce(t, h, 100*time.Millisecond)
	go func() { _, _ = client.Evaluate(context.Background(), &waypostv1.EvaluateRequest{}) }()
	<-begun
	stop()
	if !written {
		t.Error("the server has stopped before its last call")
	}
}

// TestLimit: connections beyond the limit of one address are closed at once, and
// room is made by those that end.
func TestLimit(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := rpc.Limit(inner)
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	// One that is admitted stays open without a word from either side.
	admitted := func() (net.Conn, bool) {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return conn, false
		}
		_, err = conn.Read(make([]byte, 1))
		return conn, err == nil
	}
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			conn.Close()
		}
	}()
	for ok := true; ok; {
		var conn net.Conn
		if conn, ok = admitted(); len(open) > 300 {
			t.Fatal("there is no limit")
		}
		open = append(open, conn)
	}
	if len(open) != 257 {
		t.Errorf("connection %d was the first to be refused", len(open))
	}
	open[0].Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, ok := admitted()
		open = append(open, conn)
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a connection that was closed makes no room")
		}
	}
}
