package follow

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// showBroken publishes the evidence that there is about logs which contradicted
// themselves. It comes after the contradiction was remembered, and is tried
// again until it is done.
func (f *Follower) showBroken(ctx context.Context) error {
	var errs []error
	for _, l := range f.logs {
		if l.broken == "" || l.shown {
			continue
		}
		err := f.show(ctx, l)
		f.tell("evidence about "+l.origin, err)
		if err != nil {
			continue
		}
		err = f.DB.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE follow_log SET shown = 1 WHERE origin = $1", l.origin)
			return err
		})
		errs = append(errs, err)
		l.shown = err == nil
	}
	return errors.Join(errs...)
}

func (f *Follower) show(ctx context.Context, l *log) error {
	newer, err := reread(l.contradiction)
	if err != nil {
		return err
	}
	var e *Evidence
	if newer.N < l.seen.N {
		e, err = f.rollbackEvidence(l, newer)
	} else {
		e, err = f.forkEvidence(ctx, l, newer)
	}
	if e == nil || err != nil {
		return err
	}
	return f.keep(e)
}

// keep publishes evidence after judging it as a stranger would.
func (f *Follower) keep(e *Evidence) error {
	if member, err := e.Verify(f.Governance); err != nil {
		return fmt.Errorf("evidence against %s does not hold: %w", e.Member, err)
	} else if member != e.Member {
		return waypost.Errorf(waypost.Internal, "evidence against %s is against %s", e.Member, member)
	}
	content, err := e.Marshal()
	if err != nil {
		return err
	}
	f.Log.Error("there is evidence against a member", "member", e.Member, "claim", string(e.Claim), "evidence", e.ID())
	return f.Publish(e.Path(), content)
}

// evidence begins evidence with the rosters that it needs: those from the
// version that a ticket names to the one in force.
func (f *Follower) evidence(claim Claim, member string, version uint64) (*Evidence, error) {
	signed, err := f.Rosters()
	if err != nil {
		return nil, err
	}
	chosen, err := chooseRosters(signed, f.Governance, version, f.Roster.Current().Version)
	if err != nil {
		return nil, err
	}
	return &Evidence{Type: evidenceType, Claim: claim, Member: member, Roster: chosen}, nil
}

// forkEvidence shows that newer does not continue what was seen. The tiles of
// the newer tree, which the log itself serves, say what it began with.
func (f *Follower) forkEvidence(ctx context.Context, l *log, newer translog.Checkpoint) (*Evidence, error) {
	current := f.Roster.Current()
	e, err := f.evidence(Fork, l.member, current.Version)
	if err != nil {
		return nil, err
	}
	m, _ := current.Member(l.member)
	key, err := translog.LogVerifier(l.origin, m.LogKey)
	if err != nil {
		return nil, err
	}
	if e.Checkpoint, err = trim(string(newer.Note), key); err != nil {
		return nil, err
	}
	if e.Other, err = trim(string(l.seen.Note), key); err != nil {
		return nil, err
	}
	if newer.N == l.seen.N {
		return e, nil
	}
	r, err := f.Open(l.member, l.instance)
	if err != nil {
		return nil, err
	}
	limited, stop := context.WithTimeout(ctx, lookTime)
	defer stop()
	hashes := torchwood.TileHashReaderWithContext(limited, newer.Tree, r)
	prefix, err := tlog.TreeHash(l.seen.N, hashes)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveTree(newer.N, l.seen.N, hashes)
	e.Prefix, e.Proof = prefix[:], setProof(proof)
	return e, err
}

// rollbackEvidence names a witness that cosigned what was seen and then the
// shorter log; nil where none did: then the log showed an old checkpoint, which
// proves nothing to those who did not see the newer one.
func (f *Follower) rollbackEvidence(l *log, shorter translog.Checkpoint) (*Evidence, error) {
	current := f.Roster.Current()
	m, _ := current.Member(l.member)
	key, err := translog.LogVerifier(l.origin, m.LogKey)
	if err != nil {
		return nil, err
	}
	for _, w := range allWitnesses(current) {
		before, beforeErr := cosignedAt(l.seen.Note, w)
		after, afterErr := cosignedAt(shorter.Note, w)
		if beforeErr != nil || afterErr != nil || !after.After(before) {
			continue
		}
		e, err := f.evidence(Rollback, w.member, current.Version)
		if err != nil {
			return nil, err
		}
		if e.Checkpoint, err = trim(string(shorter.Note), key, w); err != nil {
			return nil, err
		}
		e.Other, err = trim(string(l.seen.Note), key, w)
		return e, err
	}
	return nil, nil
}
