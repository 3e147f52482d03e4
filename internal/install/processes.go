package install

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

const (
	// othersEvery is how often a process looks for logs of others in its database.
	othersEvery = 5 * time.Second
	// absence is for how long nobody keeps a log before another process does: a
	// restart takes less.
	absence = 15 * time.Second
)

// lease is under which a process keeps the log of that name.
func lease(origin string) string { return "log " + origin }

// replaced reports whether this process was taken for dead by another one.
func (r *Role) replaced() bool {
	select {
	case <-r.DB.Replaced():
		return true
	default:
		return false
	}
}

// endReplaced stops a process that can write no more: its number is another's.
func (r *Role) endReplaced(ctx context.Context, stop context.CancelFunc) {
	select {
	case <-ctx.Done():
	case <-r.DB.Replaced():
		r.log.Error("another process has taken the place of this one, which ends", "instance", r.DB.Process())
		stop()
	}
}

// keepOthers keeps the logs of processes that have ended or are dead: what they have
// promised is published, their days are counted, and what is over is erased. One of
// the processes that live does it for each log, until its own comes back.
func (r *Role) keepOthers(ctx context.Context) {
	if !r.DB.Shared() {
		return
	}
	var keeping sync.WaitGroup
	defer keeping.Wait()
	known := map[string]bool{r.Journal.Origin(): true}
	tick := time.NewTicker(othersEvery)
	defer tick.Stop()
	for {
		origins, err := r.Journal.Origins(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("it cannot be seen which logs are without a process; it will be tried again", "cause", err)
		}
		for _, origin := range origins {
			if !known[origin] {
				known[origin] = true
				keeping.Go(func() {
					r.DB.Lead(ctx, lease(origin), func(ctx context.Context) { r.keepOther(ctx, origin) })
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepOther keeps the log of a process that is gone until the context ends.
func (r *Role) keepOther(ctx context.Context, origin string) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(absence):
	}
	r.log.Info("the log of a process that is gone is kept here", "log", origin)
	if err := r.standIn(ctx, origin); err != nil && ctx.Err() == nil {
		r.log.Error("the log of a process that is gone cannot be kept; it will be tried again", "log", origin, "cause", err)
	}
}

func (r *Role) standIn(ctx context.Context, origin string) (err error) {
	readers, err := r.Folder.readers()
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, r.DB, origin, readers...)
	if err != nil {
		return err
	}
	j.Guard(func(tx *store.Tx) error {
		held, err := r.DB.Holds(tx, lease(origin))
		if err == nil && !held {
			err = waypost.Errorf(waypost.Unavailable, "the process that %s belongs to is back", origin)
		}
		return err
	})
	p, err := r.publish(j)
	if err != nil {
		return err
	}
	r.publishing.Store(origin, p)
	defer func() {
		r.publishing.Delete(origin)
		err = errors.Join(err, p.Close())
	}()
	var tending sync.WaitGroup
	defer tending.Wait()
	tending.Go(func() { keepLedger(ctx, j, r.now, r.log) })
	p.Run(ctx)
	return nil
}
