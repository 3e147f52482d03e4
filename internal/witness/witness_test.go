package witness

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

const origin = "waypost.test/CA/1"

// TestGrow: a log that grows is cosigned at each size, over restarts, and
// torchwood accepts the cosignatures.
func TestGrow(t *testing.T) {
	log := newLog(t, origin, 300)
	r := newRig(t, log)
	sizes := []int64{0, 0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 300, 300}
	for i, size := range sizes[1:] {
		r.clock.Add(1)
		lines := r.expect(http.StatusOK, log.body(t, sizes[i], size)).Body.Bytes()
		if at := cosigned(t, r.VerifierKey(), log.checkpoint(t, size), lines); at != r.clock.Load() {
			t.Errorf("size %d was cosigned at %d, now is %d", size, at, r.clock.Load())
		}
		r.restart()
	}
	all, err := r.Seen(ctx)
	must(t, err)
	if len(all) != 1 || all[0].Origin != origin || !bytes.Equal(all[0].Checkpoint, log.checkpoint(t, 300)) ||
		all[0].Cosigned.Unix() != r.clock.Load() || all[0].Fork != nil {
		t.Errorf("seen: %+v", all)
	}
}

// TestRefusals: each status that C2SP tlog-witness names, and no state after it.
func TestRefusals(t *testing.T) {
	log, stranger := newLog(t, origin, 20), newLog(t, "waypost.test/NV/1", 5)
	thief := newLog(t, origin, 20)
	thief.key = testKey("another")
	branch := log.fork(t, 6, 14)
	body := log.body(t, 8, 12)
	sized := func(size int64) []byte {
		return append([]byte("old 8\n"+log.proof(t, 8, 12)[0].String()+"\n\n"), log.sign(t, fmt.Sprintf("%s\n%d\n%s\n", origin, size, tlog.Hash{}))...)
	}
	swap := func(what, with string) []byte {
		if !bytes.Contains(body, []byte(what)) {
			t.Fatalf("the request has no %q", what)
		}
		return bytes.Replace(body, []byte(what), []byte(with), 1)
	}
	proof := log.proof(t, 8, 12)
	cases := []struct {
		name   string
		body   []byte
		status int
	}{
		{"nothing", nil, http.StatusBadRequest},
		{"no checkpoint", []byte("old 8\n\n"), http.StatusBadRequest},
		{"no empty line", []byte("old 8\n" + origin + "\n"), http.StatusBadRequest},
		{"origin that is no text", swap(origin, origin[:4]+"\xe5"+origin[5:]), http.StatusBadRequest},
		{"origin with a byte of zero", swap(origin, origin[:4]+"\x00"+origin[5:]), http.StatusBadRequest},
		{"leading zero", swap("old 8", "old 08"), http.StatusBadRequest},
		{"sign", swap("old 8", "old +8"), http.StatusBadRequest},
		{"negative", swap("old 8", "old -8"), http.StatusBadRequest},
		{"carriage return", swap("old 8\n", "old 8\r\n"), http.StatusBadRequest},
		{"old greater", log.body(t, 13, 12), http.StatusBadRequest},
		{"loose base64", swap("=\n", "\n"), http.StatusBadRequest},
		{"64 proof lines", request{old: 8, proof: make(tlog.TreeProof, 64), note: log.checkpoint(t, 12)}.encode(), http.StatusBadRequest},
		{"text is no checkpoint", append([]byte("old 8\n\n"), log.sign(t, origin+"\nmany\n")...), http.StatusBadRequest},
		{"size with zero", append([]byte("old 8\n\n"), log.sign(t, fmt.Sprintf("%s\n012\n%s\n", origin, log.root(t, 12)))...), http.StatusBadRequest},
		{"greatest size", sized(maxSize), http.StatusUnprocessableEntity},
		{"beyond the greatest size", sized(maxSize + 1), http.StatusBadRequest},
		{"size beyond arithmetic", sized(math.MaxInt64), http.StatusBadRequest},
		{"too large", append(bytes.Clone(body), bytes.Repeat([]byte("x"), maxBody)...), http.StatusRequestEntityTooLarge},
		{"unknown log", stranger.body(t, 0, 5), http.StatusNotFound},
		{"long origin", append([]byte("old 0\n\n"), strings.Repeat("o", 300)+"\n1\n"...), http.StatusBadRequest},
		{"signed by another key", thief.body(t, 8, 12), http.StatusForbidden},
		{"not signed", swap("— "+origin, "— someone.example/else"), http.StatusForbidden},
		{"other text under the signature", swap("\n12\n", "\n11\n"), http.StatusForbidden},
		{"older", log.body(t, 0, 5), http.StatusConflict},
		{"newer than known", log.body(t, 9, 12), http.StatusConflict},
		{"other tree of the same size", branch.body(t, 8, 8), http.StatusConflict},
		{"no proof", request{old: 8, note: log.checkpoint(t, 12)}.encode(), http.StatusUnprocessableEntity},
		{"proof to another tree", branch.body(t, 8, 12), http.StatusUnprocessableEntity},
		{"proof too long", request{old: 8, proof: append(log.proof(t, 8, 12), tlog.Hash{}), note: log.checkpoint(t, 12)}.encode(), http.StatusUnprocessableEntity},
		{"proof of nothing", request{old: 8, proof: proof, note: log.checkpoint(t, 8)}.encode(), http.StatusUnprocessableEntity},
	}
	r := newRig(t, log)
	r.expect(http.StatusOK, log.body(t, 0, 8))
	before, err := r.last(ctx, origin)
	must(t, err)
	for _, c := range cases {
		w := r.post(c.body)
		answer, kind := w.Body.String(), w.Header().Get("Content-Type")
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d", c.name, w.Code, c.status)
		}
		if strings.Contains(answer, "—") {
			t.Errorf("%s: a signature in %q", c.name, answer)
		}
		if c.status == http.StatusConflict && (answer != "8\n" || kind != "text/x.tlog.size") {
			t.Errorf("%s: %q of type %s", c.name, answer, kind)
		}
	}
	after, err := r.last(ctx, origin)
	must(t, err)
	if before.forked = true; after != before { // one of the cases showed a fork
		t.Errorf("state %+v, before %+v", after, before)
	}
	r.expect(http.StatusOK, body)
}

