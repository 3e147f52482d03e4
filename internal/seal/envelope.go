package seal

import (
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// Envelope is what the hub sees of a sealed message.
type Envelope struct {
	Suite     uint16
	Recipient string // roster name
	ID        [16]byte
	Expiry    time.Time // UTC, whole seconds
	KeyID     [32]byte  // of the recipient's key
}

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799

// PeekEnvelope reads the part in clear and checks the length, which must be
// that of one of the size classes. It proves nothing about who made it.
func PeekEnvelope(sealed []byte) (Envelope, error) {
	env, _, _, err := split(sealed)
	return env, err
}

// split cuts a sealed message into header and box without copying.
func split(sealed []byte) (env Envelope, header, box []byte, err error) {
	s := cryptobyte.String(sealed)
	var expiry uint64
	if !s.ReadUint16(&env.Suite) {
		return Envelope{}, nil, nil, malformed("it is cut short")
	}
	if env.Suite != suite {
		return Envelope{}, nil, nil, malformed("suite %d is not known here: this side speaks suite %d", env.Suite, suite)
	}
	if !readString(&s, &env.Recipient) || !s.CopyBytes(env.ID[:]) || !s.ReadUint64(&expiry) || !s.CopyBytes(env.KeyID[:]) {
		return Envelope{}, nil, nil, malformed("it is cut short")
	}
	if !nameShape.MatchString(env.Recipient) || env.ID == [16]byte{} || expiry == 0 || expiry > maxUnix {
		return Envelope{}, nil, nil, malformed("its header is out of range")
	}
	if !SizeClass(len(s) - encapsulatedSize - tagSize).valid() {
		return Envelope{}, nil, nil, malformed("its length is none of the size classes")
	}
	env.Expiry = time.Unix(int64(expiry), 0).UTC()
	return env, sealed[:len(sealed)-len(s)], s, nil
}

func (env Envelope) encode() []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+encapsulatedSize+int(Size4K)+tagSize))
	b.AddUint16(env.Suite)
	addString(b, env.Recipient)
	b.AddBytes(env.ID[:])
	b.AddUint64(uint64(env.Expiry.Unix()))
	b.AddBytes(env.KeyID[:])
	return b.BytesOrPanic()
}
