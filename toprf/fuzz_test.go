package toprf

import (
	"bytes"
	"testing"
)

// The decoders of outside bytes. Each property says more than "no panic": what
// is accepted is canonical, so its encoding is the input.

func FuzzDecodeElement(f *testing.F) {
	for _, enc := range loadRFC9496(f).Multiples {
		f.Add(unhex(f, enc))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeElement(b)
		if err != nil {
			return
		}
		if enc := e.p.encode(); !bytes.Equal(enc[:], b) || !bytes.Equal(e.Bytes(), b) {
			t.Fatalf("%x decodes and encodes as %x", b, enc)
		}
		if e.p.isIdentity() {
			t.Fatal("the identity decodes")
		}
	})
}

func FuzzDecodeElements(f *testing.F) {
	g := unhex(f, loadRFC9496(f).Multiples[1])
	f.Add(g, 1)
	f.Add(bytes.Repeat(g, 3), 2)
	f.Fuzz(func(t *testing.T, b []byte, most int) {
		es, err := DecodeElements(b, most)
		if err != nil {
			return
		}
		if len(es) > most || !bytes.Equal(EncodeElements(es), b) {
			t.Fatalf("%d bytes decode to %d elements, at most %d allowed", len(b), len(es), most)
		}
	})
}

func FuzzDecodeScalar(f *testing.F) {
	f.Add(groupOrderBytes())
	f.Add(append([]byte{1}, make([]byte, 31)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := DecodeScalar(b)
		if err != nil {
			return
		}
		if !bytes.Equal(k.Bytes(), b) || k.isZero() {
			t.Fatalf("%x decodes and encodes as %x", b, k.Bytes())
		}
	})
}

func FuzzShare(f *testing.F) {
	f.Add(append([]byte{shareVersion, 1, 7}, make([]byte, 31)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Share
		if s.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is stored again as %x (%v)", b, again, err)
		}
	})
}

func FuzzPublicKeys(f *testing.F) {
	keys, _, _ := deal(f, 2, 3)
	f.Add(keys.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := ParsePublicKeys(b)
		if err != nil {
			return
		}
		if !bytes.Equal(keys.Bytes(), b) {
			t.Fatalf("%x parses and encodes as %x", b, keys.Bytes())
		}
	})
}

// FuzzEvaluation hands a gateway arbitrary answers. The only one it may accept
// is the true one: a proof for anything else would be a forgery.
func FuzzEvaluation(f *testing.F) {
	share, err := NewShare(1, BlindFromSeed([32]byte{1}, 0))
	if err != nil {
		f.Fatal(err)
	}
	keys, err := NewPublicKeys(1, share.Public(), []Element{share.Public()})
	if err != nil {
		f.Fatal(err)
	}
	b, err := BlindAll(testInputs(2), [32]byte{2})
	if err != nil {
		f.Fatal(err)
	}
	truth, err := share.Evaluate(b.Elements(), zeroHedge)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(truth.Elements, truth.Proof[:])
	f.Add(truth.Elements[:32], truth.Proof[:])
	f.Fuzz(func(t *testing.T, elements, proof []byte) {
		if len(proof) != ProofSize {
			return
		}
		_, err := keys.Verify(1, b.Elements(), Evaluation{elements, [ProofSize]byte(proof)})
		if accepted := err == nil; accepted != (bytes.Equal(elements, truth.Elements) && bytes.Equal(proof, truth.Proof[:])) {
			t.Fatalf("accepted = %v for %x, %x", accepted, elements, proof)
		}
	})
}

// FuzzCeremonyMessages hands a participant arbitrary messages of every round.
func FuzzCeremonyMessages(f *testing.F) {
	r := commitAll(f, testCeremony).reveal(f).deal(f)
	f.Add(r.commits[0])
	f.Add(r.reveals[1])
	f.Add(r.deals[2][0])
	c := testCeremony
	f.Fuzz(func(t *testing.T, m []byte) {
		for from := 1; from <= c.Holders; from++ {
			if h, err := c.decodeCommit(from, m); err == nil && !bytes.Equal(c.encodeCommit(from, h), m) {
				t.Fatalf("commit %x", m)
			}
			if v, err := c.decodeReveal(from, m); err == nil && !bytes.Equal(c.encodeReveal(from, v), m) {
				t.Fatalf("reveal %x", m)
			}
			if len(m) != dealSize {
				continue
			}
			hash := [32]byte(m[headerSize+1:])
			if k, err := c.decodeDeal(from, 1, hash, m); err == nil && !bytes.Equal(c.encodeDeal(from, 1, hash, &k), m) {
				t.Fatalf("deal %x", m)
			}
		}
	})
}

func FuzzTranscript(f *testing.F) {
	transcript := commitAll(f, testCeremony).reveal(f).deal(f).finish(f).outcomes[0].Transcript
	f.Add(transcript)
	old := commitAll(f, testCeremony).reveal(f).deal(f).finish(f)
	for _, c := range []Ceremony{refreshOf(old), reshareOf(old, []int{1, 3}, 2, 2)} {
		f.Add(commitAll(f, c, old.shares()...).reveal(f).deal(f).finish(f).outcomes[0].Transcript)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, keys, err := VerifyTranscript(b)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(b, keys.Bytes()) || c.check() != nil {
			t.Fatalf("%x verifies", b)
		}
	})
}
