package journal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// LeafSize is the length of a public leaf.
const LeafSize = 2 * sha256.Size

const (
	tagDomain   = "waypost ledger tag v1"
	entryDomain = "waypost ledger entry v1"
)

// Leaf returns the public leaf of an entry of the given role and log:
//
//	HMAC-SHA-256(τ, tagDomain ‖ role ‖ origin ‖ kind ‖ ordinal)
//	‖ SHA-256(entryDomain ‖ salt ‖ kind ‖ ticket ‖ τ ‖ at ‖ body)
//
// Domains, role, origin, kind and body are each preceded by their length as 4
// bytes; ordinal and at (Unix seconds) are 8 bytes; integers are big-endian;
// salt, ticket and τ are 32 bytes. Who knows τ finds the lines about a ticket
// in every ledger; who does not cannot join two ledgers. The salt lets the
// operator open the entry, and nobody guess it. s.Seq is the leaf's index and
// no part of it.
func Leaf(role, origin string, s Stored) []byte {
	b := make([]byte, 0, 256+len(s.Body))
	b = prefixed(b, tagDomain)
	b = prefixed(b, role)
	b = prefixed(b, origin)
	b = prefixed(b, s.Kind)
	b = binary.BigEndian.AppendUint64(b, s.Ordinal)
	tag := hmac.New(sha256.New, s.Tau[:])
	tag.Write(b)
	leaf := tag.Sum(make([]byte, 0, LeafSize))

	b = prefixed(b[:0], entryDomain)
	b = append(b, s.Salt[:]...)
	b = prefixed(b, s.Kind)
	b = append(b, s.Ticket[:]...)
	b = append(b, s.Tau[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.At.Unix()))
	b = prefixed(b, s.Body)
	commitment := sha256.Sum256(b)
	return append(leaf, commitment[:]...)
}

func prefixed[T string | []byte](b []byte, v T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}
