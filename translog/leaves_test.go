package translog

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// collect reads all leaves from an index on.
func collect(ctx context.Context, r Reader, cp Checkpoint, from int64) (leaves [][]byte, err error) {
	next := from
	for b, err := range Bundles(ctx, r, cp, from) {
		if err != nil {
			return leaves, err
		}
		if b.First != next || len(b.Leaves) == 0 {
			return leaves, errors.New("a gap")
		}
		leaves = append(leaves, b.Leaves...)
		next += int64(len(b.Leaves))
	}
	return leaves, nil
}

func TestBundles(t *testing.T) {
	// Three levels of tiles, and partial ones at each.
	l := newLog(t, 66000, 1, 255, 256, 257, 1000, 65536)
	r := l.reader(t)
	for _, tc := range []struct{ size, from int64 }{
		{0, 0}, {1, 0}, {1, 1}, {255, 0}, {256, 0}, {256, 255}, {257, 0}, {257, 256}, {1000, 0}, {1000, 300}, {1000, 999},
		{65536, 65535}, {65536, 0}, {66000, 0}, {66000, 65000}, {66000, 66000},
	} {
		cp := l.at(t, tc.size)
		leaves, err := collect(t.Context(), r, cp, tc.from)
		if err != nil || int64(len(leaves)) != tc.size-tc.from {
			t.Fatalf("%+v: %d leaves, %v", tc, len(leaves), err)
		}
		for i, leaf := range leaves {
			if !bytes.Equal(leaf, l.leaves[tc.from+int64(i)]) {
				t.Fatalf("%+v: leaf %d is another", tc, i)
			}
		}
	}
	for _, from := range []int64{-1, 1001} {
		if _, err := collect(t.Context(), r, l.at(t, 1000), from); err == nil {
			t.Error("leaves from", from)
		}
	}
	for b, err := range Bundles(t.Context(), r, l.at(t, 1000), 0) {
		if err != nil || len(b.Leaves) != 256 {
			t.Error(len(b.Leaves), err)
		}
		break // and nothing panics
	}
}

func TestSealed(t *testing.T) {
	l := newLog(t, 700, 300)
	l.remove(t, SealedPath(1, 44)) // its whole one is there
	r := l.reader(t)
	for _, tc := range []struct{ size, from int64 }{{300, 0}, {300, 270}, {700, 0}, {700, 699}} {
		cp := l.at(t, tc.size)
		for b, err := range Bundles(t.Context(), r, cp, tc.from) {
			if err != nil {
				t.Fatal(err)
			}
			blobs, err := Sealed(t.Context(), r, cp, b)
			if err != nil || len(blobs) != len(b.Leaves) {
				t.Fatalf("%d blobs for %d leaves, %v", len(blobs), len(b.Leaves), err)
			}
			for i, blob := range blobs {
				if !bytes.Equal(blob, testBlob(b.First+int64(i))) {
					t.Fatalf("%+v: blob %d is another", tc, b.First+int64(i))
				}
			}
		}
	}
	b := Bundle{First: 512, Leaves: l.leaves[512:700]}
	path := SealedPath(2, 188)
	l.write(t, path, append(l.read(t, path), 0))
	if _, err := Sealed(t.Context(), r, l.at(t, 700), b); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	l.remove(t, path)
	if _, err := Sealed(t.Context(), r, l.at(t, 700), b); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestLeaf(t *testing.T) {
	l := newLog(t, 600, 3, 300)
	r := l.reader(t)
	for _, tc := range []struct{ size, index int64 }{{3, 0}, {3, 2}, {300, 0}, {300, 255}, {300, 256}, {600, 299}, {600, 599}} {
		cp := l.at(t, tc.size)
		leaf, proof, err := Leaf(t.Context(), r, cp, tc.index)
		want, _ := tlog.ProveRecord(tc.size, tc.index, l.stored)
		if err != nil || !bytes.Equal(leaf, l.leaves[tc.index]) || strings.Join(texts(proof), " ") != strings.Join(texts(want), " ") {
			t.Errorf("%+v: %v", tc, err)
		}
		if err := CheckLeaf(cp, tc.index, leaf, proof); err != nil {
			t.Error(err)
		}
	}
	for _, index := range []int64{-1, 600} {
		if _, _, err := Leaf(t.Context(), r, l.at(t, 600), index); err == nil {
			t.Error("there is a leaf", index)
		}
	}
}

// What x/mod proves, CheckLeaf accepts, and nothing beside it.
func TestCheckLeaf(t *testing.T) {
	var stored storedHashes
	for i := range int64(300) {
		stored.add(t, i, testLeaf(i))
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 300).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		root, _ := tlog.TreeHash(size, stored)
		cp := Checkpoint{Origin: vectorOrigin, Tree: tlog.Tree{N: size, Hash: root}}
		proof, err := tlog.ProveRecord(size, index, stored)
		if err != nil || CheckLeaf(cp, index, testLeaf(index), proof) != nil {
			t.Fatal("a true proof is refused", err)
		}
		leaf := testLeaf(index)
		switch rapid.IntRange(0, 5).Draw(t, "lie") {
		case 0:
			leaf[rapid.IntRange(0, LeafSize-1).Draw(t, "byte")] ^= 1
		case 1:
			leaf = append(leaf, 0)
		case 2:
			other := rapid.Int64Range(-1, size+1).Draw(t, "other")
			if other == index {
				return
			}
			index = other
		case 3:
			cp.Hash[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		case 4:
			proof = append(proof, tlog.Hash{})
		case 5:
			if len(proof) == 0 {
				return
			}
			proof = proof[:len(proof)-1]
		}
		if CheckLeaf(cp, index, leaf, proof) == nil {
			t.Fatal("a false proof is accepted")
		}
	})
}