// TestFirst: before the first checkpoint a log has the empty tree, and no proof
// leads from there.
func TestFirst(t *testing.T) {
	log := newLog(t, origin, 5)
	r := newRig(t, log)
	r.expect(http.StatusConflict, log.body(t, 3, 5))
	r.expect(http.StatusUnprocessableEntity, request{proof: log.proof(t, 3, 5), note: log.checkpoint(t, 5)}.encode())
	r.expect(http.StatusConflict, append([]byte("old 0\n\n"), log.sign(t, fmt.Sprintf("%s\n0\n%s\n", origin, tlog.Hash{}))...))
	r.expect(http.StatusOK, log.body(t, 0, 0))
	r.expect(http.StatusOK, log.body(t, 0, 5))
}

// TestExtension: lines that a log adds to its checkpoints are cosigned with it.
func TestExtension(t *testing.T) {
	log := newLog(t, origin, 5)
	r := newRig(t, log)
	signed := log.sign(t, fmt.Sprintf("%s\n5\n%s\nan extension\n", origin, log.root(t, 5)))
	lines := r.expect(http.StatusOK, append([]byte("old 0\n\n"), signed...)).Body.Bytes()
	cosigned(t, r.VerifierKey(), signed, lines)
}

// TestAgain: the same tree is cosigned again with the time of now, which never
// goes back, whatever the clock does.
func TestAgain(t *testing.T) {
	log := newLog(t, origin, 9)
	r := newRig(t, log)
	start := r.clock.Load()
	r.expect(http.StatusOK, log.body(t, 0, 9))
	for _, c := range []struct{ now, want int64 }{{0, 0}, {60, 60}, {-3600, 60}, {61, 61}} {
		r.clock.Store(start + c.now)
		lines := r.expect(http.StatusOK, log.body(t, 9, 9)).Body.Bytes()
		if at := cosigned(t, r.VerifierKey(), log.checkpoint(t, 9), lines); at != start+c.want {
			t.Errorf("at %d: cosigned at %d, want %d", c.now, at-start, c.want)
		}
		r.restart()
	}
}

