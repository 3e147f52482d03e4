package publisher

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

const (
	// refresh is the age at which a checkpoint is cosigned again though nothing
	// is new. Others stop trusting one of ten minutes.
	refresh = time.Minute
	// askTime is how long a witness may take.
	askTime = 2 * time.Second
	// defaultInterval is how often a publisher looks for new entries. A round costs
	// some durable writes here and one at every witness, however few entries are
	// new; a receipt promises its leaf within a minute, and six rounds fit into that.
	defaultInterval = 10 * time.Second
	// retryAfter is how soon what has failed is tried again.
	retryAfter = 2 * time.Second
)

// Config says which log is published, and where.
type Config struct {
	Origin string // "<domain>/<member>/<instance>", as the journal has it
	// Dir is the folder of logs that Handler serves: this one lies in
	// <member>/<instance> in it.
	Dir      string
	Shared   bool          // other processes may have the folder, too: one at a time publishes a log
	Interval time.Duration // between two looks; 10 s where zero
}

// Deps is what a publisher works with.
type Deps struct {
	Source    Source
	Key       ed25519.PrivateKey              // signs checkpoints: the member's log key
	Witnesses func() []Witness                // to be asked, as of now
	Policy    func() (translog.Policy, error) // what a checkpoint needs to be published, as of now
	Upload    []Uploader                      // where copies go: of a gateway the hub and its mirrors
	// Holds reports whether it is this process that publishes the log, where several
	// share the folder; nil: nobody else does.
	Holds func(ctx context.Context) (bool, error)
	Now   func() time.Time
	Log   *slog.Logger
	Fault Fault // nil but in tests
}

// Status is what a publisher has done, for an operator and for metrics.
type Status struct {
	Journal   int64             // entries committed, when last looked
	Signed    int64             // entries under the newest signature
	Published int64             // entries in the checkpoint that others read
	Cosigned  time.Time         // when witnesses last confirmed that checkpoint; zero before the first
	Witnesses map[string]string // of each witness that failed when last asked: why
	Uploads   map[string]string // of each place whose copy is behind: why
	Err       string            // why the last round did not come to its end, in words; "" if it did
}

// Publisher publishes one log. Its methods may be called concurrently; at most
// one publisher may work in a folder.
type Publisher struct {
	config Config
	Deps
	signer note.Signer
	status atomic.Pointer[Status]
	shown  atomic.Pointer[shownCheckpoint]
	copies []*copier
	inbox  inbox
	batch  int64          // batchLeaves; fewer in tests
	work   sync.WaitGroup // witnesses being asked

	mu       sync.Mutex // held during a round, for all below
	folder   *folder
	held     *os.File // the lock of a shared folder, else nil
	pruner   pruner
	loaded   bool
	greeted  bool                    // the witnesses were asked about what an earlier process signed
	failed   bool                    // and said so
	journal  int64                   // entries committed, as of this round
	edge     *edge                   // of the tiles on disk
	signed   tlog.Tree               // the newest tree under a signature: that of edge, or larger while lost tiles are made again
	keys     map[translog.KeyID]bool // wrapped keys that are in the folder
	progress progress
	tended   int64 // entries committed when erasures and counters were last looked at
	scrubbed int64 // the bundle that was last compared with the journal

	watchers   map[string]*watcher
	collection *collection
	quiet      bool        // what is confirmed now is not shown
	confirmed  *collection // the one whose checkpoint is shown
	blocked    error       // why nothing more is signed
}

// shownCheckpoint is what others read.
type shownCheckpoint struct {
	tree tlog.Tree
	note []byte
	at   time.Time // cosigned; zero where an earlier process did it
	// erased is the last erasure that the folder shows.
	erased journal.Mark
}

// New checks the configuration. Nothing is read or written before Run or Flush.
func New(config Config, deps Deps) (*Publisher, error) {
	place, err := Place(config.Origin)
	if err != nil {
		return nil, err
	}
	if config.Interval <= 0 {
		config.Interval = defaultInterval
	}
	signer, err := newSigner(config.Origin, deps.Key)
	if err != nil {
		return nil, err
	}
	f := openFolder(filepath.Join(config.Dir, filepath.FromSlash(place)), deps.Fault)
	p := &Publisher{
		config: config, Deps: deps, signer: signer,
		folder: f, pruner: newPruner(f),
		keys:     make(map[translog.KeyID]bool),
		watchers: make(map[string]*watcher),
		inbox:    inbox{bell: make(chan struct{}, 1)},
		batch:    batchLeaves,
	}
	for _, u := range deps.Upload {
		if !partShape.MatchString(u.Name()) {
			return nil, fmt.Errorf("publisher: a place for copies cannot be called %q", u.Name())
		}
		p.copies = append(p.copies, newCopier(u, p))
	}
	p.status.Store(&Status{})
	p.shown.Store(&shownCheckpoint{})
	return p, nil
}

// Status returns what was done up to the end of the last round.
func (p *Publisher) Status() Status {
	s := *p.status.Load()
	s.Uploads = make(map[string]string)
	for _, c := range p.copies {
		if err := c.failure(); err != nil {
			s.Uploads[c.Name()] = err.Error()
		}
	}
	return s
}

