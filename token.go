package waypost

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

const (
	tokenDomain = "waypost token"
	tagDomain   = "waypost tag v1\n"
)

// Token is what the index is made of: equal for equal match keys, and not to be
// made without a quorum of key holders.
type Token [32]byte

// NewToken is SHA-256("waypost token" ‖ epoch ‖ output): output is the 64-byte
// result of the threshold OPRF, which itself never leaves the gateway.
func NewToken(epoch uint32, output []byte) Token {
	h := sha256.New()
	h.Write([]byte(tokenDomain))
	h.Write(binary.BigEndian.AppendUint32(nil, epoch))
	h.Write(output)
	return Token(h.Sum(nil))
}

// Tag shows a token to somebody who holds the same token, and to nobody else:
// the first 16 bytes of HMAC-SHA-256 under the token over the ticket.
type Tag [16]byte

// NewTag binds the token to one ticket.
func NewTag(t Token, id TicketID) Tag {
	m := hmac.New(sha256.New, t[:])
	m.Write([]byte(tagDomain))
	m.Write(id[:])
	return Tag(m.Sum(nil)[:16])
}
