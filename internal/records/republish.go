package records

import (
	"context"
	"errors"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Rotation is how far this state's pointers are under the newest key.
type Rotation struct {
	Epoch uint32 // of that key
	Live  uint64 // pointers in the index
	Done  uint64 // of those, under that key
}

// Rotation counts. It looks at every pointer.
func (f *File) Rotation(ctx context.Context) (r Rotation, err error) {
	r.Epoch = f.Roster.Settled().Newest()
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*), coalesce(sum(CASE WHEN reached >= $1 THEN 1 ELSE 0 END), 0) FROM pointer WHERE state = $2`,
			r.Epoch, int(Live)).Scan(&r.Live, &r.Done)
	})
	return r, err
}

// Republish publishes the next pointers once more, under the newest key: up to a
// hundred, record by record in the order of handles, from where the call before
// stopped, in this process or another. over says that the last handle is reached; the
// next call begins with the first again, for what was left out: records about which
// something else is being done, or that are on their way to another state. Who has no
// SSN is published as everybody is.
func (f *File) Republish(ctx context.Context, operator string) (published int, over bool, err error) {
	if err := f.index.RLock(ctx); err != nil {
		return 0, false, err
	}
	defer f.index.RUnlock()
	epoch := f.Roster.Settled().Newest()
	batch, reached, done, err := f.behind(ctx, epoch)
	defer done()
	if err != nil {
		return 0, false, err
	}
	if len(batch) > 0 {
		if published, err = f.republish(ctx, operator, epoch, batch); err != nil {
			return published, false, err
		}
	}
	over = reached == waypost.Handle{}
	return published, over, f.DB.WriteBulk(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO rotation (epoch, reached) VALUES ($1, $2) ON CONFLICT (epoch) DO UPDATE SET reached = excluded.reached`,
			epoch, unlessZero(reached[:]))
		return err
	})
}

// lookAhead is how many pointers one call looks at: with those of the same records
// they are one batch.
const lookAhead = 64

// behind returns the next pointers that are not under the key yet, prepared, and up
// to which handle that is: zero where there are no more. Nobody else is let at their
// records until done is called.
func (f *File) behind(ctx context.Context, epoch uint32) (batch []pointer, reached waypost.Handle, done func(), err error) {
	var page []pointer
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		from := []byte{}
		if err := tx.Row(`SELECT reached FROM rotation WHERE epoch = $1`, epoch).Scan(&from); err != nil && !errors.Is(err, store.ErrNoRows) {
			return err
		}
		page, err = selectPointers(tx, `WHERE p.handle > $1 AND p.state = $2 AND p.reached < $3 ORDER BY p.handle LIMIT $4`, from, int(Live), epoch, lookAhead)
		return err
	})
	if err != nil {
		return nil, reached, func() {}, err
	}
	mine, done, err := f.claim(ctx, recordsOf(page))
	if err != nil {
		return nil, reached, func() {}, err
	}
	for _, p := range page {
		if err != nil {
			break
		}
		var own []pointer
		if mine[p.Record] {
			mine[p.Record] = false
			own, err = f.behindOf(ctx, p.Record, epoch)
		}
		if len(batch)+len(own) > waypost.MaxPublishBatch {
			return batch, reached, done, err
		}
		batch, reached = append(batch, own...), p.Handle
	}
	if len(page) < lookAhead {
		reached = waypost.Handle{}
	}
	return batch, reached, done, err
}

// behindOf returns those of one record, its main pointer first, with what is to be
// made under the key. None, where one of them is about to give way, whose successor
// is published under both keys; where a release of the record can be used; and
// where the state system has it no more. Where a release was not answered the SSN slots
// are random, whoever it is: the state that it was for may have published the pointer
// under that key, and the hub would see which tokens are the same.
func (f *File) behindOf(ctx context.Context, recordID string, epoch uint32) (behind []pointer, err error) {
	if _, err := f.wantedRecord(ctx, recordID); err != nil {
		if waypost.CodeOf(err) == waypost.NotFound {
			return nil, nil
		}
		return nil, err
	}
	var all []pointer
	away := Here
	err = f.DB.Read(ctx, func(tx *store.Tx) error {
		if all, err = pointersOf(tx, recordID); err != nil {
			return err
		}
		away, err = f.away(tx, recordID)
		return err
	})
	if err != nil || away == Released || slices.ContainsFunc(all, func(p pointer) bool { return p.State != Live && p.State != Moved }) {
		return nil, err
	}
	var there []pointer
	for _, p := range all {
		if p.State == Live && p.reached >= epoch {
			there = append(there, p)
		}
	}
	served := append(epochsOf(f.Roster.Settled().KeysFor(waypost.KindPublish)), epoch)
	for _, p := range all {
		if p.State != Live || p.reached >= epoch {
			continue
		}
		if p.under(epoch) == nil {
			f.renew(&p, there, epoch, served)
			if away == Unanswered {
				p.under(epoch).fill(ssnSlots)
				p.hidden = epoch
			}
		}
		behind, there = append(behind, p), append(there, p)
	}
	return behind, nil
}

