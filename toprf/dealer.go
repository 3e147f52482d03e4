package toprf

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
)

// SeedSize is the size in bytes of the seed that a dealer draws for a ceremony.
const SeedSize = 32

// NewSeed draws a seed from the operating system's randomness.
func NewSeed() (seed [SeedSize]byte) {
	_, _ = rand.Read(seed[:]) // it never fails: crypto/rand ends the process instead
	return seed
}

// Dealer makes the messages of one dealer of a ceremony. They are a function of
// the ceremony, the share, the seed and the messages of the others, so that a
// process that crashed makes the same ones again from what it has stored.
//
// A dealer must reveal for one set of commitments only, and deal for one set of
// reveals: whoever could have a second answer could choose after seeing the
// first. The caller stores what it took before it answers, and answers nothing
// else; what is left of the seed is destroyed when the ceremony is over.
type Dealer struct {
	ceremony     Ceremony
	position     int
	coefficients hidden[[]Scalar]
	reveal       reveal
}

// NewDealer makes the dealer at a position, from 1, from a seed of 32 fresh random
// bytes. In a Reshare share is its old share; otherwise it is not looked at.
func (c Ceremony) NewDealer(position int, share Share, seed [SeedSize]byte) (*Dealer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if position < 1 || position > c.dealers() {
		return nil, errCeremony
	}
	coefficients := make([]Scalar, c.Threshold)
	for k := c.first(); k < c.Threshold; k++ {
		coefficients[k] = c.scalarFromSeed(seed, position, byte(k))
	}
	if c.Kind == Reshare {
		if err := c.owns(c.Dealers[position-1], share); err != nil {
			return nil, err
		}
		coefficients[0] = *share.key()
	}
	d := &Dealer{ceremony: c, position: position, coefficients: hide(coefficients)}
	for k := c.first(); k < c.Threshold; k++ {
		var q point
		q.mulBaseSecret(&coefficients[k])
		e, err := newElement(&q)
		if err != nil {
			return nil, err
		}
		d.reveal.vector = append(d.reveal.vector, e)
	}
	nonce := c.proofNonce(seed, position, &coefficients[c.first()])
	d.reveal.proof = proveKnowledge(c, position, d.reveal.vector, &coefficients[c.first()], &nonce)
	return d, nil
}

// owns checks that the share is that of the holder with the index in the old
// sharing.
func (c Ceremony) owns(index int, share Share) error {
	if share.index != index || !share.pub.valid() || !share.pub.Equal(c.Old.shares[index-1]) {
		return errOldShare
	}
	return nil
}

// proofNonce derives the nonce of the proof that the dealer knows the coefficient. The
// coefficient is hashed in, as hedgedNonce does: in a Reshare it is the old share, and
// the seed alone, with the proof that everybody sees, would give it away. It is
// HMAC-SHA-512(coefficient, tag || digest || seed || position || attempt) modulo the
// group order, and attempt is 0 unless that gives zero.
func (c Ceremony) proofNonce(seed [SeedSize]byte, position int, coefficient *Scalar) (k Scalar) {
	digest, key := c.digest(), coefficient.encode()
	mac := hmac.New(sha512.New, key[:])
	for attempt := uint32(0); k.isZero(); attempt++ {
		mac.Reset()
		mac.Write([]byte("waypost toprf ceremony v1 proof nonce"))
		mac.Write(digest[:])
		mac.Write(seed[:])
		mac.Write(binary.BigEndian.AppendUint32([]byte{byte(position)}, attempt))
		var wide [64]byte
		mac.Sum(wide[:0])
		k.fromWide(&wide)
	}
	return k
}

// scalarFromSeed derives a secret that belongs to one ceremony, dealer and slot:
// the coefficient of that degree. It is SHA-512(tag || digest || seed || position ||
// slot || attempt) modulo the group order, and attempt is 0 unless that gives zero.
func (c Ceremony) scalarFromSeed(seed [SeedSize]byte, position int, slot byte) (k Scalar) {
	digest := c.digest()
	b := append([]byte("waypost toprf ceremony v1 secret"), digest[:]...)
	b = append(b, seed[:]...)
	b = append(b, byte(position), slot)
	for attempt := uint32(0); k.isZero(); attempt++ {
		wide := sha512.Sum512(binary.BigEndian.AppendUint32(b, attempt))
		k.fromWide(&wide)
	}
	return k
}

// Commit returns the message for round 1.
func (d *Dealer) Commit() []byte {
	return d.ceremony.encodeCommit(d.position, d.reveal.commitment(d.ceremony, d.position))
}

