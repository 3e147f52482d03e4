package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrNoRows is returned by [Row.Scan] where the statement gave no row. It
	// is sql.ErrNoRows and the only error that does not end a transaction.
	ErrNoRows = sql.ErrNoRows
	// ErrClosed is returned by every call after [DB.Close] began.
	ErrClosed = errors.New("store: the database is closed")
	// ErrUnknownOutcome is wrapped by an error of [DB.Write] where COMMIT
	// itself failed: the effects may or may not be there after a restart.
	ErrUnknownOutcome = errors.New("store: the commit failed; whether it took effect is known after a restart")
)

// A Fault is called at the named points of every group commit; tests and the
// simulator use it to fail there by returning an error or panicking. The
// points, in order: "begin" (nothing has run), "commit" (every function has
// run, nothing is durable), "committed" (all is durable, no caller knows yet:
// an error here is what a caller sees whose answer was lost by a crash).
type Fault func(point string) error

// An Option changes how [Open] sets a database up.
type Option func(*DB)

// WithFault calls f at the points that [Fault] lists.
func WithFault(f Fault) Option { return func(db *DB) { db.fault = f } }

// WithReaders sets the number of reading connections; without it there is one
// for each processor, at least two, so that one long scan does not stop the
// point lookups.
func WithReaders(n int) Option { return func(db *DB) { db.readers = make(chan *conn, max(n, 1)) } }

// ForSimulation gives up what a simulation does without: nothing is synced to the
// disk, so that only the process may die; a file that is there is taken for one
// that was opened like this before, by this program and for this role; and what
// [DB.Later] is given rides in the next transaction and makes none of its own, so
// that no timer decides what happens first. A program that keeps anything must not
// use it.
func ForSimulation() Option { return func(db *DB) { db.simulated = true } }

// WithPlans calls see with the text of every statement and how the engine means
// to run it, when a connection prepares it first. Tests use it to find statements
// that read a whole table. It may be called by several goroutines at once.
func WithPlans(see func(statement string, plan []string)) Option {
	return func(db *DB) { db.plans = see }
}

// DB is the database of one role. It is safe for concurrent use.
type DB struct {
	role    string
	engine  engine
	fault   Fault
	plans   func(statement string, plan []string)
	readers chan *conn // idle readers; one that is not connected does so when it is taken

	mu     sync.RWMutex // held for reading while a request enters the queue
	closed bool
	queue  chan *request
	bulk   chan *request // what nobody waits for
	later  laters
	// simulated: see ForSimulation.
	simulated bool
	stopped   chan struct{} // the writer has drained the queue and ended

	wanted   *int // see AsProcess
	place    place
	stopping chan struct{} // closed when Close begins
	leaving  sync.Once

	committed chan struct{}  // has one in it where there was a commit lately
	beside    sync.WaitGroup // what works on the file beside the writer

	groupFor time.Duration // groupTime, but in tests of groups

	writer *conn // of the writer goroutine only, as is broken
	broken error // set once it is in doubt what is on the disk; no write is tried after it

	groups, writes, failed, largest atomic.Uint64
}

// engine is what differs between SQLite and PostgreSQL.
type engine interface {
	// connect opens a connection: the single writer, or one for reading only.
	connect(ctx context.Context, write bool) (session, error)
	// opening is what begins a transaction.
	opening(write bool) []string
	// migrate brings the schemas of the role up to date, or refuses.
	migrate(ctx context.Context, role string) error
	// doubt reports of an error of COMMIT whether it is unknown what became of the
	// transaction, and whether nothing may be written after it.
	doubt(err error) (unknown, broken bool)
	close() error
}

// Open opens the database at url for one role ("keyholder", "hub", "gateway",
// "witness", "people") and brings its schema up to date. The url is "sqlite:" and a file
// path whose folder must exist; the file is created, for this user only, if it
// does not. It is an error, in words, if another process has the file, if it
// belongs to another role or another program, or if a newer version wrote it.
func Open(ctx context.Context, url, role string, opts ...Option) (*DB, error) {
	scheme, rest, err := engineOf(url)
	if err != nil {
		return nil, err
	}
	db := &DB{
		role:    role,
		readers: make(chan *conn, max(runtime.GOMAXPROCS(0), 2)),
		queue:   make(chan *request, queueLimit),
		bulk:    make(chan *request, queueLimit),
		stopped: make(chan struct{}),

		groupFor: groupTime,

		stopping:  make(chan struct{}),
		committed: make(chan struct{}, 1),
	}
	for _, o := range opts {
		o(db)
	}
	if scheme == "sqlite" {
		db.engine, err = openSQLite(ctx, rest, db.simulated)
	} else {
		db.engine, err = openPostgres(url, role, db.simulated)
	}
	if err != nil {
		return nil, err
	}
	if err := db.start(ctx); err != nil {
		return nil, errors.Join(err, db.engine.close())
	}
	return db, nil
}

// engineOf cuts a URL into its scheme and, for a file, the path.
func engineOf(url string) (scheme, path string, err error) {
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok || scheme != "sqlite" && scheme != "postgres" {
		return "", "", fmt.Errorf("store: a database is named sqlite:/path/file.db or postgres://user@host/name, this one begins with %q", scheme)
	}
	return scheme, strings.TrimPrefix(rest, "//"), nil
}

// start migrates, connects the writer and starts it.
func (db *DB) start(ctx context.Context) error {
	if err := db.engine.migrate(ctx, db.role); err != nil {
		return err
	}
	db.writer = db.conn(true)
	if err := db.writer.connect(ctx); err != nil {
		return err
	}
	if err := db.claim(ctx); err != nil {
		return errors.Join(err, db.writer.close())
	}
	for range cap(db.readers) {
		db.readers <- db.conn(false)
	}
	go db.run()
	if f, ok := db.engine.(*sqliteFile); ok && !db.simulated {
		db.beside.Go(func() { f.checkpoints(db.committed, db.stopping) })
	}
	if db.place.shared {
		go db.live() //nolint:gosec // it lives until Close, not as long as the call that opens
	}
	return nil
}

func (db *DB) conn(write bool) *conn {
	c := newConn(func(ctx context.Context) (session, error) { return db.engine.connect(ctx, write) }, db.engine.opening(write))
	c.plans = db.plans
	return c
}

// Role returns the role the database was opened for.
func (db *DB) Role() string { return db.role }

// Close lets the queued writes and the running reads finish, then closes the
// database. Later calls return [ErrClosed].
func (db *DB) Close() error {
	db.flush() // what waits for a transaction to ride in
	db.leave()
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return ErrClosed
	}
	db.closed = true
	close(db.queue)
	close(db.bulk)
	db.mu.Unlock()

	<-db.stopped
	db.beside.Wait()
	var errs []error
	for range cap(db.readers) {
		errs = append(errs, (<-db.readers).close())
	}
	// The writer goes last: SQLite folds the write-ahead log into the file
	// and removes it when the last connection, able to write, closes.
	errs = append(errs, db.writer.close(), db.engine.close())
	return errors.Join(errs...)
}

// Stats are counters since Open, and gauges, for metrics.
type Stats struct {
	Queued  int    // writes waiting now
	Groups  uint64 // transactions committed
	Writes  uint64 // functions committed in them
	Failed  uint64 // functions that failed or panicked and left no effect
	Largest uint64 // most functions in one group
}

// Stats returns the counters.
func (db *DB) Stats() Stats {
	return Stats{
		Queued: len(db.queue) + len(db.bulk), Groups: db.groups.Load(), Writes: db.writes.Load(),
		Failed: db.failed.Load(), Largest: db.largest.Load(),
	}
}
