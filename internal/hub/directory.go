package hub

import (
	"context"
	"errors"
	"sync"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// directory caches the encryption keys that the hub itself seals to.
type directory struct {
	mu   sync.Mutex
	keys map[string]*seal.PublicKey
}

func newDirectory() *directory { return &directory{keys: make(map[string]*seal.PublicKey)} }

// PutKey stores the caller's own current key, which it has signed.
func (s *Server) PutKey(ctx context.Context, req *waypostv1.PutKeyRequest) (*waypostv1.PutKeyResponse, error) {
	me := rpc.Peer(ctx)
	now := s.Now()
	key, err := seal.DecodePublicKey(req.Key, me.Name, me.Identity, now)
	if err != nil {
		return nil, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO encryption_key (member, key, at) VALUES ($1, $2, $3)
			ON CONFLICT (member) DO UPDATE SET key = excluded.key, at = excluded.at`, me.Name, req.Key, now.Unix())
		return err
	})
	if err != nil {
		return nil, err
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.keys[me.Name] = key
	return &waypostv1.PutKeyResponse{}, nil
}

// GetKey returns a member's key with its owner's signature, which the caller
// verifies: the hub cannot put another key in its place.
func (s *Server) GetKey(ctx context.Context, req *waypostv1.GetKeyRequest) (*waypostv1.GetKeyResponse, error) {
	raw, err := s.storedKey(ctx, req.Member)
	return &waypostv1.GetKeyResponse{Key: raw}, err
}

func (s *Server) storedKey(ctx context.Context, member string) ([]byte, error) {
	var raw []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT key FROM encryption_key WHERE member = $1`, member).Scan(&raw)
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, waypost.Errorf(waypost.NotFound, "%q has announced no encryption key yet", member)
	}
	return raw, err
}

// keyOf returns a member's key, verified and parsed.
func (s *Server) keyOf(ctx context.Context, name string) (*seal.PublicKey, error) {
	s.keys.mu.Lock()
	key := s.keys.keys[name]
	s.keys.mu.Unlock()
	if key != nil {
		return key, nil
	}
	raw, err := s.storedKey(ctx, name)
	if err != nil {
		return nil, err
	}
	member, ok := s.Roster.Member(name)
	if !ok {
		return nil, waypost.Errorf(waypost.NotFound, "%s is no longer a member", name)
	}
	if key, err = seal.DecodePublicKey(raw, name, member.Identity, s.Now()); err != nil {
		return nil, err
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.keys[name] = key
	return key, nil
}
