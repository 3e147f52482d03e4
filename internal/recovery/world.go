package recovery

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/witness"
	"github.com/waypost/waypost/translog"
)

const (
	askTime = 10 * time.Second // for one witness or door
	// maxShown is how many logs of another member are looked into for what it has seen.
	maxShown = 8
)

// Seen is what the world knows of a log.
type Seen struct {
	tlog.Tree
	// Checkpoint is the tree under the log's signature, cosigned now as the roster asks.
	Checkpoint []byte
	By         []string // who knows of so many entries
	Published  int64    // entries of the log as it can still be read, at its own door or at the hub
	Silent     []string // who could not be asked, and why
}

// world asks those outside what they know of a role's logs.
type world struct {
	folder    *install.Folder
	key       ed25519.PrivateKey // of the logs
	witnesses []publisher.Witness
	open      func(member, instance string) (translog.Reader, error)
}

func newWorld(f *install.Folder, log *slog.Logger) (*world, error) {
	key, err := f.LogKey()
	if err != nil {
		return nil, err
	}
	return &world{folder: f, key: key, witnesses: f.Witnesses(log), open: follow.Remote(tls.Certificate{}, f.Roster)}, nil
}

// publishedLog is the log itself, where it can still be read.
const publishedLog = "the published log"

// sighting is what one of them has said.
type sighting struct {
	by   string
	note []byte // nil where only the size is known
	size int64
	err  error
}

// seen asks everybody about one log. It is an error if the witnesses that answer are fewer
// than a checkpoint needs: what they have cosigned may be more than the others show.
func (w *world) seen(ctx context.Context, origin string) (s Seen, err error) {
	policy, err := w.folder.LogPolicy(origin)
	if err != nil {
		return s, err
	}
	said := w.ask(ctx, origin)
	agreed := make(map[string]bool)
	for _, a := range said {
		if a.err != nil {
			s.Silent = append(s.Silent, a.by+": "+a.err.Error())
			continue
		}
		agreed[a.by] = true
	}
	if !publisher.Suffice(policy, agreed) {
		return s, waypost.Errorf(waypost.Unavailable, "too few witnesses of %s answer to know how far it had come: %s", origin, strings.Join(s.Silent, "; "))
	}
	s.Hash = sha256.Sum256(nil)
	known := make(map[string]int64)
	for _, a := range said {
		size := a.size
		if tree, err := verified(policy, a.note); err == nil {
			if size = max(size, tree.N); tree.N > s.N {
				s.Tree = tree
			} else if tree.N == s.N && tree.Hash != s.Hash {
				return s, waypost.Errorf(waypost.InvalidArgument, "%s has signed two trees of %d entries: %s shows another than the others", origin, s.N, a.by)
			}
		}
		known[a.by] = size
		if a.by == publishedLog {
			s.Published = size
		}
	}
	for by, size := range known {
		if size > s.N {
			return s, waypost.Errorf(waypost.Unavailable, "%s has cosigned %d entries of %s, and nobody shows that checkpoint: try again when its witness and the other doors can be reached", by, size, origin)
		}
		if size == s.N && size > 0 {
			s.By = append(s.By, by)
		}
	}
	slices.Sort(s.By)
	if s.N > 0 {
		s.Checkpoint, err = w.confirm(ctx, policy, s.Tree)
	}
	return s, err
}

// verified is the tree of a checkpoint that the log has signed, cosigned or not.
func verified(policy translog.Policy, signed []byte) (tlog.Tree, error) {
	if signed == nil {
		return tlog.Tree{}, errors.New("nothing to verify")
	}
	c, err := policy.Verify(signed)
	if errors.Is(err, translog.ErrUnwitnessed) {
		err = nil
	}
	return c.Tree, err
}

