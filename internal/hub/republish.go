package hub

import (
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// newest is the newest epoch under whose key the batch is published.
func (b batch) newest() uint32 { return slices.Max(b.epochs) }

// behind reports whether a live pointer is to get labels of the batch's newest epoch
// beside those that it has: it stays what and where it is. Searches of that epoch see
// it when all of them are there. Most are published once more; one whose owner has not
// heard that it was published, and publishes it again under two keys, is behind as well.
func (b batch) behind(at standing) bool {
	return at.state == live && !at.rejected && at.epoch < b.newest()
}

// repeatable says why a record cannot be published once more: each can once under
// each key.
func (b batch) repeatable(e entry) error {
	at := e.standing
	switch {
	case at.state != live || at.rejected || at.pointer == 0:
		return waypost.Errorf(waypost.NotFound, "a pointer of the batch is not live in the index: there is nothing to publish once more")
	case !b.behind(at):
		return waypost.Errorf(waypost.AlreadyExists, "a pointer of the batch is published under the key of epoch %d already: each is, once", at.epoch)
	}
	return nil
}

// advance makes all of the batch visible to searches of its epoch, or nothing.
func (b batch) advance(tx *store.Tx, written []entry, now int64) error {
	lists := make([][]any, len(written))
	for i, e := range written {
		lists[i] = []any{b.newest(), now, e.pointer, live}
	}
	if _, err := tx.ExecMany(`UPDATE pointer SET epoch = $1, changed = $2 WHERE id = $3 AND state = $4 AND epoch < $1`, lists); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE publication SET live = 1 WHERE ticket = $1`, b.ID[:])
	return err
}

// Published is how many live pointers an owner has under the key of an epoch, the
// newest that each is under.
type Published struct {
	Owner    waypost.Jurisdiction `json:"owner"`
	Epoch    uint32               `json:"epoch"`
	Pointers uint64               `json:"pointers"`
}

// CountPublished counts the live pointers of all owners in a hub's database, in the
// order of owners and epochs. It reads them all.
func CountPublished(tx *store.Tx) (all []Published, err error) {
	err = tx.Query(`SELECT p.owner, p.epoch, count(*) FROM pointer p WHERE p.state = $1
		AND NOT EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation AND g.state = $2)
		AND NOT EXISTS (SELECT 1 FROM departure d WHERE d.owner = p.owner AND d.ended = 0)
		GROUP BY p.owner, p.epoch ORDER BY p.owner, p.epoch`, []any{live, rolledBack}, func(scan func(dest ...any) error) error {
		var p Published
		err := scan(&p.Owner, &p.Epoch, &p.Pointers)
		all = append(all, p)
		return err
	})
	return all, err
}
