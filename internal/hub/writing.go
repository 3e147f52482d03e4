package hub

import (
	"context"
	"maps"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// insertAtOnce is how many records one transaction writes: who waits at a counter
// waits for one such transaction at most (docs/adr).
const insertAtOnce = 5

// write puts the records into the index and makes them live. Each step may be
// repeated.
func (s *Server) write(ctx context.Context, b batch) error {
	now := s.Now().Unix()
	var written []entry
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		written, err = findAll(tx, b.SOI, b.records)
		return err
	})
	if err != nil {
		return err
	}
	var crowded []place
	for chunk := range slices.Chunk(written, insertAtOnce) {
		var rest []place
		err := s.bulk(ctx, b, func(tx *store.Tx) (err error) {
			if err := mayHold(tx, b.SignedTicket); err != nil {
				return err
			}
			rest, err = s.insert(tx, b, chunk, now)
			return err
		})
		if err != nil {
			return err
		}
		crowded = append(crowded, rest...)
	}
	if err := s.labelRest(ctx, b, crowded); err != nil {
		return err
	}
	return s.bulk(ctx, b, func(tx *store.Tx) error { return b.goLive(tx, written, s.Now().Unix()) })
}

// bulk writes a part of a batch. For a record of a check somebody waits at a counter.
func (s *Server) bulk(ctx context.Context, b batch, fn func(tx *store.Tx) error) error {
	if b.Kind == waypost.KindCheck {
		return s.DB.Write(ctx, fn)
	}
	return s.DB.WriteBulk(ctx, fn)
}

// insert writes pending pointers and the first label of each of their tokens. A
// pointer that is pending from an attempt that was cut short, or was rolled back
// with its generation, gets the labels that it lacks; one that is live gets those of
// newer epochs than its own, and none of its own: it is left as it is. It returns the tokens whose first label was
// there before: another pointer's, or their own.
func (s *Server) insert(tx *store.Tx, b batch, all []entry, now int64) ([]place, error) {
	if err := b.create(tx, all, now); err != nil {
		return nil, err
	}
	var places []place
	for i := range all {
		e := &all[i]
		if e.state == live && e.rejected && b.Kind != waypost.KindRepublish {
			if err := e.reopen(tx, b.SOI, now); err != nil {
				return nil, err
			}
		}
		switch {
		case e.state == pending && b.Kind != waypost.KindRepublish:
			places = append(places, e.places(0)...)
		case b.behind(e.standing):
			places = append(places, e.places(e.epoch)...)
		}
	}
	return s.labelFirst(tx, places)
}

// create writes the pointers that were not there when it was looked, and looks again
// at all others: another call may have been faster. A random id that is taken, of
// 2^63, is an error, and the call is made again.
func (b batch) create(tx *store.Tx, all []entry, now int64) error {
	var absent []*entry
	var lists [][]any
	for i := range all {
		if e := &all[i]; e.pointer == 0 && b.Kind != waypost.KindRepublish {
			absent = append(absent, e)
			e.standing = standing{pointer: randomID(), state: pending, in: e.generation, epoch: b.newest()}
			lists = append(lists, []any{e.pointer, b.SOI, e.handle, pending, e.generation, b.newest(), [16]byte{}, now})
		}
	}
	written, err := tx.ExecMany(`INSERT INTO pointer (id, owner, handle, state, generation, version, epoch, receipt, changed)
		VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8) ON CONFLICT (owner, handle) DO NOTHING`, lists)
	if err != nil {
		return err
	}
	fresh := make(map[*entry]bool, len(absent))
	for i, e := range absent {
		fresh[e] = written[i] == 1
	}
	var others []*entry
	var known []record
	for i := range all {
		if e := &all[i]; !fresh[e] {
			others, known = append(others, e), append(known, e.record)
		}
	}
	found, err := findAll(tx, b.SOI, known)
	for i, e := range others {
		e.standing = found[i].standing
	}
	return err
}

// reopen makes a pointer pending whose generation was rolled back.
func (e *entry) reopen(tx *store.Tx, owner waypost.Jurisdiction, now int64) error {
	e.state = pending
	_, err := tx.Exec(`UPDATE pointer SET state = $1, generation = $2, changed = $3 WHERE id = $4`, pending, e.generation, now, e.pointer)
	if err != nil {
		return err
	}
	return count(tx, owner, e.in, -1)
}

