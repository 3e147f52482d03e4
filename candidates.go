package waypost

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/crypto/cryptobyte"
)

// MaxCandidates is how many candidates one part of a search returns; more set
// TooMany and leave the ones with most hits.
const MaxCandidates = 20

const (
	candidatesDomain = "waypost candidates v1\n"
	tokensDomain     = "waypost searched tokens v1\n"
)

// Reference names a pointer for the length of one ticket only. It is random:
// two tickets that find the same pointer cannot be joined by it.
type Reference [16]byte

// MarshalText writes a reference in hex.
func (r Reference) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, r[:]), nil }

// UnmarshalText reads one.
func (r *Reference) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || copy(r[:], raw) != len(r) || len(raw) != len(r) {
		return Errorf(InvalidArgument, "a reference is 32 hex digits")
	}
	return nil
}

// Candidate is one pointer that a search hit, without saying which token did.
type Candidate struct {
	Reference Reference
	Owner     Jurisdiction
}

// Candidates is the hub's answer to one part of a search. The list is in
// ascending order of the random references, so that its order tells nothing,
// and a set of candidates has one encoding.
type Candidates struct {
	Ticket  TicketID
	TooMany bool
	// Unreached is how many of the part's tokens could not be looked up, or not in
	// full, because a part of the index did not answer. Where it is not 0, no list is
	// a "no".
	Unreached int
	List      []Candidate // at most MaxCandidates
}

// Bytes is the canonical form, which the hub's receipt commits to through
// [HashOutputs]. [ParseCandidates] accepts it if the list is in order.
func (c Candidates) Bytes() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes([]byte(candidatesDomain))
	b.AddBytes(c.Ticket[:])
	many := uint8(0)
	if c.TooMany {
		many = 1
	}
	b.AddUint8(many)
	b.AddUint8(uint8(c.Unreached))
	b.AddUint8(uint8(len(c.List)))
	for _, one := range c.List {
		b.AddBytes(one.Reference[:])
		b.AddBytes([]byte(one.Owner))
	}
	return b.BytesOrPanic()
}

// ParseCandidates decodes the canonical form and refuses any other.
func ParseCandidates(raw []byte) (Candidates, error) {
	bad := Errorf(InvalidArgument, "the list of candidates is not well formed")
	s := cryptobyte.String(raw)
	var c Candidates
	var many, unreached, n uint8
	if !readDomain(&s, candidatesDomain) || !s.CopyBytes(c.Ticket[:]) || !s.ReadUint8(&many) || !s.ReadUint8(&unreached) ||
		!s.ReadUint8(&n) || unreached > CheckElements || n > MaxCandidates {
		return Candidates{}, bad
	}
	c.TooMany, c.Unreached = many == 1, int(unreached)
	for range n {
		var one Candidate
		var owner [2]byte
		if !s.CopyBytes(one.Reference[:]) || !s.CopyBytes(owner[:]) {
			return Candidates{}, bad
		}
		one.Owner = Jurisdiction(owner[:])
		if n := len(c.List); !one.Owner.valid() || n > 0 && bytes.Compare(c.List[n-1].Reference[:], one.Reference[:]) >= 0 {
			return Candidates{}, bad
		}
		c.List = append(c.List, one)
	}
	if !bytes.Equal(c.Bytes(), raw) {
		return Candidates{}, bad
	}
	return c, nil
}

// HashOutputs is what a receipt commits to: the SHA-256 of what was returned,
// under the domain of the action.
func HashOutputs(a Action, returned []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("waypost outputs v1\n" + string(a) + "\n"))
	h.Write(returned)
	return [32]byte(h.Sum(nil))
}

// HashTokens is the commitment to the concatenated tokens that were searched
// or published.
func HashTokens(tokens []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(tokensDomain))
	h.Write(tokens)
	return [32]byte(h.Sum(nil))
}
