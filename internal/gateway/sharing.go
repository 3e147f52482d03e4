package gateway

import (
	"sync"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// sharings remember the public keys of the latest roster versions: to check that
// shares belong together takes as long as a check.
type sharings struct {
	mu   sync.Mutex
	keys map[uint64]*toprf.PublicKeys
}

// sharingsKept is more than the versions that are good at one time.
const sharingsKept = 4

// keys are the public keys of a roster version, which a ticket names.
func (s *Server) keys(version uint64) (*toprf.PublicKeys, error) {
	s.sharings.mu.Lock()
	defer s.sharings.mu.Unlock()
	if keys, ok := s.sharings.keys[version]; ok {
		return keys, nil
	}
	r := s.Roster.Version(version)
	if r == nil {
		return nil, waypost.Errorf(waypost.Unavailable, "roster version %d is not known here", version)
	}
	keys, err := r.Keys()
	if err != nil {
		return nil, err
	}
	if s.sharings.keys == nil || len(s.sharings.keys) >= sharingsKept {
		s.sharings.keys = make(map[uint64]*toprf.PublicKeys)
	}
	s.sharings.keys[version] = keys
	return keys, nil
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
