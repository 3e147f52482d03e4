package toprf

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// TestBetween: pauses change nothing but the time that passes between two of them,
// whatever else is asked for.
func TestBetween(t *testing.T) {
	const n = termsAtOnce + 40
	keys, shares, k := deal(t, 1, 1)
	inputs, seed := testInputs(n), randomSeed()
	plain, err := BlindAll(inputs, seed)
	if err != nil {
		t.Fatal(err)
	}
	want, err := shares[0].Evaluate(plain.Elements(), zeroHedge)
	if err != nil {
		t.Fatal(err)
	}
	pauses := 0
	between := Between(func() { pauses++ })
	paused := func(step string, least int) {
		t.Helper()
		if pauses < least {
			t.Errorf("%s pauses %d times, want %d", step, pauses, least)
		}
		pauses = 0
	}
	b, err := BlindAll(inputs, seed, between)
	if err != nil || !slices.EqualFunc(b.Elements(), plain.Elements(), func(a, b Element) bool { return a.enc == b.enc }) {
		t.Fatalf("other blinded elements: %v", err)
	}
	paused("blinding", n/atOnce)
	got, err := shares[0].Evaluate(b.Elements(), zeroHedge, between)
	if err != nil || !bytes.Equal(got.Elements, want.Elements) || got.Proof != want.Proof {
		t.Fatalf("another evaluation: %v", err)
	}
	paused("evaluating", n/atOnce+n/termsAtOnce)
	answer, err := keys.Verify(1, b.Elements(), got, between)
	if err != nil {
		t.Fatal(err)
	}
	paused("verifying", n/atOnce+2*n/termsAtOnce)
	for _, opts := range [][]Option{{between}, {Workers(2)}} {
		if out := outputs(t, keys, b, []Verified{answer}, opts...); !slices.EqualFunc(out[:3], single(&k, inputs[:3]), bytes.Equal) || len(out) != n {
			t.Error("other outputs")
		}
	}
	paused("combining and unblinding", 2*n/atOnce)
	bad := slices.Clone(got.Elements)
	copy(bad[(n-1)*ElementSize:], got.Elements[:ElementSize])
	if _, err := keys.Verify(1, b.Elements(), Evaluation{bad, got.Proof}, between); err == nil {
		t.Error("a wrong last element passes")
	}
	if _, err := DecodeElements(make([]byte, n*ElementSize), n, between); err == nil {
		t.Error("identities pass")
	}
}

// BenchmarkBatch is the gateway's whole arithmetic for a batch to publish, with
// three key holders, by the number of elements, at once and with pauses.
func BenchmarkBatch(b *testing.B) {
	keys, shares, _ := deal(b, 3, 5)
	for _, n := range []int{1000, 2000, 4000} {
		inputs := testInputs(n)
		blinding := mustBlind(b, inputs)
		var evaluations [3]Evaluation
		for i := range evaluations {
			var err error
			if evaluations[i], err = shares[i+1].Evaluate(blinding.Elements(), zeroHedge); err != nil {
				b.Fatal(err)
			}
		}
		for name, opts := range map[string][]Option{"": nil, "-pauses": {Between(func() {})}} {
			b.Run(fmt.Sprint(n, name), func(b *testing.B) {
				for b.Loop() {
					if _, err := BlindAll(inputs, randomSeed(), opts...); err != nil {
						b.Fatal(err)
					}
					var answers []Verified
					for i, e := range evaluations {
						v, err := keys.Verify(i+2, blinding.Elements(), e, opts...)
						if err != nil {
							b.Fatal(err)
						}
						answers = append(answers, v)
					}
					outputs(b, keys, blinding, answers, opts...)
				}
				perElement(b, n)
			})
		}
	}
}
