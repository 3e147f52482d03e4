package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// keyFor is how long a key that was looked up is sealed to without looking again:
// another process of the hub may have been told of one that replaces it, and who has
// lost the old one's other half can never open what is sealed to it.
const keyFor = time.Minute

// directory caches the encryption keys that the hub itself seals to.
type directory struct {
	mu   sync.Mutex
	keys map[string]announced
}

// announced is a member's encryption key and the identity key that signed it.
type announced struct {
	key    *seal.PublicKey
	signer ed25519.PublicKey
	until  time.Time // it is looked up again
}

func newDirectory() *directory { return &directory{keys: make(map[string]announced)} }

func (d *directory) get(member string) announced {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[member]
}

// put has the key in the place of any other: its owner says which is the one, and may
// go back to an older one.
func (d *directory) put(member string, a announced) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[member] = a
}

// PutKey stores the caller's own current key, which it has signed, after
// whatever the caller is owed was sealed to it.
func (s *Server) PutKey(ctx context.Context, req *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error) {
	me := rpc.Peer(ctx)
	now := s.Now()
	key, err := seal.DecodePublicKey(req.Key, me.Name, me.Identity, now)
	if err != nil {
		return nil, err
	}
	err = s.deliverOwed(ctx, key, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO encryption_key (member, key, at) VALUES ($1, $2, $3)
			ON CONFLICT (member) DO UPDATE SET key = excluded.key, at = excluded.at`, me.Name, req.Key, now.Unix())
		return err
	})
	if err != nil {
		return nil, err
	}
	s.keys.put(me.Name, announced{key, me.Identity, now.Add(keyFor)})
	return &waypostv1.PutKeyResponse{}, nil
}

// GetKey returns a member's key with its owner's signature, which the caller
// verifies: the hub cannot put another key in its place.
func (s *Server) GetKey(ctx context.Context, req *waypostv1.GetKeyRequest) (*waypostv1.GetKeyResponse, error) {
	if _, ok := s.Roster.Member(req.Member); !ok {
		return nil, waypost.Errorf(waypost.NotFound, "there is no member of that name")
	}
	raw, err := s.storedKey(ctx, req.Member)
	if err != nil {
		return nil, err
	}
	return &waypostv1.GetKeyResponse{Key: raw}, nil
}

func (s *Server) storedKey(ctx context.Context, member string) ([]byte, error) {
	var raw []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT key FROM encryption_key WHERE member = $1`, member).Scan(&raw)
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, waypost.Errorf(waypost.NotFound, "%s has announced no encryption key yet", member)
	}
	return raw, err
}

// keyOf returns a member's key, verified against its present identity key and
// good for sealing now. It is an Internal error only if the database fails.
func (s *Server) keyOf(ctx context.Context, name string) (*seal.PublicKey, error) {
	member, ok := s.Roster.Member(name)
	if !ok {
		return nil, waypost.Errorf(waypost.NotFound, "%s is no longer a member", name)
	}
	now := s.Now()
	if known := s.keys.get(name); known.key != nil && known.signer.Equal(member.Identity) && now.Before(known.until) && now.Before(known.key.NotAfter) {
		return known.key, nil
	}
	raw, err := s.storedKey(ctx, name)
	if err != nil {
		return nil, err
	}
	key, err := seal.DecodePublicKey(raw, name, member.Identity, now)
	if err != nil {
		return nil, err
	}
	s.keys.put(name, announced{key, member.Identity, now.Add(keyFor)})
	return key, nil
}
