package rpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/rpc/rpctest"
)

// holder is a key holder that does what the test says.
type holder struct {
	mu   sync.Mutex
	does func(ctx context.Context, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error)
}

func (h *holder) Evaluate(ctx context.Context, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	h.mu.Lock()
	does := h.does
	h.mu.Unlock()
	return does(ctx, req)
}

func (h *holder) set(does func(ctx context.Context, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.does = does
}

func (h *holder) fails(err error) {
	h.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return nil, err
	})
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type rig struct {
	*rpctest.Exchange
	calls
	holder holder
	log    syncBuffer
	client waypostv1connect.KeyHolderClient // CA's
}

func newRig(t *testing.T) *rig {
	r := &rig{Exchange: rpctest.New(t, rpctest.Ample, "CA", "NV")}
	log := slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server := rpc.NewServer(r.View, log, r.observe)
	waypostv1connect.RegisterKeyHolderHandler(server, &r.holder)
	me := r.Party("keyholder-1")
	r.Serve(me.Name, func(ctx context.Context, l net.Listener) error {
		return rpc.Serve(ctx, rpc.NewHTTPServer(rpc.Mount(server), roster.ServerTLS(me.Cert, r.View, roster.Gateway), log), l)
	})
	r.client = waypostv1connect.NewKeyHolderClient(r.Dial("CA", "keyholder-1"))
	return r
}

func (r *rig) call(ctx context.Context) error {
	_, err := r.client.Evaluate(ctx, &waypostv1.EvaluateRequest{})
	return err
}

// Every code crosses the wire with its words, and nothing else does.
func TestErrorsCross(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := errors.New("the cause names Ines Okonkwo")
	for _, code := range []waypost.Code{
		waypost.InvalidArgument, waypost.Unauthenticated, waypost.PermissionDenied, waypost.Expired, waypost.AlreadyExists, waypost.NotFound,
		waypost.QuotaExceeded, waypost.Unavailable, waypost.KeyRetired, waypost.Misuse,
	} {
		r.holder.fails(waypost.Errorf(code, "in words: %s", code).WithCause(secret))
		err := r.call(t.Context())
		if waypost.CodeOf(err) != code || err.Error() != "in words: "+string(code) {
			t.Errorf("%s arrives as %s: %v", code, waypost.CodeOf(err), err)
		}
		if strings.Contains(chain(err), "Ines") {
			t.Errorf("%s: the cause crossed the wire", code)
		}
	}
	if r.log.String() != "" {
		t.Errorf("a refusal is no fault of the server: %s", r.log.String())
	}
	for name, failure := range map[string]error{
		"any other error": errors.New("disk 7 is full"), "internal": waypost.Errorf(waypost.Internal, "disk 7 is full"),
	} {
		r.holder.fails(failure)
		err := r.call(t.Context())
		if waypost.CodeOf(err) != waypost.Internal || strings.Contains(err.Error(), "disk") {
			t.Errorf("%s arrives as %v", name, err)
		}
	}
	if strings.Count(r.log.String(), "disk 7 is full") != 2 {
		t.Errorf("the log does not name the fault: %s", r.log.String())
	}
}

// chain is all that an error and its causes say.
func chain(err error) string {
	switch e := err.(type) {
	case nil:
		return ""
	case interface{ Unwrap() []error }:
		said := err.Error()
		for _, cause := range e.Unwrap() {
			said += ": " + chain(cause)
		}
		return said
	}
	return err.Error() + ": " + chain(errors.Unwrap(err))
}

func TestPanicIsContained(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.holder.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		panic("Ines Okonkwo, born 1988-04-09")
	})
	err := r.call(t.Context())
	if waypost.CodeOf(err) != waypost.Internal || strings.Contains(err.Error(), "Ines") {
		t.Errorf("a panic arrives as %v", err)
	}
	if log := r.log.String(); strings.Contains(log, "Ines") || !strings.Contains(log, "TestPanicIsContained") {
		t.Errorf("the log says where, and never what: %s", log)
	}
	r.holder.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return &waypostv1.EvaluateResponse{}, nil
	})
	if err := r.call(t.Context()); err != nil {
		t.Errorf("the server is down after a panic: %v", err)
	}
}

