package toprf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// testdata/rfc9496-ristretto255.json holds the test vectors of RFC 9496,
// appendix A.
type rfc9496 struct {
	Multiples []string                            `json:"multiples_of_generator"`
	Invalid   map[string][]string                 `json:"invalid_encodings"`
	Hash      []struct{ Uniform, Element string } `json:"hash_to_group"`
}

func loadRFC9496(t testing.TB) (v rfc9496) {
	t.Helper()
	raw, err := os.ReadFile("testdata/rfc9496-ristretto255.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Multiples) != 16 || len(v.Invalid) != 5 || len(v.Hash) != 11 {
		t.Fatalf("the vectors are incomplete: %d, %d, %d", len(v.Multiples), len(v.Invalid), len(v.Hash))
	}
	return v
}

func TestRFC9496Multiples(t *testing.T) {
	multiples := loadRFC9496(t).Multiples
	if _, err := DecodeElement(unhex(t, multiples[0])); !errors.Is(err, ErrElement) {
		t.Errorf("the identity decodes: %v", err)
	}
	var sum point
	sum.setIdentity()
	g := mustElement(t, unhex(t, multiples[1]))
	for i, want := range multiples {
		if enc := sum.encode(); !bytes.Equal(enc[:], unhex(t, want)) {
			t.Errorf("%d * G by addition is %x", i, enc)
		}
		if i > 0 {
			var k [ScalarSize]byte
			k[0] = byte(i)
			s, err := NewShare(1, mustScalar(t, k[:]))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Public().Bytes(), unhex(t, want)) {
				t.Errorf("%d * G by the basepoint table is %x", i, s.Public().Bytes())
			}
			if e := mustElement(t, unhex(t, want)); !e.Equal(s.Public()) {
				t.Errorf("%d * G does not decode to itself", i)
			}
		}
		sum.add(&sum, &g.p)
	}
}

func TestRFC9496InvalidEncodings(t *testing.T) {
	for reason, list := range loadRFC9496(t).Invalid {
		for _, enc := range list {
			if _, err := DecodeElement(unhex(t, enc)); !errors.Is(err, ErrElement) {
				t.Errorf("%s: %s decodes (%v)", reason, enc, err)
			}
		}
	}
}

func TestRFC9496HashToGroup(t *testing.T) {
	for _, v := range loadRFC9496(t).Hash {
		var p point
		p.fromUniform((*[64]byte)(unhex(t, v.Uniform)))
		if enc := p.encode(); !bytes.Equal(enc[:], unhex(t, v.Element)) {
			t.Errorf("%s maps to %x, want %s", v.Uniform, enc, v.Element)
		}
	}
}

// TestHighBit flips bit 255, which the field ignores and the encoding must not.
func TestHighBit(t *testing.T) {
	for _, enc := range loadRFC9496(t).Multiples[1:] {
		b := unhex(t, enc)
		b[31] |= 0x80
		if _, err := DecodeElement(b); !errors.Is(err, ErrElement) {
			t.Errorf("%x decodes", b)
		}
	}
}

func TestDecodeElementLength(t *testing.T) {
	g := unhex(t, loadRFC9496(t).Multiples[1])
	for _, b := range [][]byte{nil, {}, g[:31], append(bytes.Clone(g), 0)} {
		if _, err := DecodeElement(b); !errors.Is(err, ErrElement) {
			t.Errorf("%d bytes decode", len(b))
		}
	}
}

