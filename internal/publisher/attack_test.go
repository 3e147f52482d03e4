package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
)

// TestHugeTree: a member may have any first tree cosigned, since a witness sees
// no leaves. The store does not go through all that such a tree would have.
func TestHugeTree(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	hash := tlog.Hash{1}
	tree := tlog.Tree{N: 1 << 48, Hash: hash} // one hash at the top is all of its right edge
	p := r.open()
	bare, err := p.signedNote(tree, nil)
	must(t, err)
	var cosignatures []note.Signature
	for _, w := range r.witnesses[:2] {
		line, err := w.Cosign(ctx, 0, nil, bare)
		must(t, err)
		s, err := Cosignature(r.policy(), bare, line)
		must(t, err)
		cosignatures = append(cosignatures, s)
	}
	signed, err := p.signedNote(tree, cosignatures)
	must(t, err)
	done := make(chan error, 1)
	go func() {
		done <- hub.Store.Put(ctx, "hub", r.policy(), []Object{{Path: "tile/6/000.p/1", Content: hash[:]}}, signed)
	}()
	select {
	case err := <-done:
		if e := new(waypost.Error); !errors.As(err, &e) || e.Code != waypost.InvalidArgument {
			t.Errorf("a tree without leaves: %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the store is lost in a tree of 2^48 leaves")
	}
}

// TestRefusedTakesNoRoom: a request that is refused leaves nothing on the disk
// for which nobody was charged.
func TestRefusedTakesNoRoom(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	var objects []Object
	for i := range 10 {
		objects = append(objects, Object{Path: fmt.Sprintf("keys/%016x", i), Content: make([]byte, 1000)})
	}
	for name, bad := range map[string]Object{
		"a bad path":  {Path: "x", Content: []byte("x")},
		"one twice":   {Path: objects[0].Path, Content: []byte("another")},
		"a bad bytes": {Path: "evidence/a.json", Content: []byte("{")},
	} {
		if err := hub.Store.Put(ctx, "hub", r.policy(), append(objects, bad), nil); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := countFiles(t, hub.dir); n > 0 {
		t.Errorf("%d files are left of refused requests", n)
	}
	many := make([]Object, maxObjects+1)
	for i := range many {
		many[i] = Object{Path: fmt.Sprintf("keys/%016x", i), Content: []byte("x")}
	}
	if err := hub.Store.Put(ctx, "hub", r.policy(), many, nil); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("%d objects at once: %v", len(many), err)
	}
}

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

// TestManyLogs: a member has so many logs at a store and no more, however it
// begins them, and one that it does not begin costs nothing.
func TestManyLogs(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	put := func(instance int, objects ...Object) error {
		policy := r.policy()
		policy.Origin = fmt.Sprintf("waypost.test/hub/%d", instance)
		return hub.Store.Put(ctx, "hub", policy, objects, nil)
	}
	refused := 0
	for i := range 2 * maxLogs {
		if put(i+1) != nil {
			refused++
		}
	}
	for i := range 2 * maxLogs {
		if put(i+1, Object{Path: "seen/a/1", Content: []byte("x")}) != nil {
			refused++
		}
	}
	dirs, err := filepath.Glob(filepath.Join(hub.dir, "hub", "[0-9]*"))
	if known := len(hub.member("hub").logs); err != nil || len(dirs) != maxLogs || known > maxLogs || refused < maxLogs {
		t.Errorf("%d logs on disk, %d in memory, %d refusals, %v", len(dirs), known, refused, err)
	}
}

// TestOneSpelling: an object of a log has one path.
func TestOneSpelling(t *testing.T) {
	for _, path := range []string{"tile/data/000", "tile/data/000.p/3", "sealed/entries/000", "tile/8/data/000", "tile/0/0000", "counters/2026-99-99"} {
		if _, ok := kindOf(path); ok {
			t.Errorf("%s is taken for an object", path)
		}
	}
}

// TestLargeEvidence: what may be evidence reaches the copy. If it did not, the
// log would stay behind there for ever.
func TestLargeEvidence(t *testing.T) {
	r := newRig(t)
	hub := newFar(r)
	r.source.append(3)
	p := r.open()
	evidence := []byte(`"` + strings.Repeat("a", 5<<20) + `"`)
	must(t, openFolder(r.folder(), nil).write("evidence/00ff.json", evidence))
	r.flush(p)
	hub.check()
	if got, err := os.ReadFile(filepath.Join(hub.folder(), "evidence/00ff.json")); err != nil || len(got) != len(evidence) {
		t.Errorf("%d of %d bytes have arrived: %v", len(got), len(evidence), err)
	}
}

// TestCopiedBackAlone: older copies of database and folder, and at the start no
// witness to ask. What the witnesses would say is waited for; a signature
// cannot be taken back.
func TestCopiedBackAlone(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	p := r.open()
	r.flush(p)
	old := t.TempDir()
	must(t, os.CopyFS(old, os.DirFS(r.dir)))
	r.source.append(100)
	r.flush(p) // a new process leaves out whom it still asks about what was signed before

	r.dir = old
	r.source.rows = r.source.rows[:300]
	for i := range 150 {
		r.source.rows = append(r.source.rows, testRow(300+i, "other"))
	}
	for _, w := range r.witnesses {
		w.set(errors.New("it is asleep"))
	}
	p = r.open()
	for range 2 {
		if err := p.Flush(ctx); err == nil {
			t.Error("published without witnesses")
		}
	}
	p.work.Wait()
	for _, w := range r.witnesses {
		w.set(nil)
	}
	if err := p.Flush(ctx); !errors.Is(err, errOutrun) {
		t.Errorf("the older copies were not found out: %v", err)
	}
	p.work.Wait()
	if s := p.Status(); s.Signed != 300 {
		t.Errorf("%d entries are signed, 300 were", s.Signed)
	}
	for _, w := range r.witnesses {
		if w.tree.N != 400 || w.fork != nil {
			t.Errorf("%s has seen %d entries: %v", w.name, w.tree.N, w.fork)
		}
	}
}

// TestOldDatabaseWithoutFolder: an older copy of the database, and the folder is
// lost. Only the witnesses know that more was signed.
func TestOldDatabaseWithoutFolder(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	r.flush(r.open())
	r.dir = t.TempDir()
	r.source.rows = r.source.rows[:200]
	r.source.rows = append(r.source.rows, testRow(200, "other"))
	p := r.open()
	for range 2 {
		if err := p.Flush(ctx); !errors.Is(err, errOutrun) || !strings.Contains(err.Error(), "300 entries") {
			t.Errorf("the older database was not found out: %v", err)
		}
	}
	p.work.Wait()
	if s := p.Status(); s.Signed != 0 {
		t.Errorf("a tree of %d entries is signed", s.Signed)
	}

	// The newest database needs no folder.
	r = newRig(t)
	r.source.append(300)
	r.flush(r.open())
	r.dir = t.TempDir()
	r.source.append(5)
	r.flush(r.open())
	if c := r.check(); c.N != 305 {
		t.Errorf("%d entries after the folder was lost", c.N)
	}
}

// shownTo records every tree under the log's signature that leaves a publisher.
type shownTo struct {
	*testWitness
	seen func(signed []byte)
}

func (s shownTo) Cosign(ctx context.Context, old int64, proof tlog.TreeProof, checkpoint []byte) ([]byte, error) {
	s.seen(checkpoint)
	return s.testWitness.Cosign(ctx, old, proof, checkpoint)
}

// TestNeverForks: whatever is copied back of database and folder, whenever the
// process starts anew and whichever witnesses are down, the trees that are
// signed continue each other. One thing is left to the operator: to bring back an old
// database without the folder and let it grow before the publisher starts.
func TestNeverForks(t *testing.T) {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		r := newRig(t)
		var mu sync.Mutex
		var leaves [][]byte // under the largest tree that was signed
		record := func(signed []byte) {
			tree, err := parseTree(signed, origin)
			must(t, err)
			rows, _ := r.source.Rows(ctx, 0, int(tree.N))
			mu.Lock()
			defer mu.Unlock()
			for i, row := range rows {
				if i == len(leaves) {
					leaves = append(leaves, row.Leaf)
				} else if !bytes.Equal(leaves[i], row.Leaf) {
					t.Errorf("seed %d: of %d entries that are signed number %d is another than before", seed, tree.N, i)
					return
				}
			}
		}
		open := func() *Publisher {
			p := r.open()
			p.Witnesses = func() (all []Witness) {
				for _, w := range r.witnesses {
					all = append(all, shownTo{w, record})
				}
				return all
			}
			return p
		}
		type backup struct {
			dir  string
			rows []journal.Row
		}
		var backups []backup
		branch := 0 // of the journal; 0 as long as no older one was brought back
		p := open()
		for range 40 {
			switch rnd.IntN(9) {
			case 0, 1, 2:
				for range 1 + rnd.IntN(300) {
					variant := ""
					if branch > 0 {
						variant = fmt.Sprint(branch)
					}
					r.source.mu.Lock()
					r.source.rows = append(r.source.rows, testRow(len(r.source.rows), variant))
					r.source.mu.Unlock()
				}
				_ = p.Flush(ctx)
			case 3:
				p.work.Wait()
				p = open()
				_ = p.Flush(ctx)
			case 4:
				if _, err := os.Stat(filepath.Join(r.folder(), "signed")); err != nil {
					continue
				}
				dir := t.TempDir()
				must(t, os.CopyFS(dir, os.DirFS(r.dir)))
				backups = append(backups, backup{dir, slices.Clone(r.source.rows)})
			case 5: // both, the database alone, or the folder alone
				if len(backups) == 0 {
					continue
				}
				p.work.Wait()
				b, what := backups[rnd.IntN(len(backups))], rnd.IntN(3)
				if what != 2 {
					r.source.rows, branch = slices.Clone(b.rows), branch+1
				}
				if what != 1 {
					r.dir = t.TempDir()
					must(t, os.CopyFS(r.dir, os.DirFS(b.dir)))
				}
				p = open()
			case 6:
				if branch > 0 {
					continue
				}
				p.work.Wait()
				r.dir = t.TempDir()
				p = open()
			default:
				down := rnd.IntN(len(r.witnesses) + 1)
				for i, w := range r.witnesses {
					w.set(nil)
					if i < down {
						w.set(errors.New("it is asleep"))
					}
				}
				_ = p.Flush(ctx)
			}
		}
		p.work.Wait()
		if len(leaves) == 0 {
			t.Errorf("seed %d: nothing was signed", seed)
		}
	}
}

// TestFolderTakenAway: the folder vanishes under a running publisher, which
// makes it again, whole.
func TestFolderTakenAway(t *testing.T) {
	for _, size := range []int{100, 1500} {
		r := newRig(t)
		r.source.append(size)
		p := r.open()
		r.flush(p)
		must(t, os.RemoveAll(r.dir))
		r.clock.add(time.Second)
		more, cancel := context.WithTimeout(ctx, 2*time.Minute)
		for range 10 {
			_ = p.Flush(more)
			p.work.Wait()
		}
		cancel()
		if c := r.check(); c.N != int64(size) {
			t.Errorf("%d of %d entries", c.N, size)
		}
		if _, err := os.Stat(filepath.Join(r.folder(), "signed")); err != nil {
			t.Error(err)
		}
	}
}
