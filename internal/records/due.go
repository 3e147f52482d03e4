package records

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// publishDue publishes what is wanted now, up to a hundred pointers at once. Those
// that take the place of others go together with what is beside them.
func (f *File) publishDue(ctx context.Context) error {
	batch, err := f.due(ctx, Wanted, waypost.MaxPublishBatch)
	if err != nil {
		return err
	}
	return f.publishNow(ctx, batch)
}

// publishRecord publishes what is wanted of one record now, if that can be done,
// and reports whether nothing is left to do. The caller keeps everybody else off
// the record.
func (f *File) publishRecord(ctx context.Context, id string) bool {
	var batch []pointer
	err := f.DB.Read(ctx, func(tx *store.Tx) (err error) {
		batch, err = selectPointers(tx, `WHERE p.record = $1 AND p.state = $2 ORDER BY p.alias, p.handle`, id, int(Wanted))
		return err
	})
	if err == nil {
		f.index.RLock()
		err = f.later(ctx, batch, f.publishAll(ctx, batch))
		f.index.RUnlock()
	}
	if err != nil {
		f.Log.Warn("a record is not in the index yet; it will be", "cause", err)
	}
	return err == nil
}

// publishNow is publishAll of what nobody else is at work on.
func (f *File) publishNow(ctx context.Context, batch []pointer) error {
	var mine []loadable
	free := make(map[string]bool, len(batch))
	for _, p := range batch {
		if free[p.Record] {
			continue
		}
		entered, _ := f.busy.enter([]loadable{{record: waypost.Record{ID: p.Record}}})
		mine = append(mine, entered...)
		free[p.Record] = len(entered) > 0
	}
	defer f.busy.leave(mine)
	var kept []pointer
	for _, p := range batch {
		if free[p.Record] {
			kept = append(kept, p)
		}
	}
	f.index.RLock()
	defer f.index.RUnlock()
	return f.later(ctx, kept, f.publishAll(ctx, kept))
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
	return f.publish(ctx, kind, rest[0].operator, rest)
}
