package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Several processes of one gateway share its database. Each serves its counters and
// sends what it has written; one of them, which holds this lease, does the rest for
// all: it reads the mailbox, keeps the keys and the house, and lets the rooms do what
// is due.
const houseLease = "house"

const (
	// lookEvery is how soon a call that waits here learns of an answer that another
	// process has taken from the mailbox.
	lookEvery = 25 * time.Millisecond
	// waitShared is the same for what is waited for rarely.
	waitShared = 100 * time.Millisecond
)

// lead does what one process does for all, until the context ends.
func (s *Server) lead(ctx context.Context) {
	s.leading.Store(true)
	defer s.leading.Store(false)
	if s.TakeKeyring != nil {
		defer s.Keyring.Clear()
	}
	for s.TakeKeyring != nil {
		err := s.TakeKeyring(ctx, s.Keyring)
		if err == nil {
			break
		}
		s.Log.Warn("the message keys of the process before cannot be taken up; trying again", "cause", err)
		if !pause(ctx, retryPause) {
			return
		}
	}
	var tasks sync.WaitGroup
	for _, task := range []func(context.Context){s.keepKeys, s.collect, s.keepHouse, s.keepPromises, s.keepCanaries, s.keepFile, s.keepRooms} {
		tasks.Go(func() { task(ctx) })
	}
	tasks.Wait()
}

// alone reports whether no other process of this gateway runs, so that whatever is
// open from before was cut off.
func (s *Server) alone() bool { return len(s.DB.Living()) == 1 }

// watchOthers looks for answers that another process has taken from the mailbox, as
// long as somebody waits for any here.
func (s *Server) watchOthers(ctx context.Context) {
	if !s.DB.Shared() {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.leading.Load() {
			continue // the answers come here
		}
		if err := s.lookForOthers(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("it cannot be seen whether answers have come", "cause", err)
		}
	}
}

func (s *Server) lookForOthers(ctx context.Context) error {
	waited := s.watch.waited()
	if len(waited) == 0 {
		return nil
	}
	lists := make([][]any, len(waited))
	for i, id := range waited {
		lists[i] = []any{id[:]}
	}
	asked := make([][]ask, len(waited))
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		clear(asked)
		return tx.Many(askedOf, lists, func(i int, scan func(dest ...any) error) error {
			a, err := scanAsk(scan)
			asked[i] = append(asked[i], a)
			return err
		})
	})
	if err != nil {
		return err
	}
	for i, id := range waited {
		s.watch.learn(id, asked[i])
	}
	return nil
}

// waited are the checks that somebody waits for here.
func (w *watch) waited() (ids []waypost.TicketID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.checks {
		ids = append(ids, id)
	}
	return ids
}

// learn notes what is further than what is known.
func (w *watch) learn(id waypost.TicketID, asked []ask) {
	w.mu.Lock()
	known := make(map[waypost.Reference]int)
	if c := w.checks[id]; c != nil {
		for _, a := range c.asked {
			known[a.reference] = a.state
		}
	}
	w.mu.Unlock()
	var news []ask
	for _, a := range asked {
		if state, ok := known[a.reference]; !ok || a.state > state {
			news = append(news, a)
		}
	}
	if len(news) > 0 {
		w.note(id, news...)
	}
}

// waitInAll is wait for what another process may bring about.
func (s *Server) waitInAll(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	if s.DB.Shared() {
		d = min(d, waitShared)
	}
	return s.wait(ctx, changed, d)
}
