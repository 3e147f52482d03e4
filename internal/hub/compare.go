package hub

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// Limits of one comparison.
const (
	maxBuckets  = 4096
	maxHeld     = 4096    // live pointers of a bucket that are compared one by one
	maxCompared = 1 << 22 // pointers that are added up
)

// unheard is how recently, before the ticket was issued, a pointer may have
// changed for its owner not to have known of it when it listed what it holds.
const unheard = 10 * time.Minute

// compare adds up the owner's live pointers, and, where it lists those of a
// bucket, finds what both do not have alike. It reads a snapshot: what is to be
// withdrawn is looked at again.
func (s *Server) compare(ctx context.Context, t waypost.SignedTicket, c *waypostv1.Comparison) (act, error) {
	if err := checkComparison(c); err != nil {
		return nil, err
	}
	mends := c.None || len(c.Held) > 0
	answer := &waypostv1.Maintained{}
	var strays []compared
	var pointers int
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if err := affordable(tx, t.SOI, c); err != nil {
			return err
		}
		var there []compared
		answer.Buckets, there, err = addUp(tx, t.SOI, c, mends)
		if err != nil {
			return err
		}
		pointers = 0
		for _, b := range answer.Buckets {
			pointers += int(b.Pointers)
		}
		answer.Differing, strays = tellApart(c.Held, there)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(tx *store.Tx, now int64) (*waypostv1.Maintained, []journal.Field, error) {
		known := t.IssuedAt.Add(-unheard).Unix()
		answer.Withdrawn = 0
		for _, stray := range strays {
			at, err := find(tx, t.SOI, stray.handle[:])
			if err != nil {
				return nil, nil, err
			}
			if at.state != live || at.changed > known {
				continue
			}
			answer.Withdrawn++
			if err := end(tx, t.SOI, at, now); err != nil {
				return nil, nil, err
			}
		}
		return answer, []journal.Field{{Name: "records", Value: decimal(pointers)}}, nil
	}, nil
}

func checkComparison(c *waypostv1.Comparison) error {
	mends := c.None || len(c.Held) > 0
	switch {
	case c.Bits != 0 && c.Bits != 8 && c.Bits != 16:
		return waypost.Errorf(waypost.InvalidArgument, "buckets are by 0, 8 or 16 bits of the handles")
	case c.Count == 0 || c.Count > maxBuckets || c.From >= 1<<c.Bits || c.Count > 1<<c.Bits-c.From:
		return waypost.Errorf(waypost.InvalidArgument, "a comparison is of 1 to %d buckets, of those that there are", maxBuckets)
	case mends && c.Count != 1, len(c.Held) > maxHeld, c.None && len(c.Held) > 0:
		return waypost.Errorf(waypost.InvalidArgument, "what the owner holds is of one bucket, and at most %d pointers", maxHeld)
	}
	handles := make([][]byte, len(c.Held))
	for i, h := range c.Held {
		if len(h.GetDigest()) != waypost.DigestSize {
			return waypost.Errorf(waypost.InvalidArgument, "a digest has %d bytes", waypost.DigestSize)
		}
		handles[i] = h.Handle
	}
	if err := distinct(handles); err != nil {
		return err
	}
	for _, h := range handles {
		if waypost.BucketOf(waypost.Handle(h), c.Bits) != c.From {
			return waypost.Errorf(waypost.InvalidArgument, "a pointer that is listed belongs to another bucket")
		}
	}
	return nil
}

// affordable bounds what one comparison reads, by what the owner has.
func affordable(tx *store.Tx, owner waypost.Jurisdiction, c *waypostv1.Comparison) error {
	var all int64
	if err := tx.Row(`SELECT CAST(COALESCE(sum(pointers), 0) AS BIGINT) FROM generation WHERE owner = $1`, owner).Scan(&all); err != nil {
		return err
	}
	if all*int64(c.Count)>>c.Bits > maxCompared {
		return waypost.Errorf(waypost.InvalidArgument, "these buckets have more than %d pointers: compare fewer at once", maxCompared)
	}
	return nil
}

// compared is a live pointer as its owner would list it.
type compared struct {
	handle waypost.Handle
	digest [32]byte
}

// addUp reads the owner's live pointers in the buckets, and returns those of the
// one bucket where they are asked for.
func addUp(tx *store.Tx, owner waypost.Jurisdiction, c *waypostv1.Comparison, list bool) (buckets []*waypostv1.Bucket, there []compared, err error) {
	rejected, err := rolledBackOf(tx, owner)
	if err != nil {
		return nil, nil, err
	}
	sums := make([][32]byte, c.Count)
	buckets = make([]*waypostv1.Bucket, c.Count)
	for i := range buckets {
		buckets[i] = &waypostv1.Bucket{Digest: sums[i][:]}
	}
	first, last := span(c)
	err = tx.Query(`SELECT handle, generation, version, epoch, receipt FROM pointer WHERE owner = $1 AND handle >= $2 AND handle <= $3 AND state = $4`,
		[]any{owner, first[:], last[:], live}, func(scan func(dest ...any) error) error {
			var one compared
			var generation, version, epoch uint32
			var receipt [16]byte
			if err := scan((*[16]byte)(&one.handle), &generation, &version, &epoch, &receipt); err != nil || slices.Contains(rejected, generation) {
				return err
			}
			one.digest = waypost.DigestPointer(one.handle, generation, version, epoch, receipt)
			i := waypost.BucketOf(one.handle, c.Bits) - c.From
			waypost.AddDigest(&sums[i], one.digest)
			buckets[i].Pointers++
			if list && len(there) == maxHeld {
				return waypost.Errorf(waypost.InvalidArgument, "the bucket has more than %d pointers: compare by more bits", maxHeld)
			}
			if list {
				there = append(there, one)
			}
			return nil
		})
	return buckets, there, err
}

// span returns the first and the last handle that the buckets can have.
func span(c *waypostv1.Comparison) (first, last waypost.Handle) {
	for i := range last {
		last[i] = 0xff
	}
	shift := 16 - c.Bits
	binary.BigEndian.PutUint16(first[:], uint16(c.From<<shift))
	binary.BigEndian.PutUint16(last[:], uint16((c.From+c.Count)<<shift-1))
	return first, last
}

func rolledBackOf(tx *store.Tx, owner waypost.Jurisdiction) (numbers []uint32, err error) {
	err = tx.Query(`SELECT number FROM generation WHERE owner = $1 AND state = $2`, []any{owner, rolledBack}, func(scan func(dest ...any) error) error {
		var n uint32
		err := scan(&n)
		numbers = append(numbers, n)
		return err
	})
	return numbers, err
}

// tellApart returns the places of what is held that is not there, or not so, and
// what is there and not held.
func tellApart(held []*waypostv1.Held, there []compared) (differing []uint32, strays []compared) {
	byHandle := make(map[string]compared, len(there))
	for _, one := range there {
		byHandle[string(one.handle[:])] = one
	}
	for i, h := range held {
		one, ok := byHandle[string(h.Handle)]
		if !ok || !bytes.Equal(one.digest[:waypost.DigestSize], h.Digest) {
			differing = append(differing, uint32(i))
		}
		delete(byHandle, string(h.Handle))
	}
	for _, one := range there {
		if _, stray := byHandle[string(one.handle[:])]; stray {
			strays = append(strays, one)
		}
	}
	return differing, strays
}