func TestDecodeElements(t *testing.T) {
	g := unhex(t, loadRFC9496(t).Multiples[1])
	three := bytes.Repeat(g, 3)
	es, err := DecodeElements(three, 3)
	if err != nil || len(es) != 3 || !bytes.Equal(EncodeElements(es), three) {
		t.Fatalf("three elements do not round trip: %v", err)
	}
	for name, tc := range map[string]struct {
		b    []byte
		most int
	}{
		"empty": {nil, 3}, "ragged": {three[:95], 3}, "too many": {three, 2}, "none wanted": {g, 0},
		"above MaxBatch": {bytes.Repeat(g, MaxBatch+1), MaxBatch + 1},
	} {
		if _, err := DecodeElements(tc.b, tc.most); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	withIdentity := bytes.Clone(three)
	clear(withIdentity[32:64])
	_, err = DecodeElements(withIdentity, 3)
	if !errors.Is(err, ErrElement) || !strings.Contains(err.Error(), "element 2 of 3") {
		t.Errorf("the identity among others: %v", err)
	}
	if _, err := DecodeElements(withIdentity, 3, Workers(3)); !errors.Is(err, ErrElement) {
		t.Errorf("the identity among others, on several workers: %v", err)
	}
}

func TestDecodeScalar(t *testing.T) {
	order := groupOrderBytes()
	belowOrder, aboveOrder := bytes.Clone(order), bytes.Clone(order)
	belowOrder[0]--
	aboveOrder[0]++
	one := append([]byte{1}, make([]byte, 31)...)
	for _, good := range [][]byte{one, belowOrder} {
		k, err := DecodeScalar(good)
		if err != nil || !bytes.Equal(k.Bytes(), good) {
			t.Errorf("%x: %v", good, err)
		}
	}
	highBit := bytes.Clone(one)
	highBit[31] = 0x80
	for name, bad := range map[string][]byte{
		"zero": make([]byte, 32), "the order": order, "the order + 1": aboveOrder, "high bit": highBit,
		"all ones": bytes.Repeat([]byte{0xff}, 32), "short": one[:31], "long": append(bytes.Clone(one), 0), "empty": nil,
	} {
		if _, err := DecodeScalar(bad); !errors.Is(err, ErrScalar) {
			t.Errorf("%s decodes", name)
		}
	}
}

func groupOrderBytes() []byte {
	b := groupOrder.FillBytes(make([]byte, ScalarSize))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// TestZeroValues checks that what was never made is refused and not computed with.
func TestZeroValues(t *testing.T) {
	keys, shares, _ := deal(t, 1, 1)
	b := mustBlind(t, testInputs(1))
	if _, err := shares[0].Evaluate([]Element{{}}, zeroHedge); !errors.Is(err, ErrElement) {
		t.Errorf("evaluating a zero Element: %v", err)
	}
	if _, err := (Share{}).Evaluate(b.Elements(), zeroHedge); !errors.Is(err, ErrKeys) {
		t.Errorf("evaluating with a zero Share: %v", err)
	}
	if _, err := (Share{}).MarshalBinary(); !errors.Is(err, ErrKeys) {
		t.Errorf("storing a zero Share: %v", err)
	}
	if _, err := Blind([]byte("x"), Scalar{}); !errors.Is(err, ErrScalar) {
		t.Errorf("blinding with zero: %v", err)
	}
	if _, err := NewShare(1, Scalar{}); !errors.Is(err, ErrScalar) {
		t.Errorf("a zero share: %v", err)
	}
	if _, err := keys.Verify(1, []Element{{}}, Evaluation{Elements: make([]byte, 32)}); !errors.Is(err, ErrElement) {
		t.Errorf("verifying a zero Element: %v", err)
	}
	if _, err := keys.Combine([]Verified{{}}); !errors.Is(err, ErrShares) {
		t.Errorf("combining a zero Verified: %v", err)
	}
	if _, err := b.Finalize(&Combined{}); !errors.Is(err, ErrShares) {
		t.Errorf("finalizing a zero Combined: %v", err)
	}
}

// TestSecretsDoNotPrint formats every secret, bare and inside somebody else's
// struct, in every way that a log line might.
func TestSecretsDoNotPrint(t *testing.T) {
	_, shares, k := deal(t, 2, 3)
	share := shares[0]
	secret := share.key().encode()
	blinding := mustBlind(t, testInputs(1))
	blind := blinding.blinds()[0].encode()
	dealer, err := Ceremony{Kind: Keygen, Threshold: 1, Holders: 1}.NewDealer(1, Share{}, NewSeed())
	if err != nil {
		t.Fatal(err)
	}
	coefficient := dealer.coefficients()[0].encode()

	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	type holder struct {
		Share Share
		inner Share
		Blind *Blinding
		blind *Blinding
		part  *Dealer
	}
	values := []any{k, &k, share, &share, blinding, dealer, holder{share, share, blinding, blinding, dealer}, []Share{share}, map[string]Scalar{"k": k}}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		log.Info("x", "v", v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
	}
	kEnc := k.encode()
	for name, s := range map[string][32]byte{"share": secret, "blind": blind, "key": kEnc, "coefficient": coefficient} {
		for _, form := range []string{
			fmt.Sprintf("%x", s[:]), fmt.Sprintf("%X", s[:]), string(s[:]),
			strings.Trim(fmt.Sprint(s[:4]), "[]"), strings.Trim(fmt.Sprintf("%#v", s[:4])[len("[]byte"):], "{}"),
		} {
			if strings.Contains(out.String(), form) {
				t.Errorf("the %s was printed as %q", name, form)
			}
		}
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was redacted")
	}
}

func TestShareEncoding(t *testing.T) {
	_, shares, _ := deal(t, 2, 3)
	stored, err := shares[2].MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var loaded Share
	if err := loaded.UnmarshalBinary(stored); err != nil {
		t.Fatal(err)
	}
	if loaded.Index() != 3 || !loaded.Public().Equal(shares[2].Public()) || !loaded.key().equal(shares[2].key()) {
		t.Error("a share does not survive storage")
	}
	change := func(at int, to byte) []byte {
		b := bytes.Clone(stored)
		b[at] = to
		return b
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "short": stored[:33], "long": append(bytes.Clone(stored), 0), "version 0": change(0, 0),
		"version 2": change(0, 2), "index 0": change(1, 0), "index 33": change(1, 33), "not reduced": change(33, 0xff),
		"zero": append([]byte{1, 1}, make([]byte, 32)...),
	} {
		var s Share
		if err := s.UnmarshalBinary(bad); !errors.Is(err, ErrKeys) && !errors.Is(err, ErrScalar) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
