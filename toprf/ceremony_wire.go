package toprf

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// The messages of a ceremony have fixed sizes and no optional parts:
//
//	header      kind (1 byte), ceremony digest (32), sender (1)
//	commit      header 1, commitment (32)
//	reveal      header 2, hash of all commits (32), t elements (32 each), proof (64)
//	deal        header 3, addressee (1), hash of all reveals (32), scalar (32)
//	ceremony    kind (1), id (32), roster (32), epoch (4), t (1), n (1); unless it is a
//	            Keygen the old public keys; in a Reshare the dealers' indices (1 each)
//	transcript  tag, ceremony, all commits, all reveals, new public keys
//
// In a Refresh the first of the t elements is the identity: 32 zero bytes.
const (
	kindCommit = 1
	kindReveal = 2
	kindDeal   = 3

	headerSize    = 1 + sha256.Size + 1
	commitSize    = headerSize + sha256.Size
	dealSize      = headerSize + 1 + sha256.Size + ScalarSize
	ceremonySize  = 1 + 2*32 + 4 + 2
	transcriptTag = "waypost toprf ceremony v1 transcript"
)

func revealSize(threshold int) int {
	return headerSize + sha256.Size + threshold*ElementSize + ProofSize
}

// reveal is the content of a round 2 message.
type reveal struct {
	commits [32]byte  // hash of the round 1 messages that the sender saw
	vector  []Element // commitments to the coefficients, lowest degree first
	proof   [ProofSize]byte
}

// commitment is the hash that round 1 announces.
func (r *reveal) commitment(c Ceremony, index int) [32]byte {
	digest := c.digest()
	b := append([]byte("waypost toprf ceremony v1 commitment"), digest[:]...)
	b = append(b, byte(index))
	b = append(b, EncodeElements(r.vector)...)
	return sha256.Sum256(append(b, r.proof[:]...))
}

// hashMessages hashes the messages of a round, in the order of the holders.
func hashMessages(round string, messages [][]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("waypost toprf ceremony v1 " + round))
	for _, m := range messages {
		digest := sha256.Sum256(m)
		h.Write(digest[:])
	}
	return [32]byte(h.Sum(nil))
}

// digest binds messages to the ceremony.
func (c Ceremony) digest() [32]byte {
	return sha256.Sum256(append([]byte("waypost toprf ceremony v1 ceremony"), c.encode()...))
}

func (c Ceremony) encode() []byte {
	b := slices.Concat([]byte{byte(c.Kind)}, c.ID[:], c.Roster[:])
	b = binary.BigEndian.AppendUint32(b, c.Epoch)
	b = append(b, byte(c.Threshold), byte(c.Holders))
	if c.Old != nil {
		b = append(b, c.Old.Bytes()...)
	}
	for _, d := range c.Dealers {
		b = append(b, byte(d))
	}
	return b
}

// decodeCeremony reads what encode wrote, and returns what follows it.
func decodeCeremony(b []byte) (c Ceremony, rest []byte, err error) {
	if len(b) < ceremonySize {
		return c, nil, ErrKeys
	}
	c.Kind, c.ID, c.Roster = Kind(b[0]), [32]byte(b[1:33]), [32]byte(b[33:65])
	c.Epoch, c.Threshold, c.Holders = binary.BigEndian.Uint32(b[65:]), int(b[69]), int(b[70])
	rest = b[ceremonySize:]
	if c.Kind == Refresh || c.Kind == Reshare {
		if len(rest) < 2 || len(rest) < 2+(1+int(rest[1]))*ElementSize {
			return c, nil, ErrKeys
		}
		size := 2 + (1+int(rest[1]))*ElementSize
		if c.Old, err = ParsePublicKeys(rest[:size]); err != nil {
			return c, nil, err
		}
		rest = rest[size:]
	}
	if c.Kind == Reshare {
		if len(rest) < c.Old.threshold {
			return c, nil, ErrKeys
		}
		for _, d := range rest[:c.Old.threshold] {
			c.Dealers = append(c.Dealers, int(d))
		}
		rest = rest[c.Old.threshold:]
	}
	if c.check() != nil {
		return c, nil, ErrKeys
	}
	return c, rest, nil
}

func (c Ceremony) header(kind byte, from int) []byte {
	digest := c.digest()
	b := append([]byte{kind}, digest[:]...)
	return append(b, byte(from))
}

