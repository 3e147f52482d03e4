package hub

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// How many steps of cleanAtOnce labels the housekeeping takes, and for how long, before it goes on with
// the rest, and how many epochs it looks back for what it was kept from.
const (
	purgeInHouse = 8000
	purgeFor     = 15 * time.Second
	purgeBack    = 8
)

// The labels of an epoch are a 256th of all that can be, and lie evenly in it. The
// first span that is looked through has some 200 of three thousand million.
const (
	epochSpan = 1 << 56 // of a label's first eight bytes
	firstSpan = epochSpan >> 24
)

// purgeLabels deletes labels of epochs whose key is gone: nobody can make a token of
// them, nor a ticket that searches for one. Which pointers they led to is not looked
// at. A ticket of the last day may still publish under them.
func (s *Server) purgeLabels(ctx context.Context) error {
	oldest := s.Roster.OldestEpoch(s.Now().Add(-publishWindow - window))
	steps, until := purgeInHouse, s.Now().Add(purgeFor)
	for epoch := oldest; epoch > 1 && oldest-epoch < purgeBack; epoch-- {
		if err := s.purgeEpoch(ctx, byte(epoch-1), &steps, until); err != nil { // labels have the epoch's last byte
			return err
		}
	}
	return nil
}

// purgeEpoch goes through an epoch's labels span after span, so wide that a step has
// enough of them to delete and no server has to look far for them.
func (s *Server) purgeEpoch(ctx context.Context, epoch byte, steps *int, until time.Time) error {
	span := uint64(firstSpan)
	for at := uint64(0); at < epochSpan && *steps > 0 && s.Now().Before(until); *steps-- {
		span = min(span, epochSpan-at)
		n, err := s.purgeBetween(ctx, edge(epoch, at), edge(epoch, at+span))
		switch {
		case err != nil:
			return err
		case n == cleanAtOnce: // there are more
			span = max(span/2, 1)
			continue
		}
		at += span
		switch {
		case n == 0:
			span *= 16
		case n < cleanAtOnce/4:
			span *= 2
		}
	}
	return nil
}

// edge is the label at a place of an epoch, or what comes after all labels.
func edge(epoch byte, at uint64) []byte {
	if epoch == 0xff && at == epochSpan {
		return slices.Repeat([]byte{0xff}, labelSize)
	}
	return append(binary.BigEndian.AppendUint64(nil, uint64(epoch)<<56+at), make([]byte, labelSize-8)...)
}

// labelsBetween lists some labels of a range. In an order they would all be sent to
// the hub's server first, and sorted there.
const labelsBetween = `SELECT label FROM label WHERE label >= $1 AND label < $2 LIMIT $3`

// purgeBetween deletes up to cleanAtOnce labels of a range, and returns how many it
// found. They are listed and then named: over several servers a DELETE with a query
// in it reads and locks all labels that there are (docs/adr/0034).
func (s *Server) purgeBetween(ctx context.Context, first, end []byte) (n int, err error) {
	var labels [][labelSize]byte
	if err := s.DB.Read(ctx, func(tx *store.Tx) error {
		labels = nil
		return tx.Query(labelsBetween, []any{first, end, cleanAtOnce}, func(scan func(dest ...any) error) error {
			var at [labelSize]byte
			err := scan(&at)
			labels = append(labels, at)
			return err
		})
	}); err != nil || len(labels) == 0 {
		return 0, err
	}
	return len(labels), s.DB.WriteBulk(ctx, func(tx *store.Tx) error {
		for part := range slices.Chunk(labels, labelsAtOnce) {
			for _, at := range part {
				if err := s.Owned.MayWrite(tx, at[:]); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(deleteLabels, labelArgs(part, labelsAtOnce)...); err != nil {
				return err
			}
		}
		return nil
	})
}
