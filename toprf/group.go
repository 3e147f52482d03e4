package toprf

import (
	"math/big"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// This is the only file that knows the curve library.
//
// point is any group element, the identity included. Element (element.go) is
// the checked form that leaves the package.
type point struct{ p curve.RistrettoPoint }

// Scalar is a secret integer modulo the group order: a blind, a share or a
// nonce. Everything done with it takes constant time. The zero value is the
// number zero, which no function of this package returns or accepts.
type Scalar struct{ s scalar.Scalar }

// publicScalar is an integer modulo the group order that everybody may know:
// a challenge, a response, a weight, a Lagrange coefficient. Variable-time
// code takes nothing else.
type publicScalar struct{ s scalar.Scalar }

// ---- points ----

// decode reads a canonical RFC 9496 encoding. The identity passes.
func (p *point) decode(b *[ElementSize]byte) bool {
	c := curve.CompressedRistretto(*b)
	_, err := p.p.SetCompressed(&c)
	return err == nil
}

func (p *point) encode() [ElementSize]byte {
	var c curve.CompressedRistretto
	c.SetRistrettoPoint(&p.p)
	return c
}

// fromUniform is the RFC 9496 one-way map from 64 uniform bytes.
func (p *point) fromUniform(b *[64]byte) {
	if _, err := p.p.SetUniformBytes(b[:]); err != nil {
		panic("toprf: 64 bytes refused: " + err.Error())
	}
}

func (p *point) setIdentity()         { p.p.Identity() }
func (p *point) isIdentity() bool     { return p.p.IsIdentity() }
func (p *point) equal(q *point) bool  { return p.p.Equal(&q.p) == 1 }
func (p *point) add(a, b *point)      { p.p.Add(&a.p, &b.p) }
func (p *point) subtract(a, b *point) { p.p.Sub(&a.p, &b.p) }

// mulSecret sets p = k * q in constant time.
func (p *point) mulSecret(k *Scalar, q *point) { p.p.Mul(&q.p, &k.s) }

// mulBaseSecret sets p = k * G in constant time.
func (p *point) mulBaseSecret(k *Scalar) {
	p.p.MulBasepoint(curve.RISTRETTO_BASEPOINT_TABLE, &k.s)
}

// mulBasePublic sets p = a * q + b * G in variable time.
func (p *point) mulBasePublic(a *publicScalar, q *point, b *publicScalar) {
	p.p.DoubleScalarMulBasepointVartime(&a.s, &q.p, &b.s)
}

// sumPublic sets p = sum of k[i] * q[i] in variable time: Straus for small
// batches, Pippenger for large ones.
func (p *point) sumPublic(k []publicScalar, q []*point) {
	scalars := make([]*scalar.Scalar, len(k))
	points := make([]*curve.RistrettoPoint, len(q))
	for i := range k {
		scalars[i], points[i] = &k[i].s, &q[i].p
	}
	p.p.MultiscalarMulVartime(scalars, points)
}

// sumSteps sets p to the integer combination of q that steps prescribe, in
// variable time.
func (p *point) sumSteps(steps [][]step, q []*point) {
	p.setIdentity()
	for i, adds := range steps {
		if i > 0 {
			p.add(p, p)
		}
		for _, s := range adds {
			if s.negative {
				p.subtract(p, q[s.index])
			} else {
				p.add(p, q[s.index])
			}
		}
	}
}

// ---- secret scalars ----

// fromWide reduces 64 uniform bytes.
func (k *Scalar) fromWide(b *[64]byte) {
	if _, err := k.s.SetBytesModOrderWide(b[:]); err != nil {
		panic("toprf: 64 bytes refused: " + err.Error())
	}
}

// decode reads a canonical encoding. Zero passes.
func (k *Scalar) decode(b *[ScalarSize]byte) bool {
	_, err := k.s.SetCanonicalBytes(b[:])
	return err == nil
}

func (k *Scalar) encode() (b [ScalarSize]byte) {
	if err := k.s.ToBytes(b[:]); err != nil {
		panic("toprf: 32 bytes refused: " + err.Error())
	}
	return b
}

func (k *Scalar) isZero() bool         { return k.s.Equal(scalar.New()) == 1 }
func (k *Scalar) equal(l *Scalar) bool { return k.s.Equal(&l.s) == 1 }
func (k *Scalar) add(a, b *Scalar)     { k.s.Add(&a.s, &b.s) }

// mulPublic sets k = a * x: a secret times a public number is a secret.
func (k *Scalar) mulPublic(a *Scalar, x *publicScalar) { k.s.Mul(&a.s, &x.s) }

// invertAll replaces each scalar by its inverse, at the price of one inversion
// and three multiplications each. None may be zero.
func invertAll(ks []Scalar) {
	ptrs := make([]*scalar.Scalar, len(ks))
	for i := range ks {
		ptrs[i] = &ks[i].s
	}
	new(scalar.Scalar).BatchInvert(ptrs)
}

// ---- public scalars ----

func (x *publicScalar) fromWide(b *[64]byte) {
	if _, err := x.s.SetBytesModOrderWide(b[:]); err != nil {
		panic("toprf: 64 bytes refused: " + err.Error())
	}
}

// decode reads a canonical encoding. Zero passes: it is a valid challenge.
func (x *publicScalar) decode(b *[ScalarSize]byte) bool {
	_, err := x.s.SetCanonicalBytes(b[:])
	return err == nil
}

func (x *publicScalar) encode() (b [ScalarSize]byte) {
	if err := x.s.ToBytes(b[:]); err != nil {
		panic("toprf: 32 bytes refused: " + err.Error())
	}
	return b
}

func (x *publicScalar) equal(y *publicScalar) bool { return x.s.Equal(&y.s) == 1 }
func (x *publicScalar) setUint64(v uint64)         { x.s.SetUint64(v) }

// groupOrder is the prime order of the group (RFC 9496, section 4).
var groupOrder = func() *big.Int {
	v, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return v.Add(v, new(big.Int).Lsh(big.NewInt(1), 252))
}()

// setBig sets x = v modulo the group order, for a v of either sign.
func (x *publicScalar) setBig(v *big.Int) {
	var b [ScalarSize]byte
	new(big.Int).Mod(v, groupOrder).FillBytes(b[:])
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	if !x.decode(&b) {
		panic("toprf: a number below the group order was refused")
	}
}

// respond is the last step of a Schnorr proof, s = nonce - challenge * secret.
// It is the only place where a public number is made from secret ones; the
// result is uniform and independent of the secret as long as the nonce is
// uniform and never meets a second challenge.
func respond(nonce *Scalar, challenge *publicScalar, secret *Scalar) (s publicScalar) {
	s.s.Mul(&challenge.s, &secret.s)
	s.s.Sub(&nonce.s, &s.s)
	return s
}
