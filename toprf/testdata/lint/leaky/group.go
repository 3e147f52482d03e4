// Package leaky breaks every rule of the lint test once, so that the test can
// show that each can fail. It is never built into anything.
package leaky

import (
	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

type point struct{ p curve.RistrettoPoint }

// Scalar is the secret type.
type Scalar struct{ s scalar.Scalar }

func (k *Scalar) encode() (b [32]byte) {
	_ = k.s.ToBytes(b[:])
	return b
}

type publicScalar struct{ s scalar.Scalar }

// sumPublic may call variable-time code, but is handed a secret.
func (p *point) sumPublic(k []Scalar, q []*curve.RistrettoPoint) {
	scalars := make([]*scalar.Scalar, len(k))
	for i := range k {
		scalars[i] = &k[i].s
	}
	p.p.MultiscalarMulVartime(scalars, q)
}

// mul calls variable-time code without being on the list.
func (p *point) mul(k *publicScalar, q *point) {
	p.p.DoubleScalarMulBasepointVartime(&k.s, &q.p, scalar.One())
}

// digits makes a value that depends on a secret in variable time.
func digits(k *Scalar) [256]int8 { return k.s.NonAdjacentForm(5) }

// launder turns a secret into a public number.
func launder(k *Scalar) publicScalar { return publicScalar{k.s} }

// convert does so by a conversion, which the compiler allows.
func convert(k Scalar) publicScalar { return publicScalar(k) }
