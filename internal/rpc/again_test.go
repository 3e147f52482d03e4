package rpc_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/loopback"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/rpc/rpctest"
)

// twin is one of two processes of a hub.
type twin struct {
	waypostv1connect.HubHandler
	calls atomic.Int32
	does  func(ctx context.Context) error
}

func (h *twin) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	h.calls.Add(1)
	if h.does != nil {
		if err := h.does(ctx); err != nil {
			return nil, err
		}
	}
	return &waypostv1.SearchResponse{Candidates: req.Tokens}, nil
}

// twins serves a hub at two addresses and returns a client, what ends the first
// process, and what begins the second: a client that is kept waiting tries both, so
// that on a busy machine nobody knows which one it asks while there are two. Without a
// process an address accepts connections and nothing more comes of them.
func twins(t *testing.T, first, second *twin) (hub waypostv1connect.HubClient, stop, next func()) {
	t.Helper()
	x := rpctest.New(t, rpctest.Ample, "CA")
	me := x.Party("hub")
	listener, err := loopback.Listen()
	if err != nil {
		t.Fatal(err)
	}
	x.Update(func(r *roster.Roster) {
		for i := range r.Members {
			if m := &r.Members[i]; m.Role == roster.Hub {
				m.Public = "https://127.0.0.1:1"
				m.Also = []roster.Doors{{URL: "https://" + listener.Addr().String(), Public: "https://127.0.0.1:2"}}
			}
		}
	})
	serve := func(h *twin) func(ctx context.Context, l net.Listener) error {
		return func(ctx context.Context, l net.Listener) error {
			server := rpc.NewServer(x.View, slog.New(slog.DiscardHandler), nil)
			waypostv1connect.RegisterHubHandler(server, h)
			return rpc.Serve(ctx, rpc.NewHTTPServer(rpc.Mount(server), roster.ServerTLS(me.Cert, x.View, roster.Gateway), slog.New(slog.DiscardHandler)), l)
		}
	}
	if first != nil {
		stop = x.Serve("hub", serve(first))
	} else {
		still := me.Listener
		t.Cleanup(func() { still.Close() })
	}
	next = func() {
		me.Listener = listener
		x.Serve("hub", serve(second))
	}
	return waypostv1connect.NewHubClient(x.Dial("CA", "hub")), stop, next
}

func ask(ctx context.Context, hub waypostv1connect.HubClient) error {
	res, err := hub.Search(ctx, &waypostv1.SearchRequest{Tokens: []byte("tokens")})
	if err == nil && string(res.Candidates) != "tokens" {
		return errors.New("another answer")
	}
	return err
}

// TestTwins: when one of two processes ends, the other is asked.
func TestTwins(t *testing.T) {
	t.Parallel()
	var first, second twin
	hub, stop, next := twins(t, &first, &second)
	for range 3 {
		if err := ask(t.Context(), hub); err != nil {
			t.Fatal(err)
		}
	}
	next()
	stop()
	for range 3 {
		if err := ask(t.Context(), hub); err != nil {
			t.Fatal(err)
		}
	}
	if first.calls.Load() != 3 || second.calls.Load() != 3 {
		t.Errorf("the first was asked %d times, the second %d times", first.calls.Load(), second.calls.Load())
	}
}

// TestTwinsBreakOff: a call that breaks off is made again, at the other one if need
// be; a refusal is an answer.
func TestTwinsBreakOff(t *testing.T) {
	t.Parallel()
	broken := make(chan struct{})
	first := twin{does: func(ctx context.Context) error { close(broken); <-ctx.Done(); return ctx.Err() }}
	var second twin
	hub, stop, next := twins(t, &first, &second)
	done := make(chan error, 1)
	go func() { done <- ask(t.Context(), hub) }()
	<-broken
	next()
	stop()
	if err := <-done; err != nil || second.calls.Load() != 1 {
		t.Errorf("%v; the second was asked %d times", err, second.calls.Load())
	}
	second.does = func(context.Context) error { return waypost.Errorf(waypost.QuotaExceeded, "enough") }
	if err := ask(t.Context(), hub); waypost.CodeOf(err) != waypost.QuotaExceeded || second.calls.Load() != 2 {
		t.Errorf("%v; the second was asked %d times", err, second.calls.Load())
	}
}

// TestTwinStandsStill: a process that accepts connections and does nothing more is
// passed over.
func TestTwinStandsStill(t *testing.T) {
	t.Parallel()
	var second twin
	hub, _, next := twins(t, nil, &second)
	next()
	began := time.Now()
	if err := ask(t.Context(), hub); err != nil || second.calls.Load() != 1 {
		t.Errorf("%v after %v; the second was asked %d times", err, time.Since(began), second.calls.Load())
	}
}
