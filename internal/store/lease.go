package store

import (
	"context"
	"os"
	"slices"
	"time"
)

// LockFile makes the file at path if need be and locks it, until it is closed or the
// process ends. It is an error, at once, if another process has it.
func LockFile(path string) (*os.File, error) { return lockFile(path) }

// leaseEvery is how often a process tries to get a lease that another holds.
const leaseEvery = time.Second

// hold is a lease in the memory of the process that holds it, is about to, or is giving
// it back. What the database says of this process beyond that, since the answer to a
// commit was lost or a release failed, is nobody's: the next beat deletes it.
type hold struct {
	name string
	stop context.CancelFunc // tells who works under it that it is lost; may be nil
}

// reserve notes the leases that nobody in this process holds: nil for the others.
func (p *place) reserve(names ...string) []*hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*hold, len(names))
	for i, name := range names {
		if p.held[name] == nil {
			all[i] = &hold{name: name}
			p.held[name] = all[i]
		}
	}
	return all
}

// holds reports whether it is this one that the process has the lease by.
func (p *place) holds(h *hold) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held[h.name] == h
}

func (p *place) forget(h *hold) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[h.name] == h {
		delete(p.held, h.name)
	}
}

// writing is [DB.Write] or [DB.WriteBulk].
type writing func(ctx context.Context, fn func(tx *Tx) error) error

// lease gets those of the leases that nobody holds who lives: nil for the others.
func (db *DB) lease(ctx context.Context, write writing, names ...string) ([]*hold, error) {
	p := &db.place
	all := p.reserve(names...)
	var asked []int
	var rows [][]any
	for i, h := range all {
		if h != nil {
			asked, rows = append(asked, i), append(rows, []any{h.name, p.number, p.token})
		}
	}
	if len(rows) == 0 {
		return all, nil
	}
	var got []int64
	err := write(ctx, func(tx *Tx) (err error) {
		got, err = tx.ExecMany(takeFree, rows)
		return err
	})
	for k, i := range asked {
		if err != nil || got[k] != 1 {
			p.forget(all[i])
			all[i] = nil
		}
	}
	return all, err
}

// A lease is free if its holder is gone, or is this process: then memory did not have
// it.
const (
	putLease = `INSERT INTO store_lease (name, process, token) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET process = excluded.process, token = excluded.token`
	takeFree = putLease + ` WHERE store_lease.process = excluded.process
		OR NOT EXISTS (SELECT 1 FROM store_process p WHERE p.number = store_lease.process AND p.token = store_lease.token)`
	dropLease = "DELETE FROM store_lease WHERE name = $1 AND process = $2 AND token = $3"
)

