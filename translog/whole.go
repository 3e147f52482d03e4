package translog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyAll verifies a whole log from nothing: it reads every entry bundle,
// recomputes every hash tile, compares it with the published one, and the root
// with that of cp. It holds one tile for each level and some bundles.
// progress, if not nil, is told how many leaves are done. An error that wraps
// ErrDamaged names the object, and the index where that can be told.
func VerifyAll(ctx context.Context, r Reader, cp Checkpoint, progress func(done, total int64)) error {
	v := whole{r: r, cp: cp}
	for done := int64(0); done < cp.N; {
		bundles := bundleTiles(cp, done/torchwood.TileWidth)
		if err := v.addBundles(ctx, bundles); err != nil {
			return err
		}
		last := bundles[len(bundles)-1]
		done = last.N*torchwood.TileWidth + int64(last.W)
		if progress != nil {
			progress(done, cp.N)
		}
	}
	for level := 1; level < len(v.edge); level++ {
		if err := v.compare(ctx, level); err != nil {
			return err
		}
	}
	root, err := tlog.TreeHash(cp.N, tlog.HashReaderFunc(v.edgeHashes))
	if err != nil {
		return err
	}
	if root != cp.Hash {
		return fmt.Errorf("%w: the entries and tiles of %s fit together, but their root is not that of the checkpoint", ErrDamaged, cp.Origin)
	}
	return nil
}

// whole is a tree that grows by bundles.
type whole struct {
	r    Reader
	cp   Checkpoint
	edge [][]byte // by level, the hashes of the rightmost tile; empty after a whole one
	full []int64  // by level, how many whole tiles are behind it
}

func (v *whole) addBundles(ctx context.Context, bundles []tlog.Tile) error {
	tiles := bundles
	for _, b := range bundles {
		b.L = 0
		tiles = append(tiles, b)
	}
	data, err := v.r.ReadTiles(ctx, tiles)
	if err != nil {
		return err
	}
	for i, b := range bundles {
		leaves, err := parseBundle(b, data[i])
		if err != nil {
			return err
		}
		tile := hashTile(leaves)
		if err := v.fits(ctx, b, tile, data[len(bundles)+i]); err != nil {
			return err
		}
		v.level(0)
		if b.W < torchwood.TileWidth {
			v.edge[0] = tile
			continue
		}
		v.full[0]++
		if err := v.add(ctx, 1, subtree(tile)); err != nil {
			return err
		}
	}
	return nil
}

// fits compares the tile that a bundle makes with the published one. Where they
// differ, what the checkpoint says tells which of the two is wrong.
func (v *whole) fits(ctx context.Context, bundle tlog.Tile, made, published []byte) error {
	i := differ(made, published)
	if i < 0 {
		return nil
	}
	index := bundle.N*torchwood.TileWidth + int64(i)
	wrong := bundle
	_, err := hashes(ctx, v.r, v.cp).ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	if errors.Is(err, ErrDamaged) {
		wrong.L = 0
	} else if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s is wrong at leaf %d", ErrDamaged, torchwood.TilePath(wrong), index)
}

// add appends a hash to the rightmost tile of a level, and to the level above
// when that is whole.
func (v *whole) add(ctx context.Context, level int, h tlog.Hash) error {
	v.level(level)
	v.edge[level] = append(v.edge[level], h[:]...)
	if len(v.edge[level]) < torchwood.TileWidth*tlog.HashSize {
		return nil
	}
	if err := v.compare(ctx, level); err != nil {
		return err
	}
	above := subtree(v.edge[level])
	v.edge[level] = v.edge[level][:0]
	v.full[level]++
	return v.add(ctx, level+1, above)
}

// level makes room for a level of tiles.
func (v *whole) level(level int) {
	for len(v.edge) <= level {
		v.edge, v.full = append(v.edge, nil), append(v.full, 0)
	}
}

// compare checks the rightmost tile of a level against the published one.
func (v *whole) compare(ctx context.Context, level int) error {
	made := v.edge[level]
	if len(made) == 0 {
		return nil
	}
	t := tlog.Tile{H: torchwood.TileHeight, L: level, N: v.full[level], W: len(made) / tlog.HashSize}
	data, err := v.r.ReadTiles(ctx, []tlog.Tile{t})
	if err != nil {
		return err
	}
	if i := differ(made, data[0]); i >= 0 {
		below := int64(1) << (level * torchwood.TileHeight)
		first := (t.N*torchwood.TileWidth + int64(i)) * below
		return fmt.Errorf("%w: %s does not fit the tiles below it, at the leaves %d to %d",
			ErrDamaged, torchwood.TilePath(t), first, first+below-1)
	}
	return nil
}

// differ returns which hash of two tiles is the first that differs, or -1.
func differ(made, published []byte) int {
	if bytes.Equal(made, published) {
		return -1
	}
	i := 0
	for i < len(made) && i < len(published) && made[i] == published[i] {
		i++
	}
	return min(i, len(made)-1) / tlog.HashSize
}

// edgeHashes reads stored hashes from the rightmost tiles, which have all that
// the root is made of.
func (v *whole) edgeHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level := tlog.TileForIndex(torchwood.TileHeight, x).L
		t := tlog.Tile{H: torchwood.TileHeight, L: level, N: v.full[level], W: len(v.edge[level]) / tlog.HashSize}
		h, err := tlog.HashFromTile(t, v.edge[level], x)
		if err != nil {
			return nil, err
		}
		found[i] = h
	}
	return found, nil
}
