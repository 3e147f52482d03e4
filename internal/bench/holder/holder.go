// Package holder measures what one core of a key holder does, beside its
// peers: cloudflare/circl's verifiable OPRF, and libsodium's bare
// multiplication where the program was built for it (CGO_ENABLED=1 and the
// build tag libsodium; the header is in Debian's libsodium-dev).
package holder

import (
	"fmt"
	"time"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"

	"github.com/waypost/waypost/toprf"
)

// Rates are elements per second on one core, for one size of batch.
type Rates struct {
	Toprf     float64 // decode, multiply, prove, encode
	Circl     float64 // the same, by circl's verifiable OPRF
	Libsodium float64 // decode, multiply, encode, no proof; 0 if not built in
}

// turn is how long one contender works before the next has its turn.
const turn = 50 * time.Millisecond

// Compare measures all contenders on batches of one size. They take short
// turns on the calling goroutine, each for about budget in all, so that
// whatever else the machine does meets all of them alike: their ratios are
// steadier than the figures.
func Compare(batch int, budget time.Duration) (Rates, error) {
	contenders := []func([]byte) (func() error, error){newToprf, newCircl, newLibsodium}
	wire, err := request(batch)
	if err != nil {
		return Rates{}, err
	}
	works := make([]func() error, len(contenders))
	done, spent := make([]int, len(contenders)), make([]time.Duration, len(contenders))
	for i, prepare := range contenders {
		if works[i], err = prepare(wire); err != nil {
			return Rates{}, err
		}
	}
	for total := time.Duration(0); total < budget; total += turn {
		for i, work := range works {
			if work == nil {
				continue
			}
			n, d, err := repeat(turn, work)
			if err != nil {
				return Rates{}, err
			}
			done[i], spent[i] = done[i]+n*batch, spent[i]+d
		}
	}
	rate := func(i int) float64 {
		if spent[i] == 0 {
			return 0
		}
		return float64(done[i]) / spent[i].Seconds()
	}
	return Rates{Toprf: rate(0), Circl: rate(1), Libsodium: rate(2)}, nil
}

// repeat does work over and over for about budget, and at least once.
func repeat(budget time.Duration, work func() error) (n int, spent time.Duration, err error) {
	start := time.Now()
	for spent < budget {
		if err := work(); err != nil {
			return 0, 0, err
		}
		n, spent = n+1, time.Since(start)
	}
	return n, spent, nil
}

// newToprf returns what a key holder computes for the request in wire.
func newToprf(wire []byte) (func() error, error) {
	share, err := toprf.NewShare(1, toprf.RandomScalar())
	if err != nil {
		return nil, err
	}
	hedge := make([]byte, toprf.HedgeSize)
	return func() error {
		blinded, err := toprf.DecodeElements(wire, toprf.MaxBatch)
		if err != nil {
			return err
		}
		_, err = share.Evaluate(blinded, hedge)
		return err
	}, nil
}

// newCircl returns the same work, done by circl.
func newCircl(wire []byte) (func() error, error) {
	private := new(oprf.PrivateKey)
	if err := private.UnmarshalBinary(oprf.SuiteRistretto255, toprf.RandomScalar().Bytes()); err != nil {
		return nil, err
	}
	private.Public() // computed once and kept, as our share does
	server := oprf.NewVerifiableServer(oprf.SuiteRistretto255, private)
	return func() error { return circlOnce(server, wire) }, nil
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
