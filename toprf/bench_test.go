package toprf

import (
	"crypto/rand"
	"fmt"
	"testing"
)

// deal makes the keys of n holders, any t of which suffice, and the key
// itself. A dealer exists only in tests.
func deal(tb testing.TB, t, n int) (*PublicKeys, []Share, Scalar) {
	tb.Helper()
	coefficients := make([]Scalar, t)
	for i := range coefficients {
		coefficients[i] = RandomScalar()
	}
	shares := make([]Share, n)
	publics := make([]Element, n)
	for j := range shares {
		var err error
		if shares[j], err = NewShare(j+1, evalPolynomial(coefficients, j+1)); err != nil {
			tb.Fatal(err)
		}
		publics[j] = shares[j].Public()
	}
	group, err := NewShare(1, coefficients[0])
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := NewPublicKeys(t, group.Public(), publics)
	if err != nil {
		tb.Fatal(err)
	}
	return keys, shares, coefficients[0]
}

func testInputs(n int) [][]byte {
	inputs := make([][]byte, n)
	for i := range inputs {
		inputs[i] = fmt.Appendf(nil, "input number %d, about as long as a key", i)
	}
	return inputs
}

func randomSeed() (seed [32]byte) {
	_, _ = rand.Read(seed[:])
	return seed
}

func mustBlind(tb testing.TB, inputs [][]byte) *Blinding {
	tb.Helper()
	b, err := BlindAll(inputs, randomSeed())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

var zeroHedge = make([]byte, HedgeSize)

func perElement(b *testing.B, n int) {
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "elements/s")
}

// BenchmarkEvaluate is a key holder's whole arithmetic for a request: decode,
// multiply, prove, encode.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{10, 32, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, shares, _ := deal(b, 1, 1)
			wire := EncodeElements(mustBlind(b, testInputs(n)).Elements())
			for b.Loop() {
				blinded, err := DecodeElements(wire, n)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := shares[0].Evaluate(blinded, zeroHedge); err != nil {
					b.Fatal(err)
				}
			}
			perElement(b, n)
		})
	}
}

// The gateway's arithmetic for one check: Blind32 and Finalize32 once,
// Verify32 for each of three holders, Combine32 over three.
func BenchmarkBlind32(b *testing.B) {
	inputs, seed := testInputs(32), randomSeed()
	for b.Loop() {
		if _, err := BlindAll(inputs, seed); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, 32)
}

func benchAnswers(b *testing.B) (*PublicKeys, *Blinding, []Evaluation, []Verified) {
	keys, shares, _ := deal(b, 3, 5)
	blinding := mustBlind(b, testInputs(32))
	var evaluations []Evaluation
	var answers []Verified
	for _, s := range shares[2:] { // 3, 4, 5: the longest coefficients of 3 of 5
		e, err := s.Evaluate(blinding.Elements(), zeroHedge)
		if err != nil {
			b.Fatal(err)
		}
		v, err := keys.Verify(s.Index(), blinding.Elements(), e)
		if err != nil {
			b.Fatal(err)
		}
		evaluations, answers = append(evaluations, e), append(answers, v)
	}
	return keys, blinding, evaluations, answers
}

func BenchmarkVerify32(b *testing.B) {
	keys, blinding, evaluations, _ := benchAnswers(b)
	for b.Loop() {
		if _, err := keys.Verify(3, blinding.Elements(), evaluations[0]); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, 32)
}

func BenchmarkCombine32(b *testing.B) {
	keys, _, _, answers := benchAnswers(b)
	for b.Loop() {
		if _, err := keys.Combine(answers); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, 32)
}

func BenchmarkFinalize32(b *testing.B) {
	keys, blinding, _, answers := benchAnswers(b)
	combined, err := keys.Combine(answers)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := blinding.Finalize(combined); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, 32)
}