// Reveal takes every dealer's round 1 message, one's own included, and returns
// the message for round 2. Call it only when all have committed.
func (d *Dealer) Reveal(commits [][]byte) ([]byte, error) {
	if _, err := d.ceremony.openCommits(commits); err != nil {
		return nil, err
	}
	if !bytes.Equal(commits[d.position-1], d.Commit()) {
		return nil, d.changed()
	}
	r := d.reveal
	r.commits = hashMessages("commits", commits)
	return d.ceremony.encodeReveal(d.position, &r), nil
}

// Deal takes every dealer's messages of the rounds before and returns a round 3
// message for each holder, one's own included: deals[j-1] is secret and for
// holder j alone. The caller seals it to j.
func (d *Dealer) Deal(commits, reveals [][]byte) (deals [][]byte, err error) {
	if _, err := d.ceremony.openReveals(commits, reveals); err != nil {
		return nil, err
	}
	own, err := d.Reveal(commits)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(reveals[d.position-1], own) {
		return nil, d.changed()
	}
	hash := hashMessages("reveals", reveals)
	for j := 1; j <= d.ceremony.Holders; j++ {
		value := evalPolynomial(d.coefficients(), j)
		deals = append(deals, d.ceremony.encodeDeal(d.position, j, hash, &value))
	}
	return deals, nil
}

func (d *Dealer) changed() error {
	return &CeremonyError{d.position, "is this one, and its own message came back changed"}
}

// Outcome is what a finished ceremony gives one holder. Keys and Transcript
// are the same for all, and public: each participant signs for them, and the
// shares count only when all have.
type Outcome struct {
	Share      Share
	Keys       *PublicKeys
	Transcript []byte
}

// Receive takes all public messages and the round 3 messages addressed to the
// holder with the index, checks each against its dealer's commitments, and adds
// them up. In a Refresh old is the holder's old share; otherwise it is not looked
// at. On a *CeremonyError the holder publishes the deal, and everybody can see
// with CheckDeal who is at fault; the ceremony is void.
func (c Ceremony) Receive(index int, old Share, commits, reveals, deals [][]byte) (*Outcome, error) {
	keys, err := c.Keys(commits, reveals)
	if err != nil {
		return nil, err
	}
	if index < 1 || index > c.Holders {
		return nil, errCeremony
	}
	if len(deals) != c.dealers() {
		return nil, errMessages
	}
	var sum Scalar
	if c.Kind == Refresh {
		if err := c.owns(index, old); err != nil {
			return nil, err
		}
		sum = *old.key()
	}
	weights := c.weights()
	for i, m := range deals {
		value, err := c.openDeal(i+1, index, reveals, m)
		if err != nil {
			return nil, err
		}
		value.mulPublic(&value, &weights[i])
		sum.add(&sum, &value)
	}
	share, err := NewShare(index, sum)
	if err != nil {
		return nil, err
	}
	if !share.pub.Equal(keys.shares[index-1]) {
		return nil, ErrKeys
	}
	return &Outcome{Share: share, Keys: keys, Transcript: c.encodeTranscript(commits, reveals, keys)}, nil
}

// Rehearse holds a whole ceremony in this process, which sees all shares: for an
// exchange on one machine, and for tests. olds are the shares of the old holders
// in order of their indices, nil for Keygen. outcomes[j-1] is holder j's.
func (c Ceremony) Rehearse(olds []Share) (outcomes []*Outcome, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	old := func(index int) Share {
		if c.Kind == Keygen || index > len(olds) {
			return Share{}
		}
		return olds[index-1]
	}
	n := c.dealers()
	dealers, commits, reveals, deals := make([]*Dealer, n), make([][]byte, n), make([][]byte, n), make([][][]byte, n)
	for i := range dealers {
		index := i + 1
		if c.Kind == Reshare {
			index = c.Dealers[i]
		}
		if dealers[i], err = c.NewDealer(i+1, old(index), NewSeed()); err != nil {
			return nil, err
		}
		commits[i] = dealers[i].Commit()
	}
	for i, d := range dealers {
		if reveals[i], err = d.Reveal(commits); err != nil {
			return nil, err
		}
	}
	for i, d := range dealers {
		if deals[i], err = d.Deal(commits, reveals); err != nil {
			return nil, err
		}
	}
	for j := range c.Holders {
		mine := make([][]byte, n)
		for i := range deals {
			mine[i] = deals[i][j]
		}
		o, err := c.Receive(j+1, old(j+1), commits, reveals, mine)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// Generate holds a Keygen in this process: see [Ceremony.Rehearse]. shares[j-1] is
// holder j's.
func Generate(threshold, holders int) (keys *PublicKeys, shares []Share, err error) {
	outcomes, err := Ceremony{Kind: Keygen, ID: NewSeed(), Threshold: threshold, Holders: holders}.Rehearse(nil)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range outcomes {
		shares = append(shares, o.Share)
	}
	return outcomes[0].Keys, shares, nil
}
