package circltest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"
	"pgregory.net/rapid"

	"github.com/waypost/waypost/toprf"
)

var (
	suite  = oprf.SuiteRistretto255
	circle = suite.Group()
	hedge  = make([]byte, toprf.HedgeSize)
)

// one key in both libraries.
type key struct {
	share   toprf.Share
	keys    *toprf.PublicKeys
	private *oprf.PrivateKey
}

func newKey(tb rapid.TB, secret toprf.Scalar) key {
	tb.Helper()
	var k key
	var err error
	if k.share, err = toprf.NewShare(1, secret); err != nil {
		tb.Fatal(err)
	}
	if k.keys, err = toprf.NewPublicKeys(1, k.share.Public(), []toprf.Element{k.share.Public()}); err != nil {
		tb.Fatal(err)
	}
	k.private = new(oprf.PrivateKey)
	if err = k.private.UnmarshalBinary(suite, secret.Bytes()); err != nil {
		tb.Fatal(err)
	}
	pub, err := k.private.Public().MarshalBinary()
	if err != nil || !bytes.Equal(pub, k.share.Public().Bytes()) {
		tb.Fatalf("public keys differ: %x, %x (%v)", pub, k.share.Public().Bytes(), err)
	}
	return k
}

func marshal(tb rapid.TB, v interface{ MarshalBinary() ([]byte, error) }) []byte {
	tb.Helper()
	b, err := v.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func element(tb rapid.TB, b []byte) group.Element {
	tb.Helper()
	e := circle.NewElement()
	if err := e.UnmarshalBinary(b); err != nil {
		tb.Fatal(err)
	}
	return e
}

func drawInputs(rt *rapid.T) [][]byte {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 5).Draw(rt, "inputs")
}

func drawSeed(rt *rapid.T) [32]byte {
	return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "seed"))
}

// TestOurHolderTheirClient: circl blinds, verifies our proof and finalizes.
func TestOurHolderTheirClient(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inputs := drawInputs(rt)
		k := newKey(rt, toprf.BlindFromSeed(drawSeed(rt), 0))
		client := oprf.NewVerifiableClient(suite, k.private.Public())
		data, request, err := client.Blind(inputs)
		if err != nil {
			rt.Fatal(err)
		}
		var wire []byte
		for _, e := range request.Elements {
			wire = append(wire, marshal(rt, e)...)
		}
		blinded, err := toprf.DecodeElements(wire, len(inputs))
		if err != nil {
			rt.Fatal(err)
		}
		answer, err := k.share.Evaluate(blinded, hedge)
		if err != nil {
			rt.Fatal(err)
		}
		theirs := &oprf.Evaluation{Proof: new(dleq.Proof)}
		for e := range slices.Chunk(answer.Elements, toprf.ElementSize) {
			theirs.Elements = append(theirs.Elements, element(rt, e))
		}
		if err := theirs.Proof.UnmarshalBinary(circle, answer.Proof[:]); err != nil {
			rt.Fatal(err)
		}
		outputs, err := client.Finalize(data, theirs)
		if err != nil {
			rt.Fatalf("circl refuses our answer: %v", err)
		}
		for i, in := range inputs {
			want, err := oprf.NewVerifiableServer(suite, k.private).FullEvaluate(in)
			if err != nil || !bytes.Equal(outputs[i], want) {
				rt.Fatalf("output %d differs (%v)", i, err)
			}
		}
	})
}

