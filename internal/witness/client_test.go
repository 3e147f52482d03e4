package witness

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/waypost/waypost"
)

// TestClient: our client with our server, over TLS without a client certificate
// and below a prefix.
func TestClient(t *testing.T) {
	log := newLog(t, origin, 20)
	branch := log.fork(t, 6, 14)
	r := newRig(t, log)
	server := httptest.NewTLSServer(http.StripPrefix("/witness", r.Handler()))
	defer server.Close()
	url, client := server.URL+"/witness", server.Client()
	talk(t, url, r.VerifierKey(), client, log, branch)
	stranger := newLog(t, "waypost.test/NV/1", 5)
	c, err := Dial(url, r.VerifierKey(), client)
	must(t, err)
	if _, err := c.Cosign(ctx, 0, nil, stranger.checkpoint(t, 5)); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("a log that is unknown: %v", err)
	}
	stranger.origin = origin
	if _, err := c.Cosign(ctx, 20, nil, stranger.checkpoint(t, 5)); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("another's key: %v", err)
	}
	if _, err := c.Cosign(ctx, 20, nil, log.checkpoint(t, 5)); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("old size greater: %v", err)
	}
}

// talk is what passes between a publisher and any witness: a log that grows, a
// publisher that has forgotten, one that forks.
func talk(t testing.TB, url, vkey string, client *http.Client, log, branch *testLog) {
	t.Helper()
	c, err := Dial(url, vkey, client)
	must(t, err)
	known := int64(0)
	for _, size := range []int64{1, 2, 7, 8, 13, 13} {
		line, err := c.Cosign(ctx, known, log.proof(t, known, size), log.checkpoint(t, size))
		must(t, err)
		if strings.Count(string(line), "\n") != 1 || !strings.HasPrefix(string(line), "— "+c.Name()+" ") {
			t.Errorf("not one line of %s: %q", c.Name(), line)
		}
		cosigned(t, vkey, log.checkpoint(t, size), line)
		known = size
	}
	for _, old := range []int64{0, 5, 14} {
		_, err := c.Cosign(ctx, old, log.proof(t, old, 20), log.checkpoint(t, 20))
		if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.Size != 13 {
			t.Errorf("from %d: %v", old, err)
		}
	}
	_, err = c.Cosign(ctx, 13, branch.proof(t, 13, 20), branch.checkpoint(t, 20))
	if !errors.Is(err, ErrInconsistent) {
		t.Errorf("a fork that grows: %v", err)
	}
	// Here C2SP says conflict; litewitness says that no proof leads there.
	_, err = c.Cosign(ctx, 13, nil, branch.checkpoint(t, 13))
	if conflict, ok := errors.AsType[*ConflictError](err); !errors.Is(err, ErrInconsistent) && (!ok || conflict.Size != 13) {
		t.Errorf("a fork of the same size: %v", err)
	}
	line, err := c.Cosign(ctx, 13, log.proof(t, 13, 20), log.checkpoint(t, 20))
	must(t, err)
	cosigned(t, vkey, log.checkpoint(t, 20), line)
}

// TestClientDisbelieves: nothing a server says passes for a cosignature unless
// it is one, and no answer is read without end.
func TestClientDisbelieves(t *testing.T) {
	log := newLog(t, origin, 9)
	signed := log.checkpoint(t, 9)
	w, err := newSigner("w.example", testKey("w"))
	must(t, err)
	other, err := newSigner("w.example", testKey("other"))
	must(t, err)
	text, _, _ := strings.Cut(string(signed), "\n\n")
	text += "\n"
	good := string(w.cosign(text, 1))
	var status int
	var kind, answer string
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prefix/add-checkpoint" {
			t.Errorf("path %s", r.URL.Path)
		}
		rw.Header().Set("Content-Type", kind)
		rw.Header().Set("Location", "/elsewhere")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, answer)
	}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	c, err := Dial(server.URL+"/prefix/", w.verifier, server.Client())
	must(t, err)

	for _, ok := range []string{good, string(other.cosign(text, 1)) + good, good + "— elsewhere.example/x Zm9vYmFyZm9v\n", good + good} {
		status, answer = http.StatusOK, ok
		if line, err := c.Cosign(ctx, 0, nil, signed); err != nil || string(line) != good {
			t.Errorf("%q: %q, %v", ok, line, err)
		}
	}
	forged := strings.Replace(text, "\n9\n", "\n8\n", 1)
	for _, bad := range []struct {
		status       int
		kind, answer string
		code         waypost.Code
	}{
		{200, "", "", waypost.Unavailable},
		{200, "", strings.TrimSuffix(good, "\n"), waypost.Unavailable},
		{200, "", string(other.cosign(text, 1)), waypost.Unavailable},
		{200, "", string(w.cosign(forged, 1)), waypost.Unavailable},
		{200, "", "\n" + good, waypost.Unavailable},
		{200, "", forged + "\n" + string(w.cosign(forged, 1)), waypost.Unavailable},
		{200, "", strings.Repeat(good, 101), waypost.Unavailable},
		{200, "", good + strings.Repeat("x", maxAnswer), waypost.Unavailable},
		{302, "", good, waypost.InvalidArgument},
		{307, "", good, waypost.InvalidArgument},
		{404, "", good, waypost.NotFound},
		{409, "text/plain", "7\n", waypost.Unavailable},
		{409, sizeType, "7", waypost.Unavailable},
		{409, sizeType, "07\n", waypost.Unavailable},
		{409, sizeType, "-7\n", waypost.Unavailable},
		{409, sizeType, "99999999999999999999\n", waypost.Unavailable},
		{429, "", "", waypost.Unavailable},
		{500, "", good, waypost.Unavailable},
	} {
		status, kind, answer = bad.status, bad.kind, bad.answer
		line, err := c.Cosign(ctx, 0, nil, signed)
		if _, conflict := errors.AsType[*ConflictError](err); line != nil || conflict || waypost.CodeOf(err) != bad.code {
			t.Errorf("%d %q: %q, %v", bad.status, bad.answer, line, err)
		}
	}
	status, kind, answer = http.StatusConflict, sizeType+"; charset=utf-8", "7\n"
	_, err = c.Cosign(ctx, 0, nil, signed)
	if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.Size != 7 {
		t.Errorf("conflict: %v", err)
	}
}

// TestDial: what is not an address or a key is refused before it is used.
func TestDial(t *testing.T) {
	w, err := newSigner("w.example", testKey("w"))
	must(t, err)
	log := newLog(t, origin, 0)
	for _, c := range []struct{ url, key string }{
		{"", w.verifier}, {"w.example", w.verifier}, {"ftp://w.example", w.verifier}, {"https://w.example/?a=b", w.verifier},
		{"https://w.example", ""}, {"https://w.example", log.vkey(t)}, {"https://w.example", w.verifier + " "},
	} {
		if _, err := Dial(c.url, c.key, http.DefaultClient); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%v: %v", c, err)
		}
	}
	c, err := Dial("http://127.0.0.1:1", w.verifier, http.DefaultClient)
	must(t, err)
	if _, err := c.Cosign(ctx, 0, nil, log.checkpoint(t, 0)); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}