// body checks size and header of a message and returns what follows.
func (c Ceremony) body(kind byte, from, size int, message []byte) ([]byte, error) {
	if len(message) != size || !bytes.Equal(message[:headerSize], c.header(kind, from)) {
		return nil, &CeremonyError{from, "sent a message of another size, kind, sender or ceremony"}
	}
	return message[headerSize:], nil
}

func (c Ceremony) encodeCommit(from int, commitment [32]byte) []byte {
	return append(c.header(kindCommit, from), commitment[:]...)
}

func (c Ceremony) decodeCommit(from int, message []byte) ([32]byte, error) {
	b, err := c.body(kindCommit, from, commitSize, message)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(b), nil
}

func (c Ceremony) encodeReveal(from int, r *reveal) []byte {
	identities := make([]byte, c.first()*ElementSize)
	return slices.Concat(c.header(kindReveal, from), r.commits[:], identities, EncodeElements(r.vector), r.proof[:])
}

func (c Ceremony) decodeReveal(from int, message []byte) (*reveal, error) {
	b, err := c.body(kindReveal, from, revealSize(c.Threshold), message)
	if err != nil {
		return nil, err
	}
	r := &reveal{commits: [32]byte(b[:32])}
	b = b[32:]
	identities := c.first() * ElementSize
	if !bytes.Equal(b[:identities], make([]byte, identities)) {
		return nil, &CeremonyError{from, "revealed a constant term that is not zero"}
	}
	if r.vector, err = DecodeElements(b[identities:c.Threshold*ElementSize], c.Threshold); err != nil {
		return nil, &CeremonyError{from, "revealed something that is not a group element"}
	}
	r.proof = [ProofSize]byte(b[c.Threshold*ElementSize:])
	return r, nil
}

func (c Ceremony) encodeDeal(from, to int, reveals [32]byte, value *Scalar) []byte {
	secret := value.encode()
	b := append(c.header(kindDeal, from), byte(to))
	b = append(b, reveals[:]...)
	return append(b, secret[:]...)
}

func (c Ceremony) decodeDeal(from, to int, reveals [32]byte, message []byte) (Scalar, error) {
	b, err := c.body(kindDeal, from, dealSize, message)
	if err != nil {
		return Scalar{}, err
	}
	if int(b[0]) != to {
		return Scalar{}, &CeremonyError{from, "sent a share that is addressed to another holder"}
	}
	if [32]byte(b[1:33]) != reveals {
		return Scalar{}, &CeremonyError{from, "saw other revealed values than we did"}
	}
	value, err := DecodeScalar(b[33:])
	if err != nil {
		return Scalar{}, &CeremonyError{from, "dealt a share that is not a nonzero scalar"}
	}
	return value, nil
}

func (c Ceremony) encodeTranscript(commits, reveals [][]byte, keys *PublicKeys) []byte {
	b := append([]byte(transcriptTag), c.encode()...)
	b = append(b, bytes.Join(commits, nil)...)
	b = append(b, bytes.Join(reveals, nil)...)
	return append(b, keys.Bytes()...)
}

// VerifyTranscript repeats every public check of a finished ceremony, for
// those who were not there: see [Ceremony.Keys], and that the public keys are
// those which follow. That Old in the ceremony is the sharing that was in force
// is for the caller to see. A fault of a dealer is a *CeremonyError, anything
// else ErrKeys or ErrElement.
func VerifyTranscript(b []byte) (Ceremony, *PublicKeys, error) {
	rest, ok := bytes.CutPrefix(b, []byte(transcriptTag))
	if !ok {
		return Ceremony{}, nil, ErrKeys
	}
	c, rest, err := decodeCeremony(rest)
	if err != nil {
		return Ceremony{}, nil, err
	}
	if len(rest) < c.dealers()*(commitSize+revealSize(c.Threshold)) {
		return Ceremony{}, nil, ErrKeys
	}
	take := func(size int) (messages [][]byte) {
		for range c.dealers() {
			messages, rest = append(messages, rest[:size]), rest[size:]
		}
		return messages
	}
	commits, reveals := take(commitSize), take(revealSize(c.Threshold))
	keys, err := c.Keys(commits, reveals)
	if err != nil {
		return Ceremony{}, nil, err
	}
	if !bytes.Equal(rest, keys.Bytes()) {
		return Ceremony{}, nil, ErrKeys
	}
	return c, keys, nil
}
