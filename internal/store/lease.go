package store

import (
	"context"
	"os"
	"time"
)

// LockFile makes the file at path if need be and locks it, until it is closed or the
// process ends. It is an error, at once, if another process has it.
func LockFile(path string) (*os.File, error) { return lockFile(path) }

// leaseEvery is how often a process tries to get a lease that another holds.
const leaseEvery = time.Second

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
		if leading, stop, ok := db.lease(ctx, name); ok {
			work(leading)
			stop()
			db.release(name)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Claim takes the lease if it is free, and returns what gives it back, or nil where it
// is taken: by another process, or by a caller in this one. Without [AsProcess] there
// is nobody else to ask for it, and callers keep themselves apart.
func (db *DB) Claim(ctx context.Context, name string) (release func()) {
	if !db.Shared() {
		return func() {}
	}
	_, stop, ok := db.lease(ctx, name)
	if !ok {
		return nil
	}
	return func() {
		stop()
		db.release(name)
	}
}

// lease gets the lease if nobody holds it who lives.
func (db *DB) lease(ctx context.Context, name string) (leading context.Context, stop context.CancelFunc, ok bool) {
	err := db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(`INSERT INTO store_lease (name, process, token) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET process = excluded.process, token = excluded.token
			WHERE NOT EXISTS (SELECT 1 FROM store_process p WHERE p.number = store_lease.process AND p.token = store_lease.token)`,
			name, db.place.number, db.place.token)
		ok = n == 1
		return err
	})
	if err != nil || !ok {
		return nil, nil, false
	}
	leading, stop = context.WithCancel(ctx)
	db.place.mu.Lock()
	defer db.place.mu.Unlock()
	db.place.held[name] = stop
	return leading, stop, true
}

// Seize takes the lease from whoever holds it, for as long as this process runs. Who
// had it may be at work for some seconds still: see [DB.Holds].
func (db *DB) Seize(ctx context.Context, name string) error {
	if !db.Shared() {
		return nil
	}
	return db.Write(ctx, func(tx *Tx) error { return db.place.take(tx, name) })
}

// take makes the lease this process's, whoever had it.
func (p *place) take(tx *Tx, name string) error {
	_, err := tx.Exec(`INSERT INTO store_lease (name, process, token) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET process = excluded.process, token = excluded.token`, name, p.number, p.token)
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

// release gives a lease back. If that fails, it is free when this process ends.
func (db *DB) release(name string) {
	p := &db.place
	p.mu.Lock()
	delete(p.held, name)
	p.mu.Unlock()
	_ = db.Write(background, func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM store_lease WHERE name = $1 AND process = $2 AND token = $3", name, p.number, p.token)
		return err
	})
}

// checkLeases stops the work under leases that were seized.
func (p *place) checkLeases(tx *Tx) error {
	if len(p.held) == 0 {
		return nil
	}
	mine := make(map[string]bool)
	err := tx.Query("SELECT name FROM store_lease WHERE process = $1 AND token = $2", []any{p.number, p.token}, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		mine[name] = true
		return err
	})
	for name, stop := range p.held {
		if err == nil && !mine[name] {
			stop()
		}
	}
	return err
}
