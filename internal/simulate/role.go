package simulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// role is a member: what outlives its process.
type role struct {
	w       *world
	name    string
	kind    string // of its database: "hub", "keyholder" or "gateway"
	folder  string
	life    *life // the process at work, nil while it is down
	lives   int
	keyring []byte // of a gateway, as it was saved last
	ledger  *ledger
}

// life is one process of a role. Once it is dead nothing that it still does has
// an effect: it commits nothing, and is heard by nobody.
type life struct {
	*role
	dead    bool
	closed  bool
	db      *store.DB
	people  *store.DB
	journal *journal.Journal
	lanes   map[string]*lane

	hub     *hub.Server
	holder  *keyholder.Server
	gateway *gateway.Server
}

// lane is one of the things that a process does over and over, never twice at the
// same time.
type lane struct {
	busy, again bool
}

var errDead = errors.New("simulate: this process has died")

// start begins a process. A fault may end it before it has begun.
func (r *role) start() error {
	r.lives++
	l := &life{role: r, lanes: make(map[string]*lane)}
	r.life = l
	if err := l.open(); err != nil {
		if !l.dead {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		l.close()
		return nil
	}
	r.w.trace.note("start", r.name, r.lives)
	return nil
}

func (l *life) open() (err error) {
	ctx := context.Background()
	if l.db, err = l.database(l.kind); err != nil {
		return err
	}
	if l.journal, err = journal.Open(ctx, l.db, "simulate.test/"+l.name+"/1", l.w.cast.reader.Recipient()); err != nil {
		return err
	}
	l.ledger.Journal = l.journal
	if err = l.journal.Started(ctx, "simulated", l.w.now); err != nil {
		return err
	}
	switch l.kind {
	case "hub":
		l.hub, err = hub.New(hub.Config{Name: l.name}, hub.Deps{
			Roster: l.w.roster, DB: l.db, Journal: l.ledger, LabelKey: l.w.cast.secret[l.name], Identity: l.w.cast.identity[l.name],
			Now: l.w.Now, Log: l.w.log(l.name),
		})
	case "keyholder":
		l.holder, err = keyholder.New(keyholder.Config{Name: l.name}, keyholder.Deps{
			Roster: l.w.roster, DB: l.db, Journal: l.ledger, Shares: keyholder.Held(l.w.cast.share[l.name]), Identity: l.w.cast.identity[l.name],
			Now: l.w.Now, Log: l.w.log(l.name),
		})
	case "gateway":
		err = l.openGateway()
	}
	return err
}

func (l *life) openGateway() (err error) {
	if l.people, err = l.database("people"); err != nil {
		return err
	}
	ring, err := l.ring()
	if err != nil {
		return err
	}
	link := &link{l}
	l.gateway, err = gateway.New(gateway.Config{State: waypost.Jurisdiction(l.name)}, gateway.Deps{
		Roster: l.w.roster, DB: l.db, Journal: l.ledger, Identity: l.w.cast.identity[l.name], Secret: l.w.cast.secret[l.name],
		Keyring: ring, SaveKeyring: l.saveKeyring, Policy: policy.Default(), Holders: link, Hub: link, Mailbox: link,
		Ledgers: allUsable{}, People: records.NewPeople(l.people), Now: l.w.Now, Log: l.w.log(l.name), Loop: l.w.loop,
	})
	return err
}

// allUsable relies on everybody: following ledgers is not simulated.
type allUsable struct{}

func (allUsable) Usable(string) error { return nil }

func (l *life) ring() (*seal.Keyring, error) {
	if l.keyring != nil {
		return seal.ParseKeyring(l.keyring, l.name)
	}
	ring, err := seal.NewKeyring(l.name, l.w.cast.identity[l.name], l.w.Now())
	if err != nil {
		return nil, err
	}
	return ring, l.saveKeyring(ring)
}

func (l *life) saveKeyring(ring *seal.Keyring) (err error) {
	if l.dead {
		return errDead
	}
	l.keyring, err = ring.MarshalBinary()
	if err == nil {
		l.w.watch.save(l.name, l.keyring)
	}
	return err
}

func (l *life) database(kind string) (*store.DB, error) {
	path := filepath.Join(l.folder, kind+".db")
	url := "sqlite:" + path
	if on := l.w.cast.databases; on != nil {
		var err error
		if url, err = on.URL(path, kind); err != nil {
			return nil, err
		}
	}
	return store.Open(context.Background(), url, kind,
		store.ForSimulation(), store.WithReaders(1), store.WithFault(func(point string) error { return l.fault(kind, point) }))
}

// fault decides at each point of each commit whether the process dies there.
func (l *life) fault(kind, point string) error {
	if l.dead {
		return errDead
	}
	if l.w.faults.crashes() && point != "begin" {
		l.crash(kind + " " + point)
		return errDead
	}
	return nil
}

// crash ends the process, and begins another one after a while.
func (l *life) crash(where string) {
	l.dead = true
	l.w.trace.note("crash", l.name, where)
	l.w.crashes++
	l.w.graves = append(l.w.graves, l)
	l.w.in(l.w.faults.downtime(), "start "+l.name, l.role.revive)
}

// revive starts a process if there is none.
func (r *role) revive() {
	if r.life != nil && !r.life.dead {
		return
	}
	r.w.bury() // the one before may still hold the databases
	if err := r.start(); err != nil {
		r.w.failf("%v", err)
		r.life = nil
		return
	}
	if r.life != nil && !r.life.dead {
		r.work("begin")
	}
}

// up returns the process at work, or nil.
func (r *role) up() *life {
	if r.life == nil || r.life.dead {
		return nil
	}
	return r.life
}

// close releases what a process held, as its end does.
func (l *life) close() {
	if l.closed {
		return
	}
	if l.db != nil {
		l.ledger.left = l.ledger.kinds()
	}
	l.closed = true
	for _, db := range []*store.DB{l.db, l.people} {
		if db != nil {
			_ = db.Close() // its last transaction fails where the process has died
		}
	}
}

// The things that a process does over and over.
const (
	deliver = "deliver"
	collect = "collect"
	step    = "step"
)

// work has the process do one of its things after a while, unless it is about to.
func (r *role) work(what string) {
	l := r.up()
	if l == nil {
		return
	}
	if what == "begin" {
		r.work(step)
		r.work(collect)
		return
	}
	n := l.lanes[what]
	if n == nil {
		n = &lane{}
		l.lanes[what] = n
	}
	if n.busy {
		n.again = true
		return
	}
	n.busy = true
	r.w.in(r.w.faults.lag(what), what+" "+r.name, func() {
		if l.dead {
			return
		}
		l.do(what)
		n.busy = false
		if n.again {
			n.again = false
			r.work(what)
		}
	})
}

// do is one turn of a lane.
func (l *life) do(what string) {
	ctx := context.Background()
	var err error
	if what == step {
		err = l.journal.Daily(ctx, l.w.now)
	}
	switch {
	case l.hub != nil:
		err = errors.Join(err, l.hub.Clean(ctx))
	case l.holder != nil:
		err = errors.Join(err, l.holder.Clean(ctx))
	case what == deliver:
		l.gateway.Deliver(ctx)
	case what == collect:
		err = l.gateway.Collect(ctx)
	case what == step:
		err = errors.Join(err, l.gateway.Step(ctx))
	}
	if !l.dead {
		l.w.trace.note(what, l.name, err != nil)
	}
}

// copyFolder gives the role the databases that were prepared for it.
func (r *role) copyFolder(from string) error {
	if err := os.MkdirAll(r.folder, 0o700); err != nil {
		return err
	}
	if on := r.w.cast.databases; on != nil {
		return on.Copy(from, r.folder)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".db" {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.folder, e.Name()), raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}
