package publisher

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/witness"
	"github.com/waypost/waypost/translog"
)

const origin = "waypost.test/hub/1"

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(label string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(label))
	return ed25519.NewKeyFromSeed(seed[:])
}

// clock is a time that a test sets ahead.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// memory is a journal without a database.
type memory struct {
	mu       sync.Mutex
	rows     []journal.Row
	erased   []journal.Mark
	counters []journal.Counter
	declared []journal.Declared
}

func (m *memory) Successions(context.Context) ([]journal.Declared, error) { return m.declared, nil }

func (m *memory) append(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		m.rows = append(m.rows, testRow(len(m.rows), ""))
	}
}

// testRow is a row whose bytes follow from its number and a variant.
func testRow(i int, variant string) journal.Row {
	a := sha256.Sum256(fmt.Appendf(nil, "tag %d %s", i, variant))
	b := sha256.Sum256(fmt.Appendf(nil, "commitment %d %s", i, variant))
	key := translog.KeyID{byte(i / 1000)}
	sealed := append(key[:], bytes.Repeat([]byte{byte(i)}, 40+1024)...)
	return journal.Row{Seq: uint64(i), Leaf: append(a[:], b[:]...), Kind: "test", Sealed: sealed, Key: key}
}

func (m *memory) erase(entries ...int) {
	m.append(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range entries {
		m.rows[i].Sealed = nil
		m.erased = append(m.erased, journal.Mark{Erasure: uint64(len(m.rows) - 1), Entry: uint64(i)})
	}
}

func (m *memory) Size(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.rows)), nil
}

func (m *memory) Rows(_ context.Context, from uint64, limit int) ([]journal.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from = min(from, uint64(len(m.rows)))
	return append([]journal.Row(nil), m.rows[from:min(int(from)+limit, len(m.rows))]...), nil
}

func (m *memory) WrappedKey(_ context.Context, id translog.KeyID) ([]byte, error) {
	return []byte("wrapped " + id.String()), nil
}

func (m *memory) Erasures(_ context.Context, mark journal.Mark, limit int) (marks []journal.Mark, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.erased {
		if after(e, mark) && len(marks) < limit {
			marks = append(marks, e)
		}
	}
	return marks, nil
}

func (m *memory) Counters(_ context.Context, after string, limit int) (counters []journal.Counter, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.counters {
		if c.Day > after && len(counters) < limit {
			counters = append(counters, c)
		}
	}
	return counters, nil
}

// testWitness does what a witness does, and remembers a fork for ever.
type testWitness struct {
	name string
	key  ed25519.PrivateKey
	now  func() time.Time

	mu    sync.Mutex
	tree  tlog.Tree
	asked int
	fork  error
	down  error
	hold  chan struct{} // where set, an answer waits for it, however long the publisher waits
}

func newWitness(name string, now func() time.Time) *testWitness {
	return &testWitness{name: name, key: testKey(name), now: now}
}

func (w *testWitness) verifier(t testing.TB) note.Verifier {
	v, err := translog.WitnessVerifier(translog.WitnessKey(w.name, w.key.Public().(ed25519.PublicKey)))
	must(t, err)
	return v
}

func (w *testWitness) Name() string { return w.name }

func (w *testWitness) set(down error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *testWitness) Cosign(_ context.Context, old int64, proof tlog.TreeProof, checkpoint []byte) ([]byte, error) {
	w.mu.Lock()
	hold := w.hold
	w.asked++
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return nil, w.down
	}
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	text += "\n"
	c, err := torchwood.ParseCheckpoint(text)
	if err != nil {
		return nil, err
	}
	if old != w.tree.N || c.N < old {
		return nil, &witness.ConflictError{Size: w.tree.N}
	}
	if c.N == old && old > 0 && c.Hash != w.tree.Hash || old > 0 && c.N > old && tlog.CheckTree(proof, c.N, c.Hash, old, w.tree.Hash) != nil {
		w.fork = fmt.Errorf("%s was shown a fork at %d and %d entries", w.name, old, c.N)
		return nil, witness.ErrInconsistent
	}
	w.tree = c.Tree
	return w.line(text), nil
}

// line is a cosignature as C2SP tlog-cosignature has it.
func (w *testWitness) line(text string) []byte {
	at := w.now().Unix()
	sig := ed25519.Sign(w.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	vkey := translog.WitnessKey(w.name, w.key.Public().(ed25519.PublicKey))
	v, err := translog.WitnessVerifier(vkey)
	if err != nil {
		return nil
	}
	raw := binary.BigEndian.AppendUint32(nil, v.KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, uint64(at))
	raw = append(raw, sig...)
	return fmt.Appendf(nil, "— %s %s\n", w.name, base64.StdEncoding.EncodeToString(raw))
}

// rig is a log with three witnesses, of which two are needed.
type rig struct {
	t         testing.TB
	dir       string
	clock     *clock
	source    *memory
	witnesses []*testWitness
	uploads   []Uploader
	fault     Fault
	log       *bytes.Buffer
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, dir: t.TempDir(), source: &memory{}, clock: &clock{t: time.Unix(1_900_000_000, 0)}, log: new(bytes.Buffer)}
	for _, name := range []string{"w1.test", "w2.test", "w3.test"} {
		r.witnesses = append(r.witnesses, newWitness(name, r.clock.now))
	}
	return r
}

