package toprf

import "errors"

// HedgeSize is the size in bytes of the hedge of an evaluation.
const HedgeSize = 32

// Share is one key holder's secret share of the group key. It prints as
// "[redacted]". The zero value is unusable.
type Share struct {
	index int
	key   hidden[*Scalar]
	pub   Element
}

// NewShare makes the share of holder index, 1 to MaxHolders, from its secret.
func NewShare(index int, key Scalar) (Share, error) {
	if index < 1 || index > MaxHolders {
		return Share{}, ErrKeys
	}
	var p point
	p.mulBaseSecret(&key)
	pub, err := newElement(&p)
	if err != nil {
		return Share{}, ErrScalar // only zero has the identity for a public key
	}
	return Share{index: index, key: hide(&key), pub: pub}, nil
}

// shareVersion is the first byte of an encoded share.
const shareVersion = 1

// MarshalBinary encodes the share in 34 bytes: version, index, secret. The
// bytes are secret: they belong inside an encrypted file.
func (s Share) MarshalBinary() ([]byte, error) {
	if !s.pub.valid() {
		return nil, ErrKeys
	}
	return append([]byte{shareVersion, byte(s.index)}, s.key().Bytes()...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote. It refuses anything else
// with ErrScalar or ErrKeys.
func (s *Share) UnmarshalBinary(b []byte) error {
	if len(b) != 2+ScalarSize || b[0] != shareVersion {
		return ErrKeys
	}
	key, err := DecodeScalar(b[2:])
	if err != nil {
		return err
	}
	*s, err = NewShare(int(b[1]), key)
	return err
}

// Index is the holder's number, counted from 1.
func (s Share) Index() int { return s.index }

// Public is the public share.
func (s Share) Public() Element { return s.pub }

// Evaluation is a key holder's answer: one 32-byte element for each blinded
// element, in order, and one proof for all of them. These are the bytes on the
// wire.
type Evaluation struct {
	Elements []byte
	Proof    [ProofSize]byte
}

// Evaluate multiplies between 1 and MaxBatch blinded elements by the share and
// proves it. The answer is a function of share, elements and hedge: a holder
// stores 32 fresh random bytes with a ticket, and gives the same bytes again
// if asked again. Repeating a hedge for another request is not dangerous.
func (s Share) Evaluate(blinded []Element, hedge []byte, opts ...Option) (Evaluation, error) {
	if !s.pub.valid() {
		return Evaluation{}, ErrKeys
	}
	if len(hedge) != HedgeSize {
		return Evaluation{}, errors.New("toprf: a hedge has 32 bytes")
	}
	return s.evaluate(verifiableSuite, blinded, hedgedNonce(s.key(), hedge), opts)
}

func (s Share) evaluate(suite *suite, blinded []Element, nonce func(*statement) Scalar, opts []Option) (Evaluation, error) {
	evaluated, err := multiply(s.key(), blinded, opts)
	if err != nil {
		return Evaluation{}, err
	}
	return Evaluation{
		Elements: EncodeElements(evaluated),
		Proof:    suite.prove(s.key(), &s.pub, blinded, evaluated, nonce, opts),
	}, nil
}

// multiply is BlindEvaluate of RFC 9497, section 3.3.1, for a batch.
func multiply(k *Scalar, blinded []Element, opts []Option) ([]Element, error) {
	if len(blinded) == 0 || len(blinded) > MaxBatch {
		return nil, ErrBatch
	}
	if !allValid(blinded) {
		return nil, ErrElement
	}
	evaluated := make([]Element, len(blinded))
	err := spread(opts, len(blinded), func(lo, hi int) (err error) {
		var p point
		for i := lo; i < hi; i++ {
			p.mulSecret(k, &blinded[i].p)
			if evaluated[i], err = newElement(&p); err != nil {
				return err
			}
		}
		return nil
	})
	return evaluated, err
}
