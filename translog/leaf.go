package translog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// LeafSize is the length of a public leaf in bytes: a tag, then a commitment.
const LeafSize = 2 * sha256.Size

// lastSecond is the end of the year 9999, in Unix time.
const lastSecond = 253402300799

const (
	tagDomain   = "waypost ledger tag v1"
	entryDomain = "waypost ledger entry v1"
)

// Entry is what a leaf stands for, opened.
type Entry struct {
	Kind    string    // 1 to 32 of a-z, 0-9 and _
	Ordinal uint64    // number of earlier entries of the same log, ticket and kind
	At      time.Time // whole seconds, from 1970 to 9999
	Ticket  [32]byte  // id of the ticket; zero where there is none
	Tau     [32]byte  // the ticket's audit secret; drawn fresh where there is no ticket
	Salt    [32]byte
	Body    []byte // see [FormatBody]; at most MaxBody bytes
}

// check refuses an entry outside the bounds of the format.
func (e Entry) check() error {
	switch at := e.At.Unix(); {
	case !isName(e.Kind):
		return errors.New("the kind of an entry is 1 to 32 of a-z, 0-9 and _")
	case at < 0 || at > lastSecond:
		return errors.New("the time of an entry lies outside the years 1970 to 9999")
	case len(e.Body) > MaxBody:
		return fmt.Errorf("a body of %d bytes; at most %d", len(e.Body), MaxBody)
	}
	return nil
}

// Tag returns the first half of the leaf of an entry:
//
//	HMAC-SHA-256(τ, tagDomain ‖ role ‖ origin ‖ kind ‖ ordinal)
//
// where strings are preceded by their length as 4 bytes and ordinal is 8
// bytes, big-endian. Who knows τ finds the lines about a ticket in every
// ledger; who does not cannot join two ledgers.
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

// Commitment returns the second half of the leaf:
//
//	SHA-256(entryDomain ‖ salt ‖ kind ‖ ticket ‖ τ ‖ at ‖ body)
//
// where domain, kind and body are preceded by their length as 4 bytes and at
// is 8 bytes, big-endian. The salt lets the operator open the entry, and
// nobody guess it.
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
// origin, LeafSize bytes. The index of the leaf is no part of it.
func (e Entry) Leaf(role, origin string) []byte {
	tag, commitment := Tag(e.Tau, role, origin, e.Kind, e.Ordinal), e.Commitment()
	return append(tag[:], commitment[:]...)
}

func prefixed[T string | []byte](b []byte, v T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}
