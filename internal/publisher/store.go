package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/translog"
)

const (
	// dayLimit is by how many bytes a member's logs may grow in a UTC day:
	// several times what the largest state's do.
	dayLimit = 4 << 30
	// maxLogs is how many logs a member may have here.
	maxLogs = 64
	// maxObjects is how many files come with one request.
	maxObjects = 512
	// minPart is the smallest part of a file but for its last, in bytes: each is
	// written with all before it.
	minPart = 64 << 10
	// holdTime is how long a request waits for one of the same member at another
	// process.
	holdTime = 5 * time.Second
	// smallest is what any file counts for: a small one takes a block all the same.
	smallest = 4096
)

// Store keeps the logs of members that open no port themselves. It believes
// nothing: a checkpoint is kept only where its tiles are there and hash to it,
// and what was published stays.
type Store struct {
	dir    string
	now    func() time.Time
	limit  int64
	shared bool

	mu      sync.Mutex
	members map[string]*stored
}

// stored is what a member has here; mu is held during a request of this member.
type stored struct {
	dir  string // of the member
	mu   sync.Mutex
	logs map[string]*storedLog // by place
}

// storedLog is one log here.
type storedLog struct {
	*folder
	pruner pruner
	origin string
}

// NewStore keeps logs in dir, which [Handler] can serve. Where it is shared, other
// processes keep logs in it, too.
func NewStore(dir string, shared bool, now func() time.Time) *Store {
	return &Store{dir: dir, shared: shared, now: now, limit: dayLimit, members: make(map[string]*stored)}
}

// Checkpoint returns the stored checkpoint of a log, nil if there is none.
func (s *Store) Checkpoint(_ context.Context, origin string) ([]byte, error) {
	place, err := Place(origin)
	if err != nil {
		return nil, err
	}
	content, err := openFolder(filepath.Join(s.dir, filepath.FromSlash(place)), nil).read("checkpoint")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// Put stores objects of a log of the member, and then, where one is given, the
// checkpoint that needs them. The policy is that of the log with this member's
// key. Everything is on disk when it returns nil; after an error some objects
// may be, and the same request may be made again. Errors are waypost errors.
func (s *Store) Put(ctx context.Context, member string, policy translog.Policy, objects []Object, checkpoint []byte) error {
	place, err := Place(policy.Origin)
	if err != nil || !strings.HasPrefix(place, member+"/") {
		return waypost.Errorf(waypost.PermissionDenied, "%q is not a log of %s", policy.Origin, member)
	}
	m := s.member(member)
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.shared {
		held, err := m.hold(ctx)
		if err != nil {
			return waypost.Errorf(waypost.Unavailable, "the log cannot be stored now; try again").WithCause(err)
		}
		defer held.Close()
	}
	l, err := m.open(member, place, policy.Origin)
	if err != nil {
		return err
	}
	today := s.now().UTC().Format(time.DateOnly)
	used := m.used(today)
	grown, err := l.put(objects, s.limit-used)
	if grown != 0 {
		err = errors.Join(err, m.charge(today, used+grown))
	}
	if err == nil && len(checkpoint) > 0 {
		err = l.accept(policy, checkpoint)
	}
	var known *waypost.Error
	if err != nil && !errors.As(err, &known) {
		return waypost.Errorf(waypost.Unavailable, "the log cannot be stored now; try again").WithCause(err)
	}
	return err
}

func (s *Store) member(name string) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.members[name]
	if m == nil {
		m = &stored{dir: filepath.Join(s.dir, name), logs: make(map[string]*storedLog)}
		s.members[name] = m
	}
	return m
}

