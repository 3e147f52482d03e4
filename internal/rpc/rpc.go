// Package rpc carries the exchange's calls: Connect over HTTP/2 and mutual
// TLS 1.3, keys pinned by the roster. It knows members and errors, and nothing
// of what is said.
package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// MaxMessage bounds every request and response, in bytes. The largest honest
// one is a batch of sealed messages.
const MaxMessage = 2 << 20

type peerKey struct{}

// Peer returns the member who makes the call. It is set by the server's own
// interceptor before any handler runs.
func Peer(ctx context.Context) roster.Member {
	m, _ := ctx.Value(peerKey{}).(roster.Member)
	return m
}

// WithPeer notes which member makes a call that comes over no wire: in a
// simulation nothing else says so.
func WithPeer(ctx context.Context, member roster.Member) context.Context {
	return context.WithValue(ctx, peerKey{}, member)
}

// NewServer returns a dispatcher whose every call is made by a member that the
// roster names at this moment, judged again for each call, and whose errors are
// waypost errors. A panic becomes an internal error of that call alone. The
// observer, where there is one, is told of all.
func NewServer(view *roster.View, log *slog.Logger, observer Observer) *connect.Server {
	return connect.NewServer(ErrorsToWire(log), Observe(observer), requirePeer(view))
}

func requirePeer(view *roster.View) connect.ServerInterceptor {
	calls := watchMembers(view)
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			info, ok := connecthttp.ServerInfoForContext(ctx)
			if !ok || info.TLS() == nil {
				return waypost.Errorf(waypost.Unauthenticated, "this port speaks TLS with client certificates only")
			}
			member, err := view.Peer(info.TLS())
			if err != nil {
				return err
			}
			calledBy(ctx, member.Name)
			ctx, done := calls.begin(ctx, member, view)
			defer done()
			err = next(WithPeer(ctx, member), spec, stream)
			if removed, ok := errors.AsType[*waypost.Error](context.Cause(ctx)); ok {
				return removed
			}
			return err
		}
	}
}

// ErrorsToWire makes every error that leaves a server a waypost error, and
// contains panics. It comes first in the chain of interceptors.
func ErrorsToWire(log *slog.Logger) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) (err error) {
			defer func() {
				if p := recover(); p != nil {
					// The panic value may hold anything; only where it was is logged.
					log.Error("panic in a call", "procedure", spec.Procedure, "stack", string(debug.Stack()))
					err = toWire(waypost.Errorf(waypost.Internal, "internal error"))
				}
			}()
			err = next(ctx, spec, stream)
			if err == nil {
				return nil
			}
			if fault(err) && ctx.Err() == nil {
				log.Error("call failed", "procedure", spec.Procedure, "cause", causeText(err))
			}
			return toWire(err)
		}
	}
}

// causeText spells out the cause of an internal error for the local log.
func causeText(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		return err.Error() + ": " + cause.Error()
	}
	return err.Error()
}

// Mount returns the HTTP handler of a dispatcher.
func Mount(server *connect.Server) http.Handler {
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server, options()...)
	return mux
}

func options() []connecthttp.Option {
	return []connecthttp.Option{
		connecthttp.WithReadMaxBytes(MaxMessage),
		connecthttp.WithCompressors(), // nearly all that travels is random bytes
	}
}

// NewHTTPServer returns a server with limits on every time and size. Long polls
// bound their own wait, which is why there is no WriteTimeout.
func NewHTTPServer(handler http.Handler, config *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(handler, MaxMessage+64<<10),
		TLSConfig:         config,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// Dial returns a client of one member. Nothing is connected until the first
// call.
func Dial(cert tls.Certificate, view *roster.View, member roster.Member) *connect.Client {
	config := roster.ClientTLS(cert, view, member.Name)
	if len(member.Also) == 0 {
		return NewClient(config, member.URL)
	}
	transport := newTransport(config)
	transport.DialTLSContext = roster.DialTLS(config, member.URLs())
	return clientOver(again{transport}, member.URL)
}

// NewClient returns a client of the server at url over the TLS configuration.
func NewClient(config *tls.Config, url string) *connect.Client {
	return clientOver(newTransport(config), url)
}

func newTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:     config,
		ForceAttemptHTTP2:   true,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     2 * time.Minute,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

func clientOver(transport http.RoundTripper, url string) *connect.Client {
	return connect.NewClient(
		connecthttp.NewTransport(&http.Client{Transport: transport}, url, options()...), errorsFromWire)
}
