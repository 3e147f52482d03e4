package publisher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/translog"
)

const (
	// maxRequest is how many bytes of objects go into one request.
	maxRequest = 1 << 20
	// putTime is how long one request may take.
	putTime = 30 * time.Second
	// maxPause is the longest time between two attempts.
	maxPause = 30 * time.Second
)

// Object is one file of a log, or a part of one, by its path under the log's
// prefix.
type Object struct {
	Path    string
	Content []byte
	// A file larger than a request comes in parts, in order: where this one
	// begins, and how long the file is. Size is 0 where Content is all of it.
	Offset, Size int
}

// Uploader brings a log to a place where the public reads it: the hub, or a
// mirror. See [Store] for the other side.
type Uploader interface {
	Name() string
	// Checkpoint returns the checkpoint that is there, nil if there is none.
	Checkpoint(ctx context.Context, origin string) ([]byte, error)
	// Put brings objects; then, where checkpoint is not empty, that.
	Put(ctx context.Context, origin string, objects []Object, checkpoint []byte) error
}

// copier keeps one copy up to date.
type copier struct {
	Uploader
	p    *Publisher
	bell chan struct{}

	mu    sync.Mutex // held while copying
	met   bool       // there is what the place says
	there copied
	sent  map[string]time.Time // files outside the tree that are there, by modification time; nil at first

	failing struct {
		sync.Mutex
		err error
	}
}

// copied is what the place has.
type copied struct {
	Size   int64        `json:"size"`   // of the tree
	Erased journal.Mark `json:"erased"` // the last erasure that its bundles show
}

func newCopier(u Uploader, p *Publisher) *copier {
	return &copier{Uploader: u, p: p, bell: make(chan struct{}, 1)}
}

func (c *copier) ring() {
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

func (c *copier) failure() error {
	c.failing.Lock()
	defer c.failing.Unlock()
	return c.failing.err
}

// run copies whenever a checkpoint is shown; after a failure it tries again,
// less and less often.
func (c *copier) run(ctx context.Context) {
	first := min(retryAfter, c.p.config.Interval)
	pause := first
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
			if again != nil {
				continue // it is down: the new checkpoint waits for the next attempt
			}
		case <-again:
		}
		again = nil
		if err := c.copy(ctx); err == nil {
			pause = first
		} else {
			again = time.After(pause)
			pause = min(2*pause, maxPause)
		}
	}
}

// copy brings everything that the shown checkpoint needs, and then that.
func (c *copier) copy(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.bring(ctx, c.p.shown.Load())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.failing.Lock()
	before := c.failing.err
	c.failing.err = err
	c.failing.Unlock()
	switch {
	case err != nil:
		c.met = false
		if before == nil {
			c.p.Log.Warn("the copy of the ledger falls behind", "log", c.p.config.Origin, "at", c.Name(), "cause", err.Error())
		}
	case before != nil:
		c.p.Log.Info("the copy of the ledger is up to date again", "log", c.p.config.Origin, "at", c.Name())
	}
	return err
}

func (c *copier) bring(ctx context.Context, shown *shownCheckpoint) error {
	if shown.tree.N == 0 {
		return nil
	}
	if !c.met {
		if err := c.meet(ctx, shown); err != nil {
			return err
		}
	}
	load := &load{c: c, ctx: ctx}
	sent, err := c.bringLoose(load)
	if err != nil {
		return err
	}
	moved, err := c.bringErased(load, shown.erased)
	if err != nil {
		return err
	}
	if err := c.bringTree(load, shown.tree.N); err != nil {
		return err
	}
	if err := load.send(shown.note); err != nil {
		return err
	}
	first := c.sent == nil
	c.sent, c.there.Size = sent, shown.tree.N
	if first || moved != c.there.Erased {
		c.there.Erased = moved
		return c.save()
	}
	return nil
}

// file is where a copier remembers what it has brought. Nothing is lost by an
// old one but the work of bringing erased bundles again.
func (c *copier) file() string { return "copied-" + c.Name() }

func (c *copier) save() error {
	content, err := json.Marshal(c.there)
	if err != nil {
		return err
	}
	return openFolder(c.p.folder.root, c.p.folder.fault).write(c.file(), content) // the publisher's own is its round's
}

func (c *copier) remembered() copied {
	var there copied
	if content, err := c.p.folder.read(c.file()); err == nil && json.Unmarshal(content, &there) != nil {
		return copied{}
	}
	return there
}