// hold locks the member's folder, in which another process of the hub may be writing.
func (m *stored) hold(ctx context.Context) (held *os.File, err error) {
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	for {
		if held, err = lockFolder(m.dir); err == nil {
			return held, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (m *stored) open(member, place, origin string) (*storedLog, error) {
	if l := m.logs[place]; l != nil {
		return l, nil
	}
	begun, err := m.begun(member)
	if err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "the log cannot be stored now; try again").WithCause(err)
	}
	if !begun[place] && len(begun) >= maxLogs {
		return nil, waypost.Errorf(waypost.QuotaExceeded, "%s has %d logs here already: continue one of them", member, len(begun))
	}
	f := openFolder(filepath.Join(m.dir, filepath.Base(place)), nil)
	l := &storedLog{folder: f, pruner: newPruner(f), origin: origin}
	m.logs[place] = l
	return l, nil
}

// begun are the places of a member's logs, with those that have no folder yet.
func (m *stored) begun(member string) (map[string]bool, error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	places := make(map[string]bool)
	for _, e := range entries {
		if e.IsDir() {
			places[member+"/"+e.Name()] = true
		}
	}
	for place := range m.logs {
		places[place] = true
	}
	return places, nil
}

// grownFile says in a member's folder by how many bytes its logs have grown on which day:
// for all processes of the hub, and for those that come after them.
const grownFile = ".grown"

func (m *stored) used(today string) (bytes int64) {
	content, err := os.ReadFile(filepath.Join(m.dir, grownFile))
	var day string
	if _, scanErr := fmt.Sscanf(string(content), "%s %d\n", &day, &bytes); err != nil || scanErr != nil || day != today {
		return 0 // nothing was stored today
	}
	return bytes
}

func (m *stored) charge(today string, bytes int64) error {
	return durable.WriteFile(filepath.Join(m.dir, grownFile), fmt.Appendf(nil, "%s %d\n", today, bytes))
}

// put stores objects and says by how much the folder has grown. All are judged
// before the first is written: what is refused takes no room.
func (l *storedLog) put(objects []Object, room int64) (grows int64, err error) {
	if len(objects) > maxObjects {
		return 0, invalid("%d objects at once; at most %d", len(objects), maxObjects)
	}
	named := make(map[string]bool)
	var taken []Object
	for _, o := range objects {
		if named[o.Path] {
			return 0, invalid("%.100q is there twice", o.Path)
		}
		named[o.Path] = true
		content, n, err := l.judge(o)
		if err != nil {
			return 0, err
		}
		if content != nil {
			taken = append(taken, Object{Path: o.Path, Content: content})
		}
		if grows += n; grows > max(room, 0) {
			return 0, waypost.Errorf(waypost.QuotaExceeded, "the logs of this member have grown enough today; go on after midnight UTC")
		}
	}
	b := l.batch()
	for _, o := range taken {
		if err := b.put(o.Path, o.Content); err != nil {
			return 0, errors.Join(err, b.abandon())
		}
	}
	return grows, b.commit()
}

// judge returns what is to be written of an object, nil where that is nothing,
// and by how much the folder grows by it.
func (l *storedLog) judge(o Object) (content []byte, grows int64, err error) {
	k, ok := kindOf(o.Path)
	if !ok || k.top == "checkpoint" {
		return nil, 0, invalid("%.100q is not the path of an object of a log", o.Path)
	}
	if size := max(len(o.Content), o.Size); size > k.max {
		return nil, 0, invalid("%s has %d bytes, at most %d are taken", o.Path, size, k.max)
	}
	if o.Size > 0 {
		whole, err := l.join(o)
		if err != nil || whole == nil {
			return nil, 0, err
		}
		o.Content = whole
	}
	if err := k.check(o.Content); err != nil {
		return nil, 0, invalid("%s cannot be read: %v", o.Path, err)
	}
	old, err := l.read(o.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	if old != nil && bytes.Equal(old, o.Content) {
		return nil, 0, nil
	}
	if old != nil && !k.mayReplace(old, o.Content) {
		return nil, 0, waypost.Errorf(waypost.AlreadyExists, "%s was stored before with other content, and does not change", o.Path)
	}
	if k.dir != "" {
		l.pruner.dirs[k.dir] = true
	}
	grows = int64(max(len(o.Content), smallest))
	if old != nil {
		grows -= int64(max(len(old), smallest))
	}
	if o.Content == nil {
		o.Content = []byte{}
	}
	return o.Content, grows, nil
}

// mayReplace: in a sealed bundle entries may become empty; what is outside the
// tree is replaced. A partial tile that no checkpoint needs yet may have been
// half of an attempt that came to nothing, but its leaves are the journal's, so
// that it cannot have changed either.
func (k kind) mayReplace(old, content []byte) bool {
	if k.top != "sealed" {
		return !k.lasting()
	}
	before, err := translog.ParseSealed(old, k.width)
	if err != nil {
		return true // damaged here
	}
	after, err := translog.ParseSealed(content, k.width)
	if err != nil {
		return false
	}
	for i, blob := range after {
		if len(blob) > 0 && !bytes.Equal(blob, before[i]) {
			return false
		}
	}
	return true
}

// join collects the parts of a large file; nil until the last one is there.
func (l *storedLog) join(o Object) (whole []byte, err error) {
	left := o.Size - o.Offset - len(o.Content)
	if o.Offset < 0 || o.Offset > o.Size || left < 0 || len(o.Content) == 0 || left > 0 && len(o.Content) < minPart {
		return nil, invalid("%s: %d bytes from byte %d on are not a part of %d", o.Path, len(o.Content), o.Offset, o.Size)
	}
	// One at a time, so that parts that never become whole take little room.
	const name = ".parts"
	if o.Offset == 0 {
		if err := os.MkdirAll(l.root, 0o755); err != nil { //nolint:gosec // published: others read it
			return nil, err
		}
		whole = []byte(o.Path + "\n")
	} else if whole, err = l.read(name); err != nil || len(whole) != len(o.Path)+1+o.Offset || !bytes.HasPrefix(whole, []byte(o.Path+"\n")) {
		return nil, waypost.Errorf(waypost.NotFound, "%s: the parts before byte %d are not here; begin again", o.Path, o.Offset)
	}
	whole = append(whole, o.Content...)
	if left > 0 {
		return nil, os.WriteFile(l.name(name), whole, 0o600)
	}
	return whole[len(o.Path)+1:], l.remove(name)
}

// accept replaces the checkpoint.
func (l *storedLog) accept(policy translog.Policy, signed []byte) error {
	next, err := policy.Verify(signed)
	if err != nil {
		return waypost.Errorf(waypost.PermissionDenied, "the checkpoint is not taken: %v", err)
	}
	var stored tlog.Tree
	old, err := l.read("checkpoint")
	switch {
	case err == nil:
		if stored, err = parseTree(old, l.origin); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if next.N < stored.N || next.N == stored.N && next.Hash != stored.Hash {
		return waypost.Errorf(waypost.AlreadyExists, "a checkpoint for %d entries is stored, which one for %d does not continue", stored.N, next.N)
	}
	if err := l.holds(stored, next.Tree); err != nil {
		return invalid("the checkpoint for %d entries is not taken: %v", next.N, err)
	}
	if err := l.write("checkpoint", signed); err != nil {
		return err
	}
	if next.N == stored.N {
		return nil
	}
	l.pruner.watch(next.N)
	return l.pruner.prune(stored.N, next.N)
}

// holds checks that what the tree has beyond the stored one is here, and that
// the tiles lead from the one to the other. Who signs the tree says how large it
// is, so that the first object that is missing ends the search.
func (l *storedLog) holds(stored, next tlog.Tree) error {
	for t := range newTiles(stored.N, next.N) {
		shapes := []shape{hashShape(t.L)}
		if t.L == 0 {
			shapes = append(shapes, entryShape, translog.SealedPath)
		}
		for _, s := range shapes {
			if _, err := os.Lstat(l.name(s(t.N, t.W))); err != nil {
				return fmt.Errorf("%s is missing", s(t.N, t.W))
			}
		}
	}
	edge, err := readEdge(l.folder, next)
	if err != nil {
		return errors.New("the tiles at its right edge do not hash to it")
	}
	if stored.N == 0 || stored.N == edge.size {
		return nil
	}
	proof, err := tlog.ProveTree(next.N, stored.N, l.hashes(next))
	if err != nil {
		return errors.New("its tiles do not hash to it")
	}
	if tlog.CheckTree(proof, next.N, next.Hash, stored.N, stored.Hash) != nil {
		return fmt.Errorf("it does not continue the stored one for %d entries", stored.N)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return waypost.Errorf(waypost.InvalidArgument, format, args...)
}
