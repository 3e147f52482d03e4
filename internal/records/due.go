package records

import (
	"context"
	"errors"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// publishDue publishes what is wanted now, up to a hundred pointers at once. Those
// that take the place of others go together with what is beside them.
func (f *File) publishDue(ctx context.Context) error {
	// and only then look: what is done with all pointers changes what is wanted
	if err := f.index.RLock(ctx); err != nil {
		return err
	}
	defer f.index.RUnlock()
	batch, err := f.due(ctx, Wanted, waypost.MaxPublishBatch)
	if err != nil || len(batch) == 0 {
		return err
	}
	return f.publishNow(ctx, batch)
}

// publishRecord publishes what is wanted of one record now, if that can be done,
// and reports whether nothing is left to do. The caller keeps everybody else off
// the record.
func (f *File) publishRecord(ctx context.Context, id string) bool {
	if err := f.index.RLock(ctx); err != nil {
		f.Log.Warn("a record is not in the index yet; it will be", "cause", err)
		return false
	}
	defer f.index.RUnlock()
	var batch []pointer
	err := f.DB.Read(ctx, func(tx *store.Tx) (err error) {
		batch, err = selectPointers(tx, `WHERE p.record = $1 AND p.state = $2 ORDER BY p.alias, p.handle`, id, int(Wanted))
		return err
	})
	if err == nil {
		err = f.later(ctx, batch, f.publishAll(ctx, batch))
	}
	if err != nil {
		f.Log.Warn("a record is not in the index yet; it will be", "cause", err)
	}
	return err == nil
}

// publishNow is publishAll of what is due and nobody else is at work on.
func (f *File) publishNow(ctx context.Context, batch []pointer) error {
	mine, leave, err := f.claim(ctx, recordsOf(batch))
	if err != nil {
		return err
	}
	defer leave()
	if batch, err = f.due(ctx, Wanted, waypost.MaxPublishBatch); err != nil {
		return err
	}
	batch = slices.DeleteFunc(batch, func(p pointer) bool { return !mine[p.Record] })
	return f.later(ctx, batch, f.publishAll(ctx, batch))
}

// publishAll publishes pointers of one operator: first those that are published
// under the ticket of a check, each for itself.
func (f *File) publishAll(ctx context.Context, batch []pointer) error {
	kind := waypost.KindPublish
	var rest []pointer
	for _, p := range batch {
		if !p.ticket.IsZero() {
			err := f.publishOnCheck(ctx, &p)
			if err == nil {
				continue
			}
			if p.ticket.IsZero() { // that is over, it is published like any other
				f.Log.Info("a record is not published under its check's ticket, but by itself", "cause", err)
			} else {
				return err
			}
		}
		if p.supersedes != (waypost.Handle{}) {
			kind = waypost.KindChange
		}
		rest = append(rest, p)
	}
	if len(rest) == 0 {
		return nil
	}
	err := f.publish(ctx, kind, rest[0].operator, rest, nil)
	switch code := waypost.CodeOf(err); {
	case code != waypost.NotFound && code != waypost.AlreadyExists:
		return err
	case len(rest) > 1: // one of them: each record is tried by itself
		var all error
		for len(rest) > 0 {
			n := 1
			for n < len(rest) && rest[n].Record == rest[0].Record {
				n++
			}
			all = errors.Join(all, f.publishOne(ctx, rest[:n]))
			rest = rest[n:]
		}
		return all
	}
	return f.publishOne(ctx, rest)
}

// publishOne publishes the pointers of one record. Where the hub does not have what
// they are to take the place of, or had them and has them no more, they are wanted
// by themselves, under handles that were never used.
func (f *File) publishOne(ctx context.Context, batch []pointer) error {
	if _, err := f.wantedRecord(ctx, batch[0].Record); waypost.CodeOf(err) == waypost.NotFound {
		f.Log.Warn("a record is not published: the state system has it no more")
		return f.DB.Write(ctx, func(tx *store.Tx) error {
			for _, p := range batch {
				if err := f.end(tx, p.Handle); err != nil {
					return err
				}
			}
			return nil
		})
	}
	kind := waypost.KindPublish
	if slices.ContainsFunc(batch, func(p pointer) bool { return p.supersedes != (waypost.Handle{}) }) {
		kind = waypost.KindChange
	}
	err := f.publish(ctx, kind, batch[0].operator, batch, nil)
	if code := waypost.CodeOf(err); code != waypost.NotFound && code != waypost.AlreadyExists {
		return err
	}
	f.Log.Warn("pointers of a record are not at the hub as they should be: they are published by themselves", "cause", err)
	return f.DB.Write(ctx, func(tx *store.Tx) error {
		for _, p := range batch {
			if err := f.afresh(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// afresh wants a pointer by itself, and what it was to take the place of no more.
func (f *File) afresh(tx *store.Tx, p pointer) error {
	now, err := byHandle(tx, p.Handle)
	if err != nil || now.State != Wanted {
		return err
	}
	away, err := f.away(tx, now.Record)
	if err != nil {
		return err
	}
	if away != Here {
		return waypost.Errorf(waypost.Unavailable, "the record may be another state's by now: the hub's word is awaited")
	}
	if now.supersedes != (waypost.Handle{}) {
		if err := f.end(tx, now.supersedes); err != nil {
			return err
		}
	}
	if err := f.end(tx, now.Handle); err != nil {
		return err
	}
	now.supersedes = waypost.Handle{}
	randomise(now.Handle[:])
	return f.wantAll(tx, now.Generation, []pointer{now})
}
