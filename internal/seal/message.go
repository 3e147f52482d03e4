package seal

import (
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/binary"
	"regexp"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
)

// SizeClass is a length of padded plaintext in bytes.
type SizeClass int

// The size classes. Nothing larger can be sealed.
const (
	Size4K   SizeClass = 4 << 10
	Size16K  SizeClass = 16 << 10
	Size64K  SizeClass = 64 << 10
	Size256K SizeClass = 256 << 10
)

var classes = []SizeClass{Size4K, Size16K, Size64K, Size256K}

// Domain prefixes: what is signed or bound for one use is worth nothing for
// another.
const (
	messageDomain = "waypost message v1"
	infoDomain    = "waypost sealed message v1"
	keyDomain     = "waypost seal key v1"
	keyIDDomain   = "waypost seal key id v1"
)

// suite numbers the one set of algorithms of this version.
const suite uint16 = 1

func kem() hpke.KEM { return hpke.MLKEM768X25519() }

const (
	encapsulationKeySize = 1184 + 32
	encapsulatedSize     = 1088 + 32
	tagSize              = 16
	lengthSize           = 4
)

// Message is what one member tells another.
type Message struct {
	ID            [16]byte  // drawn by the sender, kept when it seals again; never zero
	Sender        string    // roster name
	Recipient     string    // roster name; Seal takes it from the key if empty
	Type          string    // lower-case words joined by "_" or "."
	Ticket        [32]byte  // ticket id, or zero
	RosterVersion uint64    // whose keys verify the signature
	Expiry        time.Time // fractions of a second are cut off
	Body          []byte
	MinSize       SizeClass // pad to at least this class; zero means Size4K
	// Statement is set by Open: what the sender signed, with the signature, for
	// ParseStatement.
	Statement []byte
}

var (
	nameShape = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,31}$`)
	typeShape = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,39}$`)
)

// Seal signs the message with the sender's identity key and encrypts it. The
// result is as long as the header (59 bytes and the recipient's name), the KEM
// share (1120), the size class and the tag (16). InvalidArgument if a field is
// malformed or the body too long, KeyRetired if the key would be destroyed
// before the message expires.
func Seal(m Message, identity ed25519.PrivateKey, to *PublicKey) ([]byte, error) {
	switch {
	case len(identity) != ed25519.PrivateKeySize || to == nil || to.key == nil:
		return nil, malformed("a signing key and a recipient's key are needed")
	case m.Recipient == "":
		m.Recipient = to.Recipient
	case m.Recipient != to.Recipient:
		return nil, malformed("the key belongs to %s, not to %s", to.Recipient, m.Recipient)
	}
	if m.Expiry.Unix() > to.destroyed().Unix() {
		return nil, waypost.Errorf(waypost.KeyRetired, "the message would outlive the key of %s: fetch its current key", m.Recipient)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	env := Envelope{Suite: suite, Recipient: m.Recipient, ID: m.ID, Expiry: m.Expiry, KeyID: to.ID}
	signature := ed25519.Sign(identity, signedBytes(env, m))
	plain, err := pad(m, signature)
	if err != nil {
		return nil, err
	}
	header := env.encode()
	enc, sender, err := hpke.NewSender(to.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(header))
	if err != nil {
		return nil, waypost.Errorf(waypost.Internal, "the message could not be sealed").WithCause(err)
	}
	box, err := sender.Seal(nil, plain)
	if err != nil {
		return nil, waypost.Errorf(waypost.Internal, "the message could not be sealed").WithCause(err)
	}
	return append(append(header, enc...), box...), nil
}

// Open decrypts a message with the recipient's keys and verifies the signature
// with the key that senderKey returns for the roster version and sender named
// inside; roster's View.SenderKey is made for that. The message's MinSize is
// the class it came in.
//
// The errors: InvalidArgument for what is not a message for this recipient or
// was altered, Expired after the expiry, KeyRetired if the key is gone and the
// sender should seal again, PermissionDenied for a wrong signature, and
// whatever senderKey returns.
func Open(sealed []byte, keys *Keyring, senderKey func(rosterVersion uint64, sender string) (ed25519.PublicKey, error), now time.Time) (Message, error) {
	env, header, box, err := split(sealed)
	if err != nil {
		return Message{}, err
	}
	if !now.Before(env.Expiry) {
		return Message{}, waypost.Errorf(waypost.Expired, "the message expired on %s", env.Expiry.Format("2006-01-02 15:04 UTC"))
	}
	key, err := keys.find(env, now)
	if err != nil {
		return Message{}, err
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(header), box)
	if err != nil {
		return Message{}, malformed("it was altered, or sealed to another key").WithCause(err)
	}
	m, signature, err := unpad(env, plain)
	if err != nil {
		return Message{}, err
	}
	signer, err := senderKey(m.RosterVersion, m.Sender)
	if err != nil {
		return Message{}, err
	}
	if len(signer) != ed25519.PublicKeySize || !ed25519.Verify(signer, signedBytes(env, m), signature) {
		return Message{}, waypost.Errorf(waypost.PermissionDenied, "the signature of %s does not verify", m.Sender)
	}
	m.Statement = statement(env, m, signature)
	return m, nil
}

// check validates the fields on both ways, so that what cannot be opened
// cannot be sealed.
func (m Message) check() error {
	switch {
	case m.ID == [16]byte{}:
		return malformed("its id is zero")
	case !nameShape.MatchString(m.Sender) || !nameShape.MatchString(m.Recipient):
		return malformed("a sender or recipient is named as in the roster")
	case !typeShape.MatchString(m.Type):
		return malformed("its type is a word in lower case")
	case m.Expiry.Unix() <= 0 || m.Expiry.Unix() > maxUnix:
		return malformed("its expiry is out of range")
	case m.MinSize != 0 && !m.MinSize.valid():
		return malformed("there is no size class of %d bytes", m.MinSize)
	case len(m.Body) > int(Size256K):
		return malformed("its body does not fit into %d KiB", Size256K>>10)
	}
	return nil
}

func (c SizeClass) valid() bool {
	return slices.Contains(classes, c)
}

// signedBytes is what the sender signs: canonical, every variable field
// length-prefixed. The envelope is the one that travels in clear.
func signedBytes(env Envelope, m Message) []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, 256+len(m.Body)))
	b.AddBytes([]byte(messageDomain))
	b.AddUint16(env.Suite)
	addString(b, m.Sender)
	b.AddBytes(env.KeyID[:])
	addString(b, m.Type)
	b.AddBytes(env.ID[:])
	b.AddBytes(m.Ticket[:])
	b.AddUint64(m.RosterVersion)
	b.AddUint64(uint64(env.Expiry.Unix()))
	b.AddUint32(uint32(len(m.Body)))
	b.AddBytes(m.Body)
	return b.BytesOrPanic()
}

