package publisher

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

const (
	// batchLeaves is how many entries one round takes at most: its memory and
	// the time between two signs of life are bounded by it.
	batchLeaves = 1 << 16
	pageRows    = 1000
	// tailLeaves is how many entries are compared with the journal at a start.
	tailLeaves = 4096
)

// load takes up what an earlier process left in the folder.
func (p *Publisher) load(ctx context.Context) error {
	shown, note, err := p.readCheckpoint("checkpoint")
	if err != nil {
		return err
	}
	signed, _, err := p.readCheckpoint("signed")
	if err != nil {
		return err
	}
	if signed.N < shown.N {
		signed = shown // the file is lost, the signature is out all the same
	}
	p.signed = signed
	if p.journal < signed.N {
		return p.shorter()
	}
	if err := p.loadProgress(); err != nil {
		return err
	}
	if p.edge, err = readEdge(p.folder, signed); err != nil {
		p.rebuild(err)
	} else if err := p.compare(ctx, max(0, signed.N-tailLeaves)/width, signed.N); errors.Is(err, errLost) {
		p.rebuild(err)
	} else if err != nil {
		return err
	}
	if shown.N > 0 {
		p.shown.Store(&shownCheckpoint{tree: shown, note: note, erased: p.progress.Erased})
	}
	p.pruner.watch(signed.N)
	p.pruner.watch(shown.N)
	p.loaded = true
	return nil
}

// errLost is wrapped where a file of the log is missing or damaged.
var errLost = errors.New("publisher: a file of the log is missing or damaged")

// rebuild makes all files again from the journal. What was signed stays signed,
// and nothing else is until they are there.
func (p *Publisher) rebuild(cause error) {
	p.Log.Warn("files of the ledger are made again from the journal", "log", p.config.Origin, "cause", cause.Error())
	p.edge = new(edge)
	clear(p.keys)
}

// extend writes what belongs to the next entries of the journal, brings it to
// disk, and signs the tree.
func (p *Publisher) extend(ctx context.Context) error {
	target := p.journal
	if p.edge.size < p.signed.N {
		target = p.signed.N // making again what is lost, which has its signature
	}
	// Batches end where tiles of two levels do, so that catching up writes
	// almost no partial ones.
	until := min(target, (p.edge.size/p.batch+1)*p.batch)
	if until == p.edge.size {
		return nil
	}
	w := &bundleWriter{p: p, batch: p.folder.batch(), edge: p.edge.clone(), n: p.edge.size / width}
	err := p.rows(ctx, w.n*width, until, w.add)
	if err == nil {
		err = w.finish(ctx)
	}
	if err != nil {
		return errors.Join(err, w.batch.abandon())
	}
	if err := w.batch.commit(); err != nil {
		return err
	}
	for id := range w.keys {
		p.keys[id] = true
	}
	root, err := w.edge.root()
	if err != nil {
		return err
	}
	if until == p.signed.N && root != p.signed.Hash {
		return fmt.Errorf("%w: the first %d entries are others than those signed", errContradicts, until)
	}
	if until > p.signed.N {
		if err := p.holds(ctx); err != nil {
			return err
		}
		if err := p.sign(tlog.Tree{N: until, Hash: root}); err != nil {
			return err
		}
	}
	p.edge = w.edge
	return nil
}

