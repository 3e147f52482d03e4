package install

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// ringStore keeps a gateway's message keys in its database, where all its processes
// find them and a destroyed key is destroyed for all; encrypted, so that a copy of
// the database without secret.key opens no message.
type ringStore struct {
	db     *store.DB
	member string
	key    [32]byte
}

// ringKey is the key under which the message keys rest.
func ringKey(secret [32]byte) [32]byte {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte("waypost install v1 keyring"))
	return [32]byte(m.Sum(nil))
}

// Keyring reads the message keys of a gateway that does not run, for a drill that
// takes its place.
func Keyring(ctx context.Context, f *Folder) (_ *seal.Keyring, err error) {
	secret, err := f.secret("secret.key")
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, f.database(f.Config.Database), string(f.Config.Role))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return ringStore{db: db, member: f.Config.Name, key: ringKey(secret)}.load(ctx)
}

// open returns the keys that are stored, or stores the first one.
func (s ringStore) open(ctx context.Context, identity ed25519.PrivateKey, now time.Time) (*seal.Keyring, error) {
	fresh, err := seal.NewKeyring(s.member, identity, now)
	if err != nil {
		return nil, err
	}
	sealed, err := s.seal(fresh)
	if err != nil {
		return nil, err
	}
	if err := s.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO keyring (member, sealed) VALUES ($1, $2) ON CONFLICT (member) DO NOTHING`, s.member, sealed)
		return err
	}); err != nil {
		return nil, err
	}
	return s.load(ctx)
}

func (s ringStore) load(ctx context.Context) (*seal.Keyring, error) {
	var sealed []byte
	if err := s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT sealed FROM keyring WHERE member = $1`, s.member).Scan(&sealed)
	}); err != nil {
		return nil, err
	}
	aead := s.aead()
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("the message keys in the database are damaged")
	}
	raw, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(s.member))
	if err != nil {
		return nil, fmt.Errorf("the message keys in the database were stored under another secret.key than this folder's, or are damaged")
	}
	return seal.ParseKeyring(raw, s.member)
}

// take replaces the keys at hand by those that are stored.
func (s ringStore) take(ctx context.Context, ring *seal.Keyring) error {
	stored, err := s.load(ctx)
	if err != nil {
		return err
	}
	return ring.Replace(stored)
}

// save stores the keys in place of those that were there.
func (s ringStore) save(ring *seal.Keyring) error {
	sealed, err := s.seal(ring)
	if err != nil {
		return err
	}
	return s.db.Write(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE keyring SET sealed = $1 WHERE member = $2`, sealed, s.member)
		return err
	})
}

// seal encrypts a keyring with AES-256-GCM under a nonce of its own, which comes
// first. There are a few in a month.
func (s ringStore) seal(ring *seal.Keyring) ([]byte, error) {
	raw, err := ring.MarshalBinary()
	if err != nil {
		return nil, err
	}
	aead := s.aead()
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails (Go 1.24)
	return aead.Seal(nonce, nonce, raw, []byte(s.member)), nil
}

func (s ringStore) aead() cipher.AEAD {
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a block of another size
	}
	return aead
}
