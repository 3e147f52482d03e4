// Package holder measures what one core of a key holder does, beside its
// peers: cloudflare/circl's verifiable OPRF, and libsodium's bare
// multiplication where the program was built for it.
package holder

import (
	"fmt"
	"time"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"

	"github.com/waypost/waypost/toprf"
)

// Evaluations measures toprf: decode batch blinded elements, multiply, prove,
// encode, over and over for about budget on the calling goroutine. It returns
// elements per second.
func Evaluations(batch int, budget time.Duration) (float64, error) {
	wire, err := request(batch)
	if err != nil {
		return 0, err
	}
	share, err := toprf.NewShare(1, toprf.RandomScalar())
	if err != nil {
		return 0, err
	}
	hedge := make([]byte, toprf.HedgeSize)
	return rate(batch, budget, func() error {
		blinded, err := toprf.DecodeElements(wire, batch)
		if err != nil {
			return err
		}
		_, err = share.Evaluate(blinded, hedge)
		return err
	})
}

// CirclEvaluations measures the same work done by circl's verifiable OPRF.
func CirclEvaluations(batch int, budget time.Duration) (float64, error) {
	wire, err := request(batch)
	if err != nil {
		return 0, err
	}
	private := new(oprf.PrivateKey)
	if err := private.UnmarshalBinary(oprf.SuiteRistretto255, toprf.RandomScalar().Bytes()); err != nil {
		return 0, err
	}
	server := oprf.NewVerifiableServer(oprf.SuiteRistretto255, private)
	private.Public() // computed once and kept, as our share does
	return rate(batch, budget, func() error { return circlOnce(server, wire) })
}

func circlOnce(server oprf.VerifiableServer, wire []byte) error {
	elements := make([]group.Element, len(wire)/toprf.ElementSize)
	for i := range elements {
		elements[i] = group.Ristretto255.NewElement()
		if err := elements[i].UnmarshalBinary(wire[i*toprf.ElementSize : (i+1)*toprf.ElementSize]); err != nil {
			return err
		}
	}
	answer, err := server.Evaluate(&oprf.EvaluationRequest{Elements: elements})
	if err != nil {
		return err
	}
	for _, e := range answer.Elements {
		if _, err := e.MarshalBinaryCompress(); err != nil {
			return err
		}
	}
	_, err = answer.Proof.MarshalBinary()
	return err
}

// request makes batch distinct blinded elements, as they arrive.
func request(batch int) ([]byte, error) {
	inputs := make([][]byte, batch)
	for i := range inputs {
		inputs[i] = fmt.Appendf(nil, "waypost bench input %d", i)
	}
	blinding, err := toprf.BlindAll(inputs, [32]byte{})
	if err != nil {
		return nil, err
	}
	return toprf.EncodeElements(blinding.Elements()), nil
}

// rate repeats once until budget is spent, after one unmeasured repetition, and
// returns elements per second.
func rate(batch int, budget time.Duration, once func() error) (float64, error) {
	if err := once(); err != nil {
		return 0, err
	}
	start := time.Now()
	for n := 1; ; n++ {
		if err := once(); err != nil {
			return 0, err
		}
		if spent := time.Since(start); spent >= budget {
			return float64(n) * float64(batch) / spent.Seconds(), nil
		}
	}
}
