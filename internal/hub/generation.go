package hub

import (
	"errors"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// The states of a generation. From dark it goes to one of the others, for good.
const (
	dark = iota
	active
	rolledBack
)

// count notes that n live pointers more are in a generation of an owner, or
// fewer. The first one makes the generation.
func count(tx *store.Tx, owner waypost.Jurisdiction, generation uint32, n int64) error {
	state := dark
	if generation == 0 {
		state = active
	}
	_, err := tx.Exec(`INSERT INTO generation (owner, number, state, pointers) VALUES ($1, $2, $3, $4)
		ON CONFLICT (owner, number) DO UPDATE SET pointers = generation.pointers + excluded.pointers`, owner, generation, state, n)
	return err
}

// generationOf returns state and live pointers of a generation; one that nobody
// has begun is dark and empty.
func generationOf(tx *store.Tx, owner waypost.Jurisdiction, generation uint32) (state int, pointers uint64, err error) {
	err = tx.Row(`SELECT state, pointers FROM generation WHERE owner = $1 AND number = $2`, owner, generation).Scan(&state, &pointers)
	if errors.Is(err, store.ErrNoRows) {
		err = nil
	}
	return state, pointers, err
}

// accepts says why a generation takes no pointers.
func accepts(tx *store.Tx, owner waypost.Jurisdiction, generation uint32) error {
	if generation == 0 {
		return nil
	}
	state, _, err := generationOf(tx, owner, generation)
	switch {
	case err != nil:
		return err
	case state == active:
		return waypost.Errorf(waypost.InvalidArgument, "generation %d is active: what comes now is published as generation 0", generation)
	case state == rolledBack:
		return waypost.Errorf(waypost.InvalidArgument, "generation %d was rolled back: load under a number that is new", generation)
	}
	return nil
}

// activate makes a dark generation visible, or rolls it back. What is done stays,
// so that doing it again changes nothing.
func activate(t waypost.SignedTicket, a *waypostv1.Activation) (act, error) {
	if a.Generation == 0 {
		return nil, waypost.Errorf(waypost.InvalidArgument, "generation 0 is visible from the beginning: generations of a load count from 1")
	}
	return func(tx *store.Tx, _ int64) (*waypostv1.Maintained, []journal.Field, error) {
		state, pointers, err := generationOf(tx, t.SOI, a.Generation)
		if err != nil {
			return nil, nil, err
		}
		becomes := active
		if a.RollBack {
			becomes = rolledBack
		}
		switch {
		case state == becomes:
		case state == active:
			return nil, nil, waypost.Errorf(waypost.InvalidArgument, "generation %d is active, and cannot be rolled back any more: withdraw pointers, or leave", a.Generation)
		case state == rolledBack:
			return nil, nil, waypost.Errorf(waypost.InvalidArgument, "generation %d was rolled back: load under a number that is new", a.Generation)
		case becomes == active && pointers != a.Records:
			return nil, nil, waypost.Errorf(waypost.InvalidArgument,
				"generation %d has %d live pointers here, and %d by your count: resume the load until they agree, or roll it back", a.Generation, pointers, a.Records)
		}
		_, err = tx.Exec(`INSERT INTO generation (owner, number, state, pointers) VALUES ($1, $2, $3, 0)
			ON CONFLICT (owner, number) DO UPDATE SET state = excluded.state`, t.SOI, a.Generation, becomes)
		return nil, []journal.Field{{Name: "records", Value: decimal(pointers)}}, err
	}, nil
}
