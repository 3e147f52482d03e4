package shards

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Owned is what one process of a hub knows of whose the labels are. To a server that could
// not be asked yet it writes nothing, and does not look there: its own may be a copy of the
// hub's database, which has the addresses and passwords of the real one's servers. One
// that is nil has no servers, and nothing to ask. It is safe for concurrent use.
type Owned struct {
	url string

	mu    sync.Mutex
	asked bool             // at the start
	open  map[string]error // servers that are to be asked, and why they could not be
}

// Own asks all servers of the hub's database at url whose their labels are. It is an error
// if one says that they are not this database's; which servers could not be asked is in
// what it returns.
func Own(ctx context.Context, url string) (*Owned, error) {
	o := &Owned{url: url}
	return o, o.ask(ctx)
}

// ask asks the servers that are to be asked.
func (o *Owned) ask(ctx context.Context) (err error) {
	t, err := Open(ctx, o.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	of := t.names()
	if o.asked {
		of = slices.DeleteFunc(of, func(server string) bool { return !o.waits(server) })
	}
	silent, err := t.belongs(ctx, of)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked, o.open = true, silent
	return nil
}

func (o *Owned) waits(server string) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, is := o.open[server]
	return is
}

// Whole reports whether all servers have said that their labels are this hub's.
func (o *Owned) Whole() bool {
	if o == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.open) == 0
}

// troubles are why servers could not be asked yet, in order.
func (o *Owned) troubles() (all []error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, server := range slices.Sorted(maps.Keys(o.open)) {
		all = append(all, o.open[server])
	}
	return all
}

// Watch asks the servers that could not be asked, every second, until all have been or the
// context ends. It returns an error if the labels of one are not this hub's: the process
// must end.
func (o *Owned) Watch(ctx context.Context, log *slog.Logger) error {
	if o.Whole() {
		return nil
	}
	log.Error("servers of labels cannot be asked whose their labels are: searches are answered in part, and nothing is written there until they can be", "cause", errors.Join(o.troubles()...))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := o.ask(ctx)
		if _, not := errors.AsType[notOursError](err); not {
			return err
		}
		if o.Whole() {
			log.Info("all servers of labels have been asked: the labels are this hub's")
			return nil
		}
	}
}

// MayWrite refuses a transaction that is about to write labels, or to delete some, on a
// server that could not be asked yet. The error is one to try again after.
func (o *Owned) MayWrite(tx *store.Tx, labels ...[]byte) error {
	if o.Whole() {
		return nil
	}
	for _, label := range labels {
		server, err := serverOf(tx, label)
		if err != nil {
			return err
		}
		if o.waits(server) {
			return waypost.Errorf(waypost.Unavailable, "a server of the database does not answer now: the same request does what is left once it does").WithCause(errUnasked)
		}
	}
	return nil
}

var errUnasked = errors.New("shards: a server of labels has not been asked whose they are")
