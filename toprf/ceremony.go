package toprf

import (
	"errors"
	"fmt"
	"math/big"
)

// Kind is what a ceremony makes.
type Kind byte

const (
	Keygen  Kind = 1 // a new key, which nobody ever has
	Refresh Kind = 2 // new shares of the key, for the same holders and threshold
	Reshare Kind = 3 // new shares of the key, for other holders or another threshold
)

// Ceremony is what the participants of one distributed making of shares agree on
// before it starts. Every message and proof is bound to all of it.
//
// It is Feldman's verifiable secret sharing run by several dealers at once, with
// a hash commitment before anything is revealed (so that nobody can choose a
// part of the result after seeing the others') and a proof of knowledge of each
// polynomial (so that nobody can cancel another's):
//
//	round 1  commit   SHA-256 of the reveal              to everybody, in public
//	round 2  reveal   t commitments, proof of knowledge  to everybody, in public
//	round 3  deal     the polynomial at j                to holder j, sealed
//
// What differs is the constant term of a dealer's polynomial and what a holder
// makes of the values that it is dealt:
//
//	Keygen   every holder deals a random polynomial; the sum is the share
//	Refresh  every holder deals one whose constant term is zero: its commitment is
//	         the identity and nothing else; the sum is added to the old share
//	Reshare  old holders, as many as the old threshold, deal their shares: the
//	         commitment to the constant term is the dealer's public share; the sum,
//	         weighted with Lagrange's coefficients, is the share
//
// so that after a Refresh or a Reshare the group key is what it was. The caller
// authenticates every message and delivers it; here messages[p-1] always is what
// the dealer at position p sent. Whatever is wrong ends the ceremony with a
// *CeremonyError that names the culprit; the next attempt takes a new ID. Who
// disturbs can so make the others draw again, seen and named each time; that
// and nothing else is left of the influence on the key that plain Feldman gives.
type Ceremony struct {
	Kind      Kind
	ID        [32]byte // unique to this attempt
	Roster    [32]byte // hash of the roster that names the participants
	Epoch     uint32   // of the key
	Threshold int      // holders needed for an output, 1 to Holders
	Holders   int      // holders of the new shares, 1 to MaxHolders

	// Old is the sharing that a Refresh or a Reshare starts from.
	Old *PublicKeys
	// Dealers are the old indices of those who deal in a Reshare, ascending, as
	// many as the old threshold. Otherwise it is nil: the holders deal.
	Dealers []int
}

// CeremonyError says whose message ended a ceremony, and why. Where dealers saw
// different messages of an earlier round, their signatures tell who sent two.
type CeremonyError struct {
	Index  int // the position of the dealer whose message was refused, from 1
	Reason string
}

// Error says who and what.
func (e *CeremonyError) Error() string {
	return fmt.Sprintf("toprf: ceremony: dealer %d %s", e.Index, e.Reason)
}

var (
	errCeremony = errors.New("toprf: ceremony: kind, threshold, holders, dealers or the old sharing do not fit")
	errMessages = errors.New("toprf: ceremony: one message of each dealer is needed")
	errGroupKey = errors.New("toprf: ceremony: the contributions cancel out")
	errOldShare = errors.New("toprf: ceremony: the share is not the one that the old sharing has")
)

func (c Ceremony) check() error {
	ok := c.Threshold >= 1 && c.Threshold <= c.Holders && c.Holders <= MaxHolders
	switch c.Kind {
	case Keygen:
		ok = ok && c.Old == nil && c.Dealers == nil
	case Refresh: // with a threshold of 1 the share is the key, and cannot change
		ok = ok && c.Dealers == nil && c.Old != nil && c.Threshold > 1 &&
			c.Old.threshold == c.Threshold && len(c.Old.shares) == c.Holders
	case Reshare:
		ok = ok && c.Old != nil && len(c.Dealers) == c.Old.threshold
		for i, d := range c.Dealers {
			ok = ok && d >= 1 && d <= len(c.Old.shares) && (i == 0 || c.Dealers[i-1] < d)
		}
	default:
		ok = false
	}
	if !ok {
		return errCeremony
	}
	return nil
}

// dealers is how many deal.
func (c Ceremony) dealers() int {
	if c.Kind == Reshare {
		return len(c.Dealers)
	}
	return c.Holders
}

// first is the degree of the first coefficient that a dealer commits to: the
// constant term of a Refresh is zero, and its commitment the identity.
func (c Ceremony) first() int {
	if c.Kind == Refresh {
		return 1
	}
	return 0
}

// weights are what the dealers' polynomials are multiplied with.
func (c Ceremony) weights() []publicScalar {
	w := make([]publicScalar, c.dealers())
	if c.Kind != Reshare {
		for i := range w {
			w[i].setUint64(1)
		}
		return w
	}
	coefficients, denominator := lagrange(c.Dealers, 0)
	inverse := new(big.Int).ModInverse(denominator, groupOrder)
	for i := range w {
		w[i].setBig(new(big.Int).Mul(coefficients[i], inverse))
	}
	return w
}

