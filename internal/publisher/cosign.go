package publisher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/witness"
	"github.com/waypost/waypost/translog"
)

// Witness cosigns checkpoints; [witness.Client] is one.
type Witness interface {
	Name() string
	// Cosign returns one signature line for the checkpoint, a signed note. old
	// is the size of the tree that the witness cosigned last, proof leads from
	// there. An error may be a *witness.ConflictError or wrap
	// witness.ErrInconsistent.
	Cosign(ctx context.Context, old int64, proof tlog.TreeProof, checkpoint []byte) (line []byte, err error)
}

// watcher is what is known of a witness.
type watcher struct {
	size  int64       // of the tree that it cosigned last, as far as known
	busy  bool        // it is being asked
	asked *collection // for which it was asked last
	err   error       // why it failed then
}

// A collection gathers cosignatures of one checkpoint.
type collection struct {
	tree   tlog.Tree
	signed []byte // by the log alone
	begun  time.Time
	lines  map[string]note.Signature // by witness
	older  map[string]note.Signature // of an earlier collection for the same tree
	late   bool                      // some came after the checkpoint was shown
}

// answer is what came of asking a witness.
type answer struct {
	name string
	c    *collection
	line []byte
	size int64 // of its tree now
	err  error
}

// inbox holds answers until a round takes them.
type inbox struct {
	mu   sync.Mutex
	list []answer
	bell chan struct{}
}

func (b *inbox) put(a answer) {
	b.mu.Lock()
	b.list = append(b.list, a)
	b.mu.Unlock()
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.list
	b.list = nil
	return taken
}

// errOutrun is why nothing more is signed: others have seen what this log
// does not know.
var errOutrun = errors.New("a witness has cosigned what this log does not hold")