// pad encodes the secret part and fills it up to its size class with zeros.
func pad(m Message, signature []byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, lengthSize, max(int(m.MinSize), int(Size4K))))
	b.AddBytes(signature)
	addString(b, m.Sender)
	addString(b, m.Type)
	b.AddBytes(m.Ticket[:])
	b.AddUint64(m.RosterVersion)
	b.AddBytes(m.Body)
	plain := b.BytesOrPanic()
	for _, class := range classes {
		if class < m.MinSize || len(plain) > int(class) {
			continue
		}
		binary.BigEndian.PutUint32(plain, uint32(len(plain)-lengthSize))
		return append(plain, make([]byte, int(class)-len(plain))...), nil
	}
	return nil, malformed("its body does not fit into %d KiB", Size256K>>10)
}

// unpad is the inverse of pad, strict in every byte: two plaintexts never mean
// the same message.
func unpad(env Envelope, plain []byte) (m Message, signature []byte, err error) {
	m = Message{ID: env.ID, Recipient: env.Recipient, Expiry: env.Expiry, MinSize: SizeClass(len(plain))}
	content, padding, ok := cutLength(plain)
	if !ok || !m.MinSize.valid() || !allZero(padding) {
		return Message{}, nil, malformed("its padding is wrong")
	}
	s := cryptobyte.String(content)
	if !s.ReadBytes(&signature, ed25519.SignatureSize) || !readString(&s, &m.Sender) || !readString(&s, &m.Type) ||
		!s.CopyBytes(m.Ticket[:]) || !s.ReadUint64(&m.RosterVersion) {
		return Message{}, nil, malformed("its content is cut short")
	}
	m.Body = s
	return m, signature, m.check()
}

func cutLength(plain []byte) (content, rest []byte, ok bool) {
	if len(plain) < lengthSize {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(plain))
	plain = plain[lengthSize:]
	if n > uint64(len(plain)) {
		return nil, nil, false
	}
	return plain[:n], plain[n:], true
}

func allZero(b []byte) bool {
	var or byte
	for _, x := range b {
		or |= x
	}
	return or == 0
}

// info binds the whole header, and nothing secret, into the encryption.
func info(header []byte) []byte { return append([]byte(infoDomain), header...) }

func addString(b *cryptobyte.Builder, s string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

func readString(s *cryptobyte.String, to *string) bool {
	var field cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&field)
	*to = string(field)
	return ok
}

func malformed(format string, args ...any) *waypost.Error {
	return waypost.Errorf(waypost.InvalidArgument, "sealed message: "+format, args...)
}