// Lead runs work in one process of the role at a time, under the name of a lease,
// until ctx ends: in this one when it gets the lease, which it keeps until then
// unless another takes it with [DB.Seize]. The context of work ends when the lease
// is lost; what work writes until it has returned is safe, because a lease is free
// only when its holder cannot write any more, or has given it back. Where the
// database is not shared, work runs at once.
func (db *DB) Lead(ctx context.Context, name string, work func(ctx context.Context)) {
	if !db.Shared() {
		work(ctx)
		return
	}
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	for {
		if h := db.tryLead(ctx, name); h != nil {
			leading, stop := context.WithCancel(ctx)
			db.place.tell(h, stop)
			work(leading)
			stop()
			db.release(db.Write, h)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tryLead gets a lease if nobody has it who lives. Who asks every second makes no
// transaction that writes for it.
func (db *DB) tryLead(ctx context.Context, name string) *hold {
	var taken bool
	if err := db.Read(ctx, func(tx *Tx) error {
		return tx.Row(`SELECT count(*) > 0 FROM store_lease l JOIN store_process p ON p.number = l.process AND p.token = l.token
			WHERE l.name = $1 AND l.process <> $2`, name, db.place.number).Scan(&taken)
	}); err != nil || taken {
		return nil
	}
	got, err := db.lease(ctx, db.Write, name)
	if err != nil {
		return nil
	}
	return got[0]
}

// tell has stop called when the lease is lost.
func (p *place) tell(h *hold, stop context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.stop = stop; p.held[h.name] != h {
		stop()
	}
}

// Claim takes the lease if it is free, and returns what gives it back, or nil where it
// is taken: by another process, or by a caller in this one. Without [AsProcess] there
// is nobody else to ask for it, and callers keep themselves apart.
func (db *DB) Claim(ctx context.Context, name string) (release func()) {
	if !db.Shared() {
		return func() {}
	}
	got, err := db.lease(ctx, db.Write, name)
	if err != nil || got[0] == nil {
		return nil
	}
	return func() { db.release(db.Write, got...) }
}

// ClaimAll is Claim for many at once, in one transaction of [DB.WriteBulk]: free says
// which of them were taken for the caller. After an error none are.
func (db *DB) ClaimAll(ctx context.Context, names []string) (free []bool, release func(), err error) {
	free = make([]bool, len(names))
	if !db.Shared() {
		for i := range free {
			free[i] = true
		}
		return free, func() {}, nil
	}
	got, err := db.lease(ctx, db.WriteBulk, names...)
	if err != nil {
		return nil, nil, err
	}
	for i, h := range got {
		free[i] = h != nil
	}
	return free, func() { db.release(db.WriteBulk, got...) }, nil
}

// Seize takes the lease from whoever holds it, for as long as this process runs. Who
// had it may be at work for some seconds still: see [DB.Holds].
func (db *DB) Seize(ctx context.Context, name string) error {
	if !db.Shared() {
		return nil
	}
	p, h := &db.place, &hold{name: name}
	p.mu.Lock()
	if had := p.held[name]; had != nil && had.stop != nil {
		had.stop()
	}
	p.held[name] = h
	p.mu.Unlock()
	err := db.Write(ctx, func(tx *Tx) error { return p.take(tx, name) })
	if err != nil {
		p.forget(h)
	}
	return err
}

// take makes the lease this process's, whoever had it.
func (p *place) take(tx *Tx, name string) error {
	_, err := tx.Exec(putLease, name, p.number, p.token)
	return err
}

// Holds reports, in a transaction that writes, whether this process holds the lease:
// nobody else gets it before the transaction is over.
func (db *DB) Holds(tx *Tx, name string) (bool, error) {
	if !db.Shared() {
		return true, nil
	}
	var n int
	err := tx.Row("SELECT count(*) FROM store_lease WHERE name = $1 AND process = $2 AND token = $3", name, db.place.number, db.place.token).Scan(&n)
	return n == 1, err
}

// release gives leases back, and lets go of them in memory only then: who takes one
// again in between would lose it. What fails is left to the next beat.
func (db *DB) release(write writing, all ...*hold) {
	p := &db.place
	all = slices.DeleteFunc(slices.Clone(all), func(h *hold) bool { return h == nil })
	if len(all) == 0 {
		return
	}
	_ = write(background, func(tx *Tx) error {
		var rows [][]any
		for _, h := range all {
			if p.holds(h) {
				rows = append(rows, []any{h.name, p.number, p.token})
			}
		}
		_, err := tx.ExecMany(dropLease, rows)
		return err
	})
	for _, h := range all {
		p.forget(h)
	}
}

// checkLeases stops the work under leases that were seized, and gives up those that
// the process does not know of.
func (p *place) checkLeases(tx *Tx) error {
	mine := make(map[string]bool)
	var lost [][]any
	err := tx.Query("SELECT name FROM store_lease WHERE process = $1 AND token = $2", []any{p.number, p.token}, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		mine[name] = true
		if p.held[name] == nil {
			lost = append(lost, []any{name, p.number, p.token})
		}
		return err
	})
	if err != nil {
		return err
	}
	for name, h := range p.held {
		if h.stop != nil && !mine[name] {
			h.stop()
		}
	}
	_, err = tx.ExecMany(dropLease, lost)
	return err
}
