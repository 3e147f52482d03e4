package hub

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// The states of a pointer. A search sees live ones only; a pointer that was moved
// or withdrawn stays so.
const (
	pending = iota
	live
	moved
	withdrawn
)

// maxCounter bounds how many people can share one token.
const maxCounter = 64

// labelSize: a byte for the epoch, and 120 bits of HMAC, which are enough that
// three thousand million labels do not collide (docs/adr).
const labelSize = 16

// key is a token and the epoch that it is of.
type key struct {
	epoch uint32
	waypost.Token
}

// label is where the counter-th pointer of a token stands: without h it tells
// nothing but the epoch, not even that two labels come from one token. Those of an
// epoch stand together, so that they can go together.
func label(h *[32]byte, k key, counter uint8) [labelSize]byte {
	m := hmac.New(sha256.New, h[:])
	m.Write([]byte("waypost label v1\n"))
	m.Write(k.Token[:])
	m.Write([]byte{counter})
	return [labelSize]byte(append([]byte{byte(k.epoch)}, m.Sum(nil)[:labelSize-1]...))
}

// walk calls each with the pointers of a token, first to last, and returns the
// counter of the first free label, or maxCounter. Withdrawn pointers keep their
// place.
func (s *Server) walk(tx *store.Tx, k key, each func(pointer int64)) (uint8, error) {
	for counter := range uint8(maxCounter) {
		at := label(&s.LabelKey, k, counter)
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

// entry is a record on its way into the index.
type entry struct {
	record
	standing
	places []place // of its labels
}

// standing is how a handle of an owner stands in the index.
type standing struct {
	pointer  int64 // 0: it is not there
	state    int
	in       uint32 // generation
	version  uint32
	epoch    uint32 // the newest of its labels
	changed  int64  // Unix seconds
	seen     bool   // by searches
	rejected bool   // its generation was rolled back
}

// find reads how a handle stands.
func find(tx *store.Tx, owner waypost.Jurisdiction, handle []byte) (at standing, err error) {
	err = tx.Row(`SELECT p.id, p.state, p.generation, p.version, p.epoch, p.changed, `+visible+`,
		EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = 2)
		FROM pointer p WHERE p.owner = $1 AND p.handle = $2`, owner, handle).
		Scan(&at.pointer, &at.state, &at.in, &at.version, &at.epoch, &at.changed, &at.seen, &at.rejected)
	if errors.Is(err, store.ErrNoRows) {
		err = nil
	}
	return at, err
}

// place is where a token's label goes: at the first free counter from here on.
type place struct {
	key
	from uint8
}

// scout finds on a snapshot where the labels of the records can go, so that the
// writer, for which everybody waits, has little to look up.
func (s *Server) scout(ctx context.Context, owner waypost.Jurisdiction, records []record) ([]entry, error) {
	var entries []entry
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		entries = nil
		for _, r := range records {
			e := entry{record: r}
			if e.standing, err = find(tx, owner, r.handle); err != nil {
				return err
			}
			for _, k := range r.keys {
				mine := false
				from, err := s.walk(tx, k, func(pointer int64) { mine = mine || e.pointer != 0 && pointer == e.pointer })
				if err != nil {
					return err
				}
				if !mine {
					e.places = append(e.places, place{k, from})
				}
			}
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// insert writes a pending pointer and its labels. A pointer that is pending from
// an attempt that was cut short, or was rolled back with its generation, gets the
// labels it lacks; one that is past that is left as it is, unless it is published
// once more.
func (s *Server) insert(tx *store.Tx, b batch, e *entry, now int64) (err error) {
	owner := b.SOI
	if e.standing, err = find(tx, owner, e.handle); err != nil { // again: another call may have been faster
		return err
	}
	switch {
	case b.behind(e.standing):
		return s.labels(tx, e)
	case b.Kind == waypost.KindRepublish:
		return nil
	case e.pointer == 0:
		e.state = pending
		e.pointer, err = create(tx, owner, e.handle, pending, e.generation, b.newest(), now)
	case e.state == live && e.rejected:
		e.state = pending
		if _, err = tx.Exec(`UPDATE pointer SET state = $1, generation = $2, changed = $3 WHERE id = $4`, pending, e.generation, now, e.pointer); err == nil {
			err = count(tx, owner, e.in, -1)
		}
	}
	if err != nil || e.state != pending {
		return err
	}
	return s.labels(tx, e)
}

func (s *Server) labels(tx *store.Tx, e *entry) error {
	for _, p := range e.places {
		if err := s.label(tx, p, e.pointer); err != nil {
			return err
		}
	}
	return nil
}

// create writes a pointer under a fresh random id.
func create(tx *store.Tx, owner waypost.Jurisdiction, handle []byte, state int, generation, epoch uint32, now int64) (id int64, err error) {
	for {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails (Go 1.24)
		if id = int64(binary.BigEndian.Uint64(raw[:]) >> 1); id == 0 {
			continue
		}
		n, err := tx.Exec(`INSERT INTO pointer (id, owner, handle, state, generation, version, epoch, receipt, changed)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
			id, owner, handle, state, generation, epoch, [16]byte{}, now)
		if err != nil || n == 1 {
			return id, err
		}
	}
}

// label writes one label, at the first free counter, unless the pointer has it.
// Where no counter is free it takes the place of a pointer that is withdrawn.
// Nobody has 64 living namesakes on all of the key: where there is no place
// either the record stays findable by its other tokens.
func (s *Server) label(tx *store.Tx, p place, pointer int64) error {
	for counter := p.from; counter < maxCounter; counter++ {
		at := label(&s.LabelKey, p.key, counter)
		n, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT DO NOTHING`, at[:], pointer)
		if err != nil || n == 1 {
			return err
		}
		var taken int64
		if err := tx.Row(`SELECT pointer FROM label WHERE label = $1`, at[:]).Scan(&taken); err != nil || taken == pointer {
			return err
		}
	}
	for counter := range uint8(maxCounter) {
		at := label(&s.LabelKey, p.key, counter)
		n, err := tx.Exec(`UPDATE label SET pointer = $1 WHERE label = $2
			AND EXISTS (SELECT 1 FROM pointer p WHERE p.id = label.pointer AND p.state = $3)`, pointer, at[:], withdrawn)
		if err != nil || n == 1 {
			return err
		}
	}
	return nil
}
