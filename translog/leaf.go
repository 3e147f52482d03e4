package translog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// LeafSize is the length of a public leaf in bytes: a tag, then a commitment.
const LeafSize = 2 * sha256.Size

const (
	tagDomain   = "waypost ledger tag v1"
	entryDomain = "waypost ledger entry v1"
)

// Entry is what a leaf stands for, opened.
type Entry struct {
	Kind    string
	Ordinal uint64    // number of earlier entries of the same log, ticket and kind
	At      time.Time // whole seconds
	Ticket  [32]byte  // id of the ticket; zero where there is none
	Tau     [32]byte
	Salt    [32]byte
	Body    []byte
}

// Tag returns the first half of the leaf of an entry: who knows τ finds the
// lines about a ticket in every ledger; who does not cannot join two ledgers.
func Tag(tau [32]byte, role, origin, kind string, ordinal uint64) [32]byte {
	b := make([]byte, 0, 256)
	b = prefixed(b, tagDomain)
	b = prefixed(b, role)
	b = prefixed(b, origin)
	b = prefixed(b, kind)
	b = binary.BigEndian.AppendUint64(b, ordinal)
	mac := hmac.New(sha256.New, tau[:])
	mac.Write(b)
	return [32]byte(mac.Sum(nil))
}

// Commitment returns the second half of the leaf. The salt lets the operator
// open the entry, and nobody guess it.
func (e Entry) Commitment() [32]byte {
	b := make([]byte, 0, 256+len(e.Body))
	b = prefixed(b, entryDomain)
	b = append(b, e.Salt[:]...)
	b = prefixed(b, e.Kind)
	b = append(b, e.Ticket[:]...)
	b = append(b, e.Tau[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.Unix()))
	b = prefixed(b, e.Body)
	return sha256.Sum256(b)
}

// Leaf returns the public leaf of the entry in the log of the given role and
// origin, LeafSize bytes.
func (e Entry) Leaf(role, origin string) []byte {
	tag, commitment := Tag(e.Tau, role, origin, e.Kind, e.Ordinal), e.Commitment()
	return append(tag[:], commitment[:]...)
}

func prefixed[T string | []byte](b []byte, v T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}
