package toprf

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// single evaluates inputs with the whole key, as RFC 9497's Evaluate does: no
// blinding, no shares.
func single(k *Scalar, inputs [][]byte) (outputs [][]byte) {
	for _, in := range inputs {
		var p point
		verifiableSuite.hashToGroup(&p, in)
		p.mulSecret(k, &p)
		enc := p.encode()
		outputs = append(outputs, output(in, &enc))
	}
	return outputs
}

// ask has the holders evaluate and checks their proofs.
func ask(tb rapid.TB, keys *PublicKeys, b *Blinding, shares []Share) (answers []Verified) {
	tb.Helper()
	for _, s := range shares {
		e, err := s.Evaluate(b.Elements(), zeroHedge)
		if err != nil {
			tb.Fatal(err)
		}
		v, err := keys.Verify(s.Index(), b.Elements(), e)
		if err != nil {
			tb.Fatal(err)
		}
		answers = append(answers, v)
	}
	return answers
}

func outputs(tb rapid.TB, keys *PublicKeys, b *Blinding, answers []Verified, opts ...Option) [][]byte {
	tb.Helper()
	combined, err := keys.Combine(answers, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := b.Finalize(combined, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// TestThresholdEqualsSingleKey: every choice of t of n holders, in any order,
// gives what the whole key gives.
func TestThresholdEqualsSingleKey(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(rt, "n")
		threshold := rapid.IntRange(1, n).Draw(rt, "t")
		m := rapid.IntRange(1, 4).Draw(rt, "inputs")
		keys, shares, k := deal(t, threshold, n)
		inputs := testInputs(m)
		b := mustBlind(t, inputs)
		want := single(&k, inputs)
		all := ask(rt, keys, b, shares)
		for _, subset := range subsets(n, threshold) {
			order := rapid.Permutation(subset).Draw(rt, "order")
			var answers []Verified
			for _, i := range order {
				answers = append(answers, all[i])
			}
			if got := outputs(rt, keys, b, answers); !slices.EqualFunc(got, want, bytes.Equal) {
				rt.Fatalf("holders %v of %d give another output", order, n)
			}
		}
	})
}

func subsets(n, size int) (all [][]int) {
	for mask := range 1 << n {
		var s []int
		for i := range n {
			if mask>>i&1 == 1 {
				s = append(s, i)
			}
		}
		if len(s) == size {
			all = append(all, s)
		}
	}
	return all
}

// TestLargestGroup runs the outermost holders of the largest group, whose
// Lagrange coefficients are the longest, and asks for several workers.
func TestLargestGroup(t *testing.T) {
	const threshold = 11
	keys, shares, k := deal(t, threshold, MaxHolders)
	inputs := testInputs(5)
	b := mustBlind(t, inputs)
	chosen := append(slices.Clone(shares[:5]), shares[MaxHolders-6:]...)
	answers := ask(t, keys, b, chosen)
	want := single(&k, inputs)
	for _, workers := range []int{1, 3, 50} {
		if got := outputs(t, keys, b, answers, Workers(workers)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d workers give another output", workers)
		}
	}
}

// TestFewerThanThreshold: t-1 holders who pretend that they are enough get
// something else.
func TestFewerThanThreshold(t *testing.T) {
	keys, shares, k := deal(t, 3, 5)
	inputs := testInputs(1)
	b := mustBlind(t, inputs)
	answers := ask(t, keys, b, shares[:2])
	if _, err := keys.Combine(answers); !errors.Is(err, ErrShares) {
		t.Errorf("two of three combine: %v", err)
	}
	lower := *keys
	lower.threshold = 2
	if got := outputs(t, &lower, b, answers); bytes.Equal(got[0], single(&k, inputs)[0]) {
		t.Error("two of three holders computed the output")
	}
}

func TestCombineRefuses(t *testing.T) {
	keys, shares, _ := deal(t, 2, 3)
	b, other := mustBlind(t, testInputs(2)), mustBlind(t, testInputs(2))
	here := ask(t, keys, b, shares)
	there := ask(t, keys, other, shares)
	otherKeys, otherShares, _ := deal(t, 2, 3)
	foreign := ask(t, otherKeys, b, otherShares)
	for name, answers := range map[string][]Verified{
		"none": nil, "too few": here[:1], "one twice": {here[0], here[0]}, "two requests": {here[0], there[1]},
		"two keys": {here[0], foreign[1]}, "another key": foreign[:2],
	} {
		if _, err := keys.Combine(answers); !errors.Is(err, ErrShares) {
			t.Errorf("%s: %v", name, err)
		}
	}
	combined, err := keys.Combine(there)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Finalize(combined); !errors.Is(err, ErrShares) {
		t.Errorf("finalizing the answers to another request: %v", err)
	}
	cancelled := slices.Clone(here)
	cancelled[1].index, cancelled[0].elements = 2, doubled(cancelled[1].elements)
	// With holders 1 and 2 the coefficients are 2 and -1; E_2 = 2 E_1 cancels.
	cancelled[0].elements, cancelled[1].elements = cancelled[1].elements, cancelled[0].elements
	if _, err := keys.Combine(cancelled); !errors.Is(err, ErrElement) {
		t.Errorf("answers that add up to the identity: %v", err)
	}
}

func doubled(es []Element) []Element {
	out := make([]Element, len(es))
	for i := range es {
		var p point
		p.add(&es[i].p, &es[i].p)
		out[i], _ = newElement(&p)
	}
	return out
}

// TestBadShareIsNamed spoils an answer in every way a holder could.
func TestBadShareIsNamed(t *testing.T) {
	keys, shares, _ := deal(t, 2, 3)
	b := mustBlind(t, testInputs(3))
	good, err := shares[1].Evaluate(b.Elements(), zeroHedge)
	if err != nil {
		t.Fatal(err)
	}
	wrongKey, err := shares[0].Evaluate(b.Elements(), zeroHedge)
	if err != nil {
		t.Fatal(err)
	}
	swapped := good
	swapped.Elements = slices.Concat(good.Elements[32:64], good.Elements[:32], good.Elements[64:])
	oneWrong := good
	oneWrong.Elements = slices.Concat(good.Elements[:64], wrongKey.Elements[64:])
	identity := good
	identity.Elements = slices.Concat(good.Elements[:64], make([]byte, 32))
	short := good
	short.Elements = good.Elements[:64]
	long := good
	long.Elements = slices.Concat(good.Elements, good.Elements[:32])
	for name, e := range map[string]Evaluation{
		"another holder's": wrongKey, "swapped": swapped, "one wrong": oneWrong, "identity": identity, "short": short,
		"long": long, "zero proof": {Elements: good.Elements}, "empty": {},
		"unreduced response": {good.Elements, addOrder(good.Proof, ScalarSize)}, "unreduced challenge": {good.Elements, addOrder(good.Proof, 0)},
	} {
		_, err := keys.Verify(2, b.Elements(), e)
		var bad *BadEvaluationError
		if !errors.As(err, &bad) || bad.Index != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for bit := range ProofSize * 8 {
		e := good
		e.Proof[bit/8] ^= 1 << (bit % 8)
		if _, err := keys.Verify(2, b.Elements(), e); err == nil {
			t.Fatalf("the proof is accepted with bit %d flipped", bit)
		}
	}
	if _, err := keys.Verify(2, slices.Concat(b.Elements()[1:], b.Elements()[:1]), good); err == nil {
		t.Error("the proof is accepted for other blinded elements")
	}
	for _, index := range []int{-1, 0, 4} {
		if _, err := keys.Verify(index, b.Elements(), good); !errors.Is(err, ErrKeys) {
			t.Errorf("holder %d: %v", index, err)
		}
	}
	if _, err := keys.Verify(2, b.Elements(), good); err != nil {
		t.Errorf("the untouched answer: %v", err)
	}
}

// addOrder adds the group order to one of a proof's scalars: the same number,
// not canonical.
func addOrder(proof [ProofSize]byte, at int) [ProofSize]byte {
	carry := 0
	for i, b := range groupOrderBytes() {
		sum := int(proof[at+i]) + int(b) + carry
		proof[at+i], carry = byte(sum), sum>>8
	}
	return proof
}

// TestEvaluateIsDeterministic: the same hedge gives the same bytes, which is
// how a ticket replayed inside its window gets its stored answer; another
// hedge or another batch gives another nonce.
func TestEvaluateIsDeterministic(t *testing.T) {
	_, shares, _ := deal(t, 1, 1)
	share := shares[0]
	b := mustBlind(t, testInputs(2))
	evaluate := func(blinded []Element, hedge []byte, opts ...Option) Evaluation {
		e, err := share.Evaluate(blinded, hedge, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := evaluate(b.Elements(), zeroHedge)
	for _, again := range []Evaluation{evaluate(b.Elements(), zeroHedge), evaluate(b.Elements(), zeroHedge, Workers(2))} {
		if !bytes.Equal(first.Elements, again.Elements) || first.Proof != again.Proof {
			t.Error("the same request gives other bytes")
		}
	}
	otherHedge := evaluate(b.Elements(), bytes.Repeat([]byte{1}, HedgeSize))
	if !bytes.Equal(first.Elements, otherHedge.Elements) || first.Proof == otherHedge.Proof {
		t.Error("the hedge must change the proof and nothing else")
	}
	// The nonce is response + challenge * key: were it the same for two
	// challenges, the key could be solved for.
	nonce := func(e Evaluation) Scalar {
		var c, s publicScalar
		var n, response Scalar
		if !c.decode((*[32]byte)(e.Proof[:32])) || !s.decode((*[32]byte)(e.Proof[32:])) || !response.decode((*[32]byte)(e.Proof[32:])) {
			t.Fatal("a proof does not decode")
		}
		n.mulPublic(share.key(), &c)
		n.add(&n, &response)
		return n
	}
	n1, n2, n3 := nonce(first), nonce(otherHedge), nonce(evaluate(b.Elements()[:1], zeroHedge))
	if n1.equal(&n2) || n1.equal(&n3) || n2.equal(&n3) {
		t.Error("two requests share a nonce")
	}
	for _, size := range []int{0, 31, 33} {
		if _, err := share.Evaluate(b.Elements(), make([]byte, size)); err == nil {
			t.Errorf("a hedge of %d bytes is accepted", size)
		}
	}
	if _, err := share.Evaluate(nil, zeroHedge); !errors.Is(err, ErrBatch) {
		t.Errorf("an empty batch: %v", err)
	}
	if _, err := share.Evaluate(make([]Element, MaxBatch+1), zeroHedge); !errors.Is(err, ErrBatch) {
		t.Errorf("too large a batch: %v", err)
	}
}

// TestBlindsOpen: a state of record that gets r_i and the input recomputes the
// blinded element, and only for that input.
func TestBlindsOpen(t *testing.T) {
	inputs, seed := testInputs(4), randomSeed()
	b, err := BlindAll(inputs, seed)
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range inputs {
		opened, err := DecodeScalar(b.Scalar(i).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		fromSeed := BlindFromSeed(seed, i)
		if !opened.equal(&fromSeed) {
			t.Errorf("blind %d is not the seed's", i)
		}
		e, err := Blind(in, opened)
		if err != nil || !e.Equal(b.Elements()[i]) {
			t.Errorf("blind %d does not open: %v", i, err)
		}
		if e, err := Blind(append([]byte("not "), in...), opened); err != nil || e.Equal(b.Elements()[i]) {
			t.Errorf("blind %d opens for another input", i)
		}
	}
	again, err := BlindAll(inputs, seed, Workers(3))
	if err != nil || !bytes.Equal(EncodeElements(again.Elements()), EncodeElements(b.Elements())) {
		t.Errorf("several workers blind otherwise: %v", err)
	}
	if _, err := Blind(make([]byte, MaxInput+1), RandomScalar()); !errors.Is(err, ErrInput) {
		t.Errorf("too long an input: %v", err)
	}
	for _, n := range []int{0, MaxBatch + 1} {
		if _, err := BlindAll(make([][]byte, n), seed); !errors.Is(err, ErrBatch) {
			t.Errorf("%d inputs: %v", n, err)
		}
	}
}
