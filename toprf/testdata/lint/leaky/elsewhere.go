package leaky

import "github.com/oasisprotocol/curve25519-voi/curve"

// generator knows the curve library outside group.go.
func generator() *curve.RistrettoPoint { return curve.RISTRETTO_BASEPOINT_POINT }

// forge makes a public number from a secret without importing anything.
func forge(k *Scalar) publicScalar { return publicScalar{k.s} }

// expose turns a secret into bytes that variable-time code may then read.
func expose(k *Scalar) [32]byte { return k.encode() }
