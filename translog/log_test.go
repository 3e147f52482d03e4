package translog

import (
	"crypto/sha512"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// testLog is a log on disk, written by x/mod's own code.
type testLog struct {
	dir    string
	stored storedHashes
	leaves [][]byte
}

func testLeaf(i int64) []byte {
	leaf := sha512.Sum512(binary.BigEndian.AppendUint64([]byte("leaf"), uint64(i)))
	return leaf[:]
}

// newLog publishes a log of size leaves, at each of the steps and at the end.
func newLog(t testing.TB, size int64, steps ...int64) *testLog {
	t.Helper()
	l := &testLog{dir: t.TempDir()}
	published := int64(0)
	for i := range size {
		l.leaves = append(l.leaves, testLeaf(i))
		l.stored.add(t, i, l.leaves[i])
		if len(steps) > 0 && i+1 == steps[0] {
			l.publish(t, published, i+1)
			published, steps = i+1, steps[1:]
		}
	}
	l.publish(t, published, size)
	return l
}

func (l *testLog) publish(t testing.TB, from, to int64) {
	t.Helper()
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, from, to) {
		data, err := tlog.ReadTileData(tile, l.stored)
		if err != nil {
			t.Fatal(err)
		}
		l.write(t, torchwood.TilePath(tile), data)
		if tile.L > 0 {
			continue
		}
		tile.L = -1
		var bundle, sealed []byte
		for i := range int64(tile.W) {
			n := tile.N*torchwood.TileWidth + i
			if bundle, err = torchwood.AppendTileEntry(bundle, l.leaves[n]); err != nil {
				t.Fatal(err)
			}
			sealed = AppendSealed(sealed, testBlob(n))
		}
		l.write(t, torchwood.TilePath(tile), bundle)
		l.write(t, SealedPath(tile.N, tile.W), sealed)
	}
}

// testBlob stands for a sealed entry: every fifth is erased.
func testBlob(i int64) []byte {
	if i%5 == 0 {
		return nil
	}
	return append(make([]byte, overhead+padTo-1), byte(i))
}

func (l *testLog) write(t testing.TB, object string, data []byte) {
	t.Helper()
	name := filepath.Join(l.dir, filepath.FromSlash(object))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (l *testLog) read(t testing.TB, object string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, filepath.FromSlash(object)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (l *testLog) remove(t testing.TB, object string) {
	t.Helper()
	if err := os.Remove(filepath.Join(l.dir, filepath.FromSlash(object))); err != nil {
		t.Fatal(err)
	}
}

// objects returns the paths of the tiles and entry bundles of a tree.
func (l *testLog) objects(size int64) (paths []string) {
	for _, tile := range tlog.NewTiles(torchwood.TileHeight, 0, size) {
		paths = append(paths, torchwood.TilePath(tile))
		if tile.L == 0 {
			tile.L = -1
			paths = append(paths, torchwood.TilePath(tile))
		}
	}
	return paths
}

// at returns the checkpoint of a size as a policy would have verified it.
func (l *testLog) at(t testing.TB, size int64) Checkpoint {
	t.Helper()
	return Checkpoint{Origin: vectorOrigin, Tree: l.stored.tree(t, size)}
}

func (l *testLog) reader(t testing.TB) Reader {
	t.Helper()
	r, err := Dir(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