// Run publishes until the context ends. What fails is tried again: a witness
// or a place for copies that is down delays and loses nothing.
func (p *Publisher) Run(ctx context.Context) {
	var copying sync.WaitGroup
	defer copying.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, c := range p.copies {
		copying.Go(func() { c.run(ctx) })
	}
	defer p.work.Wait()
	// Publishers that started together shall not write and ask together for ever.
	pause := within(p.config.Interval)
	for {
		more, err := p.step(ctx)
		if more && err == nil {
			continue // behind: the next batch at once
		}
		if err != nil {
			pause = min(retryAfter, p.config.Interval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			pause = p.config.Interval
		}
	}
}

// Close gives a shared folder free, after Run has returned. Nothing is published any
// more.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		return nil
	}
	return p.held.Close()
}

// hold locks a shared folder: two processes that wrote in it could show a checkpoint
// and then an older one.
func (p *Publisher) hold() error {
	if !p.config.Shared || p.held != nil {
		return nil
	}
	held, err := lockFolder(p.folder.root)
	if err != nil {
		return fmt.Errorf("publisher: another process holds the folder of %s: if that one is paused or stopped, kill it, since it publishes nothing and nobody else can: %w", p.config.Origin, err)
	}
	p.held = held
	return nil
}

// holds insists, before something is signed or shown that nobody may take back, that the
// log is still this process's. The lock of a folder tells that too, but not of a process
// that was paused for long, on disks where locks run out.
func (p *Publisher) holds(ctx context.Context) error {
	if p.Holds == nil {
		return nil
	}
	held, err := p.Holds(ctx)
	if err == nil && !held {
		err = fmt.Errorf("publisher: another process has taken %s over", p.config.Origin)
	}
	return err
}

// within is a time between zero and d, by chance.
func within(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d)))
	if err != nil {
		return d // never (Go 1.24)
	}
	return time.Duration(n.Int64())
}

// Flush publishes everything that is committed now, with its cosignatures and
// to all places, or says what stands in the way.
func (p *Publisher) Flush(ctx context.Context) error {
	size, err := p.Source.Size(ctx)
	if err != nil {
		return err
	}
	for {
		if _, err := p.step(ctx); err != nil {
			return err
		}
		if p.Status().Published >= int64(size) {
			break
		}
	}
	var errs []error
	for _, c := range p.copies {
		errs = append(errs, c.copy(ctx))
	}
	return errors.Join(errs...)
}

// step is one round; more says that the journal holds more than one round takes.
func (p *Publisher) step(ctx context.Context) (more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.publish(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	p.report(err)
	return p.loaded && p.journal > p.edge.size && p.blocked == nil, err
}

// publish is one round: what is new goes to disk, is signed, cosigned, and shown.
func (p *Publisher) publish(ctx context.Context) error {
	size, err := p.Source.Size(ctx)
	if err != nil {
		return err
	}
	p.journal = int64(size)
	if p.journal < p.signed.N {
		return p.shorter()
	}
	if !p.loaded {
		if err := p.hold(); err != nil {
			return err
		}
		if err := p.load(ctx); err != nil {
			return err
		}
	}
	if err := p.greet(ctx); err != nil {
		return err
	}
	if err := p.scrub(ctx); err != nil {
		return err
	}
	if p.blocked == nil {
		if err := p.extend(ctx); err != nil {
			return err
		}
	}
	if p.signed.N == 0 || p.edge.size < p.signed.N {
		return nil // nothing yet, or still making lost tiles again
	}
	// A cosignature says that nothing older than it is missing: the rest of what
	// is committed comes first.
	if p.blocked == nil && p.edge.size < p.journal {
		return nil
	}
	if err := p.tend(ctx); err != nil {
		return err
	}
	return p.confirm(ctx)
}

// report keeps the status, and logs where it has changed from good to bad or back.
func (p *Publisher) report(err error) {
	shown := p.shown.Load()
	s := &Status{
		Journal: p.journal, Signed: p.signed.N,
		Published: shown.tree.N, Cosigned: shown.at,
		Witnesses: p.witnessFailures(),
	}
	if err != nil {
		s.Err = err.Error()
	}
	p.status.Store(s)
	switch {
	case err != nil && !p.failed:
		p.Log.Warn("the ledger is not being published", "log", p.config.Origin, "cause", err.Error())
	case err == nil && p.failed:
		p.Log.Info("the ledger is being published again", "log", p.config.Origin, "entries", shown.tree.N)
	}
	p.failed = err != nil
}

func (p *Publisher) shorter() error {
	return fmt.Errorf("publisher: the journal holds %d entries, the published log %d: this database is older than what was published under %s; bring back the newest copy of the database, nothing is signed until then",
		p.journal, p.signed.N, p.config.Origin)
}

// errContradicts is wrapped where the journal is not what was published.
var errContradicts = errors.New("publisher: the journal contradicts what was published")

func contradicts(index int64) error {
	return fmt.Errorf("%w: entry %d is not the one that was published, so that the database was changed or is another one; bring back the right copy, nothing is signed until then", errContradicts, index)
}
