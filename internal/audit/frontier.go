package audit

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// frontier is a Merkle tree (RFC 6962) of which only the roots of the full
// subtrees are kept, largest first: enough to add leaves and to know the root.
// It takes 32 bytes for each bit of the size.
type frontier struct {
	size  int64
	peaks []tlog.Hash
}

func (f *frontier) add(leaf []byte) { f.push(tlog.RecordHash(leaf)) }

// push adds a leaf by its hash.
func (f *frontier) push(h tlog.Hash) {
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.peaks) - 1
		h = tlog.NodeHash(f.peaks[last], h)
		f.peaks = f.peaks[:last]
	}
	f.peaks = append(f.peaks, h)
	f.size++
}

func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	h := f.peaks[len(f.peaks)-1]
	for i := len(f.peaks) - 2; i >= 0; i-- {
		h = tlog.NodeHash(f.peaks[i], h)
	}
	return h
}
