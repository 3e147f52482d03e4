package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Processes of one role that share a database each have a number, and a token that
// changes with every claim to it. Every transaction that writes looks, in the round
// trip that takes the writers' lock, whether the token still holds: a process that
// was thought dead and wakes up changes nothing any more.
//
// Whether one is dead is judged without comparing clocks: it counts a beat up, and
// somebody has looked often enough, for long enough by a clock of their own, and
// seen the same beat.
const (
	beatEvery = time.Second
	// deadAfter is how long a beat stands still before its process is taken for dead.
	deadAfter = 8 * time.Second
	// lookGap is the longest time between two looks that count as watching: who was
	// stopped, or could not reach the database, begins anew.
	lookGap = 3 * time.Second
	// MaxProcess is the highest number of a process.
	MaxProcess = 999
)

// ErrReplaced is wrapped by the errors of a process whose number another has taken,
// or that was taken for dead: it must end.
var ErrReplaced = errors.New("store: this process was taken for dead, or another has its number: it can write no more; start it again")

// AsProcess makes this process number n of its role, or the lowest that is free
// where n is 0. On a server [Open] waits, some seconds where the process before was
// killed, until it has the number; it is an error if that one lives. A database in a
// file has one process at a time, held by the lock of the file.
func AsProcess(n int) Option { return func(db *DB) { db.wanted = &n } }

// place is a process's number and how it is held.
type place struct {
	number, token int64
	shared        bool          // several processes may have the database open
	replaced      chan struct{} // closed once the number is lost

	mu     sync.Mutex
	watch  watching
	living map[int64]bool
	held   map[string]*hold // leases, by name
}

// pulse is what a process shows of itself.
type pulse struct{ token, beat int64 }

// watching remembers since when each beat has stood still.
type watching struct {
	looked time.Time
	seen   map[int64]pulse
	since  map[int64]time.Time
}

// look takes in the pulses of those said to be alive, and returns who is dead.
func (w *watching) look(now time.Time, alive map[int64]pulse) (dead []int64) {
	if now.Sub(w.looked) > lookGap {
		w.seen, w.since = make(map[int64]pulse), make(map[int64]time.Time)
	}
	w.looked = now
	for number, p := range alive {
		switch {
		case w.seen[number] != p || w.since[number].IsZero():
			w.seen[number], w.since[number] = p, now
		case now.Sub(w.since[number]) >= deadAfter:
			dead = append(dead, number)
		}
	}
	return dead
}

// Process returns the number of this process, 1 without [AsProcess].
func (db *DB) Process() int64 { return max(db.place.number, 1) }

// Shared reports whether other processes may have the database open.
func (db *DB) Shared() bool { return db.place.shared }

// Replaced is closed when this process has lost its number. It must end.
func (db *DB) Replaced() <-chan struct{} { return db.place.replaced }

// Living returns the numbers of the processes that run, this one included, as of the
// last second.
func (db *DB) Living() []int64 {
	p := &db.place
	p.mu.Lock()
	defer p.mu.Unlock()
	living := []int64{db.Process()}
	for number := range p.living {
		if number != p.number {
			living = append(living, number)
		}
	}
	return living
}

// claim gets the process its number. It runs before the writer's goroutine does.
func (db *DB) claim(ctx context.Context) error {
	p := &db.place
	if db.wanted == nil {
		return nil
	}
	if *db.wanted < 0 || *db.wanted > MaxProcess {
		return fmt.Errorf("store: processes have numbers from 1 to %d, or 0 for any that is free", MaxProcess)
	}
	p.number = int64(*db.wanted)
	if _, p.shared = db.engine.(*postgres); !p.shared {
		return nil
	}
	p.held, p.replaced = make(map[string]*hold), make(chan struct{})
	var first map[int64]pulse
	for {
		if err := db.alone(func(tx *Tx) error { return p.try(tx, &first) }); err != nil {
			return err
		}
		if p.token != 0 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(beatEvery):
		}
	}
	db.writer.opening = append(db.writer.opening, fence(p.number, p.token))
	return nil
}

// fence is run where a writing transaction begins: the session fails that if it
// selects no row.
func fence(number, token int64) string {
	return "SELECT token FROM store_process WHERE number = " + strconv.FormatInt(number, 10) + " AND token = " + strconv.FormatInt(token, 10)
}

