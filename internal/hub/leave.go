package hub

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// How many steps of cleanAtOnce pointers a call takes before it says how far it is, and
// the housekeeping before it goes on with the rest. Nothing waits for either: all of it is invisible from the
// beginning.
const (
	departAtOnce  = 3200
	departInHouse = 8000
	// departFor is how long they take at most: who asked waits for half a minute.
	departFor = 15 * time.Second
)

// leave makes all that the owner has invisible. Withdrawing it takes as many
// steps as it is large: depart does it.
func leave(t waypost.SignedTicket) act {
	return func(tx *store.Tx, _ int64) (*waypostv1.Maintained, []journal.Field, error) {
		var pointers int64
		if err := tx.Row(`SELECT CAST(COALESCE(sum(pointers), 0) AS BIGINT) FROM generation WHERE owner = $1`, t.SOI).Scan(&pointers); err != nil {
			return nil, nil, err
		}
		// One that is on its way goes on; one that is over begins anew.
		_, err := tx.Exec(`INSERT INTO departure (owner, reached, withdrawn, ended) VALUES ($1, $2, 0, 0)
			ON CONFLICT (owner) DO UPDATE SET reached = excluded.reached, withdrawn = 0, ended = 0 WHERE departure.ended > 0`, t.SOI, []byte{})
		return nil, []journal.Field{{Name: "records", Value: decimal(pointers)}}, err
	}
}

// depart withdraws what is left of the owner, in steps, and makes the end the
// ticket's answer. It is Unavailable where there is more than so many steps.
func (s *Server) depart(ctx context.Context, t waypost.SignedTicket, steps int) ([]byte, error) {
	d, err := s.withdrawAll(ctx, t.SOI, steps)
	if err != nil {
		return nil, err
	}
	if d.ended == 0 {
		return nil, waypost.Errorf(waypost.Unavailable, "%s is leaving: searches find nothing of it, %d of its pointers are withdrawn and %d are left; ask again", t.SOI, d.withdrawn, d.left)
	}
	answer, err := encodeMaintained(&waypostv1.Maintained{Withdrawn: uint64(d.withdrawn)})
	if err != nil {
		return nil, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		done, err := readUpkeep(tx, t.ID)
		if err != nil || done != nil && done.answer != nil { // by another call
			if done != nil {
				answer = done.answer
			}
			return err
		}
		_, err = tx.Exec(`UPDATE upkeep SET answer = $1 WHERE ticket = $2`, answer, t.ID[:])
		return err
	})
	return answer, err
}

// departure is how far an owner's leaving is.
type departure struct {
	reached   []byte // handle up to which all is withdrawn
	withdrawn int64
	left      int64
	ended     int64 // when it was over, or 0
}

// withdrawAll takes up to so many steps of a departure.
func (s *Server) withdrawAll(ctx context.Context, owner waypost.Jurisdiction, steps int) (d departure, err error) {
	for until := s.Now().Add(departFor); steps > 0 && s.Now().Before(until); steps-- {
		err = s.DB.WriteBulk(ctx, func(tx *store.Tx) (err error) {
			d, err = s.departStep(tx, owner)
			return err
		})
		if err != nil || d.ended > 0 {
			break
		}
	}
	return d, err
}

// departStep withdraws the next pointers of an owner that leaves.
func (s *Server) departStep(tx *store.Tx, owner waypost.Jurisdiction) (d departure, err error) {
	if err := tx.Row(`SELECT reached, withdrawn, ended FROM departure WHERE owner = $1`, owner).Scan(&d.reached, &d.withdrawn, &d.ended); err != nil || d.ended > 0 {
		return d, err
	}
	now := s.Now().Unix()
	var next []standing
	err = tx.Query(`SELECT id, state, generation, handle FROM pointer WHERE owner = $1 AND handle > $2 AND state IN (0, 1) ORDER BY handle LIMIT $3`,
		[]any{owner, d.reached, cleanAtOnce}, func(scan func(dest ...any) error) error {
			var at standing
			err := scan(&at.pointer, &at.state, &at.in, &d.reached)
			next = append(next, at)
			return err
		})
	if err != nil {
		return d, err
	}
	for _, at := range next {
		if err := end(tx, owner, at, now); err != nil {
			return d, err
		}
	}
	if d.withdrawn += int64(len(next)); len(next) < cleanAtOnce {
		d.ended = now
	}
	if _, err := tx.Exec(`UPDATE departure SET reached = $1, withdrawn = $2, ended = $3 WHERE owner = $4`, d.reached, d.withdrawn, d.ended, owner); err != nil {
		return d, err
	}
	err = tx.Row(`SELECT CAST(COALESCE(sum(pointers), 0) AS BIGINT) FROM generation WHERE owner = $1`, owner).Scan(&d.left)
	return d, err
}

// departAll goes on with the departures that are on their way.
func (s *Server) departAll(ctx context.Context) error {
	var owners []waypost.Jurisdiction
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		owners = nil
		return tx.Query(`SELECT owner FROM departure WHERE ended = 0 ORDER BY owner`, nil, func(scan func(dest ...any) error) error {
			var owner waypost.Jurisdiction
			err := scan(&owner)
			owners = append(owners, owner)
			return err
		})
	})
	for _, owner := range owners {
		if err == nil {
			_, err = s.withdrawAll(ctx, owner, departInHouse)
		}
	}
	return err
}

// mayHold says why an owner can have no new pointer under the ticket: it is
// leaving, or the ticket is from before it had left. What is still on its way
// then must not come after the end.
func mayHold(tx *store.Tx, t waypost.SignedTicket) error {
	var ended int64
	err := tx.Row(`SELECT ended FROM departure WHERE owner = $1`, t.SOI).Scan(&ended)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return nil
	case err != nil:
		return err
	case ended == 0:
		return waypost.Errorf(waypost.PermissionDenied, "%s is leaving: it has new pointers again when all that it had is withdrawn", t.SOI)
	case t.IssuedAt.Unix() <= ended:
		return waypost.Errorf(waypost.Expired, "the ticket is from before %s had left: ask again with a new one", t.SOI)
	}
	return nil
}
