package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// retiring is how far was looked whether the labels of epochs that are over may go.
type retiring struct {
	oldest  uint32                 // the epoch before which they go
	full    []waypost.Jurisdiction // whose pointers count
	owner   waypost.Jurisdiction   // whose were looked at last
	reached []byte                 // up to this handle none needs them
	free    bool                   // nobody's does
	said    time.Time
}

// One call looks at that many pointers at once, and takes that many steps: it is one
// part of the housekeeping.
const (
	lookAtOnce  = 5000
	lookInHouse = 1000
	sayEach     = time.Hour
)

// retire deletes the labels of epochs that are over, as soon as they may go.
func (s *Server) retire(ctx context.Context) error {
	if free, err := s.retires(ctx, s.Roster.OldestEpoch(s.Now().Add(-publishWindow-window))); err != nil || !free {
		return err
	}
	return s.purgeLabels(ctx)
}

// retires reports whether labels of epochs before oldest may go: no state of which
// everybody is told that it is searched in full has a live pointer without others.
// Such records no search would find, and nobody would be told. It is an alarm where
// one has; who is late is loading, and publishes them once more. All pointers are
// looked at once for each key that goes, and after that what was found is kept in mind.
func (s *Server) retires(ctx context.Context, oldest uint32) (bool, error) {
	if oldest <= 1 {
		return true, nil
	}
	at := &s.retiring
	var full []waypost.Jurisdiction
	for _, m := range s.Roster.Latest().Gateways() {
		if m.Participation == roster.Full {
			full = append(full, m.Jurisdiction)
		}
	}
	slices.Sort(full)
	if at.oldest != oldest || !slices.Equal(at.full, full) {
		*at = retiring{oldest: oldest, full: full, said: at.said}
	}
	for steps := lookInHouse; !at.free && steps > 0; steps-- {
		i, found := slices.BinarySearch(full, at.owner)
		if i == len(full) {
			at.free = true
			break
		}
		if !found {
			at.owner, at.reached = full[i], []byte{}
		}
		behind, end, err := s.behindIn(ctx, at.owner, at.reached, oldest)
		if err != nil {
			return false, err
		}
		if behind {
			s.sayBehind(at)
			return false, nil
		}
		if at.reached = end; end == nil {
			at.owner += "~" // after this owner, before the next one
		}
	}
	return at.free, nil
}

// sayBehind says it once an hour.
func (s *Server) sayBehind(at *retiring) {
	if now := s.Now(); now.Sub(at.said) >= sayEach {
		at.said = now
		s.Log.Error("labels of a key that is gone are kept: a state that is said to be searched in full has records under no newer key, and no search finds them; let it publish them once more, and say that it is loading until then",
			"state", at.owner, "before_epoch", at.oldest)
	}
}

// behindIn reports whether one of the owner's next live pointers is of an epoch before
// oldest, and the last of those handles: nil where there are no more. What was rolled
// back or is leaving nobody misses.
func (s *Server) behindIn(ctx context.Context, owner waypost.Jurisdiction, from []byte, oldest uint32) (behind bool, end []byte, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		end = nil
		err := tx.Row(`SELECT handle FROM pointer WHERE owner = $1 AND handle > $2 ORDER BY handle LIMIT 1 OFFSET $3`,
			owner, from, lookAtOnce-1).Scan(&end)
		if err != nil && !errors.Is(err, store.ErrNoRows) {
			return err
		}
		to := end
		if to == nil {
			to = slices.Repeat([]byte{0xff}, handleSize)
		}
		return tx.Row(`SELECT EXISTS (SELECT 1 FROM pointer p WHERE p.owner = $1 AND p.handle > $2 AND p.handle <= $3 AND p.state = $4 AND p.epoch < $5
			AND NOT EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = $6)
			AND NOT EXISTS (SELECT 1 FROM departure d WHERE d.owner = p.owner AND d.ended = 0))`,
			owner, from, to, live, oldest, rolledBack).Scan(&behind)
	})
	return behind, end, err
}