// confirm has the tree that was signed last cosigned, where that is due, and
// shows the checkpoint once the policy is met. Until then the one before stays.
func (p *Publisher) confirm(ctx context.Context) error {
	policy, err := p.Policy()
	if err != nil {
		return err
	}
	p.settle(policy)
	if err := p.collect(); err != nil {
		return err
	}
	if p.confirmed == p.collection {
		if p.collection.late {
			return p.show(ctx, policy, p.collection.lines)
		}
		return nil
	}
	for {
		p.askAll(ctx)
		if err := p.show(ctx, policy, p.collection.lines); !errors.Is(err, translog.ErrUnwitnessed) {
			return err
		}
		if !p.waiting() {
			break
		}
		select {
		case <-p.inbox.bell:
			p.settle(policy)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.unmet(ctx, policy)
}

// collect begins a collection where the tree is new, the last one is old, or
// it has failed.
func (p *Publisher) collect() error {
	c := p.collection
	if c != nil && c.tree == p.signed && p.confirmed == c && p.Now().Sub(c.begun).Abs() < refresh {
		return nil
	}
	signed, err := p.signedNote(p.signed, nil)
	if err != nil {
		return err
	}
	next := &collection{tree: p.signed, signed: signed, begun: p.Now(), lines: make(map[string]note.Signature)}
	if c != nil && c.tree == p.signed {
		next.older = c.all()
	}
	p.collection = next
	return nil
}

// askAll asks every witness that has not been asked for this collection.
func (p *Publisher) askAll(ctx context.Context) {
	// A witness may answer after the round, and is not to be cut off by its end.
	ctx = context.WithoutCancel(ctx)
	known := make(map[string]bool)
	for _, w := range p.Witnesses() {
		name := w.Name()
		known[name] = true
		state := p.watchers[name]
		if state == nil {
			state = &watcher{size: p.shown.Load().tree.N} // a guess
			p.watchers[name] = state
		}
		if state.busy || state.asked == p.collection {
			continue
		}
		state.busy, state.asked = true, p.collection
		c, size := p.collection, state.size
		p.work.Go(func() { p.inbox.put(p.ask(ctx, w, c, size)) })
	}
	for name, state := range p.watchers {
		if !known[name] && !state.busy {
			delete(p.watchers, name)
		}
	}
}

// ask asks one witness, and again where it knows another size than was thought.
func (p *Publisher) ask(ctx context.Context, w Witness, c *collection, size int64) answer {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	a := answer{name: w.Name(), c: c, size: min(size, c.tree.N)}
	for range 3 {
		var proof tlog.TreeProof
		if 0 < a.size && a.size < c.tree.N {
			if proof, a.err = tlog.ProveTree(c.tree.N, a.size, p.folder.hashes(c.tree)); a.err != nil {
				return a
			}
		}
		a.line, a.err = w.Cosign(ctx, a.size, proof, c.signed)
		var conflict *witness.ConflictError
		switch {
		case a.err == nil:
			a.size = c.tree.N
			return a
		case errors.Is(a.err, witness.ErrInconsistent):
			a.err = fmt.Errorf("%w: %w", errOutrun, a.err)
			return a
		case !errors.As(a.err, &conflict):
			return a
		case conflict.Size > c.tree.N || conflict.Size == a.size && a.size > 0:
			a.err = fmt.Errorf("%w: %s has one of %d entries, this log holds %d", errOutrun, a.name, conflict.Size, c.tree.N)
			return a
		}
		a.size = conflict.Size
	}
	return a
}

// settle takes the answers that have come.
func (p *Publisher) settle(policy translog.Policy) {
	for _, a := range p.inbox.take() {
		w := p.watchers[a.name]
		w.busy, w.size, w.err = false, a.size, a.err
		if a.err != nil || a.c.tree != p.collection.tree {
			continue
		}
		line, err := Cosignature(policy, a.c.signed, a.line)
		if err != nil {
			w.err = err
			continue
		}
		p.collection.lines[a.name] = line
		p.collection.late = true
	}
}

// Cosignature verifies one line of a witness of the policy alone, so that a bad one does
// not spoil the checkpoint.
func Cosignature(policy translog.Policy, signed, line []byte) (note.Signature, error) {
	var known []note.Verifier
	for _, g := range policy.Groups {
		known = append(known, g.Witnesses...)
	}
	n, err := note.Open(slices.Concat(signed, line), note.VerifierList(known...))
	if err != nil || len(n.Sigs) != 1 {
		return note.Signature{}, errors.New("its signature is not by a key that the roster names")
	}
	return n.Sigs[0], nil
}

// waiting reports whether a witness may still answer.
func (p *Publisher) waiting() bool {
	for _, w := range p.watchers {
		if w.busy {
			return true
		}
	}
	return false
}

// all are the newest cosignatures of each witness.
func (c *collection) all() map[string]note.Signature {
	all := make(map[string]note.Signature)
	maps.Copy(all, c.older)
	maps.Copy(all, c.lines)
	return all
}

// show puts the checkpoint where others read it, if the policy is met by the
// cosignatures given.
func (p *Publisher) show(ctx context.Context, policy translog.Policy, lines map[string]note.Signature) error {
	checked, err := p.verify(policy, lines)
	if err != nil {
		return err
	}
	return p.place(ctx, checked)
}

func (p *Publisher) verify(policy translog.Policy, lines map[string]note.Signature) (translog.Checkpoint, error) {
	var cosignatures []note.Signature
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		cosignatures = append(cosignatures, lines[name])
	}
	signed, err := p.signedNote(p.collection.tree, cosignatures)
	if err != nil {
		return translog.Checkpoint{}, err
	}
	return policy.Verify(signed)
}

func (p *Publisher) place(ctx context.Context, checked translog.Checkpoint) error {
	before := p.shown.Load()
	if p.quiet {
		p.confirmed, p.blocked, p.collection.late = p.collection, nil, false
		return nil
	}
	if err := p.holds(ctx); err != nil {
		return err
	}
	if err := p.folder.write("checkpoint", checked.Note); err != nil {
		return err
	}
	p.shown.Store(&shownCheckpoint{tree: checked.Tree, note: checked.Note, at: checked.Cosigned, erased: p.progress.Erased})
	p.confirmed, p.blocked, p.collection.late = p.collection, nil, false
	for _, c := range p.copies {
		c.ring()
	}
	if before.tree == checked.Tree {
		return nil
	}
	p.pruner.watch(checked.N)
	return p.pruner.prune(before.tree.N, checked.N)
}

// unmet is reached when all witnesses have answered and what came now does not
// meet the policy. What they said of the same tree before still counts, with
// its time.
func (p *Publisher) unmet(ctx context.Context, policy translog.Policy) error {
	shown := p.shown.Load()
	checked, err := p.verify(policy, p.collection.all())
	if err == nil && (checked.Tree != shown.tree || checked.Cosigned.After(shown.at)) {
		if err := p.place(ctx, checked); err != nil {
			return err
		}
	}
	if err == nil && p.Now().Sub(checked.Cosigned) < 2*refresh {
		return nil
	}
	p.confirmed = nil // asked again in the next round
	for _, name := range slices.Sorted(maps.Keys(p.watchers)) {
		if cause := p.watchers[name].err; errors.Is(cause, errOutrun) {
			p.blocked = fmt.Errorf("publisher: the database and the folder of %s are copies older than what was cosigned of it; bring back the newest, nothing more is signed until then: %w", p.config.Origin, cause)
			return p.blocked
		}
	}
	if err == nil {
		err = fmt.Errorf("the checkpoint was cosigned last at %s", checked.Cosigned.Format(time.RFC3339))
	}
	return fmt.Errorf("publisher: %w; %s", err, p.failures())
}

// witnessFailures says of each witness that failed when last asked why.
func (p *Publisher) witnessFailures() map[string]string {
	failures := make(map[string]string)
	for name, w := range p.watchers {
		if w.err != nil {
			failures[name] = w.err.Error()
		}
	}
	return failures
}

func (p *Publisher) failures() string {
	failures := p.witnessFailures()
	var words []string
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		words = append(words, name+": "+failures[name])
	}
	if words == nil {
		return "no witness failed: fewer are asked than the policy needs"
	}
	return strings.Join(words, "; ")
}
