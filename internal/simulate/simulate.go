package simulate

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Stage is where worlds of one cast begin: databases in which the first people
// are published. It is made once and copied for each world.
type Stage struct {
	cast     *cast
	dir      string
	keyrings map[string][]byte
	at       time.Time
}

// Databases keep what the members would keep in files. Whatever they are, a seed plays
// the same world.
type Databases struct {
	// URL names the database of a kind in place of the file at path, always the same.
	URL func(path, kind string) (string, error)
	// Copy makes those in place of the files in one folder anew in another.
	Copy func(from, to string) error
}

// NewStage makes a stage in dir, with SQLite files there unless the databases are
// others. Randomness must be deterministic by now.
func NewStage(dir string, databases *Databases) (*Stage, error) {
	c, err := newCast()
	if err != nil {
		return nil, err
	}
	c.databases = databases
	w, err := newWorld(c, dir, 0, begin, nil)
	if err != nil {
		return nil, err
	}
	w.faults.over = true
	for _, r := range w.roles {
		if err := os.MkdirAll(r.folder, 0o700); err != nil {
			return nil, err
		}
	}
	if err := w.start(); err != nil {
		return nil, err
	}
	w.pass(10*time.Second, time.Second)
	w.act("load", w.loadAll)
	w.pass(2*time.Minute, 20*time.Second)
	w.end()
	s := &Stage{cast: c, dir: dir, keyrings: make(map[string][]byte), at: w.now}
	for _, r := range w.roles {
		s.keyrings[r.name] = r.keyring
	}
	if len(w.wrong) > 0 {
		return nil, fmt.Errorf("simulate: preparing: %s", strings.Join(w.wrong, "; "))
	}
	return s, nil
}

// loadAll publishes the first people.
func (w *world) loadAll(ctx context.Context) {
	files := w.populate()
	for _, s := range States {
		published, rejected, err := w.role[string(s)].life.gateway.File().Load(ctx, "loader", 0, files[s])
		if err != nil || published != len(files[s]) {
			w.failf("loading %s: %d published, %d rejected: %v", s, published, len(rejected), err)
		}
	}
}

// Result is what one world came to.
type Result struct {
	Wrong   []string // what must not be and was; empty where all is well
	Trace   string   // hash of everything that happened
	Crashes int
	Checks  int // asked for by clerks
	Moves   int // changes of state of record that were made
	Items   int // of driver history that were accepted
	Ended   int // cards that were ended on request
}

// Add adds the numbers of another world.
func (r *Result) Add(o Result) {
	r.Crashes, r.Checks, r.Moves, r.Items, r.Ended = r.Crashes+o.Crashes, r.Checks+o.Checks, r.Moves+o.Moves, r.Items+o.Items, r.Ended+o.Ended
}

// String says how much has happened.
func (r Result) String() string {
	return fmt.Sprintf("%d checks, %d moves, %d items of driver history, %d cards ended, %d crashes", r.Checks, r.Moves, r.Items, r.Ended, r.Crashes)
}

// Run plays one world to its end. Randomness must be seeded by now with the same
// seed. What happens is printed, if show is not nil. The error is of the
// simulation, not of what it simulates.
func (s *Stage) Run(seed uint64, show io.Writer) (res Result, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(s.dir), "world")
	if err != nil {
		return res, err
	}
	defer os.RemoveAll(dir)
	w, err := newWorld(s.cast, dir, seed, s.at, show)
	if err != nil {
		return res, err
	}
	defer w.end()
	for _, r := range w.roles {
		if err := r.copyFolder(filepath.Join(s.dir, r.name)); err != nil {
			return res, err
		}
		if r.keyring = s.keyrings[r.name]; r.keyring != nil {
			w.watch.save(r.name, r.keyring)
		}
	}
	w.populate()
	if err := w.start(); err != nil {
		return res, err
	}
	script := &script{world: w}
	script.play()
	script.settle()
	w.judge(script)
	if err := w.reconcile(dir); err != nil {
		return res, err
	}
	res = script.result
	res.Wrong, res.Trace, res.Crashes, res.Checks = w.wrong, w.trace.hash(), w.crashes, script.cases
	return res, nil
}
