package keyholder

import (
	"github.com/waypost/waypost"
	"github.com/waypost/waypost/toprf"
)

// Shares are the shares that this holder has: of one key, while keys or shares are
// exchanged of more.
type Shares interface {
	// Share returns the share whose public share that is, 32 bytes.
	Share(public []byte) (share toprf.Share, ok bool)
}

// held are shares by their public shares.
type held map[string]toprf.Share

// Held are shares that stay as they are.
func Held(shares ...toprf.Share) Shares {
	h := make(held, len(shares))
	for _, s := range shares {
		h[string(s.Public().Bytes())] = s
	}
	return h
}

// Share implements Shares.
func (h held) Share(public []byte) (toprf.Share, bool) {
	s, ok := h[string(public)]
	return s, ok
}

// shares are those under which the ticket is evaluated, by the version that it
// names. Who has not all of them evaluates nothing: half an answer would make
// records that only half of the others find.
func (s *Server) shares(t waypost.Ticket) ([]toprf.Share, error) {
	keys, err := s.Roster.KeysFor(t)
	if err != nil {
		return nil, err
	}
	me, _ := s.Roster.Version(t.RosterVersion).Member(s.config.Name)
	if me.Index == 0 {
		return nil, waypost.Errorf(waypost.Unavailable, "%s has no share by roster version %d", s.config.Name, t.RosterVersion)
	}
	mine := make([]toprf.Share, len(keys))
	for i, k := range keys {
		var ok bool
		if mine[i], ok = s.Shares.Share(k.Shares[me.Index-1]); !ok {
			return nil, waypost.Errorf(waypost.Unavailable, "%s has no share of key epoch %d, as roster version %d names it", s.config.Name, k.Epoch, t.RosterVersion)
		}
	}
	return mine, nil
}

// missing are the epochs of the current roster of which this holder has no share.
func (s *Server) missing() (epochs []uint32) {
	current := s.Roster.Latest()
	me, _ := current.Member(s.config.Name)
	if me.Index == 0 {
		return nil // it waits for a ceremony, or has left one
	}
	for _, k := range current.KeysFor(waypost.KindCheck) {
		if _, ok := s.Shares.Share(k.Shares[me.Index-1]); !ok {
			epochs = append(epochs, k.Epoch)
		}
	}
	return epochs
}
