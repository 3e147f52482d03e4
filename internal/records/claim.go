package records

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost"
)

// inFlight are the records that this process is at work on. Whatever reads a
// record's pointers, decides, calls others and then writes has claimed the record: a
// pointer that is put back as it was before would undo what a clerk did meanwhile.
type inFlight struct {
	mu  sync.Mutex
	ids map[string]bool
}

func newInFlight() *inFlight { return &inFlight{ids: make(map[string]bool)} }

// take returns those that were free.
func (f *inFlight) take(ids []string) (free []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if !f.ids[id] {
			f.ids[id] = true
			free = append(free, id)
		}
	}
	return free
}

func (f *inFlight) leave(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.ids, id)
	}
}

// claim keeps everybody else off records, in whichever process of the gateway, until
// leave is called. Mine are those that nobody else is at work on; what was read of
// them before may be out of date.
func (f *File) claim(ctx context.Context, ids []string) (mine map[string]bool, leave func(), err error) {
	taken := f.busy.take(ids)
	names := make([]string, len(taken))
	for i, id := range taken {
		names[i] = "record " + id
	}
	free, release, err := f.DB.ClaimAll(ctx, names)
	if err != nil {
		f.busy.leave(taken)
		return nil, nil, err
	}
	mine = make(map[string]bool, len(taken))
	for i, id := range taken {
		mine[id] = free[i]
	}
	return mine, func() {
		release()
		f.busy.leave(taken)
	}, nil
}

// beingDone is why a record is refused that somebody else is at work on.
const beingDone = "something else is being done about this record at this moment"

// alone keeps everything else off one record until done is called.
func (f *File) alone(ctx context.Context, id string) (done func(), err error) {
	mine, leave, err := f.claim(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if !mine[id] {
		leave()
		return nil, waypost.Errorf(waypost.Unavailable, beingDone)
	}
	return leave, nil
}

const (
	// busyWait is for how long a batch waits for records that another is at work on:
	// the same one, sent again after its caller was cut off.
	busyWait  = 20 * time.Second
	busyPause = 50 * time.Millisecond
)

// enter claims the records of a batch. Those that somebody is at work on for long are
// left out.
func (f *File) enter(ctx context.Context, all []loadable) (entered []loadable, busy []Rejected, leave func(), err error) {
	ids := make([]string, len(all))
	for i, l := range all {
		ids[i] = l.record.ID
	}
	for deadline := time.Now().Add(busyWait); ; {
		mine, leave, err := f.claim(ctx, ids)
		if err != nil {
			return nil, nil, nil, err
		}
		entered, busy = nil, nil
		for _, l := range all {
			if mine[l.record.ID] {
				entered = append(entered, l)
			} else {
				busy = append(busy, Rejected{l.index, beingDone})
			}
		}
		if len(busy) == 0 || f.Pause != nil || time.Now().After(deadline) {
			return entered, busy, leave, nil
		}
		leave()
		select {
		case <-ctx.Done():
			return nil, nil, nil, ctx.Err()
		case <-time.After(busyPause):
		}
	}
}

// recordsOf are the ids of the records that pointers belong to, each once.
func recordsOf(all []pointer) (ids []string) {
	seen := make(map[string]bool, len(all))
	for _, p := range all {
		if !seen[p.Record] {
			seen[p.Record] = true
			ids = append(ids, p.Record)
		}
	}
	return ids
}