// The framework quotes what it cannot decode. None of that leaves the process
// or reaches its log.
func TestMalformedRequestIsNotQuoted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	member, _ := r.View.Member("keyholder-1")
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: roster.ClientTLS(r.Party("CA").Cert, r.View, "keyholder-1")}}
	defer plain.CloseIdleConnections()
	for name, c := range map[string]struct{ contentType, body string }{
		"wrong type":     {"application/json", `{"ticket": {"Okonkwo": 1}}`},
		"not JSON":       {"application/json", `Okonkwo`},
		"not protobuf":   {"application/proto", "Okonkwo"},
		"cut protobuf":   {"application/proto", "\x0a\x7fOkonkwo"},
		"cut gRPC frame": {"application/grpc+proto", "\x00\x00\x00\x00\x7fOkonkwo"},
	} {
		res, err := plain.Post(member.URL+"/waypost.v1.KeyHolder/Evaluate", c.contentType, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		said := string(body) + res.Trailer.Get("Grpc-Message") + res.Header.Get("Grpc-Message")
		if strings.Contains(said, "Okonkwo") || !strings.Contains(said, "cannot be read") {
			t.Errorf("%s: status %d, %s", name, res.StatusCode, said)
		}
	}
	if log := r.log.String(); log != "" {
		t.Errorf("logged: %s", log)
	}
}

// A request that is too large can never succeed: it must not look like a party
// that is down, which would be tried for ever.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.holder.fails(waypost.Errorf(waypost.Misuse, "the handler ran"))
	if _, err := r.client.Evaluate(t.Context(), &waypostv1.EvaluateRequest{Elements: make([]byte, rpc.MaxMessage-100)}); waypost.CodeOf(err) != waypost.Misuse {
		t.Errorf("just below the limit: %v", err)
	}
	for _, n := range []int{rpc.MaxMessage + 1, 3 * rpc.MaxMessage} {
		_, err := r.client.Evaluate(t.Context(), &waypostv1.EvaluateRequest{Elements: make([]byte, n)})
		if waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	r.holder.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return &waypostv1.EvaluateResponse{Elements: make([]byte, rpc.MaxMessage+1)}, nil
	})
	if err := r.call(t.Context()); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("an answer that is too large: %v", err)
	}
}

// Membership is judged for each call, on a connection that stays open.
func TestMemberRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.holder.set(func(ctx context.Context, _ *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return &waypostv1.EvaluateResponse{Elements: []byte(rpc.Peer(ctx).Name)}, nil
	})
	nevada := waypostv1connect.NewKeyHolderClient(r.Dial("NV", "keyholder-1"))
	for _, c := range []struct {
		client waypostv1connect.KeyHolderClient
		want   string
	}{{r.client, "CA"}, {nevada, "NV"}} {
		res, err := c.client.Evaluate(t.Context(), &waypostv1.EvaluateRequest{})
		if err != nil || string(res.Elements) != c.want {
			t.Fatalf("peer %q, %v, want %s", res.GetElements(), err, c.want)
		}
	}
	r.Remove("NV")
	_, err := nevada.Evaluate(t.Context(), &waypostv1.EvaluateRequest{})
	if code := waypost.CodeOf(err); code != waypost.Unauthenticated && code != waypost.Unavailable {
		t.Errorf("a removed member: %v", err)
	}
	if err := r.call(t.Context()); err != nil {
		t.Errorf("the others: %v", err)
	}
}

