package install

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// followEvery is how often a running role looks for a new roster in its folder.
const followEvery = time.Minute

// Run serves until the context ends. Rosters that are put into the folder
// meanwhile are taken up. At the end everything in the ledger is published, if
// the witnesses can be reached; the public door stays open until Close.
func (r *Role) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if r.Journal == nil {
		return r.follow(ctx, stop)
	}
	if err := r.Journal.Started(context.WithoutCancel(ctx), version(), r.now()); err != nil {
		return err
	}
	// The publisher goes on until the last entry is written.
	publishing, stopPublishing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPublishing()
	var tasks sync.WaitGroup
	tasks.Go(func() { r.Publisher.Run(publishing) })
	var watching sync.WaitGroup
	watching.Go(func() { r.watchOthers(ctx) })
	watching.Go(func() { keepLedger(ctx, r.Journal, r.now, r.log) })
	watching.Go(func() { r.keepOthers(ctx) })
	watching.Go(func() { r.endReplaced(ctx, stop) })
	watching.Go(func() { r.serveMetrics(ctx) })
	err := r.follow(ctx, stop)
	watching.Wait()
	if r.replaced() {
		stopPublishing()
		tasks.Wait()
		return errors.Join(err, store.ErrReplaced)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
	defer cancel()
	if stopErr := errors.Join(r.Journal.Stopped(last, version(), r.now()), r.Publisher.Flush(last)); stopErr != nil {
		r.log.Warn("the last entries of the ledger could not be published; the next start does it", "cause", stopErr)
	}
	stopPublishing()
	tasks.Wait()
	return err
}

const (
	// lastWait bounds what is done for the ledger when a role stops.
	lastWait = 3 * time.Second
	// ledgerEvery is how often a role looks whether a day or a retention is over.
	ledgerEvery = time.Minute
)

func (r *Role) watchOthers(ctx context.Context) {
	if err := r.Follower.Run(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("the ledgers of others are not watched any more", "cause", err)
	}
}

// keepLedger counts each day and erases what is over, once a day: a row with a
// time in the future makes an erasure look at all that came after it.
func keepLedger(ctx context.Context, j *journal.Journal, now func() time.Time, log *slog.Logger) {
	tick := time.NewTicker(ledgerEvery)
	defer tick.Stop()
	var erased string // the day of the last erasure
	for {
		if err := tendLedger(ctx, j, now(), &erased); err != nil && ctx.Err() == nil {
			log.Error("the ledger could not be tended; it will be tried again", "cause", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func tendLedger(ctx context.Context, j *journal.Journal, now time.Time, erased *string) (err error) {
	if today := now.UTC().Format(time.DateOnly); *erased != today {
		if _, err = j.Erase(ctx, journal.DefaultRetention(), now); err == nil {
			*erased = today
		}
	}
	return errors.Join(err, j.Daily(ctx, now))
}

// follow runs the role's own work, and takes up rosters meanwhile.
func (r *Role) follow(ctx context.Context, stop context.CancelFunc) error {
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { r.followRosters(ctx) })
	err := r.run(ctx)
	stop()
	return err
}
