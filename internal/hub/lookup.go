package hub

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// visible is what a pointer p must be for a search to find it: live (1), of a
// generation that is active (1), generation 0 being so from the beginning, and
// not of an owner that leaves. To a search of an epoch those are visible that are
// published under its key.
const visible = `p.state = 1
	AND (p.generation = 0 OR EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = 1))
	AND NOT EXISTS (SELECT 1 FROM departure d WHERE d.owner = p.owner AND d.ended = 0)`

// found is a visible pointer of another state that the tokens hit.
type found struct {
	pointer    int64
	owner      waypost.Jurisdiction
	handle     waypost.Handle
	generation uint32
	hits       int
}

// see reads a pointer as a search of an epoch sees it; it is ErrNoRows where it does
// not. One that is being published under the newest key has some of its labels
// before it is there.
func see(tx *store.Tx, pointer int64, epoch uint32) (f found, err error) {
	f.pointer = pointer
	query := `SELECT p.owner, p.handle, p.generation FROM pointer p WHERE p.id = $1 AND p.epoch >= $2 AND ` + visible
	if planted.Bug("generation-visible-early") {
		query = `SELECT p.owner, p.handle, p.generation FROM pointer p WHERE p.id = $1 AND p.epoch >= $2 AND p.state = 1`
	}
	err = tx.Row(query, pointer, epoch).
		Scan(&f.owner, &f.handle, &f.generation)
	return f, err
}

// lookUp finds the visible pointers of all tokens on one snapshot, without those
// of the asking state, of states that are members no more, and those that an
// earlier part of the ticket returned as the same owner's. It looks everything
// up, whatever it finds, and returns the pointers with most hits first, and how many
// tokens it could not look up because a server of the index does not answer.
func (s *Server) lookUp(ctx context.Context, t waypost.Ticket, id waypost.TicketID, tokens []waypost.Token) (all []found, unreached int, err error) {
	keys := make([]key, len(tokens))
	for i, token := range tokens {
		keys[i] = key{t.Epoch, token}
	}
	whole := s.reach.Whole() // asked once: a server may be lost, or be back, at any moment
	if whole {
		all, err = s.lookUpWhole(ctx, t, id, keys)
	}
	if !whole || store.Unreachable(err) {
		all, unreached, err = s.lookUpInReach(ctx, t, id, keys)
	}
	// Equal hits are ordered by chance: the id is random, and nobody sees it.
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.hits, a.hits), cmp.Compare(a.pointer, b.pointer))
	})
	return all, unreached, err
}

// lookUpWhole looks all up on one snapshot, or fails.
func (s *Server) lookUpWhole(ctx context.Context, t waypost.Ticket, id waypost.TicketID, keys []key) (all []found, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		hits := make(map[int64]int)
		if err := s.walk(tx, keys, func(pointer int64) { hits[pointer]++ }); err != nil {
			return err
		}
		all, err = s.seen(tx, t, id, hits)
		return err
	})
	return all, err
}

// seen are those of the pointers that a search returns.
func (s *Server) seen(tx *store.Tx, t waypost.Ticket, id waypost.TicketID, hits map[int64]int) (all []found, err error) {
	before, err := returnedBefore(tx, t, id)
	if err != nil {
		return nil, err
	}
	for pointer, n := range hits {
		f, err := see(tx, pointer, t.Epoch)
		if errors.Is(err, store.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f.hits = n
		_, member := s.Roster.Member(string(f.owner))
		if f.owner != t.SOI && member && !before[returned{pointer, f.owner}] {
			all = append(all, f)
		}
	}
	return all, nil
}

// returned is a pointer that a ticket has a reference for, as its owner's then.
type returned struct {
	pointer int64
	owner   waypost.Jurisdiction
}

func returnedBefore(tx *store.Tx, t waypost.Ticket, id waypost.TicketID) (map[returned]bool, error) {
	all := make(map[returned]bool)
	err := tx.Query(`SELECT pointer, owner FROM reference WHERE expires = $1 AND ticket = $2`, []any{forgetAfter(t, window), id[:]}, func(scan func(dest ...any) error) error {
		var r returned
		err := scan(&r.pointer, &r.owner)
		all[r] = true
		return err
	})
	return all, err
}

// errStale says that what a search found has changed since.
var errStale = errors.New("the index has changed")

// checkFound insists that what was found on a snapshot is so at the commit.
// Otherwise a pointer that is passed or superseded meanwhile would be asked for
// where it is no more, and nowhere else; and its owner would be notified after it
// was told that the pointer is another's.
func checkFound(tx *store.Tx, all []planned, epoch uint32) error {
	for _, one := range all {
		f, err := see(tx, one.pointer, epoch)
		if err != nil && !errors.Is(err, store.ErrNoRows) {
			return err
		}
		if f.hits = one.hits; err != nil || f != one.found {
			return errStale
		}
	}
	return nil
}