// TestTheirHolderOurClient: we blind, verify circl's proof and finalize.
func TestTheirHolderOurClient(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inputs, seed := drawInputs(rt), drawSeed(rt)
		k := newKey(rt, toprf.BlindFromSeed(drawSeed(rt), 1))
		blinding, err := toprf.BlindAll(inputs, seed)
		if err != nil {
			rt.Fatal(err)
		}
		request := new(oprf.EvaluationRequest)
		for _, e := range blinding.Elements() {
			request.Elements = append(request.Elements, element(rt, e.Bytes()))
		}
		server := oprf.NewVerifiableServer(suite, k.private)
		theirs, err := server.Evaluate(request)
		if err != nil {
			rt.Fatal(err)
		}
		answer := toprf.Evaluation{Proof: [toprf.ProofSize]byte(marshal(rt, theirs.Proof))}
		for _, e := range theirs.Elements {
			answer.Elements = append(answer.Elements, marshal(rt, e)...)
		}
		verified, err := k.keys.Verify(1, blinding.Elements(), answer)
		if err != nil {
			rt.Fatalf("we refuse circl's answer: %v", err)
		}
		combined, err := k.keys.Combine([]toprf.Verified{verified})
		if err != nil {
			rt.Fatal(err)
		}
		outputs, err := blinding.Finalize(combined)
		if err != nil {
			rt.Fatal(err)
		}
		for i, in := range inputs {
			want, err := server.FullEvaluate(in)
			if err != nil || !bytes.Equal(outputs[i], want) {
				rt.Fatalf("output %d differs (%v)", i, err)
			}
		}
	})
}

// FuzzDecode: we accept exactly what circl decodes, except the identity and
// what circl itself would encode differently.
func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, 32))
	for range 4 {
		f.Add(marshal(f, circle.RandomElement(rand.Reader)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != toprf.ElementSize {
			return
		}
		_, err := toprf.DecodeElement(b)
		e := circle.NewElement()
		theirs := e.UnmarshalBinary(b) == nil && !e.IsIdentity() && bytes.Equal(marshal(t, e), b)
		if ours := err == nil; ours != theirs {
			t.Fatalf("%x: we say %v, circl says %v", b, ours, theirs)
		}
	})
}

// FuzzHashAndMultiply: r * HashToGroup(input) is the same in both libraries.
func FuzzHashAndMultiply(f *testing.F) {
	dst := []byte("HashToGroup-OPRFV1-\x01-ristretto255-SHA512")
	f.Add([]byte(nil), append([]byte{1}, make([]byte, 31)...))
	f.Add([]byte("an input"), toprf.BlindFromSeed([32]byte{1}, 0).Bytes())
	f.Fuzz(func(t *testing.T, input, scalar []byte) {
		r, err := toprf.DecodeScalar(scalar)
		s := circle.NewScalar()
		if theirs := s.UnmarshalBinary(scalar) == nil && !s.IsZero(); theirs != (err == nil) {
			t.Fatalf("scalar %x: we say %v, circl says %v", scalar, err, theirs)
		}
		if err != nil || len(input) > toprf.MaxInput {
			return
		}
		ours, err := toprf.Blind(input, r)
		if err != nil {
			t.Fatal(err)
		}
		theirs := circle.NewElement().Mul(circle.HashToElement(input, dst), s)
		if want := marshal(t, theirs); !bytes.Equal(ours.Bytes(), want) {
			t.Fatalf("input %x, scalar %x: we say %x, circl says %x", input, scalar, ours.Bytes(), want)
		}
	})
}

// TestManyMultiplications is the differential test that always runs.
func TestManyMultiplications(t *testing.T) {
	dst := []byte("HashToGroup-OPRFV1-\x01-ristretto255-SHA512")
	for i := range 200 {
		input, r := fmt.Appendf(nil, "input %d", i), toprf.RandomScalar()
		ours, err := toprf.Blind(input, r)
		if err != nil {
			t.Fatal(err)
		}
		s := circle.NewScalar()
		if err := s.UnmarshalBinary(r.Bytes()); err != nil {
			t.Fatal(err)
		}
		if want := marshal(t, circle.NewElement().Mul(circle.HashToElement(input, dst), s)); !bytes.Equal(ours.Bytes(), want) {
			t.Fatalf("input %d: we say %x, circl says %x", i, ours.Bytes(), want)
		}
	}
}
