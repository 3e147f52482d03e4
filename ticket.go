package waypost

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// TicketWindow is how long after IssuedAt a key holder accepts a ticket.
// Within it the same bytes get the stored answer; after it they are refused.
const TicketWindow = 2 * time.Minute

// ClockSkew is how far in the future a ticket's IssuedAt may lie.
const ClockSkew = 30 * time.Second

const (
	ticketDomain  = "waypost ticket v1\n"
	probesDomain  = "waypost blinded probes v1\n"
	caseDomain    = "waypost case reference v1\n"
	requestDomain = "waypost request v1\n"
)

// TicketID is the SHA-256 of a ticket's signed payload.
type TicketID [32]byte

// String returns the first eight bytes in hex: enough to find a ticket in a
// ledger, short enough to read out.
func (id TicketID) String() string { return hex.EncodeToString(id[:8]) }

// IsZero reports whether no ticket is named.
func (id TicketID) IsZero() bool { return id == TicketID{} }

// Ticket is the state of inquiry's permission for exactly one look, or for one
// batch of publishing. It names no person.
type Ticket struct {
	Kind          Kind
	RosterVersion uint64
	Epoch         uint32
	Environment   Environment
	SOI           Jurisdiction
	Operator      [32]byte // HMAC of the user id under a key of the gateway
	Class         OperatorClass
	Purpose       Purpose
	Case          [32]byte // CommitCase of the case reference
	Cites         TicketID // the ticket that this one corrects, cancels or follows; or zero
	IssuedAt      time.Time
	Nonce         [16]byte
	Elements      int      // how many blinded elements the ticket covers
	Probes        [32]byte // HashProbes of the ordered blinded elements; without elements CommitRequest
	Tau           [32]byte // audit secret: kept for auditors by all who see the ticket
}

// HashProbes is the commitment to the ordered blinded elements, given as their
// concatenated 32-byte encodings.
func HashProbes(elements []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(probesDomain))
	h.Write(elements)
	return [32]byte(h.Sum(nil))
}

// CommitRequest is what a ticket without elements commits to: that it is for
// exactly this request to this recipient, a member of the roster. The salt, 32
// random bytes that travel with the request, hides it from the key holders.
func CommitRequest(recipient string, salt [32]byte, request []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(requestDomain))
	h.Write([]byte{byte(len(recipient))})
	h.Write([]byte(recipient))
	h.Write(salt[:])
	h.Write(request)
	return [32]byte(h.Sum(nil))
}

// CommitCase hides a case reference behind a 32-byte salt that the gateway
// keeps and opens to its own auditor.
func CommitCase(salt [32]byte, reference string) [32]byte {
	h := sha256.New()
	h.Write([]byte(caseDomain))
	h.Write(salt[:])
	h.Write([]byte(reference))
	return [32]byte(h.Sum(nil))
}

// SignedTicket is a ticket with the exact bytes that were signed. The zero
// value is not valid; it comes from [Ticket.Sign] or [ParseTicket].
type SignedTicket struct {
	Ticket
	ID        TicketID
	payload   []byte
	signature []byte
}

// Sign encodes the ticket canonically and signs it with the identity key of
// the state of inquiry. IssuedAt is cut to milliseconds.
func (t Ticket) Sign(identity ed25519.PrivateKey) (SignedTicket, error) {
	t.IssuedAt = t.IssuedAt.UTC().Truncate(time.Millisecond)
	payload, err := t.marshal()
	if err != nil {
		return SignedTicket{}, err
	}
	return SignedTicket{
		Ticket: t, ID: sha256.Sum256(payload), payload: payload,
		signature: ed25519.Sign(identity, payload),
	}, nil
}

// Bytes returns the wire form: payload, then the 64-byte signature.
func (s SignedTicket) Bytes() []byte {
	return joinSignature(s.payload, s.signature)
}

// ParseTicket decodes the wire form strictly: any byte string that is not the
// canonical encoding of what it says is an error. It does not check the
// signature; see [SignedTicket.Verify].
func ParseTicket(b []byte) (SignedTicket, error) {
	bad := Errorf(InvalidArgument, "the ticket is not well formed")
	payload, signature, ok := cutSignature(b)
	if !ok {
		return SignedTicket{}, bad
	}
	t, ok := unmarshalTicket(payload)
	if !ok {
		return SignedTicket{}, bad
	}
	again, err := t.marshal()
	if err != nil || !bytes.Equal(again, payload) {
		return SignedTicket{}, bad
	}
	return SignedTicket{Ticket: t, ID: sha256.Sum256(payload), payload: payload, signature: signature}, nil
}

// Verify checks the signature and that kind, purpose, operator class and number
// of elements go together. It does not judge freshness; see [Ticket.CheckFresh].
func (s SignedTicket) Verify(identity ed25519.PublicKey) error {
	if !ed25519.Verify(identity, s.payload, s.signature) {
		return Errorf(PermissionDenied, "the ticket is not signed by %s", s.SOI)
	}
	if !s.Kind.Allows(s.Purpose) {
		return Errorf(PermissionDenied, "the purpose %s does not allow a %s", s.Purpose, s.Kind)
	}
	if !s.Kind.admits(s.Class) {
		return Errorf(PermissionDenied, "an operator of class %s cannot ask for a %s", s.Class, s.Kind)
	}
	if !s.Kind.Takes(s.Elements) {
		return Errorf(InvalidArgument, "a %s ticket cannot carry %d elements", s.Kind, s.Elements)
	}
	return nil
}