// TestRepeatWritesNothing: who replays a public checkpoint cannot keep the
// database busy.
func TestRepeatWritesNothing(t *testing.T) {
	log := newLog(t, origin, 9)
	r := newRig(t, log)
	r.expect(http.StatusOK, log.body(t, 0, 9))
	before := r.db.Stats()
	for range 50 {
		r.expect(http.StatusOK, log.body(t, 9, 9))
		r.expect(http.StatusConflict, log.body(t, 5, 9))
		r.expect(http.StatusUnprocessableEntity, request{old: 9, proof: log.proof(t, 5, 9), note: log.checkpoint(t, 9)}.encode())
	}
	if after := r.db.Stats(); after != before {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// TestRemoved: a log that is struck off is refused from then on, in words other
// than those for a log that never was one.
func TestRemoved(t *testing.T) {
	log, never := newLog(t, origin, 9), newLog(t, "waypost.test/AZ/1", 9)
	r := newRig(t, log, never)
	r.expect(http.StatusOK, log.body(t, 0, 5))
	clear(r.logs)
	r.expect(http.StatusForbidden, log.body(t, 5, 9))
	r.expect(http.StatusNotFound, never.body(t, 0, 9))
}

// TestForkIsKept: two trees of one size under the log's signature are proof
// against it, and are kept once while the honest branch goes on.
func TestForkIsKept(t *testing.T) {
	log := newLog(t, origin, 20)
	branch, third := log.fork(t, 5, 15), log.fork(t, 2, 18)
	r := newRig(t, log)
	r.expect(http.StatusOK, log.body(t, 0, 8))
	r.expect(http.StatusConflict, branch.body(t, 8, 8))
	r.expect(http.StatusConflict, third.body(t, 8, 8))
	r.expect(http.StatusOK, log.body(t, 8, 12))
	r.expect(http.StatusConflict, branch.body(t, 12, 12))
	r.restart()
	all, err := r.Seen(ctx)
	must(t, err)
	if len(all) != 1 || len(all[0].Fork) != 2 || !bytes.Equal(all[0].Fork[0], log.checkpoint(t, 8)) || !bytes.Equal(all[0].Fork[1], branch.checkpoint(t, 8)) {
		t.Errorf("kept: %q", all)
	}
}

// TestForeignSignatures: what others have put under the checkpoint is neither
// kept nor cosigned.
func TestForeignSignatures(t *testing.T) {
	log := newLog(t, origin, 9)
	r := newRig(t, log)
	line := (&signer{name: "elsewhere.example/w", private: testKey("elsewhere")}).cosign(origin, 1)
	r.expect(http.StatusOK, append(log.body(t, 0, 9), bytes.Repeat(line, 50)...))
	all, err := r.Seen(ctx)
	must(t, err)
	if !bytes.Equal(all[0].Checkpoint, log.checkpoint(t, 9)) {
		t.Errorf("kept: %s", all[0].Checkpoint)
	}
}

// TestPace: a member that runs wild is slowed down in all of its logs, alone,
// and recovers with time.
func TestPace(t *testing.T) {
	wild, calm := newLog(t, origin, 10), newLog(t, "waypost.test/NV/1", 10)
	another := newLog(t, path.Dir(origin)+"/999", 10)
	r := newRig(t, wild, calm, another)
	r.expect(http.StatusOK, wild.body(t, 0, 1))
	r.pace.members[path.Dir(origin)].left = 1
	r.expect(http.StatusOK, wild.body(t, 1, 2))
	r.expect(http.StatusTooManyRequests, wild.body(t, 2, 3))
	r.expect(http.StatusTooManyRequests, another.body(t, 0, 1))
	r.clock.Add(-100)
	r.expect(http.StatusTooManyRequests, wild.body(t, 2, 3))
	r.expect(http.StatusOK, wild.body(t, 2, 2)) // no growth
	r.expect(http.StatusOK, calm.body(t, 0, 1))
	r.clock.Add(1)
	for size := int64(2); size < 10; size++ {
		r.expect(http.StatusOK, wild.body(t, size, size+1))
	}
}

// TestBusy: more requests than slots are told to come again.
func TestBusy(t *testing.T) {
	log := newLog(t, origin, 2)
	r := newRig(t, log)
	for range maxRequests {
		r.slots <- struct{}{}
	}
	if w := r.expect(http.StatusServiceUnavailable, log.body(t, 0, 2)); w.Header().Get("Retry-After") == "" {
		t.Error("it is not said when to come again")
	}
	<-r.slots
	r.expect(http.StatusOK, log.body(t, 0, 2))
}

// TestSlowBodies: strangers who begin requests and do not end them keep nobody
// out.
func TestSlowBodies(t *testing.T) {
	log := newLog(t, origin, 2)
	r := newRig(t, log)
	h := r.Handler()
	var slow sync.WaitGroup
	var pipes []*io.PipeWriter
	for range maxRequests + 1 {
		body, end := io.Pipe()
		pipes = append(pipes, end)
		slow.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/add-checkpoint", body))
		})
		_, err := end.Write([]byte("old ")) // once this is read the request is being handled
		must(t, err)
	}
	r.expect(http.StatusOK, log.body(t, 0, 2))
	for _, end := range pipes {
		must(t, end.Close())
	}
	slow.Wait()
}

