package toprf

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// testdata/rfc9497-ristretto255.json holds the test vectors of RFC 9497,
// appendix A.1, for the two modes implemented here.
type rfcSuite struct {
	Mode    mode
	Key     string `json:"skSm"`
	Public  string `json:"pkSm"`
	DST     string `json:"groupDST"`
	Vectors []struct {
		Batch             int
		Input             string
		Blind             string
		BlindedElement    string
		EvaluationElement string
		Output            string
		Proof             struct{ Proof, R string }
	}
}

func loadRFC9497(t *testing.T) []rfcSuite {
	t.Helper()
	raw, err := os.ReadFile("testdata/rfc9497-ristretto255.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Suites []rfcSuite }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Suites) != 2 {
		t.Fatalf("%d suites, want base and verifiable", len(file.Suites))
	}
	return file.Suites
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhexList(t testing.TB, s string) (list [][]byte) {
	t.Helper()
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, unhex(t, part))
	}
	return list
}

func mustScalar(t testing.TB, b []byte) Scalar {
	t.Helper()
	k, err := DecodeScalar(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustElement(t testing.TB, b []byte) Element {
	t.Helper()
	e, err := DecodeElement(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestRFC9497 follows every vector through blinding, evaluation, proof,
// verification, combination (one of one) and output, byte for byte.
func TestRFC9497(t *testing.T) {
	suites := map[mode]*suite{base: baseSuite, verifiable: verifiableSuite}
	for _, rs := range loadRFC9497(t) {
		s := suites[rs.Mode]
		if got := s.groupDST[:len(s.groupDST)-1]; !bytes.Equal(got, unhex(t, rs.DST)) {
			t.Fatalf("mode %d: group DST %q", rs.Mode, got)
		}
		share, err := NewShare(1, mustScalar(t, unhex(t, rs.Key)))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := NewPublicKeys(1, share.Public(), []Element{share.Public()})
		if err != nil {
			t.Fatal(err)
		}
		if rs.Mode == verifiable && !bytes.Equal(share.Public().Bytes(), unhex(t, rs.Public)) {
			t.Errorf("public key is %x", share.Public().Bytes())
		}
		for i, v := range rs.Vectors {
			var blinds []Scalar
			for _, b := range unhexList(t, v.Blind) {
				blinds = append(blinds, mustScalar(t, b))
			}
			b, err := s.blindAll(unhexList(t, v.Input), blinds, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := EncodeElements(b.Elements()), bytes.Join(unhexList(t, v.BlindedElement), nil); !bytes.Equal(got, want) {
				t.Fatalf("mode %d, vector %d: blinded\n got %x\nwant %x", rs.Mode, i, got, want)
			}

			var verified Verified
			wantEvaluated := bytes.Join(unhexList(t, v.EvaluationElement), nil)
			if rs.Mode == verifiable {
				nonce := mustScalar(t, unhex(t, v.Proof.R))
				e, err := share.evaluate(s, b.Elements(), func(*statement) Scalar { return nonce }, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(e.Elements, wantEvaluated) {
					t.Fatalf("vector %d: evaluated %x, want %x", i, e.Elements, wantEvaluated)
				}
				if want := unhex(t, v.Proof.Proof); !bytes.Equal(e.Proof[:], want) {
					t.Fatalf("vector %d: proof %x, want %x", i, e.Proof, want)
				}
				if verified, err = keys.Verify(1, b.Elements(), e); err != nil {
					t.Fatal(err)
				}
			} else {
				evaluated, err := multiply(share.key(), b.Elements(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := EncodeElements(evaluated); !bytes.Equal(got, wantEvaluated) {
					t.Fatalf("vector %d: evaluated %x, want %x", i, got, wantEvaluated)
				}
				verified = Verified{index: 1, elements: evaluated, keys: keys.id, batch: b.batch}
			}

			combined, err := keys.Combine([]Verified{verified})
			if err != nil {
				t.Fatal(err)
			}
			outputs, err := b.Finalize(combined)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := bytes.Join(outputs, nil), bytes.Join(unhexList(t, v.Output), nil); !bytes.Equal(got, want) {
				t.Errorf("mode %d, vector %d: output\n got %x\nwant %x", rs.Mode, i, got, want)
			}
		}
	}
}