// CheckFresh judges whether the ticket is within its window at the time now.
func (t Ticket) CheckFresh(now time.Time) error {
	switch age := now.Sub(t.IssuedAt); {
	case age < -ClockSkew:
		return Errorf(Expired, "the ticket was issued in the future: compare the clocks of both machines")
	case age > TicketWindow:
		return Errorf(Expired, "the ticket is older than %v: ask again with a new one", TicketWindow)
	}
	return nil
}

// CoversRequest checks that the ticket was signed over this request to this
// recipient.
func (t Ticket) CoversRequest(recipient string, salt [32]byte, request []byte) error {
	if t.Elements != 0 || CommitRequest(recipient, salt, request) != t.Probes {
		return Errorf(PermissionDenied, "the ticket was signed for another request, or for another recipient")
	}
	return nil
}

// CoversProbes checks that the concatenated elements are the ones, in number,
// order and content, that the ticket was signed over. Of a ticket without
// elements it checks that there are none: what it commits to is for the
// recipient of the request to check.
func (t Ticket) CoversProbes(elements []byte) error {
	if t.Elements == 0 && len(elements) == 0 && t.Kind.bare() {
		return nil
	}
	if n := len(elements) / 32; n*32 != len(elements) || n != t.Elements {
		return Errorf(InvalidArgument, "the ticket covers %d elements, the request brings %d", t.Elements, n)
	}
	if HashProbes(elements) != t.Probes {
		return Errorf(PermissionDenied, "the ticket was signed over other elements than the request brings")
	}
	return nil
}

// check refuses what has no place in any ticket, when it is signed and when it
// is read. Whether the words are known is for Verify to say.
func (t Ticket) check() error {
	for _, word := range []string{string(t.Kind), string(t.Environment), string(t.Class), string(t.Purpose)} {
		if !isWord(word) {
			return Errorf(InvalidArgument, "kind, environment, operator class and purpose of a ticket are words in lower case")
		}
	}
	switch {
	case !t.SOI.valid():
		return Errorf(InvalidArgument, "a ticket names a state of inquiry by two capital letters")
	case t.IssuedAt.UnixMilli() <= 0 || t.IssuedAt.Unix() > lastSecond:
		return Errorf(InvalidArgument, "a ticket says when it was issued")
	case t.Elements < 0 || t.Elements > 0xffff:
		return Errorf(InvalidArgument, "a ticket cannot carry %d elements", t.Elements)
	// A nonce of zeros comes from a broken generator. Without an audit secret
	// the ledgers could not be brought together, without an operator's tag no
	// operator's quota would bind.
	case t.Nonce == [16]byte{} || t.Tau == [32]byte{} || t.Operator == [32]byte{}:
		return Errorf(InvalidArgument, "nonce, audit secret and operator tag of a ticket are not zero")
	}
	return nil
}

func (t Ticket) marshal() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 512))
	b.AddBytes([]byte(ticketDomain))
	addString(b, string(t.Kind))
	b.AddUint64(t.RosterVersion)
	b.AddUint32(t.Epoch)
	addString(b, string(t.Environment))
	addString(b, string(t.SOI))
	b.AddBytes(t.Operator[:])
	addString(b, string(t.Class))
	addString(b, string(t.Purpose))
	b.AddBytes(t.Case[:])
	b.AddBytes(t.Cites[:])
	b.AddUint64(uint64(t.IssuedAt.UnixMilli()))
	b.AddBytes(t.Nonce[:])
	b.AddUint16(uint16(t.Elements))
	b.AddBytes(t.Probes[:])
	b.AddBytes(t.Tau[:])
	return b.Bytes()
}

func unmarshalTicket(payload []byte) (t Ticket, ok bool) {
	s := cryptobyte.String(payload)
	var kind, environment, soi, class, purpose string
	var issued uint64
	var elements uint16
	ok = readDomain(&s, ticketDomain) &&
		readString(&s, &kind) &&
		s.ReadUint64(&t.RosterVersion) &&
		s.ReadUint32(&t.Epoch) &&
		readString(&s, &environment) &&
		readString(&s, &soi) &&
		s.CopyBytes(t.Operator[:]) &&
		readString(&s, &class) &&
		readString(&s, &purpose) &&
		s.CopyBytes(t.Case[:]) &&
		s.CopyBytes(t.Cites[:]) &&
		s.ReadUint64(&issued) &&
		s.CopyBytes(t.Nonce[:]) &&
		s.ReadUint16(&elements) &&
		s.CopyBytes(t.Probes[:]) &&
		s.CopyBytes(t.Tau[:]) &&
		s.Empty()
	t.Kind, t.Environment, t.SOI = Kind(kind), Environment(environment), Jurisdiction(soi)
	t.Class, t.Purpose, t.Elements = OperatorClass(class), Purpose(purpose), int(elements)
	t.IssuedAt = time.UnixMilli(int64(issued)).UTC()
	return t, ok
}