// places are where the labels of an entry go, one for each token that it has of an
// epoch after that.
func (e *entry) places(after uint32) []place {
	all := make([]place, 0, len(e.keys))
	for i, k := range e.keys {
		if k.epoch > after && !slices.Contains(e.keys[:i], k) {
			all = append(all, place{pointer: e.pointer, key: k})
		}
	}
	return all
}

// labelRest writes the labels that have to be looked for.
func (s *Server) labelRest(ctx context.Context, b batch, crowded []place) error {
	if len(crowded) == 0 {
		return nil
	}
	var open []place
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		open, err = s.scout(tx, crowded)
		return err
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(open, insertAtOnce*waypost.RecordElements) {
		err := s.bulk(ctx, b, func(tx *store.Tx) error {
			lacking := make(map[uint32]int)
			for _, p := range chunk {
				placed, err := s.label(tx, p, b.SOI)
				if err != nil {
					return err
				}
				if !placed {
					lacking[p.epoch]++
				}
			}
			return s.unlabelled(tx, b.SOI, lacking)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// goLive makes all that was written live, and ends what it supersedes: either all
// of the batch, or nothing. What could not be refused before may have to be now.
func (b batch) goLive(tx *store.Tx, written []entry, now int64) error {
	p, _, err := readPublication(tx, b.ID)
	if err != nil || p.live { // by another call
		return err
	}
	if b.Kind == waypost.KindRepublish {
		if err := b.admissible(tx); err != nil {
			return err
		}
		return b.advance(tx, written, now)
	}
	if err := mayHold(tx, b.SignedTicket); err != nil {
		return err
	}
	receipt := waypost.PublishedUnder(b.ID)
	lists := make([][]any, len(written))
	for i, e := range written {
		if len(e.supersedes) > 0 {
			if err := e.record.mayStill(tx, b.SOI); err != nil {
				return err
			}
		}
		lists[i] = []any{live, e.generation, b.newest(), receipt[:], now, e.pointer, pending}
	}
	changed, err := tx.ExecMany(`UPDATE pointer SET state = $1, generation = $2, epoch = $3, receipt = $4, changed = $5 WHERE id = $6 AND state = $7`, lists)
	if err != nil {
		return err
	}
	added := make(map[uint32]int64)
	for i, e := range written {
		if added[e.generation] += changed[i]; changed[i] == 0 {
			if err := e.stays(tx, b, receipt[:], now); err != nil {
				return err
			}
		}
		if err := e.supersede(tx, b.SOI, now); err != nil {
			return err
		}
	}
	return b.counted(tx, added)
}

// counted notes how many live pointers more are in each generation, if they take
// any, and that the batch is done.
func (b batch) counted(tx *store.Tx, added map[uint32]int64) error {
	for _, generation := range slices.Sorted(maps.Keys(added)) {
		if added[generation] == 0 {
			continue
		}
		if err := accepts(tx, b.SOI, generation); err != nil {
			return err
		}
		if err := count(tx, b.SOI, generation, added[generation]); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE publication SET live = 1 WHERE ticket = $1`, b.ID[:])
	return err
}

// mayStill looks again how the record stands, and says why it cannot be published.
func (r record) mayStill(tx *store.Tx, owner waypost.Jurisdiction) error {
	at, err := find(tx, owner, r.handle)
	if err != nil {
		return err
	}
	return entry{r, at}.admissible(tx, owner)
}

// stays notes that a pointer which was not pending was published again: it is live,
// and stays as it is, but that it is of the batch's newest epoch by now.
func (e entry) stays(tx *store.Tx, b batch, receipt []byte, now int64) error {
	if err := e.record.mayStill(tx, b.SOI); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE pointer SET receipt = $1, changed = $2, epoch = CASE WHEN epoch < $3 THEN $3 ELSE epoch END WHERE id = $4`,
		receipt, now, b.newest(), e.pointer)
	return err
}

// supersede withdraws the pointer in whose place the record's is.
func (r record) supersede(tx *store.Tx, owner waypost.Jurisdiction, now int64) error {
	if len(r.supersedes) == 0 || planted.Bug("superseded-stays-live") {
		return nil
	}
	old, err := find(tx, owner, r.supersedes)
	if err != nil || old.state != live {
		return err
	}
	return end(tx, owner, old, now)
}
