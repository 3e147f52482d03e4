package translog

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// Frontier is a Merkle tree (RFC 6962) of which only the roots of the full subtrees
// are kept: enough to add leaves and to know the root. The zero value is an empty
// tree. A copy that is to grow by itself needs its own Peaks.
type Frontier struct {
	Size  int64       // leaves
	Peaks []tlog.Hash // largest subtree first, one for each bit of Size
}

// Add adds a leaf.
func (f *Frontier) Add(leaf []byte) { f.Push(tlog.RecordHash(leaf)) }

// Push adds a leaf by its hash.
func (f *Frontier) Push(h tlog.Hash) {
	for n := f.Size; n&1 == 1; n >>= 1 {
		last := len(f.Peaks) - 1
		h = tlog.NodeHash(f.Peaks[last], h)
		f.Peaks = f.Peaks[:last]
	}
	f.Peaks = append(f.Peaks, h)
	f.Size++
}

// Root is the root over all leaves.
func (f *Frontier) Root() tlog.Hash {
	if f.Size == 0 {
		return sha256.Sum256(nil)
	}
	h := f.Peaks[len(f.Peaks)-1]
	for i := len(f.Peaks) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.Peaks[i], h)
	}
	return h
}
