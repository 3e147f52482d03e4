package shards

import (
	"context"
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
	DB  *store.DB
	Log *slog.Logger

	mu   sync.Mutex
	lost map[string][]byte // by server, a label on it, which tells when it is back
}

// Whole reports whether all servers are believed to answer. It asks none.
func (r *Reach) Whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lost) == 0
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
		if r.isLost(server) {
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
		err := r.DB.Read(ctx, func(tx *store.Tx) error {
			// Its partition may lie elsewhere by now: then that server is meant.
			return tx.Row(`SELECT pointer FROM label WHERE label = $1`, server.label).Scan(new(int64))
		})
		if err == nil || errors.Is(err, store.ErrNoRows) {
			r.Log.Info("a server of labels answers again", "server", server.name)
			r.mu.Lock()
			delete(r.lost, server.name)
			r.mu.Unlock()
		}
	}
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