// TestMethods: nothing is served but add-checkpoint.
func TestMethods(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		method, path string
		status       int
	}{{http.MethodGet, "/add-checkpoint", http.StatusMethodNotAllowed}, {http.MethodGet, "/", http.StatusNotFound}, {http.MethodPost, "/", http.StatusNotFound}} {
		if got := r.send(c.method, c.path); got != c.status {
			t.Errorf("%s %s: status %d", c.method, c.path, got)
		}
	}
}

// TestNew: a name or key that no verifier would take is found at the start.
func TestNew(t *testing.T) {
	for _, name := range []string{"", "two words", "a+b", strings.Repeat("n", 600)} {
		if _, err := New(Config{Name: name}, Deps{Key: testKey("witness")}); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := New(Config{Name: "w.example"}, Deps{Key: testKey("witness")[:32]}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("half a key: %v", err)
	}
}

// TestInsideKeyHolder: the table lies in a key holder's database too.
func TestInsideKeyHolder(t *testing.T) {
	db, err := store.Open(ctx, storetest.URL(t, t.TempDir()+"/keyholder.db", "keyholder"), "keyholder")
	must(t, err)
	must(t, db.Read(ctx, func(tx *store.Tx) error { _, err := seen(tx); return err }))
	must(t, db.Close())
}

// BenchmarkAdd is one request: a log that grows, which is durable before it is
// cosigned, and a repeat.
func BenchmarkAdd(b *testing.B) {
	log := newLog(b, origin, 4096)
	bodies := make([][]byte, log.size)
	for i := range bodies {
		bodies[i] = log.body(b, int64(i), int64(i)+1)
	}
	add := func(b *testing.B, r *rig, body []byte) {
		if _, err := r.add(ctx, body); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("grow", func(b *testing.B) {
		r := newRig(b, log)
		for i := 0; b.Loop(); i++ {
			if i%len(bodies) == 0 {
				must(b, r.db.Write(ctx, func(tx *store.Tx) error { _, err := tx.Exec(`DELETE FROM witness_log`); return err }))
			}
			r.clock.Add(1)
			add(b, r, bodies[i%len(bodies)])
		}
	})
	b.Run("repeat", func(b *testing.B) {
		r := newRig(b, log)
		add(b, r, log.body(b, 0, log.size))
		again := log.body(b, log.size, log.size)
		for b.Loop() {
			add(b, r, again)
		}
	})
}
