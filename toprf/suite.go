package toprf

import (
	"crypto/sha512"
	"encoding/binary"
	"slices"
)

// mode is the RFC 9497 protocol variant, a byte of every domain separation
// tag. Waypost uses verifiable; base is there to be held against the RFC.
type mode byte

const (
	base       mode = 0x00
	verifiable mode = 0x01
)

// suite holds the domain separation tags of one mode (RFC 9497, section 3.1),
// each followed by its length as expand_message_xmd wants it.
type suite struct {
	groupDST  []byte
	scalarDST []byte
	seedDST   []byte // without the length: it is hashed directly
}

var (
	baseSuite       = newSuite(base)
	verifiableSuite = newSuite(verifiable)
)

func newSuite(m mode) *suite {
	context := "OPRFV1-" + string([]byte{byte(m)}) + "-ristretto255-SHA512"
	return &suite{
		groupDST:  withLength("HashToGroup-" + context),
		scalarDST: withLength("HashToScalar-" + context),
		seedDST:   []byte("Seed-" + context),
	}
}

// withLength is DST_prime of RFC 9380, section 5.3.1.
func withLength(dst string) []byte {
	if len(dst) > 255 {
		panic("toprf: domain separation tag too long")
	}
	return append([]byte(dst), byte(len(dst)))
}

// expander computes expand_message_xmd (RFC 9380, section 5.3.1) with SHA-512
// for an output of 64 bytes, which is one block. It keeps its buffer, so that
// a loop allocates once. Message bytes go in between begin and finish.
type expander struct{ buf []byte }

var zeroBlock [sha512.BlockSize]byte

func (e *expander) begin()               { e.buf = append(e.buf[:0], zeroBlock[:]...) }
func (e *expander) write(b []byte)       { e.buf = append(e.buf, b...) }
func (e *expander) writeString(s string) { e.buf = append(e.buf, s...) }
func (e *expander) writeUint16(n int)    { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(n)) }

// writePrefixed writes b after its length in two bytes.
func (e *expander) writePrefixed(b []byte) {
	e.writeUint16(len(b))
	e.write(b)
}

func (e *expander) finish(dstPrime []byte) [64]byte {
	e.writeUint16(64)
	e.buf = append(e.buf, 0)
	e.write(dstPrime)
	b0 := sha512.Sum512(e.buf)
	e.buf = append(e.buf[:0], b0[:]...)
	e.buf = append(e.buf, 1)
	e.write(dstPrime)
	return sha512.Sum512(e.buf)
}

// hashToGroup maps an input to the group.
func (s *suite) hashToGroup(p *point, input []byte) {
	e := expander{buf: make([]byte, 0, 512)}
	e.begin()
	e.write(input)
	uniform := e.finish(s.groupDST)
	p.fromUniform(&uniform)
}

// output is the last hash of RFC 9497, section 3.3.1: the 64-byte value of
// the function at input, given the encoding of k * HashToGroup(input).
func output(input []byte, unblinded *[ElementSize]byte) []byte {
	b := make([]byte, 0, len(input)+ElementSize+16)
	b = binary.BigEndian.AppendUint16(b, uint16(len(input)))
	b = append(b, input...)
	b = binary.BigEndian.AppendUint16(b, ElementSize)
	b = append(b, unblinded[:]...)
	b = append(b, "Finalize"...)
	sum := sha512.Sum512(b)
	return slices.Clone(sum[:])
}
