package translog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// batch is how many bundles are read at once: few enough to bound the memory,
// a divisor of 256 so that one tile of level 1 verifies them all.
const batch = 64

// CheckLeaf verifies without a log, by an inclusion proof, that leaf stands at
// index in the tree of cp.
func CheckLeaf(cp Checkpoint, index int64, leaf []byte, proof tlog.RecordProof) error {
	if len(leaf) != LeafSize {
		return fmt.Errorf("%w: leaf %d of %s has %d bytes, not %d", ErrDamaged, index, cp.Origin, len(leaf), LeafSize)
	}
	if index < 0 || index >= cp.N {
		return fmt.Errorf("%w: there is no leaf %d among the %d of %s", ErrDamaged, index, cp.N, cp.Origin)
	}
	if err := tlog.CheckRecord(proof, cp.N, cp.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("%w: leaf %d of %s is not in the tree of the checkpoint", ErrDamaged, index, cp.Origin)
	}
	return nil
}

// Leaf reads the leaf at index, and the proof that it stands there in the tree
// of cp. The leaf is LeafSize bytes and verified.
func Leaf(ctx context.Context, r Reader, cp Checkpoint, index int64) (leaf []byte, proof tlog.RecordProof, err error) {
	if index < 0 || index >= cp.N {
		return nil, nil, fmt.Errorf("there is no leaf %d among the %d of %s", index, cp.N, cp.Origin)
	}
	t := bundleTile(cp, index/torchwood.TileWidth)
	data, err := r.ReadTiles(ctx, []tlog.Tile{t})
	if err != nil {
		return nil, nil, err
	}
	leaves, err := parseBundle(t, data[0])
	if err != nil {
		return nil, nil, err
	}
	if proof, err = tlog.ProveRecord(cp.N, index, hashes(ctx, r, cp)); err != nil {
		return nil, nil, err
	}
	leaf = leaves[index%torchwood.TileWidth]
	return leaf, proof, CheckLeaf(cp, index, leaf, proof)
}

// Bundle is a run of verified leaves out of one entry bundle: 1 to 256.
type Bundle struct {
	First  int64    // index of Leaves[0]
	Leaves [][]byte // LeafSize bytes each
}

// Bundles reads and verifies the leaves of a log from index from on, up to the
// size of cp, in order and without a gap; the last bundle may be a partial one.
// What it yields is verified. It ends after an error, and holds at most some
// megabytes.
func Bundles(ctx context.Context, r Reader, cp Checkpoint, from int64) iter.Seq2[Bundle, error] {
	return func(yield func(Bundle, error) bool) {
		if from < 0 || from > cp.N {
			yield(Bundle{}, fmt.Errorf("there is no leaf %d among the %d of %s", from, cp.N, cp.Origin))
			return
		}
		for from < cp.N {
			bundles, err := readBatch(ctx, r, cp, from/torchwood.TileWidth)
			if err != nil {
				yield(Bundle{}, err)
				return
			}
			for _, b := range bundles {
				skip := max(from-b.First, 0) // in the first bundle only
				b.First, b.Leaves = b.First+skip, b.Leaves[skip:]
				if from = b.First + int64(len(b.Leaves)); !yield(b, nil) {
					return
				}
			}
		}
	}
}

// readBatch reads and verifies the bundles from number n to the end of its batch.
func readBatch(ctx context.Context, r Reader, cp Checkpoint, n int64) ([]Bundle, error) {
	tiles := bundleTiles(cp, n)
	data, err := r.ReadTiles(ctx, tiles)
	if err != nil {
		return nil, err
	}
	var stored []int64
	for _, t := range tiles {
		stored = append(stored, bundleHashes(t)...)
	}
	want, err := hashes(ctx, r, cp).ReadHashes(stored)
	if err != nil {
		return nil, err
	}
	bundles := make([]Bundle, len(tiles))
	for i, t := range tiles {
		leaves, err := parseBundle(t, data[i])
		if err != nil {
			return nil, err
		}
		first := t.N * torchwood.TileWidth
		if t.W == torchwood.TileWidth {
			if subtree(hashTile(leaves)) != want[0] {
				return nil, fmt.Errorf("%w: %s is not what the checkpoint stands for, at one of the leaves %d to %d",
					ErrDamaged, torchwood.TilePath(t), first, first+torchwood.TileWidth-1)
			}
			want = want[1:]
		} else {
			for j, leaf := range leaves {
				if tlog.RecordHash(leaf) != want[j] {
					return nil, fmt.Errorf("%w: %s is not what the checkpoint stands for, at leaf %d", ErrDamaged, torchwood.TilePath(t), first+int64(j))
				}
			}
		}
		bundles[i] = Bundle{first, leaves}
	}
	return bundles, nil
}

