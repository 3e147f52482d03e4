package witness

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/store"
)

// last is the last tree that was cosigned of a log; the empty one before the
// first.
type last struct {
	tlog.Tree
	cosigned int64 // Unix seconds
	found    bool
	forked   bool // a fork is kept already
}

// conflict is a refusal that tells the size of the last tree.
type conflict struct{ size int64 }

// Error says which size is known.
func (c *conflict) Error() string {
	return fmt.Sprintf("the last tree cosigned here has size %d", c.size)
}

// admits says why next may not follow, in the order that C2SP tlog-witness gives;
// nil if the proof leads from the last tree to next.
func (l last) admits(old int64, next tlog.Tree, proof tlog.TreeProof) error {
	switch {
	case old != l.N, next.N == l.N && next.Hash != l.Hash:
		return &conflict{l.N}
	case old == 0 || next.N == old:
		if len(proof) != 0 {
			return errProof
		}
		return nil
	}
	if tlog.CheckTree(proof, next.N, next.Hash, old, l.Hash) != nil {
		return errProof
	}
	return nil
}

func load(tx *store.Tx, origin string) (last, error) {
	var l last
	var hash []byte
	err := tx.Row(`SELECT size, hash, cosigned, fork IS NOT NULL FROM witness_log WHERE origin = $1`, origin).
		Scan(&l.N, &hash, &l.cosigned, &l.forked)
	switch {
	case errors.Is(err, store.ErrNoRows):
		empty, err := tlog.TreeHash(0, nil)
		return last{Tree: tlog.Tree{Hash: empty}}, err
	case err != nil:
		return last{}, err
	case len(hash) != tlog.HashSize:
		return last{}, errors.New("witness: a hash in the database is damaged")
	}
	l.Hash, l.found = tlog.Hash(hash), true
	return l, nil
}

func save(tx *store.Tx, c checkpoint, at int64) error {
	_, err := tx.Exec(`INSERT INTO witness_log (origin, size, hash, cosigned, checkpoint) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (origin) DO UPDATE SET size = excluded.size, hash = excluded.hash, cosigned = excluded.cosigned,
			checkpoint = excluded.checkpoint`, c.origin, c.N, c.Hash[:], at, c.note)
	return err
}

// keepFork keeps c beside the checkpoint of the same size that it contradicts,
// and reports whether it is the first. The log may have grown since it was seen
// to: then the pair is gone, and the log can only show it again by forking again.
func keepFork(tx *store.Tx, c checkpoint) (first bool, err error) {
	changed, err := tx.Exec(`UPDATE witness_log SET fork = $1, fork_of = checkpoint
		WHERE origin = $2 AND size = $3 AND hash <> $4 AND fork IS NULL`, c.note, c.origin, c.N, c.Hash[:])
	return changed == 1, err
}

func seen(tx *store.Tx) ([]Seen, error) {
	var all []Seen
	err := tx.Query(`SELECT origin, checkpoint, cosigned, fork_of, fork FROM witness_log ORDER BY origin`, nil,
		func(scan func(...any) error) error {
			var one Seen
			var at int64
			var of, fork []byte
			if err := scan(&one.Origin, &one.Checkpoint, &at, &of, &fork); err != nil {
				return err
			}
			one.Cosigned = time.Unix(at, 0).UTC()
			if fork != nil {
				one.Fork = [][]byte{of, fork}
			}
			all = append(all, one)
			return nil
		})
	return all, err
}

// A log publishes every few seconds. The limit is far above what all logs of a
// member do, and keeps a member that runs wild, in one log or in as many as it
// may have, from the writer of a key holder; only growth counts, which nobody
// but the member itself can sign.
const (
	paceBurst  = 1000
	paceSecond = 10
)

// pace is a token bucket for each member. Logs that are not witnessed never
// come here, so that there are as many as the roster has members.
type pace struct {
	mu      sync.Mutex
	members map[string]*bucket // by origin without the instance
}

type bucket struct {
	left int64
	at   int64 // Unix seconds
}

func newPace() pace { return pace{members: make(map[string]*bucket)} }

// allow takes one from the bucket of the log's member, if there is one.
func (p *pace) allow(origin string, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	member := path.Dir(origin)
	b := p.members[member]
	if b == nil {
		b = &bucket{left: paceBurst, at: now}
		p.members[member] = b
	}
	if passed := now - b.at; passed > 0 {
		b.left = min(b.left+min(passed, paceBurst)*paceSecond, paceBurst)
	}
	b.at = now
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}