// CheckDeal judges a complaint: whether a round 3 message from the dealer at
// position from to holder to agrees with what the dealer revealed in round 2. An
// error is a *CeremonyError that names the dealer; nil means that the complaint
// is false. The reveals must have passed Keys.
func (c Ceremony) CheckDeal(from, to int, reveals [][]byte, deal []byte) error {
	if err := c.check(); err != nil {
		return err
	}
	if len(reveals) != c.dealers() || from < 1 || from > c.dealers() || to < 1 || to > c.Holders {
		return errMessages
	}
	_, err := c.openDeal(from, to, reveals, deal)
	return err
}

// openDeal decodes a deal and checks it against the dealer's commitments.
func (c Ceremony) openDeal(from, to int, reveals [][]byte, message []byte) (Scalar, error) {
	value, err := c.decodeDeal(from, to, hashMessages("reveals", reveals), message)
	if err != nil {
		return Scalar{}, err
	}
	r, err := c.decodeReveal(from, reveals[from-1])
	if err != nil {
		return Scalar{}, err
	}
	var dealt point
	dealt.mulBaseSecret(&value)
	if committed := evalCommitments(r.vector, c.first(), to); !dealt.equal(&committed) {
		return Scalar{}, &CeremonyError{from, fmt.Sprintf("dealt holder %d a share that is not on its polynomial", to)}
	}
	return value, nil
}

// CheckCommits checks the messages of round 1, as far as that can be done before
// they are opened. An error is a *CeremonyError, unless one is missing.
func (c Ceremony) CheckCommits(commits [][]byte) error {
	if err := c.check(); err != nil {
		return err
	}
	_, err := c.openCommits(commits)
	return err
}

// openCommits decodes the messages of round 1.
func (c Ceremony) openCommits(commits [][]byte) ([][32]byte, error) {
	if len(commits) != c.dealers() {
		return nil, errMessages
	}
	opened := make([][32]byte, len(commits))
	for i, m := range commits {
		var err error
		if opened[i], err = c.decodeCommit(i+1, m); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

// openReveals checks every reveal against its commitment, the agreement on the
// commitments, the constant terms, and the proofs of knowledge.
func (c Ceremony) openReveals(commits, reveals [][]byte) ([]*reveal, error) {
	commitments, err := c.openCommits(commits)
	if err != nil {
		return nil, err
	}
	if len(reveals) != c.dealers() {
		return nil, errMessages
	}
	opened := make([]*reveal, c.dealers())
	hash := hashMessages("commits", commits)
	for i := range reveals {
		position := i + 1
		r, err := c.decodeReveal(position, reveals[i])
		switch {
		case err != nil:
			return nil, err
		case r.commitment(c, position) != commitments[i]:
			return nil, &CeremonyError{position, "revealed other values than it had committed to"}
		case r.commits != hash:
			return nil, &CeremonyError{position, "saw other commitments than we did"}
		case c.Kind == Reshare && !r.vector[0].Equal(c.Old.shares[c.Dealers[i]-1]):
			return nil, &CeremonyError{position, "deals something else than its share"}
		case !checkKnowledge(c, position, r.vector, &r.proof):
			return nil, &CeremonyError{position, "does not prove that it knows its secret"}
		}
		opened[i] = r
	}
	return opened, nil
}

// Keys derives the new public keys from the public messages, and so repeats every
// public check of a ceremony: commitments, proofs of knowledge, constant terms,
// and that a Refresh or a Reshare leaves the group key as it is. A fault of a
// dealer is a *CeremonyError.
func (c Ceremony) Keys(commits, reveals [][]byte) (*PublicKeys, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	opened, err := c.openReveals(commits, reveals)
	if err != nil {
		return nil, err
	}
	sum := make([]Element, c.Threshold-c.first())
	weights := c.weights()
	for k := range sum {
		points := make([]*point, len(opened))
		for i, r := range opened {
			points[i] = &r.vector[k].p
		}
		var q point
		q.sumPublic(weights, points)
		if sum[k], err = newElement(&q); err != nil {
			return nil, errGroupKey
		}
	}
	shares := make([]Element, c.Holders)
	for j := range shares {
		q := evalCommitments(sum, c.first(), j+1)
		if c.Kind == Refresh {
			q.add(&q, &c.Old.shares[j].p)
		}
		if shares[j], err = newElement(&q); err != nil {
			return nil, errGroupKey
		}
	}
	group := sum[0]
	if c.Kind != Keygen {
		group = c.Old.group // NewPublicKeys sees that the new shares lie on a polynomial with it
	}
	return NewPublicKeys(c.Threshold, group, shares)
}