// meet asks what is there. A place that has lost something gets it again.
func (c *copier) meet(ctx context.Context, shown *shownCheckpoint) error {
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	signed, err := c.Checkpoint(ctx, c.p.config.Origin)
	if err != nil {
		return err
	}
	var there tlog.Tree
	if len(signed) > 0 {
		if there, err = parseTree(signed, c.p.config.Origin); err != nil {
			return fmt.Errorf("publisher: the checkpoint at %s: %w", c.Name(), err)
		}
	}
	if there.N > shown.tree.N {
		return fmt.Errorf("publisher: %s holds %d entries of this log, the folder here %d: the folder here is older than what was published; bring back the newest", c.Name(), there.N, shown.tree.N)
	}
	if there.N > 0 {
		root, err := tlog.TreeHash(there.N, c.p.folder.hashes(shown.tree))
		if err != nil {
			return err
		}
		if root != there.Hash {
			return fmt.Errorf("publisher: the first %d entries at %s are others than here: one of the two was changed", there.N, c.Name())
		}
	}
	if c.sent == nil {
		c.there = c.remembered()
	}
	if there.N < c.there.Size {
		c.sent, c.there.Erased = nil, journal.Mark{}
	}
	c.there.Size, c.met = there.N, true
	return nil
}

// bringLoose brings files outside the tree that are new or have changed. After
// a restart it brings all of them: they are few.
func (c *copier) bringLoose(l *load) (sent map[string]time.Time, err error) {
	sent = make(map[string]time.Time)
	for _, top := range []string{"keys", "counters", "seen", "successor", "evidence"} {
		err := fs.WalkDir(os.DirFS(c.p.folder.root), top, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() || hidden(path.Base(name)) {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			sent[name] = info.ModTime()
			if c.sent[name].Equal(info.ModTime()) {
				return nil
			}
			content, err := c.p.folder.read(name)
			if err != nil {
				return err
			}
			return l.add(name, content)
		})
		if err != nil {
			return nil, err
		}
	}
	return sent, nil
}

// bringErased brings whole bundles again from which something was erased.
// Those of the tree's new part come with it.
func (c *copier) bringErased(l *load, here journal.Mark) (journal.Mark, error) {
	moved := c.there.Erased
	for after(here, moved) {
		marks, err := c.p.Source.Erasures(l.ctx, moved, pageRows)
		if err != nil || len(marks) == 0 {
			return moved, err
		}
		for n := range byBundle(marks) {
			if (n+1)*width > c.there.Size {
				continue
			}
			content, err := c.p.folder.sealed(n, width)
			if err != nil {
				return moved, err
			}
			if err := l.add(translog.SealedPath(n, width), content); err != nil {
				return moved, err
			}
		}
		moved = marks[len(marks)-1]
	}
	return moved, nil
}

// bringTree brings what a tree of size has beyond the one that is there: the
// bundles first, then the tiles over them.
func (c *copier) bringTree(l *load, size int64) error {
	for t := range newTiles(c.there.Size, size) {
		if t.L == 0 {
			entries, err := c.p.folder.cut(entryShape, t.N, t.W, entrySize)
			if err != nil {
				return err
			}
			sealed, err := c.p.folder.sealed(t.N, t.W)
			if err != nil {
				return err
			}
			if err := errors.Join(l.add(entryShape(t.N, t.W), entries), l.add(translog.SealedPath(t.N, t.W), sealed)); err != nil {
				return err
			}
		}
		data, err := c.p.folder.tile(t)
		if err != nil {
			return err
		}
		if err := l.add(hashShape(t.L)(t.N, t.W), data); err != nil {
			return err
		}
	}
	return nil
}

// load is what is on its way.
type load struct {
	c       *copier
	ctx     context.Context
	objects []Object
	bytes   int
}

func (l *load) add(path string, content []byte) error {
	if len(content) > maxRequest {
		return l.addParts(path, content)
	}
	if l.bytes > 0 && l.bytes+len(content) > maxRequest || len(l.objects) == maxObjects {
		if err := l.send(nil); err != nil {
			return err
		}
	}
	l.objects = append(l.objects, Object{Path: path, Content: bytes.Clone(content)})
	l.bytes += len(path) + len(content)
	return nil
}

func (l *load) addParts(path string, content []byte) error {
	for at := 0; at < len(content); at += maxRequest {
		if l.objects != nil {
			if err := l.send(nil); err != nil {
				return err
			}
		}
		part := content[at:min(at+maxRequest, len(content))]
		l.objects = []Object{{Path: path, Content: part, Offset: at, Size: len(content)}}
		l.bytes = len(path) + len(part)
	}
	return nil
}

func (l *load) send(checkpoint []byte) error {
	ctx, cancel := context.WithTimeout(l.ctx, putTime)
	defer cancel()
	err := l.c.Put(ctx, l.c.p.config.Origin, l.objects, checkpoint)
	l.objects, l.bytes = nil, 0
	return err
}
