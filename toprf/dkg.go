package toprf

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Ceremony is what the participants of one distributed key generation agree on
// before it starts. Every message and proof is bound to all of it.
//
// It is Feldman's verifiable secret sharing run by every holder at once, with
// a hash commitment before anything is revealed (so that nobody can choose a
// share of the key after seeing the others') and a proof of knowledge of each
// constant term (so that nobody can cancel another's):
//
//	round 1  commit   SHA-256 of the reveal             to everybody, in public
//	round 2  reveal   t commitments, proof of knowledge to everybody, in public
//	round 3  deal     the polynomial at j               to holder j, sealed
//
// The caller authenticates every message and delivers it; here messages[i]
// always is what holder i+1 sent. Whatever is wrong ends the ceremony with a
// *CeremonyError that names the culprit; the next attempt takes a new ID. Who
// disturbs can so make the others draw again, seen and named each time; that
// and nothing else is left of the influence on the key that plain Feldman gives.
type Ceremony struct {
	ID        [32]byte // unique to this attempt
	Roster    [32]byte // hash of the roster that names the holders
	Threshold int      // holders needed for an output, 1 to Holders
	Holders   int      // holders there are, 1 to MaxHolders
}

// CeremonyError says whose message ended a ceremony, and why. Where holders saw
// different messages of an earlier round, their signatures tell who sent two.
type CeremonyError struct {
	Index  int // the holder whose message was refused, counted from 1
	Reason string
}

// Error says who and what.
func (e *CeremonyError) Error() string {
	return fmt.Sprintf("toprf: key generation: holder %d %s", e.Index, e.Reason)
}

var (
	errCeremony = errors.New("toprf: key generation: threshold and holders must satisfy 1 <= threshold <= holders <= 32")
	errStage    = errors.New("toprf: key generation: called out of order, or after a failure")
	errMessages = errors.New("toprf: key generation: one message of each holder is needed")
	errGroupKey = errors.New("toprf: key generation: the contributions cancel out")
)

func (c Ceremony) check() error {
	if c.Threshold < 1 || c.Threshold > c.Holders || c.Holders > MaxHolders {
		return errCeremony
	}
	return nil
}

// digest binds messages to the ceremony.
func (c Ceremony) digest() [32]byte {
	return sha256.Sum256(append([]byte("waypost toprf dkg v1 ceremony"), c.encode()...))
}

// stage is the next step a Participant can take.
type stage int

const (
	stageReveal stage = iota
	stageDeal
	stageFinish
	stageOver // finished or failed
)

// Participant is one holder's side of a ceremony: NewParticipant, Reveal, Deal
// and Finish, each once and in this order. It lives in memory only: a holder
// that crashes aborts the ceremony. It is not safe for concurrent use.
type Participant struct {
	ceremony     Ceremony
	index        int
	coefficients hidden[[]Scalar]
	reveal       reveal
	commit       []byte   // own message of round 1
	commits      [][]byte // round 1
	reveals      [][]byte // round 2
	stage        stage
}

// NewParticipant draws holder index's polynomial from the operating system's
// randomness and returns its message for round 1.
func NewParticipant(c Ceremony, index int) (*Participant, []byte, error) {
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	if index < 1 || index > c.Holders {
		return nil, nil, errCeremony
	}
	coefficients := make([]Scalar, c.Threshold)
	p := &Participant{ceremony: c, index: index, coefficients: hide(coefficients)}
	p.reveal.vector = make([]Element, c.Threshold)
	for i := range coefficients {
		coefficients[i] = RandomScalar()
		var q point
		q.mulBaseSecret(&coefficients[i])
		var err error
		if p.reveal.vector[i], err = newElement(&q); err != nil {
			return nil, nil, err
		}
	}
	p.reveal.proof = proveKnowledge(c, index, p.reveal.vector, &coefficients[0])
	p.commit = c.encodeCommit(index, p.reveal.commitment(c, index))
	return p, p.commit, nil
}

// Reveal takes every holder's round 1 message, one's own included, and returns
// the message for round 2. Call it only when all have committed.
func (p *Participant) Reveal(commits [][]byte) ([]byte, error) {
	if err := p.enter(stageReveal, commits, p.commit); err != nil {
		return nil, err
	}
	for i, m := range commits {
		if _, err := p.ceremony.decodeCommit(i+1, m); err != nil {
			return nil, err
		}
	}
	p.commits = cloneAll(commits)
	p.reveal.commits = hashMessages("commits", commits)
	p.stage = stageDeal
	return p.ceremony.encodeReveal(p.index, &p.reveal), nil
}

