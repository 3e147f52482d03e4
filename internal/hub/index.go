package hub

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// The states of a pointer. A search sees live ones only.
const (
	pending = iota
	live
	moved
	withdrawn
)

// maxCounter bounds how many people can share one token.
const maxCounter = 64

// labelSize: 128 bits of HMAC are enough that three thousand million labels do
// not collide (docs/adr).
const labelSize = 16

// label is where the counter-th pointer of a token stands: without h it tells
// nothing, not even that two labels come from one token.
func label(h *[32]byte, t waypost.Token, counter uint8) [labelSize]byte {
	m := hmac.New(sha256.New, h[:])
	m.Write([]byte("waypost label v1\n"))
	m.Write(t[:])
	m.Write([]byte{counter})
	return [labelSize]byte(m.Sum(nil))
}

// walk calls each with the pointers of a token, first to last, and returns the
// counter of the first free label. Withdrawn pointers keep their place.
func (s *Server) walk(tx *store.Tx, t waypost.Token, each func(pointer int64)) (uint8, error) {
	for counter := range uint8(maxCounter) {
		at := label(&s.LabelKey, t, counter)
		var pointer int64
		err := tx.Row(`SELECT pointer FROM label WHERE label = $1`, at[:]).Scan(&pointer)
		if errors.Is(err, store.ErrNoRows) {
			return counter, nil
		}
		if err != nil {
			return 0, err
		}
		each(pointer)
	}
	return maxCounter, nil
}

// found is a live pointer of another state that the tokens hit.
type found struct {
	pointer    int64
	owner      waypost.Jurisdiction
	handle     []byte
	generation uint32
	hits       int
}

// lookUp finds the live pointers of all tokens on one snapshot, the asking
// state's own left out. It looks everything up, whatever it finds, and returns
// the pointers with most hits first.
func (s *Server) lookUp(ctx context.Context, tokens []waypost.Token, asking waypost.Jurisdiction) ([]found, error) {
	var all []found
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		hits := make(map[int64]int)
		for _, t := range tokens {
			if _, err := s.walk(tx, t, func(pointer int64) { hits[pointer]++ }); err != nil {
				return err
			}
		}
		for pointer, n := range hits {
			f := found{pointer: pointer, hits: n}
			var state int
			err := tx.Row(`SELECT owner, handle, state, generation FROM pointer WHERE id = $1`, pointer).
				Scan(&f.owner, &f.handle, &state, &f.generation)
			if err != nil {
				return err
			}
			if state == live && f.owner != asking {
				all = append(all, f)
			}
		}
		return nil
	})
	// Equal hits are ordered by chance: the id is random, and nobody sees it.
	slices.SortFunc(all, func(a, b found) int {
		if a.hits != b.hits {
			return b.hits - a.hits
		}
		if a.pointer < b.pointer {
			return -1
		}
		return 1
	})
	return all, err
}

// insert writes one live pointer with its labels. A handle that the owner has
// already published is left as it is.
func (s *Server) insert(tx *store.Tx, owner waypost.Jurisdiction, r record, epoch uint32, now int64) error {
	pointer, err := newPointer(tx, owner, r, epoch, now)
	if err != nil || pointer == 0 {
		return err
	}
	for _, t := range r.tokens {
		counter, err := s.walk(tx, t, func(int64) {})
		if err != nil {
			return err
		}
		if counter == maxCounter {
			// Nobody has 64 namesakes on all of the key; the record stays
			// findable by its other nine.
			continue
		}
		at := label(&s.LabelKey, t, counter)
		if _, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, $2)`, at[:], pointer); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`UPDATE pointer SET state = $1 WHERE id = $2 AND state = $3`, live, pointer, pending)
	return err
}

// newPointer writes a pending pointer under a fresh random id, and returns 0
// where the handle is known.
func newPointer(tx *store.Tx, owner waypost.Jurisdiction, r record, epoch uint32, now int64) (int64, error) {
	var known int64
	err := tx.Row(`SELECT id FROM pointer WHERE owner = $1 AND handle = $2`, owner, r.handle).Scan(&known)
	if !errors.Is(err, store.ErrNoRows) {
		return 0, err
	}
	for {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails (Go 1.24)
		id := int64(binary.BigEndian.Uint64(raw[:]) >> 1)
		n, err := tx.Exec(`INSERT INTO pointer (id, owner, handle, state, generation, version, epoch, changed)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (id) DO NOTHING`,
			id, owner, r.handle, pending, r.generation, epoch, now)
		if err != nil || n == 1 {
			return id, err
		}
	}
}
