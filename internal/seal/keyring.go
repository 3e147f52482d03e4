package seal

import (
	"crypto/ed25519"
	"crypto/hpke"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/waypost/waypost"
)

// Keyring holds the private encryption keys of one member: the current one and
// those it replaced, until they are destroyed. It is safe for concurrent use.
// The caller keeps it: after every Rotate that reports a change it must store
// MarshalBinary durably, in place of what was there, before it hands out the new
// public key.
type Keyring struct {
	recipient string

	mu   sync.RWMutex
	keys []ringKey // oldest first; empty only after Clear
}

type ringKey struct {
	private hpke.PrivateKey
	public  *PublicKey
}

// maxRing bounds the file; three keys are usual.
const maxRing = 16

const ringHeader = "waypost keyring v1\n"

// NewKeyring makes the first key of a member. Its public key is signed with
// the member's identity key.
func NewKeyring(recipient string, identity ed25519.PrivateKey, now time.Time) (*Keyring, error) {
	if !nameShape.MatchString(recipient) {
		return nil, badKey("its owner is named as in the roster")
	}
	r := &Keyring{recipient: recipient}
	_, err := r.Rotate(identity, now)
	return r, err
}

// Rotate destroys the keys whose time is up and makes a new one if the current
// one is a week old or was signed by another identity key than this. It reports
// whether anything changed. Call it often.
func (r *Keyring) Rotate(identity ed25519.PrivateKey, now time.Time) (changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept []ringKey
	for _, k := range r.keys {
		if now.Before(k.public.destroyed()) {
			kept = append(kept, k)
		}
	}
	changed = len(kept) != len(r.keys)
	if len(kept) == 0 || !kept[len(kept)-1].public.current(identity, now) {
		fresh, err := newKey(r.recipient, identity, now)
		if err != nil {
			return false, err
		}
		kept, changed = append(kept, fresh), true
	}
	r.keys = kept
	return changed, nil
}

// current reports whether the key is less than a week old and signed with the
// identity key.
func (p *PublicKey) current(identity ed25519.PrivateKey, now time.Time) bool {
	return now.Before(p.NotBefore.Add(RotateAfter)) && len(identity) == ed25519.PrivateKeySize &&
		ed25519.Verify(identity.Public().(ed25519.PublicKey), p.statement(), p.signature)
}

func newKey(recipient string, identity ed25519.PrivateKey, now time.Time) (ringKey, error) {
	if len(identity) != ed25519.PrivateKeySize || now.Unix() <= 0 || now.Unix() > maxUnix {
		return ringKey{}, badKey("an identity key and a date are needed")
	}
	private, err := kem().GenerateKey()
	if err != nil {
		return ringKey{}, waypost.Errorf(waypost.Internal, "no encryption key could be made").WithCause(err)
	}
	made := now.UTC().Truncate(time.Second)
	public := &PublicKey{
		ID:        keyID(recipient, private.PublicKey()),
		Recipient: recipient,
		NotBefore: made,
		NotAfter:  made.Add(sealFor),
		key:       private.PublicKey(),
	}
	public.signature = ed25519.Sign(identity, public.statement())
	return ringKey{private: private, public: public}, nil
}

// Current returns the newest public key, for the hub's directory; nil after [Keyring.Clear].
func (r *Keyring) Current() *PublicKey {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) == 0 {
		return nil
	}
	return r.keys[len(r.keys)-1].public
}

// find returns the private key that an envelope asks for.
func (r *Keyring) find(env Envelope, now time.Time) (hpke.PrivateKey, error) {
	if env.Recipient != r.recipient {
		return nil, malformed("it is for %s, not for %s", env.Recipient, r.recipient)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.public.ID != env.KeyID || !now.Before(k.public.destroyed()) {
			continue
		}
		if env.Expiry.After(k.public.destroyed()) {
			return nil, malformed("it would outlive its key")
		}
		return k.private, nil
	}
	return nil, waypost.Errorf(waypost.KeyRetired, "the message is sealed to a key that %s no longer has: seal it again to the current key", r.recipient)
}

// MarshalBinary encodes the ring with its private keys. Whoever has these
// bytes can open the member's messages: keep them encrypted.
func (r *Keyring) MarshalBinary() ([]byte, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.keys) == 0 {
		return nil, badKey("the keyring is empty") // never in place of one that is not
	}
	b := cryptobyte.NewBuilder([]byte(ringHeader))
	for _, k := range r.keys {
		private, err := k.private.Bytes()
		if err != nil {
			return nil, waypost.Errorf(waypost.Internal, "the keyring could not be written").WithCause(err)
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(private) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.public.Encode()) })
	}
	return b.Bytes()
}

// ParseKeyring reads what MarshalBinary wrote for that member. The caller then
// calls Rotate, which brings the ring up to the time and the identity key.
func ParseKeyring(data []byte, recipient string) (*Keyring, error) {
	r := &Keyring{recipient: recipient}
	if len(data) < len(ringHeader) || string(data[:len(ringHeader)]) != ringHeader {
		return nil, badKey("this is not a keyring")
	}
	for s := cryptobyte.String(data[len(ringHeader):]); !s.Empty(); {
		k, err := readRingKey(&s)
		if err != nil {
			return nil, err
		}
		if n := len(r.keys); n == maxRing || n > 0 && k.public.NotBefore.Before(r.keys[n-1].public.NotBefore) {
			return nil, badKey("the keyring is too long or out of order")
		}
		if k.public.Recipient != recipient {
			return nil, badKey("the keyring belongs to %s, not to %s", k.public.Recipient, recipient)
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, badKey("the keyring is empty")
	}
	return r, nil
}

// Replace takes the keys of another ring of the same member, as another process has
// stored them, in place of its own.
func (r *Keyring) Replace(by *Keyring) error {
	if by.recipient != r.recipient {
		return badKey("the keyring belongs to %s, not to %s", by.recipient, r.recipient)
	}
	by.mu.RLock()
	keys := slices.Clone(by.keys)
	by.mu.RUnlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	return nil
}

// Clear forgets the keys, until [Keyring.Replace]: a process that opens no messages has
// none, so that a key which another one destroys is nowhere. What the runtime has copied
// stays in memory until that is used again.
func (r *Keyring) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = nil
}

func readRingKey(s *cryptobyte.String) (ringKey, error) {
	var private, public cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&private) || !s.ReadUint16LengthPrefixed(&public) {
		return ringKey{}, badKey("the keyring is cut short")
	}
	p, err := parsePublicKey(public)
	if err != nil {
		return ringKey{}, err
	}
	k, err := kem().NewPrivateKey(private)
	if err != nil {
		return ringKey{}, badKey("the keyring holds something else than a key").WithCause(err)
	}
	if keyID(p.Recipient, k.PublicKey()) != p.ID {
		return ringKey{}, badKey("the keyring's private and public keys do not belong together")
	}
	return ringKey{private: k, public: p}, nil
}
