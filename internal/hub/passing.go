package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/planted"
	"github.com/waypost/waypost/internal/store"
)

// passedFor is how long a change of state of record is known by its id: far
// longer than anybody asks again. By then its release has run out.
const passedFor = 92 * 24 * time.Hour

// errOtherRelease is misuse of the ticket.
var errOtherRelease = errors.New("the change of state of record was made with another release before")

// change passes the pointers of a release to the state that asks, all or none.
// Its former owner is told in the same transaction. A change that was made stays:
// with the same release, under whatever ticket, there is nothing left to do but to
// tell the former owner of that ticket too, so that its ledger has what ours has.
func (s *Server) change(ctx context.Context, t waypost.SignedTicket, c *waypostv1.ChangeOfRecord, salt []byte) (act, func(), error) {
	release, err := waypost.ParseRelease(c.Release)
	if err != nil {
		return nil, nil, err
	}
	if release.To != t.SOI {
		return nil, nil, waypost.Errorf(waypost.PermissionDenied, "%s brought a release to %s", t.SOI, release.To)
	}
	hash := sha256.Sum256(release.Bytes())
	word, err := s.movedWord(ctx, t, release, salt)
	if err != nil {
		return nil, nil, err
	}
	told := false
	fields := []journal.Field{{Name: "from", Value: string(release.From)}, {Name: "records", Value: decimal(len(release.Passings))}}
	do := func(tx *store.Tx, now int64) (*waypostv1.Maintained, []journal.Field, error) {
		known, err := passedBefore(tx, release.Release, hash)
		if err == nil && !known {
			err = s.passAll(tx, t, release, hash, now)
		}
		if err != nil {
			return nil, nil, err
		}
		if told = !planted.Bug("moved-not-told"); !told {
			return nil, fields, nil
		}
		return nil, fields, s.tell(tx, word)
	}
	after := func() {
		if told {
			s.wake(ctx, word)
		}
	}
	return do, after, nil
}

// passAll makes a change.
func (s *Server) passAll(tx *store.Tx, t waypost.SignedTicket, r waypost.SignedRelease, hash [32]byte, now int64) error {
	if err := s.mayPass(tx, t, r, now); err != nil {
		return err
	}
	for _, p := range r.Passings {
		if err := pass(tx, r.Release, p, now); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`INSERT INTO passed (owner, change, release, expires) VALUES ($1, $2, $3, $4)`,
		r.To, r.Change[:], hash[:], now+int64(passedFor/time.Second))
	return err
}

// passedBefore reports whether the change was made.
func passedBefore(tx *store.Tx, r waypost.Release, hash [32]byte) (bool, error) {
	var known [32]byte
	err := tx.Row(`SELECT release FROM passed WHERE owner = $1 AND change = $2`, r.To, r.Change[:]).Scan(&known)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return false, nil
	case err == nil && known != hash:
		return false, errOtherRelease
	}
	return err == nil, err
}

// mayPass says why the release does not hold, or not now.
func (s *Server) mayPass(tx *store.Tx, t waypost.SignedTicket, r waypost.SignedRelease, now int64) error {
	if r.Environment != s.Roster.Environment() {
		return waypost.Errorf(waypost.PermissionDenied, "the release is for the %s environment, this is %s", r.Environment, s.Roster.Environment())
	}
	key, err := s.Roster.StateKey(r.RosterVersion, r.From)
	if err != nil {
		return err
	}
	if err := r.Verify(key); err != nil {
		return err
	}
	if now >= r.Expires.Unix() {
		return waypost.Errorf(waypost.Expired, "the release of %s has run out: ask it for a new one", r.From)
	}
	return mayHold(tx, t)
}

// pass gives one pointer to its new owner. Its labels stay where they are: who
// searches finds it as before, and nobody learns what they were made of. The
// former owner keeps a row without labels, so that its handle is never used again.
func pass(tx *store.Tx, r waypost.Release, p waypost.Passing, now int64) error {
	at, err := find(tx, r.From, p.Old[:])
	if err != nil {
		return err
	}
	if !at.seen {
		return waypost.Errorf(waypost.NotFound, "a pointer of the release is not in the index as one of %s: ask it for a new release", r.From)
	}
	taken, err := find(tx, r.To, p.New[:])
	if err != nil {
		return err
	}
	if taken.pointer != 0 {
		return waypost.Errorf(waypost.AlreadyExists, "a new handle of the release is in use by %s: ask %s for a new release", r.To, r.From)
	}
	receipt := waypost.PassedUnder(r.Change)
	var epoch uint32
	if err := tx.Row(`UPDATE pointer SET owner = $1, handle = $2, version = version + 1, generation = 0, receipt = $3, changed = $4 WHERE id = $5 RETURNING epoch`,
		r.To, p.New[:], receipt[:], now, at.pointer).Scan(&epoch); err != nil {
		return err
	}
	if err := create(tx, r.From, p.Old[:], moved, at.in, epoch, now); err != nil {
		return err
	}
	if err := count(tx, r.From, at.in, -1); err != nil {
		return err
	}
	return count(tx, r.To, 0, 1)
}

// movedWord is the hub's word to the former owner. With the salt it shows that the
// new owner's ticket is for exactly this release.
func (s *Server) movedWord(ctx context.Context, t waypost.SignedTicket, r waypost.SignedRelease, salt []byte) (word, error) {
	body, err := proto.Marshal(&waypostv1.Moved{Release: r.Bytes(), Ticket: t.Bytes(), Salt: salt})
	if err != nil {
		return word{}, err
	}
	return s.word(ctx, string(r.From), waypost.MessageMoved, t.ID, body)
}
