package toprf

import (
	"crypto/sha512"
	"encoding/binary"
)

// The tags under which a ticket's seed is used. Each is followed by data of
// fixed size, so that no two uses can hash the same bytes.
const (
	blindTag   = "waypost toprf v1 blind from seed"
	shuffleTag = "waypost toprf v1 shuffle from seed"
)

// BlindFromSeed derives the blind of position i (at least 0) from a request's
// secret seed: SHA-512(tag || seed || uint32(i) || uint32(attempt)), reduced
// modulo the group order; attempt is 0 unless that gives zero. Each blind can
// be opened alone; the seed opens all of them.
func BlindFromSeed(seed [32]byte, i int) Scalar {
	var k Scalar
	for attempt := uint32(0); ; attempt++ {
		wide := seedBlock(blindTag, &seed, uint32(i), attempt)
		if k.fromWide(&wide); !k.isZero() {
			return k
		}
	}
}

// ShuffleFromSeed derives a uniform permutation of 0..n-1 from a request's
// secret seed, by Fisher and Yates: for i from n-1 down to 1, swap positions i
// and j, with j uniform in 0..i from the stream of SHA-512(tag || seed ||
// uint32(n) || uint32(block)) read as big-endian 32-bit words; words that would
// bias j are skipped.
func ShuffleFromSeed(seed [32]byte, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var block [64]byte
	used, next := len(block), uint32(0)
	word := func() uint32 {
		if used == len(block) {
			block = seedBlock(shuffleTag, &seed, uint32(n), next)
			used, next = 0, next+1
		}
		w := binary.BigEndian.Uint32(block[used:])
		used += 4
		return w
	}
	for i := n - 1; i > 0; i-- {
		bound := uint64(i + 1)
		limit := (1 << 32) - (1<<32)%bound // a multiple of bound
		w := uint64(word())
		for w >= limit {
			w = uint64(word())
		}
		j := int(w % bound)
		order[i], order[j] = order[j], order[i]
	}
	return order
}

func seedBlock(tag string, seed *[32]byte, a, b uint32) [64]byte {
	buf := make([]byte, 0, 96)
	buf = append(buf, tag...)
	buf = append(buf, seed[:]...)
	buf = binary.BigEndian.AppendUint32(buf, a)
	buf = binary.BigEndian.AppendUint32(buf, b)
	return sha512.Sum512(buf)
}
