package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/torchwood"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/translog"
)

var ctx = context.Background()

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// testLog is a log in memory.
type testLog struct {
	origin string
	key    ed25519.PrivateKey
	stored []tlog.Hash
	size   int64
}

func newLog(t testing.TB, origin string, leaves int) *testLog {
	t.Helper()
	l := &testLog{origin: origin, key: testKey(origin)}
	l.grow(t, leaves, "honest")
	return l
}

func (l *testLog) grow(t testing.TB, leaves int, what string) {
	t.Helper()
	for range leaves {
		added, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "%s %d", what, l.size), l)
		must(t, err)
		l.stored = append(l.stored, added...)
		l.size++
	}
}

// fork is another log under the same key that has the first leaves in common.
func (l *testLog) fork(t testing.TB, common int64, leaves int) *testLog {
	t.Helper()
	f := &testLog{origin: l.origin, key: l.key, stored: append([]tlog.Hash(nil), l.stored[:tlog.StoredHashCount(common)]...), size: common}
	f.grow(t, leaves, "forked")
	return f
}

// ReadHashes implements tlog.HashReader.
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		found[i] = l.stored[at]
	}
	return found, nil
}

func (l *testLog) root(t testing.TB, size int64) tlog.Hash {
	t.Helper()
	h, err := tlog.TreeHash(size, l)
	must(t, err)
	return h
}

func (l *testLog) vkey(t testing.TB) string {
	t.Helper()
	vkey, err := note.NewEd25519VerifierKey(l.origin, l.key.Public().(ed25519.PublicKey))
	must(t, err)
	return vkey
}

func (l *testLog) verifier(t testing.TB) note.Verifier {
	t.Helper()
	v, err := translog.LogVerifier(l.origin, l.key.Public().(ed25519.PublicKey))
	must(t, err)
	return v
}

// logSigner signs notes as the log.
type logSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s logSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// sign signs any text as the log.
func (l *testLog) sign(t testing.TB, text string) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, logSigner{l.verifier(t), l.key})
	must(t, err)
	return signed
}

func (l *testLog) checkpoint(t testing.TB, size int64) []byte {
	t.Helper()
	return l.sign(t, torchwood.Checkpoint{Origin: l.origin, Tree: tlog.Tree{N: size, Hash: l.root(t, size)}}.String())
}

func (l *testLog) proof(t testing.TB, from, to int64) tlog.TreeProof {
	t.Helper()
	if from == 0 || from > to {
		return nil
	}
	p, err := tlog.ProveTree(to, from, l)
	must(t, err)
	return p
}

// body is the request that leads from one size to another.
func (l *testLog) body(t testing.TB, from, to int64) []byte {
	t.Helper()
	return request{old: from, proof: l.proof(t, from, to), note: l.checkpoint(t, to)}.encode()
}

// clock is set by tests, in Unix seconds.
type clock struct{ atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.Store(1_900_000_000)
	return c
}

func (c *clock) now() time.Time { return time.Unix(c.Load(), 0) }

// rig is one witness over a database that outlives it.
type rig struct {
	*Server
	t     testing.TB
	url   string
	clock *clock
	logs  map[string]note.Verifier
	fault atomic.Pointer[dying]
	db    *store.DB
}

func newRig(t testing.TB, logs ...*testLog) *rig {
	t.Helper()
	r := &rig{t: t, url: storetest.URL(t, t.TempDir()+"/witness.db", "witness"), clock: newClock(), logs: make(map[string]note.Verifier)}
	for _, l := range logs {
		r.logs[l.origin] = l.verifier(t)
	}
	r.start()
	t.Cleanup(func() { must(t, r.db.Close()) })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	r.db, err = store.Open(ctx, r.url, "witness", store.WithFault(func(point string) error {
		if d := r.fault.Load(); d != nil {
			return d.fault(point)
		}
		return nil
	}))
	must(r.t, err)
	r.Server, err = New(Config{Name: "waypost/keyholder-1/witness"}, Deps{
		Key: testKey("witness"), DB: r.db, Now: r.clock.now, Log: slog.New(slog.DiscardHandler),
		Logs: func(origin string) (note.Verifier, bool) { v, ok := r.logs[origin]; return v, ok },
	})
	must(r.t, err)
}

func (r *rig) restart() {
	r.t.Helper()
	must(r.t, r.db.Close())
	r.start()
}

// post sends a body to the handler.
func (r *rig) post(body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body)))
	return w
}

// expect posts a body and demands a status.
func (r *rig) expect(status int, body []byte) *httptest.ResponseRecorder {
	r.t.Helper()
	w := r.post(body)
	if w.Code != status {
		r.t.Fatalf("status %d, want %d", w.Code, status)
	}
	return w
}

// cosigned checks with torchwood, an implementation of others, that lines hold
// one cosignature of the signed checkpoint by the witness with the key, and
// returns its time.
func cosigned(t testing.TB, vkey string, checkpoint, lines []byte) int64 {
	t.Helper()
	v, err := torchwood.NewCosignatureVerifier(vkey)
	must(t, err)
	n, err := note.Open(append(append([]byte(nil), checkpoint...), lines...), note.VerifierList(v))
	must(t, err)
	at, err := torchwood.CosignatureTimestamp(n.Sigs[0])
	must(t, err)
	return at
}

// send sends nothing to a path and returns the status.
func (r *rig) send(method, path string) int {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code
}
