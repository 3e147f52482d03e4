package gateway

import (
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// ticketKeys are the keys under which a ticket is evaluated.
type ticketKeys struct {
	epochs []uint32
	public []*toprf.PublicKeys
	quorum int // how many holders have to answer, each under all keys
}

// keyRing keeps decoded keys by the texts of their public shares: to see that these
// lie on one polynomial takes longer than a check has time for.
type keyRing struct {
	mu   sync.Mutex
	keys map[string]*toprf.PublicKeys
}

// maxKeys is more than are in use at a time: two, before and after shares were
// exchanged.
const maxKeys = 16

// of returns the keys of a ticket, by the roster version that it names.
func (r *keyRing) of(view *roster.View, t waypost.Ticket) (k ticketKeys, err error) {
	keys, err := view.KeysFor(t)
	if err != nil {
		return k, err
	}
	if k.quorum, err = view.Threshold(t.RosterVersion); err != nil {
		return k, err
	}
	for _, key := range keys {
		public, err := r.public(key)
		if err != nil {
			return k, err
		}
		k.epochs, k.public = append(k.epochs, key.Epoch), append(k.public, public)
	}
	return k, nil
}

func (r *keyRing) public(k roster.Key) (*toprf.PublicKeys, error) {
	name := append([]byte{byte(k.Threshold)}, k.GroupKey...)
	for _, s := range k.Shares {
		name = append(name, s...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.keys[string(name)]; ok {
		return known, nil
	}
	public, err := k.Public()
	if err != nil {
		return nil, err
	}
	if len(r.keys) >= maxKeys || r.keys == nil {
		r.keys = make(map[string]*toprf.PublicKeys)
	}
	r.keys[string(name)] = public
	return public, nil
}

// holders are the key holders that have a share by a roster version, which a ticket
// names, and are members now: who has left holds nothing any more, and who has come
// since nothing yet.
func (s *Server) holders(version uint64) (holders []roster.Member) {
	r := s.Roster.Version(version)
	if r == nil {
		return nil
	}
	for _, then := range r.Holders() {
		if now, ok := s.Roster.Member(then.Name); ok {
			now.Index, now.PublicShare = then.Index, then.PublicShare
			holders = append(holders, now)
		}
	}
	return holders
}
