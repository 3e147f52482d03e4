package publisher

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"strconv"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// entrySize is the length of a leaf in its bundle, with its own length before it.
const entrySize = 2 + translog.LeafSize

// shape is one of the three series of objects that are cut every 256 entries,
// or hashes.
type shape func(n int64, width int) (path string)

func hashShape(level int) shape {
	return func(n int64, width int) string {
		return torchwood.TilePath(tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: width})
	}
}

var entryShape = hashShape(-1)

// partialDir is the folder of the partial objects beside a whole one.
func (s shape) partialDir(n int64) string { return s(n, width) + ".p" }

// widest reads an object of at least the given width: the one asked for, the
// whole one, or any wider one. All of a series begin with the same bytes.
func (f *folder) widest(s shape, n int64, w int) (content []byte, have int, err error) {
	for range 5 { // what is listed may be pruned before it is read, and another is there by then
		for _, have := range []int{w, width} {
			content, err = f.read(s(n, have))
			if !errors.Is(err, fs.ErrNotExist) {
				return content, have, err
			}
		}
		names, listErr := f.list(s.partialDir(n))
		if listErr != nil {
			return nil, 0, listErr
		}
		for _, name := range names {
			if have, _ := strconv.Atoi(name); have > w {
				content, err = f.read(path.Join(s.partialDir(n), name))
				if !errors.Is(err, fs.ErrNotExist) {
					return content, have, err
				}
			}
		}
	}
	return nil, 0, err
}

// cut reads an object of a series whose parts all have the same size.
func (f *folder) cut(s shape, n int64, w, size int) ([]byte, error) {
	content, have, err := f.widest(s, n, w)
	if err != nil {
		return nil, err
	}
	if len(content) != have*size {
		return nil, fmt.Errorf("publisher: %s in %s is damaged", s(n, have), f.root)
	}
	return content[:w*size], nil
}

// tile reads a tile of hashes.
func (f *folder) tile(t tlog.Tile) ([]byte, error) {
	return f.cut(hashShape(t.L), t.N, t.W, hashSize)
}

// sealed reads a bundle of sealed entries.
func (f *folder) sealed(n int64, w int) ([]byte, error) {
	content, have, err := f.widest(translog.SealedPath, n, w)
	if err != nil {
		return nil, err
	}
	blobs, err := translog.ParseSealed(content, have)
	if err != nil || have == w {
		return content, err
	}
	var bundle []byte
	for _, blob := range blobs[:w] {
		bundle = translog.AppendSealed(bundle, blob)
	}
	return bundle, nil
}

// hashes reads hashes of a tree from its tiles, and checks each against the root.
func (f *folder) hashes(tree tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(tree, tileReader{f})
}

type tileReader struct{ *folder }

func (tileReader) Height() int                     { return torchwood.TileHeight }
func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		if data[i], err = r.tile(t); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// A place is that of a tile or bundle.
type place struct {
	shape shape
	n     int64
	width int
}

func (o place) path() string { return o.shape(o.n, o.width) }

// newTiles are the hash tiles that a tree has beyond an older one, or wider, the
// lowest level first: [tlog.NewTiles] without the list of them.
func newTiles(older, newer int64) iter.Seq[tlog.Tile] {
	return func(yield func(tlog.Tile) bool) {
		for level := 0; newer>>(torchwood.TileHeight*level) > 0; level++ {
			from, to := older>>(torchwood.TileHeight*level), newer>>(torchwood.TileHeight*level)
			for n := from / width; n*width < to && from < to; n++ {
				t := tlog.Tile{H: torchwood.TileHeight, L: level, N: n, W: int(min(width, to-n*width))}
				if !yield(t) {
					return
				}
			}
		}
	}
}

// rightmost are the partial objects of a tree of that size.
func rightmost(size int64) (objects []place) {
	if w := int(size % width); w > 0 {
		objects = append(objects, place{entryShape, size / width, w}, place{translog.SealedPath, size / width, w})
	}
	for _, t := range partialTiles(size) {
		objects = append(objects, place{hashShape(t.L), t.N, t.W})
	}
	return objects
}

// A pruner removes partial objects that no reader needs any more.
type pruner struct {
	*folder
	dirs map[string]bool // where there may be some
}

func newPruner(f *folder) pruner { return pruner{f, make(map[string]bool)} }

// watch remembers where the partial objects of a tree lie, and those before.
func (p pruner) watch(size int64) {
	for level := 0; size>>(torchwood.TileHeight*level) > 0; level++ {
		n := size >> (torchwood.TileHeight * (level + 1))
		shapes := []shape{hashShape(level)}
		if level == 0 {
			shapes = append(shapes, entryShape, translog.SealedPath)
		}
		for _, s := range shapes {
			p.dirs[s.partialDir(n)] = true
			p.dirs[s.partialDir(max(0, n-1))] = true
		}
	}
}

// prune removes all but the partial objects of trees of the sizes given, and
// those too once the whole one is there, in which a reader finds them.
func (p pruner) prune(sizes ...int64) error {
	keep := make(map[string]bool)
	for _, size := range sizes {
		for _, o := range rightmost(size) {
			if _, err := os.Lstat(p.name(o.shape(o.n, width))); err != nil {
				keep[o.path()] = true
			}
		}
	}
	for dir := range p.dirs {
		names, err := p.list(dir)
		if err != nil {
			return err
		}
		left := 0
		for _, name := range names {
			if keep[path.Join(dir, name)] {
				left++
			} else if err := p.remove(path.Join(dir, name)); err != nil {
				return err
			}
		}
		if left == 0 {
			if err := p.remove(dir); err != nil {
				return err
			}
			delete(p.dirs, dir)
		}
	}
	return nil
}
