package toprf

import (
	"crypto/hmac"
	"crypto/sha512"
)

// statement is what a proof is about: evaluated[i] = k * blinded[i] for every
// i and key = k * G, compressed into two elements with weights that the whole
// batch determines (RFC 9497, section 2.2).
type statement struct {
	key  *Element
	m, z point // sums of the weighted blinded and evaluated elements
	mEnc [ElementSize]byte
	zEnc [ElementSize]byte
}

// weights hashes the batch into one weight for each pair.
func (s *suite) weights(key *Element, blinded, evaluated []Element, opts []Option) []publicScalar {
	seedInput := make([]byte, 0, 128)
	seedInput = append(seedInput, 0, ElementSize)
	seedInput = append(seedInput, key.enc[:]...)
	seedInput = append(seedInput, 0, byte(len(s.seedDST)))
	seedInput = append(seedInput, s.seedDST...)
	seed := sha512.Sum512(seedInput)

	w := make([]publicScalar, len(blinded))
	_ = spread(opts, len(blinded), func(lo, hi int) error {
		e := expander{buf: make([]byte, 0, 512)}
		for i := lo; i < hi; i++ {
			e.begin()
			e.writePrefixed(seed[:])
			e.writeUint16(i)
			e.writePrefixed(blinded[i].enc[:])
			e.writePrefixed(evaluated[i].enc[:])
			e.writeString("Composite")
			uniform := e.finish(s.scalarDST)
			w[i].fromWide(&uniform)
		}
		return nil
	})
	return w
}

// weigh sets sum to the weighted sum of a batch.
func weigh(sum *point, w []publicScalar, es []Element, opts []Option) {
	points := make([]*point, len(es))
	for i := range es {
		points[i] = &es[i].p
	}
	sum.setIdentity()
	_ = settle(opts).parts(0, len(es), termsAtOnce, func(lo, hi int) error {
		var part point
		part.sumPublic(w[lo:hi], points[lo:hi])
		sum.add(sum, &part)
		return nil
	})
}

// challenge hashes the statement and the prover's two commitments.
func (s *suite) challenge(st *statement, t2, t3 *point) (c publicScalar) {
	t2Enc, t3Enc := t2.encode(), t3.encode()
	e := expander{buf: make([]byte, 0, 512)}
	e.begin()
	e.writePrefixed(st.key.enc[:])
	e.writePrefixed(st.mEnc[:])
	e.writePrefixed(st.zEnc[:])
	e.writePrefixed(t2Enc[:])
	e.writePrefixed(t3Enc[:])
	e.writeString("Challenge")
	uniform := e.finish(s.scalarDST)
	c.fromWide(&uniform)
	return c
}

// prove makes the proof (challenge || response) that evaluated = k * blinded.
// The caller's nonce function gets the finished statement.
func (s *suite) prove(k *Scalar, key *Element, blinded, evaluated []Element, nonce func(*statement) Scalar, opts []Option) (proof [ProofSize]byte) {
	st := statement{key: key}
	weigh(&st.m, s.weights(key, blinded, evaluated, opts), blinded, opts)
	st.z.mulSecret(k, &st.m) // knowing k, half the work of weighing evaluated
	st.mEnc, st.zEnc = st.m.encode(), st.z.encode()

	r := nonce(&st)
	var t2, t3 point
	t2.mulBaseSecret(&r)
	t3.mulSecret(&r, &st.m)
	c := s.challenge(&st, &t2, &t3)
	response := respond(&r, &c, k)

	cEnc, sEnc := c.encode(), response.encode()
	copy(proof[:ScalarSize], cEnc[:])
	copy(proof[ScalarSize:], sEnc[:])
	return proof
}

// verify reports whether proof shows that one k gives key = k * G and
// evaluated = k * blinded. A non-canonical proof is refused.
func (s *suite) verify(key *Element, blinded, evaluated []Element, proof *[ProofSize]byte, opts []Option) bool {
	var c, response publicScalar
	if !c.decode((*[ScalarSize]byte)(proof[:ScalarSize])) || !response.decode((*[ScalarSize]byte)(proof[ScalarSize:])) {
		return false
	}
	st := statement{key: key}
	w := s.weights(key, blinded, evaluated, opts)
	weigh(&st.m, w, blinded, opts)
	weigh(&st.z, w, evaluated, opts)
	st.mEnc, st.zEnc = st.m.encode(), st.z.encode()

	var t2, t3 point
	t2.mulBasePublic(&c, &key.p, &response) // c*key + s*G
	t3.sumPublic([]publicScalar{response, c}, []*point{&st.m, &st.z})
	expected := s.challenge(&st, &t2, &t3)
	return c.equal(&expected)
}

// hedgedNonce derives the proof's nonce from the share, the caller's hedge and
// the statement. Two proofs can only share a nonce if they share key, m, z and
// hedge; then they share the challenge too, and are one and the same proof. So
// a weak or repeated hedge cannot reveal the share, and a stored hedge gives
// the same bytes again.
func hedgedNonce(k *Scalar, hedge []byte) func(*statement) Scalar {
	return func(st *statement) (r Scalar) {
		key := k.encode()
		mac := hmac.New(sha512.New, key[:])
		for attempt := byte(0); ; attempt++ {
			mac.Reset()
			mac.Write([]byte("waypost toprf v1 proof nonce"))
			mac.Write([]byte{attempt})
			mac.Write(st.key.enc[:])
			mac.Write(st.mEnc[:])
			mac.Write(st.zEnc[:])
			mac.Write(hedge)
			var wide [64]byte
			mac.Sum(wide[:0])
			if r.fromWide(&wide); !r.isZero() {
				return r
			}
		}
	}
}