// renew prepares a pointer's tokens under the newest key. One that another state has
// made becomes this state's own: it is made of the record as it stands, as if it were
// issued now. Under a new key that tells nobody whether it was the same before.
func (f *File) renew(p *pointer, there []pointer, newest uint32, epochs []uint32) {
	if p.PassedBy != "" && p.reached <= p.passed {
		p.decoys = f.taken(*p, newest, there)
		if p.Alias {
			p.decoys |= ssnSlots
		}
	}
	p.cover(epochs)
}

// republish publishes a batch once more. Where some of it is not at the hub as it is
// known here, or must be left out, each is tried by itself.
func (f *File) republish(ctx context.Context, operator string, epoch uint32, batch []pointer) (published int, err error) {
	err = f.publish(ctx, waypost.KindRepublish, operator, batch, nil)
	switch code := waypost.CodeOf(err); {
	case err == nil:
		return len(batch), nil
	case code == waypost.AlreadyExists && len(batch) == 1:
		// It was, and this process or the one before has not heard of it: the tokens
		// that are kept here are those of then.
		return 1, f.DB.WriteBulk(ctx, func(tx *store.Tx) error { return advance(tx, batch, epoch) })
	case errors.Is(err, errMeanwhile) && len(batch) == 1:
		return 0, nil
	case code == waypost.NotFound && len(batch) == 1:
		f.Log.Warn("a pointer is not published once more: the hub has it no more; the next comparison mends it")
		return 0, nil
	case code != waypost.AlreadyExists && code != waypost.NotFound && !errors.Is(err, errMeanwhile):
		return 0, err
	}
	for i := range batch {
		n, err := f.republish(ctx, operator, epoch, batch[i:i+1])
		if err != nil {
			return published, err
		}
		published += n
	}
	return published, nil
}

// keepRenewed stores the tokens of pointers that are to be published once more: from
// here on the hub may know them, and a release says so. Where one has been released
// meanwhile, or is another state's by now, nothing is stored, and the hub is shown
// nothing.
func (f *File) keepRenewed(tx *store.Tx, batch []pointer) error {
	for _, id := range recordsOf(batch) {
		if away, err := f.away(tx, id); err != nil {
			return err
		} else if away == Released {
			return errMeanwhile
		} else if away == Unanswered {
			if err := unseen(tx, id, batch); err != nil {
				return err
			}
		}
	}
	var rows, found [][]any
	for _, p := range batch {
		tokens, epochs, todo := joinSets(p.sets)
		rows = append(rows, []any{tokens, epochs[0], todo[0], epochs[1], todo[1], p.decoys, p.hidden, p.Handle[:], int(Live)})
		for _, t := range p.searched() {
			found = append(found, []any{t[:], p.Handle[:]})
		}
	}
	changed, err := tx.ExecMany(`UPDATE pointer SET tokens = $1, epoch = $2, todo = $3, next_epoch = $4, next_todo = $5, decoys = $6, hidden = $7 WHERE handle = $8 AND state = $9`, rows)
	if err != nil {
		return err
	}
	if slices.Contains(changed, 0) {
		return errMeanwhile
	}
	return findBy(tx, found)
}

// unseen refuses pointers of a record whose release was not answered, unless what the
// hub would be shown was made so that it may be, or was kept before the release.
func unseen(tx *store.Tx, recordID string, batch []pointer) error {
	for _, p := range batch {
		newest := p.sets[len(p.sets)-1].epoch
		if p.Record != recordID || p.hidden == newest {
			continue
		}
		if was, err := byHandle(tx, p.Handle); err != nil {
			return err
		} else if m := was.under(newest); m == nil || m.todo != 0 {
			return errMeanwhile
		}
	}
	return nil
}

// errMeanwhile is that of a batch with a record that must be left out of it.
var errMeanwhile = waypost.Errorf(waypost.Unavailable, "one of these records has just been released to another state: the others are published without it")

// advance notes that pointers are in the index under the key of an epoch too.
func advance(tx *store.Tx, batch []pointer, epoch uint32) error {
	rows := make([][]any, len(batch))
	for i, p := range batch {
		rows[i] = []any{epoch, p.Handle[:]}
	}
	_, err := tx.ExecMany(`UPDATE pointer SET reached = $1 WHERE handle = $2 AND reached < $1`, rows)
	return err
}