// bundleHashes returns which stored hashes verify a bundle: that above the
// whole of it, or those of its leaves.
func bundleHashes(t tlog.Tile) []int64 {
	if t.W == torchwood.TileWidth {
		return []int64{tlog.StoredHashIndex(torchwood.TileHeight, t.N)}
	}
	indexes := make([]int64, t.W)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, t.N*torchwood.TileWidth+int64(i))
	}
	return indexes
}

// bundleTile returns bundle n as wide as it is in the tree of cp.
func bundleTile(cp Checkpoint, n int64) tlog.Tile {
	width := min(cp.N-n*torchwood.TileWidth, torchwood.TileWidth)
	return tlog.Tile{H: torchwood.TileHeight, L: -1, N: n, W: int(width)}
}

// bundleTiles returns the bundles from number n to the end of its batch.
func bundleTiles(cp Checkpoint, n int64) (tiles []tlog.Tile) {
	for end := (n/batch + 1) * batch; n < end && n*torchwood.TileWidth < cp.N; n++ {
		tiles = append(tiles, bundleTile(cp, n))
	}
	return tiles
}

// parseBundle returns the leaves of an entry bundle, which share its memory.
func parseBundle(t tlog.Tile, data []byte) ([][]byte, error) {
	if len(data) != t.W*entrySize {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrDamaged, torchwood.TilePath(t), len(data), t.W*entrySize)
	}
	leaves := make([][]byte, t.W)
	for i := range leaves {
		entry := data[i*entrySize : (i+1)*entrySize : (i+1)*entrySize]
		if entry[0] != 0 || entry[1] != LeafSize {
			return nil, fmt.Errorf("%w: %s has a leaf that is not of %d bytes, at index %d",
				ErrDamaged, torchwood.TilePath(t), LeafSize, t.N*torchwood.TileWidth+int64(i))
		}
		leaves[i] = entry[2:]
	}
	return leaves, nil
}

// hashTile returns the tile of level 0 above leaves.
func hashTile(leaves [][]byte) []byte {
	tile := make([]byte, 0, len(leaves)*tlog.HashSize)
	for _, leaf := range leaves {
		h := tlog.RecordHash(leaf)
		tile = append(tile, h[:]...)
	}
	return tile
}

// subtree returns the hash above a whole tile.
func subtree(tile []byte) tlog.Hash {
	if len(tile) == tlog.HashSize {
		return tlog.Hash(tile)
	}
	return tlog.NodeHash(subtree(tile[:len(tile)/2]), subtree(tile[len(tile)/2:]))
}

// hashes reads stored hashes from the tiles of r, verified against the tree of
// cp. Where the tiles can be read and are not those of the tree, the error
// wraps ErrDamaged.
func hashes(ctx context.Context, r Reader, cp Checkpoint) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		kept := &keepError{Reader: r}
		found, err := torchwood.TileHashReaderWithContext(ctx, cp.Tree, kept).ReadHashes(indexes)
		if err != nil && kept.err == nil {
			return nil, fmt.Errorf("%w: the hash tiles of %s do not make the root of its checkpoint", ErrDamaged, cp.Origin)
		}
		return found, err
	})
}

type keepError struct {
	Reader
	err error
}

func (k *keepError) ReadTiles(ctx context.Context, tiles []tlog.Tile) (data [][]byte, err error) {
	data, k.err = k.Reader.ReadTiles(ctx, tiles)
	return data, k.err
}

// Sealed reads the sealed entries that stand behind the leaves of b, one of
// [Bundles] of the same log and checkpoint; an erased one is empty. They are
// not verified: [OpenSealed] does that.
func Sealed(ctx context.Context, r Reader, cp Checkpoint, b Bundle) ([][]byte, error) {
	t := bundleTile(cp, b.First/torchwood.TileWidth)
	path := SealedPath(t.N, t.W)
	bundle, err := r.ReadEndpoint(ctx, path)
	if t.W < torchwood.TileWidth && errors.Is(err, fs.ErrNotExist) {
		t.W = torchwood.TileWidth
		whole, wholeErr := r.ReadEndpoint(ctx, SealedPath(t.N, t.W))
		if !errors.Is(wholeErr, fs.ErrNotExist) {
			path, bundle, err = SealedPath(t.N, t.W), whole, wholeErr
		}
	}
	if err != nil {
		return nil, err
	}
	blobs, err := ParseSealed(bundle, t.W)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	skip := int(b.First % torchwood.TileWidth)
	return blobs[skip : skip+len(b.Leaves)], nil
}
