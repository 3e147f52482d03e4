package hub

import (
	"cmp"
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
// counter of the first free label, or maxCounter. Withdrawn pointers keep their
// place.
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

// lookUp finds the live pointers of all tokens on one snapshot, without those of
// the asking state, of states that are members no more, and those that an
// earlier part of the ticket returned. It looks everything up, whatever it
// finds, and returns the pointers with most hits first.
func (s *Server) lookUp(ctx context.Context, t waypost.Ticket, id waypost.TicketID, tokens []waypost.Token) ([]found, error) {
	var all []found
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		hits := make(map[int64]int)
		for _, token := range tokens {
			if _, err := s.walk(tx, token, func(pointer int64) { hits[pointer]++ }); err != nil {
				return err
			}
		}
		returned, err := returnedBefore(tx, id)
		if err != nil {
			return err
		}
		for pointer, n := range hits {
			f := found{pointer: pointer, hits: n}
			var state int
			err := tx.Row(`SELECT owner, handle, state, generation FROM pointer WHERE id = $1`, pointer).
				Scan(&f.owner, &f.handle, &state, &f.generation)
			if err != nil {
				return err
			}
			_, member := s.Roster.Member(string(f.owner))
			if state == live && f.owner != t.SOI && member && !returned[pointer] {
				all = append(all, f)
			}
		}
		return nil
	})
	// Equal hits are ordered by chance: the id is random, and nobody sees it.
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.hits, a.hits), cmp.Compare(a.pointer, b.pointer))
	})
	return all, err
}

func returnedBefore(tx *store.Tx, id waypost.TicketID) (map[int64]bool, error) {
	pointers := make(map[int64]bool)
	err := tx.Query(`SELECT pointer FROM reference WHERE ticket = $1`, []any{id[:]}, func(scan func(dest ...any) error) error {
		var pointer int64
		err := scan(&pointer)
		pointers[pointer] = true
		return err
	})
	return pointers, err
}

// entry is a record on its way into the index.
type entry struct {
	record
	pointer int64
	state   int
	places  []place // of its labels
}

// place is where a token's label goes: at the first free counter from here on.
type place struct {
	token waypost.Token
	from  uint8
}

// scout finds on a snapshot where the labels of the records can go, so that the
// writer, for which everybody waits, has little to look up.
func (s *Server) scout(ctx context.Context, owner waypost.Jurisdiction, records []record) ([]entry, error) {
	var entries []entry
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		entries = nil
		for _, r := range records {
			e := entry{record: r}
			if err := e.find(tx, owner); err != nil {
				return err
			}
			for _, t := range r.tokens {
				mine := false
				from, err := s.walk(tx, t, func(pointer int64) { mine = mine || e.pointer != 0 && pointer == e.pointer })
				if err != nil {
					return err
				}
				if !mine {
					e.places = append(e.places, place{t, from})
				}
			}
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// find sets pointer and state of a handle that the owner has published before.
func (e *entry) find(tx *store.Tx, owner waypost.Jurisdiction) error {
	err := tx.Row(`SELECT id, state FROM pointer WHERE owner = $1 AND handle = $2`, owner, e.handle).Scan(&e.pointer, &e.state)
	if errors.Is(err, store.ErrNoRows) {
		return nil
	}
	return err
}

// insert writes a pending pointer and its labels. A pointer that is pending from
// an attempt that was cut short gets the labels it lacks; one that is past that
// is left as it is.
func (s *Server) insert(tx *store.Tx, owner waypost.Jurisdiction, e *entry, epoch uint32, now int64) error {
	err := e.find(tx, owner) // again: another call may have been faster
	if err == nil && e.pointer == 0 {
		err = e.create(tx, owner, epoch, now)
	}
	if err != nil || e.state != pending {
		return err
	}
	for _, p := range e.places {
		if err := s.label(tx, p, e.pointer); err != nil {
			return err
		}
	}
	return nil
}

// create writes a pending pointer under a fresh random id.
func (e *entry) create(tx *store.Tx, owner waypost.Jurisdiction, epoch uint32, now int64) error {
	e.state = pending
	for {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails (Go 1.24)
		e.pointer = int64(binary.BigEndian.Uint64(raw[:]) >> 1)
		n, err := tx.Exec(`INSERT INTO pointer (id, owner, handle, state, generation, version, epoch, changed)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (id) DO NOTHING`,
			e.pointer, owner, e.handle, pending, e.generation, epoch, now)
		if err != nil || n == 1 {
			return err
		}
	}
}

// label writes one label, at the first free counter, unless the pointer has it.
// Nobody has 64 namesakes on all of the key: where no counter is free the
// record stays findable by its other tokens.
func (s *Server) label(tx *store.Tx, p place, pointer int64) error {
	for counter := p.from; counter < maxCounter; counter++ {
		at := label(&s.LabelKey, p.token, counter)
		n, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT (label) DO NOTHING`, at[:], pointer)
		if err != nil || n == 1 {
			return err
		}
		var taken int64
		if err := tx.Row(`SELECT pointer FROM label WHERE label = $1`, at[:]).Scan(&taken); err != nil || taken == pointer {
			return err
		}
	}
	return nil
}