// alone runs fn in a transaction before the writer's goroutine exists.
func (db *DB) alone(fn func(tx *Tx) error) error {
	db.writer.begin()
	err := db.writer.call(fn)
	if err == nil {
		err = db.writer.commit()
	}
	db.writer.rollback()
	return err
}

// try takes the number that is wanted if nobody lives who has it; first is what the
// first look has seen. A number whose beat has not moved since may be that of a dead
// one, which shows some seconds later.
func (p *place) try(tx *Tx, first *map[int64]pulse) error {
	alive, err := p.bury(tx, time.Now())
	if err != nil {
		return err
	}
	if *first == nil {
		*first = alive
	}
	still := func(number int64) bool { return alive[number] == (*first)[number] }
	number := p.number
	if number == 0 {
		for number = 1; ; number++ {
			if out, err := isRetired(tx, number); err != nil {
				return err
			} else if !out && (alive[number].token == 0 || still(number)) {
				break
			}
		}
		if alive[number].token != 0 {
			return nil // perhaps it is free soon: better than one more log
		}
		if number > MaxProcess {
			return fmt.Errorf("store: %d processes of this role run already", MaxProcess)
		}
	} else if alive[number].token != 0 {
		if still(number) {
			return nil
		}
		return fmt.Errorf("store: process %d of this role is running on this database: stop that one first, or give this one another number", number)
	} else if out, err := isRetired(tx, number); err != nil || out {
		return errors.Join(err, errRetired(number))
	}
	if _, err := tx.Exec(`INSERT INTO store_process (number, token, beat, alive) VALUES ($1, 1, 0, 1)
		ON CONFLICT (number) DO UPDATE SET token = store_process.token + 1, alive = 1`, number); err != nil {
		return err
	}
	p.number, p.living = number, make(map[int64]bool)
	for other := range alive {
		p.living[other] = true
	}
	return tx.Row("SELECT token FROM store_process WHERE number = $1", number).Scan(&p.token)
}

// bury looks at everybody's beat, takes their number from the dead, and returns who
// lives.
func (p *place) bury(tx *Tx, now time.Time) (alive map[int64]pulse, err error) {
	alive = make(map[int64]pulse)
	if err := tx.Query("SELECT number, token, beat FROM store_process WHERE alive = 1", nil, func(scan func(...any) error) error {
		var number int64
		var beat pulse
		err := scan(&number, &beat.token, &beat.beat)
		alive[number] = beat
		return err
	}); err != nil {
		return nil, err
	}
	for _, number := range p.watch.look(now, alive) {
		if number == p.number && p.token != 0 {
			continue
		}
		if err := end(tx, number, alive[number].token); err != nil {
			return nil, err
		}
		delete(alive, number)
	}
	return alive, nil
}

// end frees a number and the leases that were held with it.
func end(tx *Tx, number, token int64) error {
	if _, err := tx.Exec("DELETE FROM store_lease WHERE process = $1 AND token = $2", number, token); err != nil {
		return err
	}
	_, err := tx.Exec("UPDATE store_process SET token = token + 1, alive = 0 WHERE number = $1 AND token = $2", number, token)
	return err
}

// live beats until the database is closed.
func (db *DB) live() {
	p := &db.place
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-db.stopping:
			return
		case <-tick.C:
		}
		// Anything else than a lost number is a fault of the moment.
		if errors.Is(db.Write(context.Background(), db.beat), ErrReplaced) {
			close(p.replaced)
			return
		}
	}
}

// beat shows that this process lives, and looks at the others and at the leases.
func (db *DB) beat(tx *Tx) error {
	p := &db.place
	if _, err := tx.Exec("UPDATE store_process SET beat = beat + 1 WHERE number = $1 AND token = $2", p.number, p.token); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	alive, err := p.bury(tx, time.Now())
	if err != nil {
		return err
	}
	p.living = make(map[int64]bool)
	for number := range alive {
		p.living[number] = true
	}
	return p.checkLeases(tx)
}

// leave frees the number at once, when the process ends in order.
func (db *DB) leave() {
	db.leaving.Do(func() {
		close(db.stopping)
		if p := &db.place; p.token != 0 {
			// If it fails, the others find out for themselves.
			_ = db.Write(background, func(tx *Tx) error { return end(tx, p.number, p.token) })
		}
	})
}
