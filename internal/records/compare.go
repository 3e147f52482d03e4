package records

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// Comparison is what comparing the own pointers with the hub's came to. Which they
// are nobody is told, and the hub learns of those that differ only that they do.
type Comparison struct {
	At        time.Time
	Pointers  uint64 // of this state in the index, as it has them itself
	Missing   uint64 // that the hub had not, or not so: published anew
	Withdrawn uint64 // that this state does not have: withdrawn at the hub
}

// buckets are what is compared at once, and how finely.
const (
	fineBits   = 16
	maxBuckets = 4096
	coarse     = 1 << 12 // pointers, up to which all are one bucket
)

// sum is what one bucket should be.
type sum struct {
	pointers uint64
	digest   [32]byte
}

// outcome is what a comparison of all has found.
type outcome struct {
	bits      uint32
	hub       uint64 // pointers that the hub has
	differing []uint32
	receipt   []byte
}

// compareEvery is how often the own pointers are compared by themselves.
const compareEvery = 24 * time.Hour

// compareDue compares once a day, at the hour that is set. What was missed while
// nothing ran is made up for; the first time waits for its hour.
func (f *File) compareDue(ctx context.Context) error {
	now := f.Now().UTC()
	at := time.Date(now.Year(), now.Month(), now.Day(), compareHour, 0, 0, 0, time.UTC)
	if now.Before(at) {
		at = at.Add(-compareEvery)
	}
	// A clock that was ahead has left marks that are still to come.
	if done := f.compared.Load(); at.Unix() <= done && done <= now.Unix() || before(now, f.tried.Load(), compareAgain) {
		return nil
	}
	last, found, err := f.LastComparison(ctx)
	if err != nil {
		return err
	}
	if found && !last.At.Before(at) || !found && at.Before(f.begun) {
		f.compared.Store(at.Unix())
		return nil
	}
	f.tried.Store(now.Add(compareAgain).Unix())
	_, err = f.Compare(ctx, reconciler)
	return err
}

// before reports whether it is before a time that is at most so far away: one that
// is further was set by a clock that was ahead.
func before(now time.Time, at int64, most time.Duration) bool {
	wait := time.Unix(at, 0).Sub(now)
	return wait > 0 && wait <= most
}

const (
	compareHour  = 3 // UTC: night in all states
	compareAgain = 10 * time.Minute
	// reconciler is the operator of what is done without anybody asking for it.
	reconciler = "waypost"
)

// LastComparison returns the newest, if there was any.
func (f *File) LastComparison(ctx context.Context) (c Comparison, found bool, err error) {
	var at int64
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT at, pointers, missing, withdrawn FROM comparison WHERE at <= $1 ORDER BY at DESC LIMIT 1`, f.Now().Unix()).
			Scan(&at, &c.Pointers, &c.Missing, &c.Withdrawn)
	})
	if errors.Is(err, store.ErrNoRows) {
		return c, false, nil
	}
	c.At = time.Unix(at, 0).UTC()
	return c, true, err
}

// Compare compares all own pointers with what the hub has, by sums over buckets,
// looks into those that differ, and mends: what this state does not have the hub
// withdraws, what the hub lacks is published anew.
func (f *File) Compare(ctx context.Context, operator string) (Comparison, error) {
	if err := f.index.Lock(ctx); err != nil {
		return Comparison{}, err
	}
	defer f.index.Unlock()
	result := Comparison{At: f.Now()}
	found, err := f.compareAll(ctx, operator)
	if err != nil {
		return result, err
	}
	for _, bucket := range found.differing {
		mended, err := f.mend(ctx, operator, found.bits, bucket)
		if err != nil {
			return result, err
		}
		result.Missing += mended.Missing
		result.Withdrawn += mended.Withdrawn
	}
	return result, f.DB.Write(ctx, func(tx *store.Tx) error {
		if err := tx.Row(`SELECT count(*) FROM pointer WHERE state = $1`, int(Live)).Scan(&result.Pointers); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO comparison (at, pointers, missing, withdrawn, receipt) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (at) DO NOTHING`,
			result.At.Unix(), result.Pointers, result.Missing, result.Withdrawn, found.receipt)
		return err
	})
}