// ask asks the witnesses and reads the doors, all at a time, and the folder of the
// published logs, which may have survived.
func (w *world) ask(ctx context.Context, origin string) (all []sighting) {
	place := strings.Split(origin, "/")
	member, instance := place[len(place)-2], place[len(place)-1]
	var mu sync.Mutex
	var asking sync.WaitGroup
	one := func(ask func(ctx context.Context) []sighting) {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			said := ask(ctx)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, said...)
		})
	}
	for _, other := range w.witnesses {
		one(func(ctx context.Context) []sighting { return []sighting{w.askWitness(ctx, other, origin)} })
	}
	for _, m := range w.folder.Roster.Current().Members {
		if m.Name != member && m.Role != roster.Gateway {
			one(func(ctx context.Context) []sighting { return w.shownBy(ctx, m.Name, member, instance) })
		}
	}
	one(func(ctx context.Context) []sighting { // the copy at the hub, or another process of the role
		if r, err := w.open(member, instance); err == nil {
			if signed, err := r.ReadEndpoint(ctx, "checkpoint"); err == nil {
				return []sighting{{by: publishedLog, note: signed}}
			}
		}
		return nil
	})
	for _, name := range []string{"checkpoint", "signed"} {
		if signed, err := os.ReadFile(filepath.Join(w.folder.LogFolder(), member, instance, name)); err == nil {
			all = append(all, sighting{by: "the folder of the published logs", note: signed})
		}
	}
	asking.Wait()
	slices.SortStableFunc(all, func(a, b sighting) int { return strings.Compare(a.by, b.by) })
	return all
}

// askWitness shows a witness the empty tree of the log, which says nothing: it answers with
// the size of the one that it knows.
func (w *world) askWitness(ctx context.Context, other publisher.Witness, origin string) sighting {
	s := sighting{by: other.Name()}
	empty, err := publisher.SignAgain(origin, w.key, tlog.Tree{Hash: sha256.Sum256(nil)})
	if err != nil {
		s.err = err
		return s
	}
	_, err = other.Cosign(ctx, 0, nil, empty)
	conflict, ok := errors.AsType[*witness.ConflictError](err)
	switch {
	case ok:
		s.size = conflict.Size
	case err != nil && waypost.CodeOf(err) != waypost.InvalidArgument: // or it takes no empty tree
		s.err = err
		return s
	}
	if shows, ok := other.(interface {
		Last(ctx context.Context, origin string) ([]byte, error)
	}); ok && s.size > 0 {
		s.note, _ = shows.Last(ctx, origin) // a witness of another kind does not
	}
	return s
}

// shownBy reads what another member has published of what it has seen of the log, in any
// of its own logs.
func (w *world) shownBy(ctx context.Context, by, member, instance string) (all []sighting) {
	for n := range maxShown {
		r, err := w.open(by, strconv.Itoa(n+1))
		if err != nil {
			return all
		}
		if signed, err := r.ReadEndpoint(ctx, "seen/"+member+"/"+instance); err == nil {
			all = append(all, sighting{by: "the door of " + by, note: signed})
		}
		if ctx.Err() != nil {
			return all
		}
	}
	return all
}

// confirm has the tree cosigned again by as many witnesses as the roster asks for. So no
// quorum of them knows more, today.
func (w *world) confirm(ctx context.Context, policy translog.Policy, tree tlog.Tree) ([]byte, error) {
	signed, err := publisher.SignAgain(policy.Origin, w.key, tree)
	if err != nil {
		return nil, err
	}
	lines, failed := make([]*note.Signature, len(w.witnesses)), make([]error, len(w.witnesses))
	var asking sync.WaitGroup
	for i, other := range w.witnesses {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			line, err := other.Cosign(ctx, tree.N, nil, signed)
			if err == nil {
				var s note.Signature
				if s, err = publisher.Cosignature(policy, signed, line); err == nil {
					lines[i] = &s
				}
			}
			if err != nil {
				failed[i] = fmt.Errorf("%s: %w", other.Name(), err)
			}
		})
	}
	asking.Wait()
	var cosignatures []note.Signature
	for _, s := range lines {
		if s != nil {
			cosignatures = append(cosignatures, *s)
		}
	}
	if signed, err = publisher.SignAgain(policy.Origin, w.key, tree, cosignatures...); err != nil {
		return nil, err
	}
	if _, err := policy.Verify(signed); err != nil {
		return nil, waypost.Errorf(waypost.Unavailable, "too few witnesses confirm the %d entries of %s that were seen: %v", tree.N, policy.Origin, errors.Join(failed...)).WithCause(err)
	}
	return signed, nil
}
