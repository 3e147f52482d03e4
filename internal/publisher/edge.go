package publisher

import (
	"crypto/sha256"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	width    = torchwood.TileWidth
	hashSize = sha256.Size
)

// edge is the right edge of a tree: for each level of tiles the one that is
// not full yet. It is all that it takes to add leaves and to know the root.
type edge struct {
	size   int64
	levels [][]byte // 0 to 255 hashes each
}

func (e *edge) clone() *edge {
	c := &edge{size: e.size}
	for _, hashes := range e.levels {
		c.levels = append(c.levels, append(make([]byte, 0, width*hashSize), hashes...))
	}
	return c
}

// add appends a leaf. full is given each tile that it completes, and may keep
// the data.
func (e *edge) add(h tlog.Hash, full func(t tlog.Tile, data []byte) error) error {
	for level := 0; ; level++ {
		if level == len(e.levels) {
			e.levels = append(e.levels, nil)
		}
		e.levels[level] = append(e.levels[level], h[:]...)
		data := e.levels[level]
		if len(data) < width*hashSize {
			break
		}
		e.levels[level] = make([]byte, 0, width*hashSize)
		t := tlog.Tile{H: torchwood.TileHeight, L: level, N: e.size >> (torchwood.TileHeight * (level + 1)), W: width}
		if err := full(t, data); err != nil {
			return err
		}
		h = tileRoot(data)
	}
	e.size++
	return nil
}

// tileRoot is the hash over a full tile.
func tileRoot(data []byte) tlog.Hash {
	var row [width]tlog.Hash
	for i := range row {
		row[i] = tlog.Hash(data[i*hashSize:])
	}
	for n := width / 2; n > 0; n /= 2 {
		for i := range n {
			row[i] = tlog.NodeHash(row[2*i], row[2*i+1])
		}
	}
	return row[0]
}

// partialTiles are the hash tiles of a tree that are not full, lowest level
// first.
func partialTiles(size int64) (tiles []tlog.Tile) {
	for level := 0; size>>(torchwood.TileHeight*level) > 0; level++ {
		n := size >> (torchwood.TileHeight * level)
		if w := int(n % width); w > 0 {
			tiles = append(tiles, tlog.Tile{H: torchwood.TileHeight, L: level, N: n / width, W: w})
		}
	}
	return tiles
}

// root is the hash of the tree.
func (e *edge) root() (tlog.Hash, error) {
	return tlog.TreeHash(e.size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			t := tlog.TileForIndex(torchwood.TileHeight, index)
			if t.L >= len(e.levels) || len(e.levels[t.L]) < t.W*hashSize {
				return nil, fmt.Errorf("publisher: the right edge of %d leaves lacks hash %d", e.size, index)
			}
			h, err := tlog.HashFromTile(t, e.levels[t.L][:t.W*hashSize], index)
			if err != nil {
				return nil, err
			}
			hashes[i] = h
		}
		return hashes, nil
	}))
}

// readEdge reads the right edge of a tree from its tiles, and checks that it
// is that tree's.
func readEdge(f *folder, tree tlog.Tree) (*edge, error) {
	e := &edge{size: tree.N}
	if tree.N == 0 {
		return e, nil
	}
	for _, t := range partialTiles(tree.N) {
		for len(e.levels) <= t.L {
			e.levels = append(e.levels, make([]byte, 0, width*hashSize))
		}
		data, err := f.tile(t)
		if err != nil {
			return nil, err
		}
		e.levels[t.L] = append(e.levels[t.L], data...)
	}
	root, err := e.root()
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, fmt.Errorf("publisher: the tiles in %s are not those of the checkpoint for %d entries", f.root, tree.N)
	}
	return e, nil
}
