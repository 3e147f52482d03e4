package waypost

import (
	"crypto/sha256"
	"encoding/binary"
)

const (
	publishedDomain = "waypost pointer published v1\n"
	passedDomain    = "waypost pointer passed v1\n"
	pointerDomain   = "waypost pointer v1\n"
)

// DigestSize is how many bytes of a pointer's digest name it among those that
// an owner holds.
const DigestSize = 16

// PublishedUnder is what hub and owner keep with a pointer of the ticket under
// which it was published. It says nothing about tokens: who has a copy of the
// hub's database could try people against that.
func PublishedUnder(ticket TicketID) [16]byte { return provenance(publishedDomain, ticket[:]) }

// PassedUnder is the same of the change of state of record that brought it to
// its owner.
func PassedUnder(change [16]byte) [16]byte { return provenance(passedDomain, change[:]) }

func provenance(domain string, id []byte) [16]byte {
	h := sha256.New()
	h.Write([]byte(domain))
	h.Write(id)
	return [16]byte(h.Sum(nil))
}

// DigestPointer is what hub and owner compare of a live pointer. The epoch is the
// newest under whose key it is in the index, the receipt what [PublishedUnder] or
// [PassedUnder] gave.
func DigestPointer(h Handle, generation, version, epoch uint32, receipt [16]byte) [32]byte {
	b := make([]byte, 0, len(pointerDomain)+len(h)+12+len(receipt))
	b = append(b, pointerDomain...)
	b = append(b, h[:]...)
	b = binary.BigEndian.AppendUint32(b, generation)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint32(b, epoch)
	return sha256.Sum256(append(b, receipt[:]...))
}

// AddDigest adds a pointer to the digest of its bucket, or takes it out again:
// the digest of a bucket is the XOR of those in it, and zero for none.
func AddDigest(bucket *[32]byte, pointer [32]byte) {
	for i := range bucket {
		bucket[i] ^= pointer[i]
	}
}

// BucketOf is the bucket of a handle among 2^bits: its first bits, up to 16.
func BucketOf(h Handle, bits uint32) uint32 {
	return uint32(binary.BigEndian.Uint16(h[:])) >> (16 - min(bits, 16))
}
