package matchkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/waypost/waypost"
)

// Profile is the version of everything in this package that shapes a key.
const Profile = 1

// The fixed numbers of profile 1. Nothing about a person changes them.
const (
	Slots      = 10 // keys published for a person
	NameSlots  = 6  // of them from names and date of birth, which come first
	SSNSlots   = 4  // of them from the SSN, or what stands in for it
	Probes     = 32 // keys looked up for a person
	NameProbes = 20 // of them from names and date of birth, which come first
	SSNProbes  = 12 // of them from the SSN, or what stands in for it, with padding
)

// keySize is the length of every key in bytes.
const keySize = sha256.Size

// secretSize is the length of the gateway's decoy secret in bytes.
const secretSize = 32

// Kind names a slot: what its key is made of, and what error it survives. The
// package comment has the table.
type Kind uint8

// The kinds in the order of the slots of an index.
const (
	Fa Kind = iota
	G
	H
	I
	Ka
	Q
	A
	B
	C
	E
)

var kindNames = [Slots]string{"Fa", "G", "H", "I", "Ka", "Q", "A", "B", "C", "E"}

// String returns the name of the kind, as in the package comment.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "?"
}

// Slot is one published key of a person.
type Slot struct {
	Kind Kind
	Key  []byte // 32 bytes, the input of the OPRF
	// Expected is how many other people among 300 million are expected to have
	// the same key, from public name frequencies.
	Expected float64
	// Decoy says that the key stands for nothing that two records could agree
	// on: there was no name or no date to make it from.
	Decoy bool
}

// The domains that a key can be derived in, so that no text in one can equal a
// text in another.
const (
	domainKey     = "key"     // the components of the kind
	domainExact   = "exact"   // full given name, surname and date, in place of a kind that is not made
	domainMissing = "missing" // no name, or no date: the whole identity
	domainStandIn = "standin" // under the secret: five digits where there is no SSN
	domainDecoy   = "decoy"   // under the secret: no name or date beside the digits
	domainPad     = "pad"     // what fills a part of a query
)

// preimage returns the unambiguous text of a key: the profile's own prefix, the
// domain, what the key is for, and the parts, each with its length.
func preimage(domain, what string, parts ...string) []byte {
	out := make([]byte, 0, 160)
	out = append(out, "waypost matchkey v1"...)
	for _, p := range [2]string{domain, what} {
		out = append(out, byte(len(p)))
		out = append(out, p...)
	}
	for _, p := range parts {
		out = binary.AppendUvarint(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

type key [keySize]byte

// publicKey hashes what anyone who knows the person can compute.
func publicKey(domain, what string, parts ...string) key {
	return sha256.Sum256(preimage(domain, what, parts...))
}

// secretKey hashes what only the gateway that holds the secret can compute.
func secretKey(secret []byte, domain, what string, parts ...string) (k key) {
	mac := hmac.New(sha256.New, secret)
	mac.Write(preimage(domain, what, parts...))
	mac.Sum(k[:0])
	return k
}

// StandIn returns five digits for a person without an SSN, of the form that an
// SSN's have: in SSN5 of a person they make the keys that an SSN would. They depend
// on what stays the same from one visit to the next: not on a middle name, a suffix or
// further given names. Two people who have the same ones agree on all surnames, the
// first given name and the date; for them there are other draws than the first, which
// is 0 and that of Index and NewQuery.
func StandIn(p waypost.Person, secret []byte, draw int) string {
	checkSecret(secret)
	return Normalize(p).standIn(secret, draw)
}

func (n Normal) standIn(secret []byte, draw int) string {
	parts := append([]string{n.Born.String(), first(n.Given)}, n.Family...)
	for i := 0; ; i++ {
		k := secretKey(secret, domainStandIn, strconv.Itoa(i), parts...)
		digits := fmt.Sprintf("%05d", binary.BigEndian.Uint64(k[:])%100_000)
		if SSN5(digits) == "" {
			continue
		}
		if draw == 0 {
			return digits
		}
		draw--
	}
}

// identity lists everything in a normalised person that tells one from another,
// except the SSN. It is what pads and missing keys are derived from, so
// that the same person always gives the same ones.
func (n Normal) identity() []string {
	parts := []string{n.Born.String(), n.Suffix}
	for _, names := range [][]string{n.Family, n.Given, n.Middle} {
		parts = append(parts, string(rune('0'+len(names)))) // at most maxTokens
		parts = append(parts, names...)
	}
	return parts
}
