package follow

import (
	"context"
	"fmt"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// leaves returns the leaves that receipts name, all of which lie in the tree,
// verified against the checkpoint: each entry bundle is read once, and the tiles
// above all of them together.
func (f *Follower) leaves(ctx context.Context, l *log, cp translog.Checkpoint, list []due) (map[int64][]byte, error) {
	leaves := make(map[int64][]byte, len(list))
	for chunk := range slices.Chunk(list, duePage) {
		if err := f.readLeaves(ctx, l, cp, chunk, leaves); err != nil {
			return leaves, err
		}
	}
	return leaves, nil
}

// readLeaves adds leaves, for receipts in order of sequence.
func (f *Follower) readLeaves(ctx context.Context, l *log, cp translog.Checkpoint, list []due, leaves map[int64][]byte) error {
	r, err := f.Open(l.member, l.instance)
	if err != nil {
		return err
	}
	var bundles []tlog.Tile
	var indexes, stored []int64
	for _, d := range list {
		index := int64(d.promise.receipt.Sequence)
		if n := len(indexes); n > 0 && indexes[n-1] == index {
			continue
		}
		indexes, stored = append(indexes, index), append(stored, tlog.StoredHashIndex(0, index))
		if b := bundleOf(index, cp.N); len(bundles) == 0 || bundles[len(bundles)-1] != b {
			bundles = append(bundles, b)
		}
	}
	data, err := r.ReadTiles(ctx, bundles)
	if err != nil {
		return err
	}
	want, err := torchwood.TileHashReaderWithContext(ctx, cp.Tree, r).ReadHashes(stored)
	if err != nil {
		return err
	}
	for i, b := range bundles {
		entries, err := splitBundle(data[i], b.W)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", torchwood.TilePath(b), l.origin, err)
		}
		for len(indexes) > 0 && indexes[0]/torchwood.TileWidth == b.N {
			leaf := entries[indexes[0]%torchwood.TileWidth]
			if tlog.RecordHash(leaf) != want[0] {
				return fmt.Errorf("%s of %s does not have leaf %d of the tree", torchwood.TilePath(b), l.origin, indexes[0])
			}
			leaves[indexes[0]] = leaf
			indexes, want = indexes[1:], want[1:]
		}
	}
	return nil
}

// bundleOf is the entry bundle of a leaf in a tree of the given size.
func bundleOf(index, size int64) tlog.Tile {
	n := index / torchwood.TileWidth
	return tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: int(min(torchwood.TileWidth, size-n*torchwood.TileWidth))}
}

// splitBundle returns the leaves of a bundle, which has exactly width.
func splitBundle(data []byte, width int) ([][]byte, error) {
	entries := make([][]byte, 0, width)
	for len(data) > 0 {
		entry, rest, err := torchwood.ReadTileEntry(data)
		if err != nil {
			return nil, err
		}
		if len(entry) != translog.LeafSize {
			return nil, fmt.Errorf("a leaf of %d bytes", len(entry))
		}
		entries, data = append(entries, entry), rest
	}
	if len(entries) != width {
		return nil, fmt.Errorf("%d leaves where %d are expected", len(entries), width)
	}
	return entries, nil
}
