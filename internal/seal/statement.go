package seal

import (
	"crypto/ed25519"
	"crypto/rand"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
)

// A Statement is what a member has said in a message, with its signature: who
// received it can show it to an auditor.
type Statement struct {
	Sender        string
	Type          string
	Ticket        [32]byte
	RosterVersion uint64 // whose keys verify it
	Body          []byte

	signed, signature []byte
}

// State signs what a member says apart from any message that carries it, in the
// form of a message's statement: to be shown without what else was in the message.
// Of m it takes Sender, Type, Ticket, RosterVersion, Expiry and Body.
func State(m Message, identity ed25519.PrivateKey) ([]byte, error) {
	if len(identity) != ed25519.PrivateKeySize {
		return nil, malformed("a signing key is needed")
	}
	_, _ = rand.Read(m.ID[:]) // never fails (Go 1.24)
	m.Recipient = m.Sender
	if err := m.check(); err != nil {
		return nil, err
	}
	// No key of a recipient: these bytes are never those of a sealed message.
	env := Envelope{Suite: suite, ID: m.ID, Expiry: m.Expiry}
	return statement(env, m, ed25519.Sign(identity, signedBytes(env, m))), nil
}

// maxStatement bounds a statement in bytes.
const maxStatement = int(Size256K) + 1024

// statement is the wire form: the signed bytes, then the signature.
func statement(env Envelope, m Message, signature []byte) []byte {
	return append(signedBytes(env, m), signature...)
}

// ParseStatement decodes a [Message]'s Statement strictly, without checking the
// signature.
func ParseStatement(b []byte) (Statement, error) {
	bad := waypost.Errorf(waypost.InvalidArgument, "the statement is not well formed")
	if len(b) > maxStatement || len(b) < ed25519.SignatureSize {
		return Statement{}, bad
	}
	at := len(b) - ed25519.SignatureSize
	st := Statement{signed: b[:at:at], signature: b[at:]}
	var m Message
	var env Envelope
	var domain, body []byte
	var expiry uint64
	var length uint32
	s := cryptobyte.String(st.signed)
	ok := s.ReadBytes(&domain, len(messageDomain)) && string(domain) == messageDomain &&
		s.ReadUint16(&env.Suite) && readString(&s, &m.Sender) && s.CopyBytes(env.KeyID[:]) && readString(&s, &m.Type) &&
		s.CopyBytes(env.ID[:]) && s.CopyBytes(m.Ticket[:]) && s.ReadUint64(&m.RosterVersion) && s.ReadUint64(&expiry) &&
		s.ReadUint32(&length) && s.ReadBytes(&body, int(length)) && s.Empty()
	if !ok || env.Suite != suite || expiry > maxUnix {
		return Statement{}, bad
	}
	m.ID, m.Recipient, m.Expiry, m.Body = env.ID, m.Sender, time.Unix(int64(expiry), 0), body
	if m.check() != nil {
		return Statement{}, bad
	}
	st.Sender, st.Type, st.Ticket, st.RosterVersion, st.Body = m.Sender, m.Type, m.Ticket, m.RosterVersion, body
	return st, nil
}

// Verify checks the signature with the sender's identity key.
func (s Statement) Verify(identity ed25519.PublicKey) error {
	if len(identity) != ed25519.PublicKeySize || !ed25519.Verify(identity, s.signed, s.signature) {
		return waypost.Errorf(waypost.PermissionDenied, "the statement is not signed by %s", s.Sender)
	}
	return nil
}
