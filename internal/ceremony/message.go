package ceremony

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// Round is one of the four in which everybody says something once, or the end.
type Round uint8

const (
	Commit Round = 1 + iota
	Reveal
	Deal
	Sign
	// Abort is what a participant says that gives up, at any time before it has
	// signed.
	Abort Round = 255
)

// String is the round in a word.
func (r Round) String() string {
	switch r {
	case Commit:
		return "commit"
	case Reveal:
		return "reveal"
	case Deal:
		return "deal"
	case Sign:
		return "sign"
	case Abort:
		return "abort"
	}
	return fmt.Sprintf("round %d", uint8(r))
}

// Message is what one participant says to all others in one round.
type Message struct {
	Ceremony ID
	Round    Round
	Sender   string
	// Seen are the digests of all messages of the round before, in the order of the
	// participants; none in Commit and Abort.
	Seen [][sha256.Size]byte
	Body []byte

	signed []byte // as it was signed, with the signature
}

const (
	messageDomain = "waypost ceremony message v1\n"
	// maxMessage bounds a message, in bytes: 32 sealed deals take 13 KiB.
	maxMessage      = 32 << 10
	maxParticipants = 2 * toprf.MaxHolders
)

// sign signs the message with the sender's identity key.
func (m Message) sign(identity ed25519.PrivateKey) Message {
	payload := m.payload()
	m.signed = slices.Concat(payload, ed25519.Sign(identity, payload))
	return m
}

func (m Message) payload() []byte {
	b := cryptobyte.NewBuilder([]byte(messageDomain))
	b.AddBytes(m.Ceremony[:])
	b.AddUint8(uint8(m.Round))
	addName(b, m.Sender)
	b.AddUint8(uint8(len(m.Seen)))
	for _, d := range m.Seen {
		b.AddBytes(d[:])
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.Body) })
	return b.BytesOrPanic() // all lengths are bounded by what makes a body
}

// Bytes is the message as it was signed.
func (m Message) Bytes() []byte { return bytes.Clone(m.signed) }

// Digest is how later messages name it.
func (m Message) Digest() [sha256.Size]byte { return sha256.Sum256(m.signed) }

// ParseMessage reads a message strictly, without checking the signature.
func ParseMessage(raw []byte) (m Message, err error) {
	if len(raw) > maxMessage || len(raw) < ed25519.SignatureSize {
		return Message{}, malformed("message")
	}
	m.signed = bytes.Clone(raw)
	s := cryptobyte.String(m.signed[:len(raw)-ed25519.SignatureSize])
	var round, seen uint8
	var body cryptobyte.String
	ok := readDomain(&s, messageDomain) && s.CopyBytes(m.Ceremony[:]) && s.ReadUint8(&round) && readName(&s, &m.Sender) &&
		s.ReadUint8(&seen) && int(seen) <= maxParticipants
	for range seen {
		var d [sha256.Size]byte
		ok = ok && s.CopyBytes(d[:])
		m.Seen = append(m.Seen, d)
	}
	m.Round = Round(round)
	if !ok || !s.ReadUint16LengthPrefixed(&body) || !s.Empty() || (m.Round < Commit || m.Round > Sign) && m.Round != Abort {
		return Message{}, malformed("message")
	}
	m.Body = body
	return m, nil
}

// verify checks that a participant of the ceremony has signed the message.
func (m Message) verify(id ID, keys map[string]ed25519.PublicKey) error {
	key, ok := keys[m.Sender]
	switch {
	case m.Ceremony != id:
		return waypost.Errorf(waypost.InvalidArgument, "a message belongs to another ceremony")
	case !ok:
		return waypost.Errorf(waypost.PermissionDenied, "%s does not take part in the ceremony", m.Sender)
	case !ed25519.Verify(key, m.signed[:len(m.signed)-ed25519.SignatureSize], m.signed[len(m.signed)-ed25519.SignatureSize:]):
		return waypost.Errorf(waypost.PermissionDenied, "a message is not signed by %s", m.Sender)
	}
	return nil
}

// identities are the keys with which the participants sign.
func (p Plan) identities(r *roster.Roster) map[string]ed25519.PublicKey {
	keys := make(map[string]ed25519.PublicKey)
	for _, name := range p.Participants() {
		m, _ := r.Member(name)
		keys[name] = m.Identity
	}
	return keys
}
