package waypost

import (
	"bytes"
	"crypto/ed25519"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

const releaseDomain = "waypost release v1\n"

// MaxPointers is how many pointers one person can have at one owner: the name of
// the record, and former names.
const MaxPointers = 8

// Handle is an owner's name for one of its pointers: 16 random bytes.
type Handle [16]byte

// Passing is one pointer on its way from one owner to another.
type Passing struct {
	Old Handle // by which the former state of record knows it
	New Handle // drawn by the former state for the new one
}

// Release is the former state's consent to a change of state of record: the hub
// passes these pointers to the new state, all or none, if the new state asks for
// it with a ticket before Expires. The labels stay where they are, so that
// neither the hub nor the new state learns what they were made of.
type Release struct {
	RosterVersion uint64
	Environment   Environment
	Change        [16]byte // id of the errand by which the new state asked
	From, To      Jurisdiction
	Expires       time.Time // cut to seconds
	Passings      []Passing // 1 to MaxPointers, in ascending order of Old
}

// SignedRelease is a release with the exact bytes that were signed.
type SignedRelease struct {
	Release
	payload   []byte
	signature []byte
}

// Sign encodes the release canonically and signs it with the identity key of
// the former state.
func (r Release) Sign(identity ed25519.PrivateKey) (SignedRelease, error) {
	r.Expires = r.Expires.UTC().Truncate(time.Second)
	payload, err := r.marshal()
	if err != nil {
		return SignedRelease{}, err
	}
	return SignedRelease{Release: r, payload: payload, signature: ed25519.Sign(identity, payload)}, nil
}

// Bytes returns the wire form: payload, then the 64-byte signature.
func (s SignedRelease) Bytes() []byte { return joinSignature(s.payload, s.signature) }

// Verify checks the signature; the key is that of From.
func (s SignedRelease) Verify(identity ed25519.PublicKey) error {
	if !ed25519.Verify(identity, s.payload, s.signature) {
		return Errorf(PermissionDenied, "the release is not signed by %s", s.From)
	}
	return nil
}

// ParseRelease decodes the wire form strictly, without checking the signature.
func ParseRelease(b []byte) (SignedRelease, error) {
	bad := Errorf(InvalidArgument, "the release is not well formed")
	payload, signature, ok := cutSignature(b)
	if !ok {
		return SignedRelease{}, bad
	}
	r, ok := unmarshalRelease(payload)
	if !ok {
		return SignedRelease{}, bad
	}
	again, err := r.marshal()
	if err != nil || !bytes.Equal(again, payload) {
		return SignedRelease{}, bad
	}
	return SignedRelease{Release: r, payload: payload, signature: signature}, nil
}

// check refuses what has no place in any release.
func (r Release) check() error {
	switch {
	case !isWord(string(r.Environment)):
		return Errorf(InvalidArgument, "the environment of a release is a word in lower case")
	case !r.From.valid() || !r.To.valid() || r.From == r.To:
		return Errorf(InvalidArgument, "a release is from one state to another")
	case r.Change == [16]byte{}:
		return Errorf(InvalidArgument, "a release names the change that it is for")
	case r.Expires.Unix() <= 0 || r.Expires.Unix() > lastSecond:
		return Errorf(InvalidArgument, "a release says until when it holds")
	case len(r.Passings) == 0 || len(r.Passings) > MaxPointers:
		return Errorf(InvalidArgument, "a release passes 1 to %d pointers", MaxPointers)
	}
	news := make(map[Handle]bool, len(r.Passings))
	for i, p := range r.Passings {
		if i > 0 && bytes.Compare(r.Passings[i-1].Old[:], p.Old[:]) >= 0 {
			return Errorf(InvalidArgument, "the pointers of a release are in ascending order, each once")
		}
		if news[p.New] || p.New == (Handle{}) || p.Old == (Handle{}) {
			return Errorf(InvalidArgument, "each pointer of a release gets a handle of its own")
		}
		news[p.New] = true
	}
	return nil
}

func (r Release) marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 512))
	b.AddBytes([]byte(releaseDomain))
	b.AddUint64(r.RosterVersion)
	addString(b, string(r.Environment))
	b.AddBytes(r.Change[:])
	addString(b, string(r.From))
	addString(b, string(r.To))
	b.AddUint64(uint64(r.Expires.Unix()))
	b.AddUint8(uint8(len(r.Passings)))
	for _, p := range r.Passings {
		b.AddBytes(p.Old[:])
		b.AddBytes(p.New[:])
	}
	return b.Bytes()
}

func unmarshalRelease(payload []byte) (r Release, ok bool) {
	s := cryptobyte.String(payload)
	var environment, from, to string
	var expires uint64
	var n uint8
	ok = readDomain(&s, releaseDomain) &&
		s.ReadUint64(&r.RosterVersion) &&
		readString(&s, &environment) &&
		s.CopyBytes(r.Change[:]) &&
		readString(&s, &from) &&
		readString(&s, &to) &&
		s.ReadUint64(&expires) &&
		s.ReadUint8(&n)
	for range n {
		var p Passing
		ok = ok && s.CopyBytes(p.Old[:]) && s.CopyBytes(p.New[:])
		r.Passings = append(r.Passings, p)
	}
	r.Environment, r.From, r.To = Environment(environment), Jurisdiction(from), Jurisdiction(to)
	r.Expires = time.Unix(int64(expires), 0).UTC()
	return r, ok && s.Empty()
}
