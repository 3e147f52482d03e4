package simulate

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/internal/roster"
)

// world is one exchange in one process, on one loop.
type world struct {
	*loop
	cast    *cast
	roster  *roster.View
	rosters []*roster.Roster // all versions, the newest last
	role    map[string]*role
	roles   []*role // hub, key holders, gateways: always in this order
	faults  *faults
	rng     *rand.Rand // of the script
	watch   *watch
	trace   *trace
	logs    slog.Handler
	graves  []*life // processes that have died and still hold their databases
	crashes int
	wrong   []string // what must not be and is
	people  []*person
	cards   []*card
}

// Now is the clock of everybody.
func (w *world) Now() time.Time { return w.now }

// newWorld makes the members; their databases are in folders under dir, which
// must exist.
func newWorld(c *cast, dir string, seed uint64, start time.Time, show io.Writer) (*world, error) {
	w := &world{
		loop: &loop{now: start}, cast: c, role: make(map[string]*role),
		faults: newFaults(seed), rng: rand.New(rand.NewPCG(seed, 1)), logs: slog.DiscardHandler,
	}
	w.loop.passed, w.loop.stepped = w.clockMoved, w.sliceOver
	w.trace, w.watch = newTrace(w.Now, show), newWatch(w)
	if show != nil {
		w.logs = slog.NewTextHandler(show, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
	}
	first := c.first
	signed, err := first.Sign(c.signer)
	if err != nil {
		return nil, err
	}
	w.rosters = []*roster.Roster{&first}
	if w.roster, err = roster.NewView(first.Governance, w.Now, signed); err != nil {
		return nil, err
	}
	for _, m := range first.Members {
		r := &role{w: w, name: m.Name, kind: string(m.Role), folder: filepath.Join(dir, m.Name)}
		r.ledger = newLedger(r)
		w.role[m.Name], w.roles = r, append(w.roles, r)
	}
	w.clockMoved()
	return w, nil
}

// clockMoved signs the roster again before it runs out.
func (w *world) clockMoved() {
	newest := w.rosters[len(w.rosters)-1]
	if w.now.Before(newest.NotAfter.Add(-3 * 24 * time.Hour)) {
		return
	}
	next, err := newest.Successor(w.now, w.now.Add(roster.MaxValidity))
	if err == nil {
		var signed []byte
		if signed, err = next.Sign(w.cast.signer); err == nil {
			if err = w.roster.Update(signed); err == nil {
				w.rosters = append(w.rosters, next)
			}
		}
	}
	if err != nil {
		w.failf("the roster: %v", err)
	}
}

// sliceOver buries who has died, and sends what is to be sent.
func (w *world) sliceOver() {
	w.bury()
	for _, r := range w.roles {
		if l := r.up(); l != nil && l.gateway != nil && l.gateway.Dispatched() > 0 {
			r.work(deliver)
		}
	}
}

// bury closes what processes that have died still hold.
func (w *world) bury() {
	for _, l := range w.graves {
		l.close()
	}
	w.graves = nil
}

func (w *world) log(name string) *slog.Logger { return slog.New(w.logs).With("role", name) }

// failf notes that something is that must not be.
func (w *world) failf(format string, args ...any) {
	said := fmt.Sprintf(format, args...)
	w.trace.note("WRONG", said)
	if len(w.wrong) < 20 {
		w.wrong = append(w.wrong, w.now.Format("2006-01-02 15:04:05 ")+said)
	}
}

// start begins a process of every role.
func (w *world) start() error {
	for _, r := range w.roles {
		if err := r.start(); err != nil {
			return err
		}
	}
	for _, r := range w.roles {
		r.work("begin")
	}
	return nil
}

// end closes everything.
func (w *world) end() {
	w.loop.end()
	for _, r := range w.roles {
		if r.life != nil {
			r.life.close()
		}
	}
}

// run does something in a task of its own.
func (w *world) act(name string, do func(ctx context.Context)) {
	w.in(0, name, func() { do(context.Background()) })
}

// pass lets the time go by, while everybody does his things at least so often.
func (w *world) pass(d, every time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		for _, r := range w.roles {
			r.work(step)
		}
		next := w.now.Add(every)
		if next.After(end) {
			next = end
		}
		w.until(next)
	}
}