// rows calls f with the journal's rows from number from to before until.
func (p *Publisher) rows(ctx context.Context, from, until int64, f func(journal.Row) error) error {
	for from < until {
		page, err := p.Source.Rows(ctx, uint64(from), int(min(pageRows, until-from)))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return contradicts(from)
		}
		for _, row := range page {
			if row.Seq != uint64(from) || len(row.Leaf) != translog.LeafSize {
				return contradicts(from)
			}
			if err := f(row); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// compare checks the journal against the files from a bundle on.
func (p *Publisher) compare(ctx context.Context, bundle, until int64) error {
	var hashes, entries []byte
	return p.rows(ctx, bundle*width, until, func(row journal.Row) error {
		i := int64(row.Seq)
		if i%width == 0 {
			n, w := i/width, int(min(width, until-i))
			var errs [3]error
			hashes, errs[0] = p.folder.cut(hashShape(0), n, w, hashSize)
			entries, errs[1] = p.folder.cut(entryShape, n, w, entrySize)
			_, errs[2] = p.folder.sealed(n, w)
			if err := errors.Join(errs[:]...); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
		}
		h := tlog.RecordHash(row.Leaf)
		if !bytes.Equal(hashes[i%width*hashSize:][:hashSize], h[:]) {
			return contradicts(i)
		}
		if !bytes.Equal(entries[i%width*entrySize+2:][:translog.LeafSize], row.Leaf) {
			return fmt.Errorf("%w: the leaf of entry %d", errLost, i)
		}
		if row.Sealed != nil && !p.keys[row.Key] {
			if _, err := os.Lstat(p.folder.name(row.Key.Path())); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
			p.keys[row.Key] = true
		}
		return nil
	})
}

// bundleWriter turns rows into the objects of one batch.
type bundleWriter struct {
	p       *Publisher
	batch   *batch
	edge    *edge
	n       int64 // of the bundle being filled
	entries []byte
	sealed  []byte
	width   int
	keys    map[translog.KeyID]bool
}

// add takes the next row. Those before the edge are there because their bundle
// is written again; they must be the ones that it holds.
func (w *bundleWriter) add(row journal.Row) error {
	h := tlog.RecordHash(row.Leaf)
	if int64(row.Seq) < w.edge.size {
		if !bytes.Equal(w.edge.levels[0][row.Seq%width*hashSize:][:hashSize], h[:]) {
			return contradicts(int64(row.Seq))
		}
	} else if err := w.edge.add(h, func(t tlog.Tile, data []byte) error {
		return w.put(hashShape(t.L), t.N, width, data)
	}); err != nil {
		return err
	}
	w.entries = binary.BigEndian.AppendUint16(w.entries, uint16(len(row.Leaf)))
	w.entries = append(w.entries, row.Leaf...)
	w.sealed = translog.AppendSealed(w.sealed, row.Sealed)
	if row.Sealed != nil && !w.p.keys[row.Key] {
		if w.keys == nil {
			w.keys = make(map[translog.KeyID]bool)
		}
		w.keys[row.Key] = true
	}
	if w.width++; w.width < width {
		return nil
	}
	return w.flush()
}

// flush writes the bundles as far as they are filled.
func (w *bundleWriter) flush() error {
	if w.width == 0 {
		return nil
	}
	if err := w.put(entryShape, w.n, w.width, w.entries); err != nil {
		return err
	}
	if err := w.put(translog.SealedPath, w.n, w.width, w.sealed); err != nil {
		return err
	}
	w.n, w.width, w.entries, w.sealed = w.n+1, 0, nil, nil
	return nil
}

// finish writes what is not full, and the keys.
func (w *bundleWriter) finish(ctx context.Context) error {
	if err := w.flush(); err != nil {
		return err
	}
	for _, t := range partialTiles(w.edge.size) {
		if err := w.put(hashShape(t.L), t.N, t.W, w.edge.levels[t.L]); err != nil {
			return err
		}
	}
	for id := range w.keys {
		wrapped, err := w.p.Source.WrappedKey(ctx, id)
		if err != nil {
			return err
		}
		if err := w.batch.put(id.Path(), wrapped); err != nil {
			return err
		}
	}
	return nil
}

func (w *bundleWriter) put(s shape, n int64, wide int, content []byte) error {
	path := s(n, wide)
	if w.edge.size < w.p.signed.N && wide == width && strings.HasPrefix(path, "tile/0/") {
		// Made again: what is there was published, and never changes.
		old, err := w.p.folder.read(path)
		if err == nil && len(old) == len(content) && !bytes.Equal(old, content) {
			return contradicts(n * width)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if _, err := os.Lstat(w.p.folder.name(s.partialDir(n))); wide < width || err == nil {
		w.p.pruner.dirs[s.partialDir(n)] = true
	}
	return w.batch.put(path, content)
}
