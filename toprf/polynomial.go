package toprf

import (
	"crypto/sha512"
	"math/big"
)

// evalPolynomial returns the value at the small public number x of the secret
// polynomial with these coefficients, constant term first, by Horner's rule.
func evalPolynomial(coefficients []Scalar, x int) (y Scalar) {
	var px publicScalar
	px.setUint64(uint64(x))
	for i := len(coefficients) - 1; i >= 0; i-- {
		y.mulPublic(&y, &px)
		y.add(&y, &coefficients[i])
	}
	return y
}

// evalCommitments returns evalPolynomial * G from the commitments to the
// coefficients, the first of which is of degree first: the sum of
// x^(first+k) * vector[k].
func evalCommitments(vector []Element, first, x int) (y point) {
	powers := make([]*big.Int, len(vector))
	points := make([]*point, len(vector))
	power := new(big.Int).Exp(big.NewInt(int64(x)), big.NewInt(int64(first)), nil)
	for k := range vector {
		powers[k], points[k] = new(big.Int).Set(power), &vector[k].p
		power.Mul(power, big.NewInt(int64(x)))
	}
	y.sumSteps(schedule(powers), points)
	return y
}

// proveKnowledge is a Schnorr proof (challenge || response) of the first secret
// coefficient of the dealer at a position, bound to the ceremony and the whole
// vector. The nonce is used here and nowhere else.
func proveKnowledge(c Ceremony, position int, vector []Element, secret, nonce *Scalar) (proof [ProofSize]byte) {
	var t point
	t.mulBaseSecret(nonce)
	challenge := knowledgeChallenge(c, position, vector, &t)
	response := respond(nonce, &challenge, secret)
	cEnc, sEnc := challenge.encode(), response.encode()
	copy(proof[:ScalarSize], cEnc[:])
	copy(proof[ScalarSize:], sEnc[:])
	return proof
}

func checkKnowledge(c Ceremony, position int, vector []Element, proof *[ProofSize]byte) bool {
	var challenge, response publicScalar
	if !challenge.decode((*[ScalarSize]byte)(proof[:ScalarSize])) || !response.decode((*[ScalarSize]byte)(proof[ScalarSize:])) {
		return false
	}
	var t point
	t.mulBasePublic(&challenge, &vector[0].p, &response)
	expected := knowledgeChallenge(c, position, vector, &t)
	return challenge.equal(&expected)
}

func knowledgeChallenge(c Ceremony, position int, vector []Element, t *point) (challenge publicScalar) {
	digest, tEnc := c.digest(), t.encode()
	b := append([]byte("waypost toprf ceremony v1 proof of knowledge"), digest[:]...)
	b = append(b, byte(position))
	b = append(b, EncodeElements(vector)...)
	b = append(b, tEnc[:]...)
	wide := sha512.Sum512(b)
	challenge.fromWide(&wide)
	return challenge
}
