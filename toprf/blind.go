package toprf

import (
	"crypto/sha256"
	"slices"
)

// Blind returns r * HashToGroup(input). An input longer than MaxInput, or one
// that maps to the identity (nobody knows such an input), is ErrInput.
func Blind(input []byte, r Scalar) (Element, error) {
	return verifiableSuite.blind(input, &r)
}

func (s *suite) blind(input []byte, r *Scalar) (Element, error) {
	if len(input) > MaxInput {
		return Element{}, ErrInput
	}
	if r.isZero() {
		return Element{}, ErrScalar
	}
	var p point
	s.hashToGroup(&p, input)
	p.mulSecret(r, &p)
	e, err := newElement(&p)
	if err != nil {
		return Element{}, ErrInput
	}
	return e, nil
}

// Blinding is a batch of inputs on its way through the key holders. It holds
// the inputs and their blinds: it is secret and stays with the gateway.
type Blinding struct {
	elements []Element
	inputs   hidden[[][]byte]
	blinds   hidden[[]Scalar]
	batch    [32]byte
}

// BlindAll blinds inputs, 1 to MaxBatch of them, with the blinds that seed
// gives for positions 0, 1, 2, ... The seed is 32 secret random bytes, fresh for
// each request: one seed for two requests would show the holders where the two
// have the same input. The inputs must not change afterwards.
func BlindAll(inputs [][]byte, seed [32]byte, opts ...Option) (*Blinding, error) {
	blinds := make([]Scalar, len(inputs))
	for i := range blinds {
		blinds[i] = BlindFromSeed(seed, i)
	}
	return verifiableSuite.blindAll(inputs, blinds, opts)
}

func (s *suite) blindAll(inputs [][]byte, blinds []Scalar, opts []Option) (*Blinding, error) {
	if len(inputs) == 0 || len(inputs) > MaxBatch {
		return nil, ErrBatch
	}
	b := &Blinding{elements: make([]Element, len(inputs)), inputs: hide(inputs), blinds: hide(blinds)}
	err := spread(opts, len(inputs), func(lo, hi int) (err error) {
		for i := lo; i < hi; i++ {
			if b.elements[i], err = s.blind(inputs[i], &blinds[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.batch = batchID(b.elements)
	return b, nil
}

// Elements returns the blinded elements, in the order of the inputs. The
// caller must not change them.
func (b *Blinding) Elements() []Element { return b.elements }

// Scalar returns the blind of position i, to be opened to a counterpart that
// recomputes the blinded element with Blind.
func (b *Blinding) Scalar(i int) Scalar { return b.blinds()[i] }

// batchID names a batch of blinded elements, so that answers to one request
// are never combined or finalized with those to another.
func batchID(es []Element) [32]byte {
	return sha256.Sum256(append([]byte("waypost toprf v1 batch"), EncodeElements(es)...))
}

// Finalize removes the blinds and returns the 64-byte output for each input,
// in order (RFC 9497, section 3.3.1). Answers to other elements than this
// blinding's are ErrShares.
func (b *Blinding) Finalize(c *Combined, opts ...Option) ([][]byte, error) {
	inputs, unblind := b.inputs(), slices.Clone(b.blinds())
	if c.batch != b.batch || len(c.points) != len(inputs) {
		return nil, ErrShares
	}
	for i := range unblind {
		unblind[i].mulPublic(&unblind[i], &c.denominator)
	}
	invertAll(unblind)
	outputs := make([][]byte, len(inputs))
	_ = spread(opts, len(inputs), func(lo, hi int) error {
		var p point
		for i := lo; i < hi; i++ {
			p.mulSecret(&unblind[i], &c.points[i])
			enc := p.encode()
			outputs[i] = output(inputs[i], &enc)
		}
		return nil
	})
	return outputs, nil
}
