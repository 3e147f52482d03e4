package hub

import (
	"slices"

	"github.com/waypost/waypost/internal/store"
)

// Labels are looked up many at a time: a statement for each would cost a server most
// of its time, and over several servers each its own round trips (docs/adr/0034).
const (
	fewLabels    = 4
	findFew      = `SELECT label, pointer FROM label WHERE label IN ($1, $2, $3, $4)`
	labelsAtOnce = 32
	in32         = ` WHERE label IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
		$19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)`
	findLabels   = `SELECT label, pointer FROM label` + in32
	deleteLabels = `DELETE FROM label` + in32
)

// labelArgs are n arguments: the labels, and the last once more where there are fewer.
func labelArgs(labels [][labelSize]byte, n int) []any {
	args := make([]any, n)
	for i := range args {
		args[i] = labels[min(i, len(labels)-1)][:]
	}
	return args
}

// pointersAt returns for each label its pointer, or 0 where there is none.
func pointersAt(tx *store.Tx, labels [][labelSize]byte) ([]int64, error) {
	held := make(map[[labelSize]byte]int64, len(labels))
	for part := range slices.Chunk(labels, labelsAtOnce) {
		query, n := findLabels, labelsAtOnce
		if len(part) <= fewLabels {
			query, n = findFew, fewLabels
		}
		if err := tx.Query(query, labelArgs(part, n), func(scan func(dest ...any) error) error {
			var at [labelSize]byte
			var pointer int64
			err := scan(&at, &pointer)
			held[at] = pointer
			return err
		}); err != nil {
			return nil, err
		}
	}
	pointers := make([]int64, len(labels))
	for i, at := range labels {
		pointers[i] = held[at]
	}
	return pointers, nil
}

// walk calls each with every pointer of every token: counter after counter, until the
// last token is at its first free label. Withdrawn pointers keep their place.
func (s *Server) walk(tx *store.Tx, keys []key, each func(pointer int64)) error {
	for counter := uint8(0); counter < maxCounter && len(keys) > 0; counter++ {
		labels := make([][labelSize]byte, len(keys))
		for i, k := range keys {
			labels[i] = label(&s.LabelKey, k, counter)
		}
		pointers, err := pointersAt(tx, labels)
		if err != nil {
			return err
		}
		var further []key
		for i, pointer := range pointers {
			if pointer != 0 {
				each(pointer)
				further = append(further, keys[i])
			}
		}
		keys = further
	}
	return nil
}
