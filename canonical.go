package waypost

import (
	"bytes"
	"crypto/ed25519"

	"golang.org/x/crypto/cryptobyte"
)

// What tickets and receipts have in common: a canonical payload, then an
// Ed25519 signature over exactly these bytes.

// maxSigned bounds a signed payload with its signature, in bytes.
const maxSigned = 1024

// lastSecond ends the times that can be signed, in Unix time: the year 9999.
const lastSecond = 253402300799

// cutSignature separates payload and signature of the wire form, in a copy.
func cutSignature(wire []byte) (payload, signature []byte, ok bool) {
	if len(wire) > maxSigned || len(wire) < ed25519.SignatureSize {
		return nil, nil, false
	}
	wire = bytes.Clone(wire)
	at := len(wire) - ed25519.SignatureSize
	return wire[:at:at], wire[at:], true
}

// joinSignature is the inverse of cutSignature.
func joinSignature(payload, signature []byte) []byte {
	return append(append(make([]byte, 0, len(payload)+len(signature)), payload...), signature...)
}

// isWord reports whether s is vocabulary: up to 32 lower-case letters and
// underscores, beginning with a letter. Kinds, purposes and the like are words,
// so that nothing else can hide in them or reach a log through them.
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c != '_' || i == 0) {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

// isPrintable reports whether s is 1 to n bytes of ASCII without spaces.
func isPrintable(s string, n int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= n
}

// addString writes a string with a one-byte length: every string that is
// signed is short vocabulary, never free text.
func addString(b *cryptobyte.Builder, s string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

func readString(s *cryptobyte.String, out *string) bool {
	var v cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&v) {
		return false
	}
	*out = string(v)
	return true
}

func readDomain(s *cryptobyte.String, domain string) bool {
	var v []byte
	return s.ReadBytes(&v, len(domain)) && string(v) == domain
}
