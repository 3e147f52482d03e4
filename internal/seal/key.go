package seal

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
)

// The life of a key, counted from when it was made. It is the current one for
// a week. Senders may still seal to it for another, so that a recipient that
// is down over a rotation stays reachable. It opens messages until two weeks
// after it was replaced, and is then destroyed.
const (
	RotateAfter  = 7 * 24 * time.Hour
	sealFor      = 14 * 24 * time.Hour
	destroyAfter = 21 * 24 * time.Hour
)

// clockSkew is how far the clocks of two members may lie apart.
const clockSkew = 5 * time.Minute

// PublicKey is a member's encryption key with its owner's signature verified
// and its encoding parsed: keep it and use it for many messages. It is safe
// for concurrent use.
type PublicKey struct {
	ID        [32]byte // hash of suite, recipient and key
	Recipient string   // roster name of the owner
	NotBefore time.Time
	NotAfter  time.Time // seal no new message from here on

	key       hpke.PublicKey
	signature []byte // of the owner's identity key
}

// DecodePublicKey reads a public key as Encode wrote it and verifies that it
// belongs to the recipient, that the identity key signed it, and that at now
// new messages may be sealed to it. The errors: InvalidArgument for a malformed
// or somebody else's key, PermissionDenied for a wrong signature, Expired for
// the wrong time.
func DecodePublicKey(b []byte, recipient string, identity ed25519.PublicKey, now time.Time) (*PublicKey, error) {
	p, err := parsePublicKey(b)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Recipient != recipient:
		return nil, badKey("it belongs to %s, not to %s", p.Recipient, recipient)
	case len(identity) != ed25519.PublicKeySize || !ed25519.Verify(identity, p.statement(), p.signature):
		return nil, waypost.Errorf(waypost.PermissionDenied, "the encryption key is not signed by %s", recipient)
	case now.Before(p.NotBefore.Add(-clockSkew)) || !now.Before(p.NotAfter):
		return nil, waypost.Errorf(waypost.Expired, "the encryption key of %s is not valid now: fetch its current key", recipient)
	}
	return p, nil
}

// Encode returns the key with its signature, as kept in the hub's directory.
func (p *PublicKey) Encode() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes(p.statement()[len(keyDomain):])
	b.AddBytes(p.signature)
	return b.BytesOrPanic()
}

// statement is what the owner's identity key signs.
func (p *PublicKey) statement() []byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes([]byte(keyDomain))
	b.AddUint16(suite)
	addString(b, p.Recipient)
	b.AddUint64(uint64(p.NotBefore.Unix()))
	b.AddUint64(uint64(p.NotAfter.Unix()))
	b.AddBytes(p.key.Bytes())
	return b.BytesOrPanic()
}

// parsePublicKey checks everything but the signature and the time.
func parsePublicKey(b []byte) (*PublicKey, error) {
	var (
		s             = cryptobyte.String(b)
		p             PublicKey
		number        uint16
		after, before uint64
		key           []byte
	)
	if !s.ReadUint16(&number) || !readString(&s, &p.Recipient) || !s.ReadUint64(&after) || !s.ReadUint64(&before) ||
		!s.ReadBytes(&key, encapsulationKeySize) || !s.ReadBytes(&p.signature, ed25519.SignatureSize) || !s.Empty() {
		return nil, badKey("its length is wrong")
	}
	switch {
	case number != suite:
		return nil, badKey("suite %d is not known here: this side speaks suite %d", number, suite)
	case !nameShape.MatchString(p.Recipient):
		return nil, badKey("its owner is named as in the roster")
	case after == 0 || after > maxUnix || before > maxUnix || before != after+uint64(sealFor/time.Second):
		return nil, badKey("its dates are wrong")
	}
	var err error
	if p.key, err = kem().NewPublicKey(key); err != nil {
		return nil, badKey("it is not an encapsulation key").WithCause(err)
	}
	p.NotBefore, p.NotAfter = time.Unix(int64(after), 0).UTC(), time.Unix(int64(before), 0).UTC()
	p.ID = keyID(p.Recipient, p.key)
	return &p, nil
}

func (p *PublicKey) destroyed() time.Time { return p.NotBefore.Add(destroyAfter) }

// keyID names a key together with its owner, so that a signature over the id
// names the recipient.
func keyID(recipient string, key hpke.PublicKey) [32]byte {
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes([]byte(keyIDDomain))
	b.AddUint16(suite)
	addString(b, recipient)
	b.AddBytes(key.Bytes())
	return sha256.Sum256(b.BytesOrPanic())
}

func badKey(format string, args ...any) *waypost.Error {
	return waypost.Errorf(waypost.InvalidArgument, "encryption key: "+format, args...)
}
