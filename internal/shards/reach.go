package shards

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/internal/store"
)

// Reach is what a hub knows of the servers of labels that do not answer, so that a
// search does not wait for a server that others have waited for. A database that is
// on one server only has none. It is safe for concurrent use.
type Reach struct {
	DB    *store.DB
	Log   *slog.Logger
	Owned *Owned // servers that could not be asked whose they are count as lost; may be nil

	mu   sync.Mutex
	lost map[string][]byte // by server, a label on it, which tells when it is back
}

// Whole reports whether all servers are believed to answer. It asks none.
func (r *Reach) Whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lost) == 0 && r.Owned.Whole()
}

// Find looks a label up. The error is [store.Unreachable] where its server does not
// answer, as was found now or before; it is [store.ErrNoRows] where there is no such
// label.
func (r *Reach) Find(ctx context.Context, label []byte) (pointer int64, err error) {
	server := ""
	err = r.DB.Read(ctx, func(tx *store.Tx) error {
		if server, err = serverOf(tx, label); err != nil {
			return err
		}
		if r.isLost(server) || r.Owned.waits(server) {
			return errLost
		}
		return tx.Row(`SELECT pointer FROM label WHERE label = $1`, label).Scan(&pointer)
	})
	if server != "" && store.Unreachable(err) {
		r.lose(server, label)
	}
	return pointer, err
}

// Unreachable is [store.Unreachable] of an error of [Reach.Find] too.
func Unreachable(err error) bool { return errors.Is(err, errLost) || store.Unreachable(err) }

// errLost says that a server was found not to answer a moment ago.
var errLost = errors.New("shards: the server of a label does not answer")

// serverOf names the foreign server that a label lies on, or would; "" is the hub's
// own.
func serverOf(tx *store.Tx, label []byte) (server string, err error) {
	err = tx.Row(`SELECT CAST(s.srvname AS TEXT) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		JOIN pg_foreign_table f ON f.ftrelid = c.oid JOIN pg_foreign_server s ON s.oid = f.ftserver,
		LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'modulus (\d+), remainder (\d+)') AS bound
		WHERE i.inhparent = 'label'::regclass AND satisfies_hash_partition(i.inhparent, bound[1]::integer, bound[2]::integer, $1::bytea)`, label).Scan(&server)
	if errors.Is(err, store.ErrNoRows) {
		return "", nil
	}
	return strings.TrimPrefix(server, ours), err
}

func (r *Reach) isLost(server string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost[server] != nil
}

func (r *Reach) lose(server string, label []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost == nil {
		r.lost = make(map[string][]byte)
	}
	if r.lost[server] == nil {
		r.Log.Error("a server of labels does not answer: searches are answered in part, and what is to be published there waits", "server", server)
		r.lost[server] = slices.Clone(label)
	}
}

// Watch looks every second whether lost servers are back, until the context ends.
func (r *Reach) Watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.Probe(ctx)
		}
	}
}

// Probe looks whether lost servers are back.
func (r *Reach) Probe(ctx context.Context) {
	for _, server := range r.lostNow() {
		switch err := r.probe(ctx, server); {
		case err == nil || errors.Is(err, store.ErrNoRows):
			r.Log.Info("a server of labels answers again", "server", server.name)
			r.find(server.name)
		case errors.Is(err, errUnused):
			r.Log.Info("a server of labels that did not answer has no labels any more", "server", server.name)
			r.find(server.name)
		}
	}
}

// draws is how many labels are drawn at most, in one look, for one that lies on a server.
const draws = 64

var (
	errUnused   = errors.New("shards: no partition lies on the server")
	errNotDrawn = errors.New("shards: no label was drawn that lies on the server")
)

// probe asks a server for one label. Where the partition of the label that told of the
// loss lies elsewhere by now, that server's answer says nothing of this one: another label
// takes its place.
func (r *Reach) probe(ctx context.Context, lost lostServer) error {
	return r.DB.Read(ctx, func(tx *store.Tx) error {
		label := lost.label
		for n := 0; ; n++ {
			server, err := serverOf(tx, label)
			if err != nil {
				return err
			}
			if server == lost.name {
				break
			}
			var partitions int
			if n == 0 {
				if err := tx.Row(`SELECT count(*) FROM pg_inherits i JOIN pg_foreign_table f ON f.ftrelid = i.inhrelid
					JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE i.inhparent = 'label'::regclass AND CAST(s.srvname AS TEXT) = $1`, ours+lost.name).Scan(&partitions); err != nil {
					return err
				}
				if partitions == 0 {
					return errUnused
				}
			}
			if n == draws {
				return errNotDrawn // the next look goes on
			}
			label = make([]byte, len(lost.label))
			_, _ = rand.Read(label) // never fails (Go 1.24)
		}
		r.mu.Lock()
		if r.lost[lost.name] != nil {
			r.lost[lost.name] = label
		}
		r.mu.Unlock()
		return tx.Row(`SELECT pointer FROM label WHERE label = $1`, label).Scan(new(int64))
	})
}

// find notes that a server is lost no more.
func (r *Reach) find(server string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lost, server)
}

type lostServer struct {
	name  string
	label []byte
}

func (r *Reach) lostNow() (all []lostServer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, label := range r.lost {
		all = append(all, lostServer{name, label})
	}
	return all
}
