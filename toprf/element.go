package toprf

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	ElementSize = 32     // an encoded group element (RFC 9496)
	ScalarSize  = 32     // an encoded scalar, little-endian
	ProofSize   = 64     // challenge and response (RFC 9497, section 2.2)
	OutputSize  = 64     // a finalized output
	MaxBatch    = 4096   // elements in one request
	MaxInput    = 0xffff // bytes of one input (RFC 9497, section 3.3.1)
	MaxHolders  = 32     // key holders of one group key
)

// What a caller can tell apart. No message carries data.
var (
	ErrElement = errors.New("toprf: not the canonical encoding of a group element other than the identity")
	ErrScalar  = errors.New("toprf: not the canonical encoding of a nonzero scalar")
	ErrBatch   = errors.New("toprf: wrong number of elements")
	ErrInput   = errors.New("toprf: input is too long or maps to the identity")
	ErrKeys    = errors.New("toprf: threshold, group key and share keys do not belong together")
	ErrShares  = errors.New("toprf: shares are too few, repeated, or of different keys or requests")
)

// Element is a member of the group other than the identity. The zero value is
// unusable: every function refuses it with ErrElement.
type Element struct {
	p   point
	enc [ElementSize]byte // all zero only in the zero value: that encodes the identity
}

// DecodeElement reads the 32-byte canonical encoding of an element (RFC 9496,
// section 4.3.1). The identity, non-canonical encodings and wrong lengths are
// ErrElement.
func DecodeElement(b []byte) (Element, error) {
	var e Element
	if len(b) != ElementSize {
		return Element{}, ErrElement
	}
	copy(e.enc[:], b)
	if !e.p.decode(&e.enc) || !e.valid() {
		return Element{}, ErrElement
	}
	return e, nil
}

// newElement checks and encodes a computed point.
func newElement(p *point) (Element, error) {
	e := Element{p: *p, enc: p.encode()}
	if !e.valid() {
		return Element{}, ErrElement
	}
	return e, nil
}

// valid is false for the zero value and for the identity: ristretto255 encodes
// the identity, and nothing else, as 32 zero bytes.
func (e *Element) valid() bool { return e.enc != [ElementSize]byte{} }

func allValid(es []Element) bool {
	for i := range es {
		if !es[i].valid() {
			return false
		}
	}
	return true
}

// Bytes returns the 32-byte canonical encoding.
func (e Element) Bytes() []byte { return append([]byte(nil), e.enc[:]...) }

// Equal reports whether two elements are the same.
func (e Element) Equal(f Element) bool { return e.enc == f.enc }

// EncodeElements concatenates the encodings: 32 bytes each, no header.
func EncodeElements(es []Element) []byte {
	b := make([]byte, 0, len(es)*ElementSize)
	for i := range es {
		b = append(b, es[i].enc[:]...)
	}
	return b
}

// DecodeElements reads between 1 and most concatenated encodings, and at most
// MaxBatch. A length that is not such a multiple of 32 is ErrBatch; a bad
// element is ErrElement, and the error names its position.
func DecodeElements(b []byte, most int, opts ...Option) ([]Element, error) {
	n := len(b) / ElementSize
	if len(b)%ElementSize != 0 || n == 0 || n > min(most, MaxBatch) {
		return nil, ErrBatch
	}
	es := make([]Element, n)
	err := spread(opts, n, func(lo, hi int) (err error) {
		for i := lo; i < hi; i++ {
			if es[i], err = DecodeElement(b[i*ElementSize : (i+1)*ElementSize]); err != nil {
				return fmt.Errorf("element %d of %d: %w", i+1, n, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return es, nil
}

// DecodeScalar reads the 32-byte little-endian canonical encoding of a nonzero
// scalar. Anything else, zero and numbers not below the group order included,
// is ErrScalar.
func DecodeScalar(b []byte) (Scalar, error) {
	var k Scalar
	if len(b) != ScalarSize || !k.decode((*[ScalarSize]byte)(b)) || k.isZero() {
		return Scalar{}, ErrScalar
	}
	return k, nil
}

// RandomScalar draws a uniform nonzero scalar from the operating system.
func RandomScalar() Scalar {
	var k Scalar
	for k.isZero() {
		var wide [64]byte
		_, _ = rand.Read(wide[:]) // it never fails: crypto/rand ends the process instead
		k.fromWide(&wide)
	}
	return k
}

// Bytes returns the 32-byte little-endian encoding. It is secret: use it only
// to seal a blind that is opened to a counterpart.
func (k Scalar) Bytes() []byte {
	b := k.encode()
	return b[:]
}
