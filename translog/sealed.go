package translog

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

const sealedDomain = "waypost sealed entry v1"

const (
	keyIDSize = 8
	overhead  = keyIDSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
	maxEntry  = 4 + 32 + 8 + 8 + 32 + 32 + 32 + 4 + MaxBody
	// padTo is what the size of a plaintext is a multiple of. Sealed entries lie
	// in public: almost all are then of one size, whatever their kind, purpose
	// and outcome, so that sizes say nothing about which of two logs belong
	// together.
	padTo = 1024
	// MaxBlob is the largest sealed entry, in bytes.
	MaxBlob = overhead + (maxEntry+padTo-1)/padTo*padTo
)

var (
	// ErrErased is returned for a sealed entry whose retention has ended. Its
	// leaf stays.
	ErrErased = errors.New("the entry has been erased")
	// ErrSealed is returned for a sealed entry that its data key does not open,
	// or that is not the entry of its leaf.
	ErrSealed = errors.New("the sealed entry does not open")
)

// KeyID names a data key: 8 bytes drawn at random.
type KeyID [keyIDSize]byte

// String returns the 16 hex digits that name the key's object in a log.
func (id KeyID) String() string { return fmt.Sprintf("%x", id[:]) }

// Path returns the object that holds the key, wrapped.
func (id KeyID) Path() string { return "keys/" + id.String() }

// DataKey encrypts the entries of one process for at most a day.
type DataKey struct {
	ID     KeyID
	Secret [32]byte
}

// NewDataKey draws a data key.
func NewDataKey() (k DataKey) {
	rand.Read(k.ID[:])
	rand.Read(k.Secret[:])
	return k
}

// Seal returns the public leaf of e at the given index of a log, and the entry
// itself encrypted under k for it:
//
//	blob  = key id[8] ‖ nonce[24] ‖ XChaCha20-Poly1305(secret, nonce, plain, aad)
//	aad   = sealedDomain ‖ origin ‖ index[8] ‖ leaf[64]
//	plain = kind ‖ ordinal[8] ‖ at[8] ‖ ticket[32] ‖ tau[32] ‖ salt[32] ‖ body ‖ zeros
//
// where strings and the body are preceded by their length as 4 bytes, and zeros
// fill up to the next multiple of 1024 bytes. The nonce is random; it is long
// enough for that.
func Seal(k DataKey, role, origin string, index int64, e Entry) (leaf, blob []byte, err error) {
	var nonce [chacha20poly1305.NonceSizeX]byte
	rand.Read(nonce[:])
	return seal(k, nonce, role, origin, index, e)
}

func seal(k DataKey, nonce [chacha20poly1305.NonceSizeX]byte, role, origin string, index int64, e Entry) (leaf, blob []byte, err error) {
	if err := e.check(); err != nil {
		return nil, nil, err
	}
	if err := checkPlace(role, origin, index); err != nil {
		return nil, nil, err
	}
	leaf = e.Leaf(role, origin)
	blob = make([]byte, 0, overhead+maxEntry-MaxBody+len(e.Body)+padTo)
	blob = append(blob, k.ID[:]...)
	blob = append(blob, nonce[:]...)
	// Encrypted in place: the plaintext is where the ciphertext will be.
	plain := e.appendPlain(blob[len(blob):])
	blob = k.aead().Seal(blob, nonce[:], plain, sealedData(origin, index, leaf))
	return leaf, blob, nil
}

// OpenSealed decrypts a blob that stands beside leaf at the given index of a
// log, and checks that it is the entry of that leaf. It returns ErrErased where
// the blob is empty, and an error that wraps ErrSealed where it does not open.
func OpenSealed(k DataKey, role, origin string, index int64, leaf, blob []byte) (Entry, error) {
	id, err := SealedKey(blob)
	if err != nil {
		return Entry{}, err
	}
	if id != k.ID {
		return Entry{}, fmt.Errorf("%w: it is under key %s, not %s", ErrSealed, id, k.ID)
	}
	if err := checkPlace(role, origin, index); err != nil {
		return Entry{}, err
	}
	nonce, sealed := blob[keyIDSize:keyIDSize+chacha20poly1305.NonceSizeX], blob[keyIDSize+chacha20poly1305.NonceSizeX:]
	plain, err := k.aead().Open(nil, nonce, sealed, sealedData(origin, index, leaf))
	if err != nil {
		return Entry{}, fmt.Errorf("%w: it was made for another place, under another key, or is damaged", ErrSealed)
	}
	e, ok := parsePlain(plain)
	if !ok {
		return Entry{}, fmt.Errorf("%w: its content is not well formed", ErrSealed)
	}
	if !bytes.Equal(e.Leaf(role, origin), leaf) {
		return Entry{}, fmt.Errorf("%w: its content is not that of its leaf", ErrSealed)
	}
	return e, nil
}