// bits says how finely to compare: a state of few pointers has one bucket.
func (f *File) bits(ctx context.Context) (bits uint32, err error) {
	var n int
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM pointer WHERE state <> $1`, int(Withdrawn)).Scan(&n)
	})
	if n > coarse/2 {
		bits = fineBits
	}
	return bits, err
}

// compareAll compares the sums of all buckets: by many where this state has many
// pointers, or where the hub has, as after a backup was restored here.
func (f *File) compareAll(ctx context.Context, operator string) (outcome, error) {
	bits, err := f.bits(ctx)
	if err != nil {
		return outcome{}, err
	}
	all, err := f.compareBy(ctx, operator, bits)
	if err == nil && bits == 0 && all.hub > coarse/2 {
		all, err = f.compareBy(ctx, operator, fineBits)
	}
	return all, err
}

func (f *File) compareBy(ctx context.Context, operator string, bits uint32) (outcome, error) {
	all := outcome{bits: bits}
	mine, err := f.sums(ctx, bits)
	if err != nil {
		return all, err
	}
	for from := 0; from < len(mine); from += maxBuckets {
		part := mine[from:min(from+maxBuckets, len(mine))]
		done, err := f.compareBuckets(ctx, operator, &waypostv1.Comparison{Bits: bits, From: uint32(from), Count: uint32(len(part))})
		if err != nil {
			return all, err
		}
		if len(done.answer.Buckets) != len(part) {
			return all, waypost.Errorf(waypost.PermissionDenied, "the hub's comparison is not of the buckets that were asked for")
		}
		for i, b := range done.answer.Buckets {
			all.hub += b.Pointers
			if b.Pointers != part[i].pointers || string(b.Digest) != string(part[i].digest[:]) {
				all.differing = append(all.differing, uint32(from+i))
			}
		}
		all.receipt = done.receipt.Bytes()
	}
	return all, nil
}

func (f *File) compareBuckets(ctx context.Context, operator string, c *waypostv1.Comparison) (upkeep, error) {
	return f.maintain(ctx, waypost.KindCompare, operator, &waypostv1.Maintenance{What: &waypostv1.Maintenance_Compare{Compare: c}},
		func(_ *store.Tx, done upkeep) (n int, err error) {
			for _, b := range done.answer.Buckets {
				n += int(b.Pointers)
			}
			return n, nil
		})
}

// sums adds up the own live pointers.
func (f *File) sums(ctx context.Context, bits uint32) ([]sum, error) {
	sums := make([]sum, 1<<bits)
	err := f.DB.Read(ctx, func(tx *store.Tx) error {
		clear(sums)
		return tx.Query(`SELECT handle, generation, version, reached, receipt FROM pointer WHERE state IN ($1, $2)`, []any{int(Live), int(Ending)},
			func(scan func(dest ...any) error) error {
				var h waypost.Handle
				var generation, version, epoch uint32
				var receipt []byte
				if err := scan(&h, &generation, &version, &epoch, &receipt); err != nil {
					return err
				}
				i := waypost.BucketOf(h, bits)
				sums[i].pointers++
				waypost.AddDigest(&sums[i].digest, digest(h, generation, version, epoch, receipt))
				return nil
			})
	})
	return sums, err
}

// digest is that of one pointer; one that was never published gets one that no
// pointer at the hub has.
func digest(h waypost.Handle, generation, version, epoch uint32, receipt []byte) [32]byte {
	var r [receiptSize]byte
	copy(r[:], receipt)
	return waypost.DigestPointer(h, generation, version, epoch, r)
}

// mend looks into one bucket. Whatever is not withdrawn here is named to the hub,
// so that nothing is lost that is on its way in or out; only what should be live
// is mended.
func (f *File) mend(ctx context.Context, operator string, bits, bucket uint32) (c Comparison, err error) {
	var rows []pointer
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		rows = nil
		first, last := span(bits, bucket)
		rows, err = selectPointers(tx, `WHERE p.handle >= $1 AND p.handle <= $2 AND p.state NOT IN ($3, $4) ORDER BY p.handle`,
			first[:], last[:], int(Withdrawn), int(Moved))
		return err
	})
	if err != nil {
		return c, err
	}
	ask := &waypostv1.Comparison{Bits: bits, From: bucket, Count: 1, None: len(rows) == 0}
	for _, p := range rows {
		d := digest(p.Handle, p.Generation, p.Version, p.reached, p.receipt)
		ask.Held = append(ask.Held, &waypostv1.Held{Handle: slices.Clone(p.Handle[:]), Digest: slices.Clone(d[:waypost.DigestSize])})
	}
	done, err := f.compareBuckets(ctx, operator, ask)
	if err != nil {
		return c, err
	}
	c.Withdrawn = done.answer.Withdrawn
	return c, f.DB.Write(ctx, func(tx *store.Tx) error {
		c.Missing = 0
		for _, place := range done.answer.Differing {
			if int(place) >= len(rows) {
				return waypost.Errorf(waypost.PermissionDenied, "the hub's comparison is not of the pointers that were named")
			}
			now, err := byHandle(tx, rows[place].Handle)
			if err != nil {
				return err
			}
			if now.State != Live {
				continue
			}
			anew, err := f.again(tx, now, operator)
			if err != nil {
				return err
			}
			if anew {
				c.Missing++
			}
		}
		return nil
	})
}

// again wants a pointer published anew, in the place of itself, and reports whether
// it does: not where another is on its way into its place, which the hub may have
// taken already without our hearing of it, nor where the record may be another
// state's. Of one that came from another state the SSN slots are not known: they say
// nothing from then on, for anybody.
func (f *File) again(tx *store.Tx, old pointer, operator string) (anew bool, err error) {
	var wanted int
	if err := tx.Row(`SELECT count(*) FROM pointer WHERE supersedes = $1 AND record = $2 AND state = $3`, old.Handle[:], old.Record, int(Wanted)).Scan(&wanted); err != nil || wanted > 0 {
		return false, err
	}
	if away, err := f.away(tx, old.Record); err != nil || away != Here {
		return false, err
	}
	p := old
	p.State, p.Version, p.receipt, p.tries = Wanted, 0, nil, 0
	p.sets, p.reached = nil, 0
	for _, m := range old.sets {
		m.tokens = slices.Clone(m.tokens)
		p.sets = append(p.sets, m)
	}
	p.supersedes, p.operator, p.ticket = old.Handle, operator, waypost.TicketID{}
	randomise(p.Handle[:])
	if p.PassedBy != "" {
		p.PassedBy, p.passed = "", 0
		p.fill(ssnSlots)
	}
	return true, f.wantAll(tx, old.Generation, []pointer{p})
}

// span returns the first and the last handle of a bucket.
func span(bits, bucket uint32) (first, last waypost.Handle) {
	for i := range last {
		last[i] = 0xff
	}
	if bits == fineBits {
		first[0], first[1] = byte(bucket>>8), byte(bucket)
		last[0], last[1] = first[0], first[1]
	}
	return first, last
}
