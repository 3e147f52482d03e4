package hub

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
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

// ownPlaces bounds how many of them can be of one owner.
const ownPlaces = 48

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

// entry is a record on its way into the index, and how its handle stands there.
type entry struct {
	record
	standing
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

const findPointer = `SELECT p.id, p.state, p.generation, p.version, p.epoch, p.changed, ` + visible + `,
	EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = 2)
	FROM pointer p WHERE p.owner = $1 AND p.handle = $2`

func (at *standing) read(scan func(dest ...any) error) error {
	return scan(&at.pointer, &at.state, &at.in, &at.version, &at.epoch, &at.changed, &at.seen, &at.rejected)
}

// find reads how a handle stands.
func find(tx *store.Tx, owner waypost.Jurisdiction, handle []byte) (at standing, err error) {
	if err = at.read(tx.Row(findPointer, owner, handle).Scan); errors.Is(err, store.ErrNoRows) {
		err = nil
	}
	return at, err
}

// findAll reads how the handles of records stand.
func findAll(tx *store.Tx, owner waypost.Jurisdiction, records []record) ([]entry, error) {
	all, lists := make([]entry, len(records)), make([][]any, len(records))
	for i, r := range records {
		all[i].record, lists[i] = r, []any{owner, r.handle}
	}
	return all, tx.Many(findPointer, lists, func(i int, scan func(dest ...any) error) error { return all[i].read(scan) })
}

// randomID draws the id of a pointer.
func randomID() (id int64) {
	for id == 0 {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails (Go 1.24)
		id = int64(binary.BigEndian.Uint64(raw[:]) >> 1)
	}
	return id
}

// create writes a pointer under a fresh random id.
func create(tx *store.Tx, owner waypost.Jurisdiction, handle []byte, state int, generation, epoch uint32, now int64) error {
	for {
		n, err := tx.Exec(`INSERT INTO pointer (id, owner, handle, state, generation, version, epoch, receipt, changed)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
			randomID(), owner, handle, state, generation, epoch, [16]byte{}, now)
		if err != nil || n == 1 {
			return err
		}
	}
}

// place is where a token's label goes: at the first free counter from here on.
type place struct {
	pointer int64
	key
	from uint8
}

// labelFirst writes labels with the counter 0, in the order of labels, and returns
// the places that were taken.
func (s *Server) labelFirst(tx *store.Tx, all []place) (taken []place, err error) {
	type row struct {
		label [labelSize]byte
		place
	}
	rows, lists := make([]row, len(all)), make([][]any, len(all))
	for i, p := range all {
		rows[i] = row{label(&s.LabelKey, p.key, 0), p}
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.label[:], b.label[:]) })
	labels := make([][]byte, len(all))
	for i := range rows {
		labels[i] = rows[i].label[:]
		lists[i] = []any{labels[i], rows[i].pointer}
	}
	if err := s.Owned.MayWrite(tx, labels...); err != nil {
		return nil, err
	}
	written, err := tx.ExecMany(`INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT DO NOTHING`, lists)
	for i, n := range written {
		if n == 0 {
			taken = append(taken, rows[i].place)
		}
	}
	return taken, err
}

// scout finds on a snapshot from which counter on the labels can go, and leaves out
// what is there already, so that the writer, for which everybody waits, has little
// to look up.
func (s *Server) scout(tx *store.Tx, left []place) (open []place, err error) {
	left = slices.Clone(left)
	for counter := uint8(0); counter < maxCounter && len(left) > 0; counter++ {
		labels := make([][labelSize]byte, len(left))
		for i, p := range left {
			labels[i] = label(&s.LabelKey, p.key, counter)
		}
		held, err := pointersAt(tx, labels)
		if err != nil {
			return nil, err
		}
		further := left[:0]
		for i, p := range left {
			switch p.from = counter; held[i] {
			case 0:
				open = append(open, p)
			case p.pointer:
			default:
				p.from++
				further = append(further, p)
			}
		}
		left = further
	}
	return append(open, left...), nil
}

// label writes one label, at the first free counter, unless the pointer has it.
// Where no counter is free it takes the place of a pointer that is withdrawn.
// Nobody has 64 living namesakes on all of the key: where there is no place either
// the record stays findable by its other tokens, and it is an alarm. Somebody may have
// taken the places so that another is not found: so one owner has at most ownPlaces.
func (s *Server) label(tx *store.Tx, p place, owner waypost.Jurisdiction) (placed bool, err error) {
	for counter := p.from; ; counter++ {
		if counter == max(p.from, ownPlaces) { // also where all are taken, before a withdrawn one's
			if crowds, err := s.crowds(tx, p, owner); crowds || err != nil {
				return false, err
			}
		}
		if counter == maxCounter {
			break
		}
		at := label(&s.LabelKey, p.key, counter)
		if err := s.Owned.MayWrite(tx, at[:]); err != nil {
			return false, err
		}
		n, err := tx.Exec(`INSERT INTO label (label, pointer) VALUES ($1, $2) ON CONFLICT DO NOTHING`, at[:], p.pointer)
		if err != nil || n == 1 {
			return true, err
		}
		var taken int64
		if err := tx.Row(`SELECT pointer FROM label WHERE label = $1`, at[:]).Scan(&taken); err != nil || taken == p.pointer {
			return true, err
		}
	}
	for counter := range uint8(maxCounter) {
		at := label(&s.LabelKey, p.key, counter)
		if err := s.Owned.MayWrite(tx, at[:]); err != nil {
			return false, err
		}
		n, err := tx.Exec(`UPDATE label SET pointer = $1 WHERE label = $2
			AND EXISTS (SELECT 1 FROM pointer p WHERE p.id = label.pointer AND p.state = $3)`, p.pointer, at[:], withdrawn)
		if err != nil || n == 1 {
			return true, err
		}
	}
	return false, nil
}

// crowds reports whether an owner has all the places of a token that one may have,
// others than this pointer's, and those of withdrawn pointers not counted.
func (s *Server) crowds(tx *store.Tx, p place, owner waypost.Jurisdiction) (bool, error) {
	labels := make([][labelSize]byte, maxCounter)
	for counter := range labels {
		labels[counter] = label(&s.LabelKey, p.key, uint8(counter))
	}
	held, err := pointersAt(tx, labels)
	if err != nil {
		return false, err
	}
	var lists [][]any
	for _, pointer := range held {
		if pointer != 0 && pointer != p.pointer {
			lists = append(lists, []any{pointer, owner, withdrawn})
		}
	}
	own := 0
	err = tx.Many(`SELECT 1 FROM pointer WHERE id = $1 AND owner = $2 AND state <> $3`, lists, func(_ int, scan func(dest ...any) error) error {
		var one int
		own++
		return scan(&one)
	})
	return own >= ownPlaces, err
}

// unlabelled writes down that records of a batch lack labels, by how many and of which
// key. It is about a member, not about a ticket.
func (s *Server) unlabelled(tx *store.Tx, owner waypost.Jurisdiction, lacking map[uint32]int) error {
	for _, epoch := range slices.Sorted(maps.Keys(lacking)) {
		s.Log.Error("records lack labels: their tokens have no free place, and searches find the records by their others only; ask the states whose records have the places, if they were published for it",
			"owner", owner, "labels", lacking[epoch], "epoch", epoch)
		body, err := journal.Body(journal.Field{Name: "member", Value: string(owner)}, journal.Field{Name: "epoch", Value: strconv.FormatUint(uint64(epoch), 10)},
			journal.Field{Name: "labels", Value: strconv.Itoa(lacking[epoch])})
		if err != nil {
			return err
		}
		if _, err := s.Journal.Append(tx, journal.Entry{Kind: "unlabelled", At: s.Now(), Body: body}); err != nil {
			return err
		}
	}
	return nil
}