func (r *rig) policy() translog.Policy {
	v, err := translog.LogVerifier(origin, testKey("log").Public().(ed25519.PublicKey))
	must(r.t, err)
	g := translog.Group{Name: "witnesses", Need: 2}
	for _, w := range r.witnesses {
		g.Witnesses = append(g.Witnesses, w.verifier(r.t))
	}
	return translog.Policy{Origin: origin, Log: v, Groups: []translog.Group{g}}
}

// open makes a publisher, as a process that starts does.
func (r *rig) open() *Publisher {
	var all []Witness
	for _, w := range r.witnesses {
		all = append(all, w)
	}
	p, err := New(Config{Origin: origin, Dir: r.dir, Interval: 5 * time.Millisecond}, Deps{
		Source: r.source, Key: testKey("log"),
		Witnesses: func() []Witness { return all },
		Policy:    func() (translog.Policy, error) { return r.policy(), nil },
		Upload:    r.uploads, Now: r.clock.now, Fault: r.fault,
		Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	must(r.t, err)
	return p
}

func (r *rig) folder() string { return filepath.Join(r.dir, "hub", "1") }

func (r *rig) flush(p *Publisher) {
	r.t.Helper()
	must(r.t, p.Flush(ctx))
	p.work.Wait()
}

// check verifies the published log from nothing and compares it with the journal.
func (r *rig) check() translog.Checkpoint {
	r.t.Helper()
	c := checkLog(r.t, r.folder(), r.policy(), r.source)
	for _, w := range r.witnesses {
		if w.fork != nil {
			r.t.Error(w.fork)
		}
	}
	return c
}

func checkLog(t testing.TB, dir string, policy translog.Policy, source Source) translog.Checkpoint {
	t.Helper()
	f := openFolder(dir, nil)
	signed, err := f.read("checkpoint")
	must(t, err)
	c, err := policy.Verify(signed)
	must(t, err)
	must(t, checkTree(f, c.Tree))
	rows := &rowChecker{folder: f, size: c.N, n: -1, keys: make(map[translog.KeyID]bool)}
	i := int64(0)
	for i < c.N {
		page, err := source.Rows(ctx, uint64(i), 1000)
		must(t, err)
		if len(page) == 0 {
			t.Fatalf("%d entries are published, the journal ends at %d", c.N, i)
		}
		for _, row := range page {
			if i == c.N {
				break
			}
			must(t, rows.check(row))
			i++
		}
	}
	return c
}

// checkTree recomputes a tree of its entry bundles with x/mod tlog, and checks
// every tile against it.
func checkTree(f *folder, tree tlog.Tree) error {
	var stored []tlog.Hash
	hashes := tlog.HashReaderFunc(func(indexes []int64) (h []tlog.Hash, err error) {
		for _, i := range indexes {
			h = append(h, stored[i])
		}
		return h, nil
	})
	for i := int64(0); i < tree.N; i++ {
		w := int(min(width, tree.N-i/width*width))
		bundle, err := f.read(entryShape(i/width, w))
		if err != nil {
			return err
		}
		for ; w > 0; w-- {
			var leaf []byte
			if leaf, bundle, err = torchwood.ReadTileEntry(bundle); err != nil {
				return err
			}
			more, err := tlog.StoredHashes(i, leaf, hashes)
			if err != nil {
				return err
			}
			stored = append(stored, more...)
			i++
		}
		if i--; len(bundle) != 0 {
			return errors.New("an entry bundle goes on")
		}
	}
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil || root != tree.Hash {
		return fmt.Errorf("the entries do not hash to the checkpoint of %d: %v", tree.N, err)
	}
	for _, t := range tlog.NewTiles(8, 0, tree.N) {
		want, err := tlog.ReadTileData(t, hashes)
		if err != nil {
			return err
		}
		if got, err := f.read(torchwood.TilePath(t)); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s differs (%v)", torchwood.TilePath(t), err)
		}
	}
	return nil
}

// rowChecker compares rows, in order, with the bundles.
type rowChecker struct {
	*folder
	size    int64
	n       int64
	entries []byte
	blobs   [][]byte
	keys    map[translog.KeyID]bool
}

func (c *rowChecker) check(row journal.Row) (err error) {
	i := int64(row.Seq)
	if n := i / width; n != c.n {
		c.n = n
		w := int(min(width, c.size-n*width))
		if c.entries, err = c.read(entryShape(n, w)); err != nil {
			return err
		}
		bundle, err := c.read(translog.SealedPath(n, w))
		if err != nil {
			return err
		}
		if c.blobs, err = translog.ParseSealed(bundle, w); err != nil {
			return err
		}
	}
	if got := c.entries[i%width*entrySize+2:][:translog.LeafSize]; !bytes.Equal(got, row.Leaf) {
		return fmt.Errorf("leaf %d is not the journal's", i)
	}
	if got := c.blobs[i%width]; !bytes.Equal(got, row.Sealed) {
		return fmt.Errorf("sealed entry %d is not the journal's: %d bytes for %d", i, len(got), len(row.Sealed))
	}
	if row.Sealed != nil && !c.keys[row.Key] {
		c.keys[row.Key] = true
		_, err = c.read(row.Key.Path())
	}
	return err
}

func logPublic() ed25519.PublicKey { return testKey("log").Public().(ed25519.PublicKey) }