// Neither a stranger nor a member in another role gets as far as a handler.
// A call that waits ends when its member is removed, whatever it waits for; the
// calls of others go on.
func TestWaitingCallIsCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	waiting, release := make(chan struct{}, 2), make(chan struct{})
	r.holder.set(func(ctx context.Context, _ *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		waiting <- struct{}{}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-release:
			return &waypostv1.EvaluateResponse{}, nil
		}
	})
	call := func(c waypostv1connect.KeyHolderClient) chan error {
		answer := make(chan error, 1)
		go func() {
			_, err := c.Evaluate(context.Background(), &waypostv1.EvaluateRequest{})
			answer <- err
		}()
		<-waiting
		return answer
	}
	california := call(r.client)
	nevada := call(waypostv1connect.NewKeyHolderClient(r.Dial("NV", "keyholder-1")))
	r.Remove("CA")
	select {
	case err := <-california:
		if waypost.CodeOf(err) != waypost.Unauthenticated {
			t.Errorf("the removed member was told %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the removed member's call goes on")
	}
	close(release)
	if err := <-nevada; err != nil {
		t.Errorf("the other member's call failed: %v", err)
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.holder.fails(waypost.Errorf(waypost.Misuse, "the handler ran"))
	other := rpctest.New(t, rpctest.Ample, "CA")
	member, _ := r.View.Member("keyholder-1")
	for name, client := range map[string]*connect.Client{
		"a stranger's certificate": rpc.Dial(other.Party("CA").Cert, r.View, member),
		"the hub's certificate":    r.Dial("hub", "keyholder-1"),
		"no certificate":           rpc.NewClient(&tls.Config{InsecureSkipVerify: true}, member.URL),
		"somebody else answers":    rpc.NewClient(roster.ClientTLS(r.Party("CA").Cert, r.View, "keyholder-2"), member.URL),
	} {
		_, err := waypostv1connect.NewKeyHolderClient(client).Evaluate(t.Context(), &waypostv1.EvaluateRequest{})
		if waypost.CodeOf(err) != waypost.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		if name == "somebody else answers" && !strings.Contains(err.Error(), "keyholder-1 answered where keyholder-2 was expected") {
			t.Errorf("the cause is not named: %v", err)
		}
	}
	plain := rpc.NewClient(nil, strings.Replace(member.URL, "https:", "http:", 1))
	if _, err := waypostv1connect.NewKeyHolderClient(plain).Evaluate(t.Context(), &waypostv1.EvaluateRequest{}); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("without TLS: %v", err)
	}
}

// Without TLS in the way the interceptor refuses by itself.
func TestNoTLS(t *testing.T) {
	t.Parallel()
	x := rpctest.New(t, rpctest.Ample, "CA")
	server := rpc.NewServer(x.View, slog.New(slog.DiscardHandler), nil)
	h := &holder{}
	h.fails(waypost.Errorf(waypost.Misuse, "the handler ran"))
	waypostv1connect.RegisterKeyHolderHandler(server, h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Server{Handler: rpc.Mount(server), ReadHeaderTimeout: time.Minute}
	go func() { _ = plain.Serve(l) }()
	defer plain.Close()
	client := waypostv1connect.NewKeyHolderClient(rpc.NewClient(nil, "http://"+l.Addr().String()))
	if _, err := client.Evaluate(t.Context(), &waypostv1.EvaluateRequest{}); waypost.CodeOf(err) != waypost.Unauthenticated {
		t.Errorf("%v", err)
	}
}

func TestDeadlineAndCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.holder.set(func(context.Context, *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		return &waypostv1.EvaluateResponse{}, nil
	})
	if err := r.call(t.Context()); err != nil { // connects, however long that takes
		t.Fatal(err)
	}
	entered := make(chan struct{}, 100)
	r.holder.set(func(ctx context.Context, _ *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	// On a busy machine a short deadline is over before the call is there.
	for limit, there := 100*time.Millisecond, false; !there; limit *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		if err := r.call(ctx); !errors.Is(err, context.DeadlineExceeded) && waypost.CodeOf(err) != waypost.Unavailable {
			t.Errorf("deadline: %v", err)
		}
		cancel()
		select {
		case <-entered:
			there = true
		default:
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-entered; cancel() }()
	if err := r.call(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancel: %v", err)
	}
	if log := r.log.String(); log != "" {
		t.Errorf("a caller that went away is no fault: %s", log)
	}
}

// What a peer says reaches screens and logs: it is cut and cleaned.
func TestPeersWordsAreCleaned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.holder.fails(waypost.Errorf(waypost.PermissionDenied, "a\nb\x1b[31mc%s", strings.Repeat("é", 2000)))
	err := r.call(t.Context())
	if waypost.CodeOf(err) != waypost.PermissionDenied || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 510 {
		t.Errorf("%d bytes: %q", len(err.Error()), err.Error())
	}
}