// SealedKey returns the id of the data key under which a blob is. It returns
// ErrErased where the blob is empty.
func SealedKey(blob []byte) (id KeyID, err error) {
	switch n := len(blob); {
	case n == 0:
		return id, ErrErased
	case !isBlobSize(n):
		return id, fmt.Errorf("%w: %d bytes are no sealed entry", ErrSealed, n)
	}
	return KeyID(blob[:keyIDSize]), nil
}

func isBlobSize(n int) bool { return n > overhead && n <= MaxBlob && (n-overhead)%padTo == 0 }

func (k DataKey) aead() cipher.AEAD {
	aead, err := chacha20poly1305.NewX(k.Secret[:])
	if err != nil {
		panic(err) // only for a key that is not 32 bytes
	}
	return aead
}

func sealedData(origin string, index int64, leaf []byte) []byte {
	b := make([]byte, 0, 512)
	b = prefixed(b, sealedDomain)
	b = prefixed(b, origin)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	return append(b, leaf...)
}

func (e Entry) appendPlain(b []byte) []byte {
	start := len(b)
	b = prefixed(b, e.Kind)
	b = binary.BigEndian.AppendUint64(b, e.Ordinal)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.Unix()))
	b = append(b, e.Ticket[:]...)
	b = append(b, e.Tau[:]...)
	b = append(b, e.Salt[:]...)
	b = prefixed(b, e.Body)
	if n := (len(b) - start) % padTo; n > 0 {
		b = append(b, make([]byte, padTo-n)...)
	}
	return b
}

func parsePlain(plain []byte) (e Entry, ok bool) {
	s := cryptobyte.String(plain)
	var kind, body []byte
	var at uint64
	ok = readPrefixed(&s, &kind) &&
		s.ReadUint64(&e.Ordinal) &&
		s.ReadUint64(&at) && at <= lastSecond &&
		s.CopyBytes(e.Ticket[:]) &&
		s.CopyBytes(e.Tau[:]) &&
		s.CopyBytes(e.Salt[:]) &&
		readPrefixed(&s, &body) &&
		len(plain)%padTo == 0 && len(s) < padTo && len(bytes.Trim(s, "\x00")) == 0
	e.Kind, e.At, e.Body = string(kind), time.Unix(int64(at), 0).UTC(), body
	return e, ok && e.check() == nil
}

func readPrefixed(s *cryptobyte.String, v *[]byte) bool {
	var n uint32
	return s.ReadUint32(&n) && n <= MaxBlob && s.ReadBytes(v, int(n))
}

func checkPlace(role, origin string, index int64) error {
	switch {
	case !isName(role):
		return errors.New("a role is 1 to 32 of a-z, 0-9 and _")
	case index < 0:
		return errors.New("the index of a leaf is not negative")
	}
	return checkOrigin(origin)
}

// AppendSealed appends a blob to a bundle of sealed entries: its length as 4
// bytes, then itself. An erased one is empty.
func AppendSealed(bundle, blob []byte) []byte { return prefixed(bundle, blob) }

// ParseSealed returns the width blobs of a bundle of sealed entries, which
// share its memory. Any other number, or an impossible length, is refused.
func ParseSealed(bundle []byte, width int) ([][]byte, error) {
	if width < 1 || width > torchwood.TileWidth {
		return nil, fmt.Errorf("a bundle holds 1 to %d sealed entries, not %d", torchwood.TileWidth, width)
	}
	s := cryptobyte.String(bundle)
	blobs := make([][]byte, width)
	for i := range blobs {
		if !readPrefixed(&s, &blobs[i]) {
			return nil, fmt.Errorf("%w: blob %d of the bundle is cut off", ErrSealed, i)
		}
		if _, err := SealedKey(blobs[i]); err != nil && !errors.Is(err, ErrErased) {
			return nil, fmt.Errorf("blob %d of the bundle: %w", i, err)
		}
	}
	if !s.Empty() {
		return nil, fmt.Errorf("%w: the bundle goes on after %d blobs", ErrSealed, width)
	}
	return blobs, nil
}
