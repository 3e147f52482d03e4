package translog_test

import (
	"encoding/binary"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// TestFrontier: the root is that of the whole tree, at every size.
func TestFrontier(t *testing.T) {
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(at []int64) (out []tlog.Hash, err error) {
		for _, i := range at {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	var f translog.Frontier
	for n := range int64(300) {
		want, err := tlog.TreeHash(n, reader)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && f.Root() != want || f.Size != n {
			t.Fatalf("at %d leaves the root is %v, want %v", n, f.Root(), want)
		}
		leaf := binary.BigEndian.AppendUint64(nil, uint64(n))
		stored, err := tlog.StoredHashes(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, stored...)
		f.Add(leaf)
	}
}
