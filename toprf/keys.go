package toprf

import (
	"crypto/sha256"
	"fmt"
)

// PublicKeys is what everybody knows of a group key: how many holders must
// evaluate, the group public key k*G, and each holder's public share k_j*G.
// It is immutable and safe for concurrent use. The zero value is unusable.
type PublicKeys struct {
	threshold int
	group     Element
	shares    []Element // of holder 1, 2, ...
	id        [32]byte
}

// NewPublicKeys checks that the n = len(shares) public shares, of holders 1 to
// n, lie on one polynomial of degree below threshold whose constant term is
// the group key, so that every choice of holders gives the same output.
// Otherwise, or unless 1 <= threshold <= n <= MaxHolders, it is ErrKeys.
func NewPublicKeys(threshold int, group Element, shares []Element) (*PublicKeys, error) {
	n := len(shares)
	if threshold < 1 || threshold > n || n > MaxHolders {
		return nil, ErrKeys
	}
	if !group.valid() || !allValid(shares) {
		return nil, ErrElement
	}
	k := &PublicKeys{threshold: threshold, group: group, shares: append([]Element(nil), shares...)}
	// threshold shares fix the polynomial; the group key and the others must agree.
	if !k.liesOn(0, &group) {
		return nil, ErrKeys
	}
	for j := threshold + 1; j <= n; j++ {
		if !k.liesOn(j, &shares[j-1]) {
			return nil, ErrKeys
		}
	}
	k.id = sha256.Sum256(append([]byte("waypost toprf v1 public keys"), k.Bytes()...))
	return k, nil
}

// liesOn interpolates the first threshold shares at x.
func (k *PublicKeys) liesOn(x int, want *Element) bool {
	indexes := make([]int, k.threshold)
	points := make([]*point, k.threshold)
	for i := range indexes {
		indexes[i], points[i] = i+1, &k.shares[i].p
	}
	coefficients, denominator := lagrange(indexes, x)
	var sum, scaled point
	sum.sumSteps(schedule(coefficients), points)
	scaled.sumSteps(schedule(oneBig(denominator)), []*point{&want.p})
	return sum.equal(&scaled)
}

// ParsePublicKeys reads what Bytes wrote and checks it like NewPublicKeys.
func ParsePublicKeys(b []byte) (*PublicKeys, error) {
	if len(b) < 2 || b[1] < 1 || b[1] > MaxHolders || len(b) != 2+(1+int(b[1]))*ElementSize {
		return nil, ErrKeys
	}
	es, err := DecodeElements(b[2:], 1+MaxHolders)
	if err != nil {
		return nil, fmt.Errorf("public keys: %w", err)
	}
	return NewPublicKeys(int(b[0]), es[0], es[1:])
}

// Bytes encodes the keys: threshold and n in one byte each, then the group key
// and the n public shares, 32 bytes each.
func (k *PublicKeys) Bytes() []byte {
	b := []byte{byte(k.threshold), byte(len(k.shares))}
	b = append(b, k.group.enc[:]...)
	return append(b, EncodeElements(k.shares)...)
}

// Threshold is the number of holders that an output needs.
func (k *PublicKeys) Threshold() int { return k.threshold }

// Holders is the number of holders there are, numbered from 1.
func (k *PublicKeys) Holders() int { return len(k.shares) }

// Group is the public key of the shared secret.
func (k *PublicKeys) Group() Element { return k.group }

// Share is the public share of holder index, counted from 1; ErrKeys if there
// is no such holder.
func (k *PublicKeys) Share(index int) (Element, error) {
	if index < 1 || index > len(k.shares) {
		return Element{}, ErrKeys
	}
	return k.shares[index-1], nil
}