// Deal takes every holder's round 2 message and returns a round 3 message for
// each holder, one's own included: deals[j-1] is secret and for holder j alone.
// The caller signs it and seals it to j.
func (p *Participant) Deal(reveals [][]byte) (deals [][]byte, err error) {
	own := p.ceremony.encodeReveal(p.index, &p.reveal)
	if err := p.enter(stageDeal, reveals, own); err != nil {
		return nil, err
	}
	if _, err := p.ceremony.openReveals(p.commits, reveals); err != nil {
		return nil, err
	}
	p.reveals = cloneAll(reveals)
	hash := hashMessages("reveals", reveals)
	for j := 1; j <= p.ceremony.Holders; j++ {
		value := evalPolynomial(p.coefficients(), j)
		deals = append(deals, p.ceremony.encodeDeal(p.index, j, hash, &value))
	}
	p.stage = stageFinish
	return deals, nil
}

// Outcome is what a finished ceremony gives one holder. Keys and Transcript
// are the same for all, and public: each holder signs SHA-256 of Transcript,
// and the key counts only when all have.
type Outcome struct {
	Share      Share
	Keys       *PublicKeys
	Transcript []byte
}

// Finish takes the round 3 messages addressed to this holder, checks each
// against its dealer's commitments, and adds them up. On a *CeremonyError the
// holder publishes the signed deal, and everybody can see with CheckDeal who
// is at fault; the ceremony is void, so its secrets do not matter any more.
func (p *Participant) Finish(deals [][]byte) (*Outcome, error) {
	if err := p.enter(stageFinish, deals, nil); err != nil {
		return nil, err
	}
	defer clear(p.coefficients())
	var sum Scalar
	for i, m := range deals {
		value, err := p.ceremony.openDeal(i+1, p.index, p.reveals, m)
		if err != nil {
			return nil, err
		}
		sum.add(&sum, &value)
	}
	keys, err := p.ceremony.keys(p.commits, p.reveals)
	if err != nil {
		return nil, err
	}
	share, err := NewShare(p.index, sum)
	if err != nil {
		return nil, err
	}
	return &Outcome{Share: share, Keys: keys, Transcript: p.ceremony.encodeTranscript(p.commits, p.reveals, keys)}, nil
}

// enter checks that it is time for a step and that the messages are complete
// and contain one's own as it was sent. The participant is over unless the
// step ends by setting the next stage.
func (p *Participant) enter(want stage, messages [][]byte, own []byte) error {
	if p.stage != want {
		return errStage
	}
	p.stage = stageOver
	if len(messages) != p.ceremony.Holders {
		return errMessages
	}
	if own != nil && !bytes.Equal(messages[p.index-1], own) {
		return &CeremonyError{p.index, "is this one, and its own message came back changed"}
	}
	return nil
}

// CheckDeal judges a complaint: whether a round 3 message from holder from to
// holder to agrees with what the dealer revealed in round 2. An error is a
// *CeremonyError that names the dealer; nil means that the complaint is false.
func (c Ceremony) CheckDeal(from, to int, reveals [][]byte, deal []byte) error {
	if err := c.check(); err != nil {
		return err
	}
	if len(reveals) != c.Holders || from < 1 || from > c.Holders || to < 1 || to > c.Holders {
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
	if committed := evalCommitments(r.vector, to); !dealt.equal(&committed) {
		return Scalar{}, &CeremonyError{from, fmt.Sprintf("dealt holder %d a share that is not on its polynomial", to)}
	}
	return value, nil
}

// openReveals checks every reveal against its commitment, the agreement on the
// commitments, and the proofs of knowledge.
func (c Ceremony) openReveals(commits, reveals [][]byte) ([]*reveal, error) {
	opened := make([]*reveal, c.Holders)
	hash := hashMessages("commits", commits)
	for i := range reveals {
		index := i + 1
		commitment, err := c.decodeCommit(index, commits[i])
		if err != nil {
			return nil, err
		}
		r, err := c.decodeReveal(index, reveals[i])
		switch {
		case err != nil:
			return nil, err
		case r.commitment(c, index) != commitment:
			return nil, &CeremonyError{index, "revealed other values than it had committed to"}
		case r.commits != hash:
			return nil, &CeremonyError{index, "saw other commitments than we did"}
		case !checkKnowledge(c, index, r.vector, &r.proof):
			return nil, &CeremonyError{index, "does not prove that it knows its secret"}
		}
		opened[i] = r
	}
	return opened, nil
}

// keys derives the public keys from the public messages.
func (c Ceremony) keys(commits, reveals [][]byte) (*PublicKeys, error) {
	opened, err := c.openReveals(commits, reveals)
	if err != nil {
		return nil, err
	}
	sum := make([]Element, c.Threshold)
	for k := range sum {
		var q point
		q.setIdentity()
		for _, r := range opened {
			q.add(&q, &r.vector[k].p)
		}
		if sum[k], err = newElement(&q); err != nil {
			return nil, errGroupKey
		}
	}
	shares := make([]Element, c.Holders)
	for j := range shares {
		q := evalCommitments(sum, j+1)
		if shares[j], err = newElement(&q); err != nil {
			return nil, errGroupKey
		}
	}
	return NewPublicKeys(c.Threshold, sum[0], shares)
}
