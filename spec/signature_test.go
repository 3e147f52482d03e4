package spec_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
)

func signatureCases(t testing.TB) []question {
	message, signer := []byte("a message"), key("signer")
	signature := ed25519.Sign(signer, message)
	q := question{Name: "Ed25519", Check: "ed25519", Data: signature, With: with{Key: hex.EncodeToString(public("signer")), Message: hex.EncodeToString(message)}}
	list := altered(q)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(signature[32:])
	slices.Reverse(s)
	s = new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(s)
	large := q
	large.Name, large.Data = "Ed25519: S is not below the order of the group", slices.Concat(signature[:32], s)
	other := q
	other.Name, other.With.Message = "Ed25519: another message", hex.EncodeToString([]byte("another"))
	// A small torsion component: [8] of both sides agree, the sides do not.
	mixed := q
	mixed.Name = "Ed25519: R has a part of small order, which only the equation with the cofactor forgives"
	mixed.Data = torsion(t, message)
	mixed.With.Key = hex.EncodeToString(public("signer"))
	return append(list, large, other, mixed)
}

// torsion signs with R of the wrong residue modulo the small group: R is
// encoded with the point of order two added, (x, y) -> (-x, -y).
func torsion(t testing.TB, message []byte) []byte {
	t.Helper()
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	signature := ed25519.Sign(key("signer"), message)
	r := slices.Clone(signature[:32])
	slices.Reverse(r)
	sign := r[0] & 0x80
	r[0] &= 0x7f
	y := new(big.Int).Sub(p, new(big.Int).SetBytes(r)).FillBytes(make([]byte, 32))
	y[0] |= sign ^ 0x80 // -x has the other parity
	slices.Reverse(y)
	return slices.Concat(y, signature[32:])
}
