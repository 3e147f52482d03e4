// Package translog verifies the ledgers of an exchange: public leaves,
// checkpoints with their cosignatures, inclusion, consistency, and a whole log
// from nothing. It writes nothing and needs no secret.
//
// The formats are C2SP tlog-tiles, tlog-checkpoint and tlog-cosignature, and
// spec/ledger.md.
package translog

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Reader reads the objects of one log. See [Dir] and [HTTP].
type Reader = torchwood.TileReader

// Policy is whose signatures make a checkpoint good.
type Policy struct {
	Origin string
	Log    note.Verifier // the log's own
	Groups []Group       // all of them
}

// Group asks for Need cosignatures of distinct Witnesses.
type Group struct {
	Name      string // for the words of an error: "key holders", "outside witnesses"
	Need      int
	Witnesses []note.Verifier
}

// Checkpoint is a verified tree head.
type Checkpoint struct {
	Origin string
	tlog.Tree
	// Cosigned is the latest time T such that the cosignatures made at T or
	// later satisfy every group: the tree was public then. Zero without groups.
	Cosigned time.Time
	Note     []byte // as it was read
}

// The reasons for which a checkpoint is refused. Errors wrap one of them.
var (
	ErrUnsigned    = errors.New("the checkpoint is not signed by its log")
	ErrUnwitnessed = errors.New("the checkpoint lacks the cosignatures that the roster asks for")
	ErrFork        = errors.New("two checkpoints of one log contradict each other")
	ErrRollback    = errors.New("the log has become shorter")
)

// Verify checks the signatures of a checkpoint.
func (p Policy) Verify(signed []byte) (Checkpoint, error) {
	verifiers := []note.Verifier{p.Log}
	for _, g := range p.Groups {
		verifiers = append(verifiers, g.Witnesses...)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != p.Origin || !signedBy(n.Sigs, p.Log) {
		return Checkpoint{}, ErrUnsigned
	}
	checked := Checkpoint{Origin: c.Origin, Tree: c.Tree, Note: signed}
	for _, g := range p.Groups {
		at, err := g.satisfied(n.Sigs)
		if err != nil {
			return checked, err
		}
		if checked.Cosigned.IsZero() || at.Before(checked.Cosigned) {
			checked.Cosigned = at
		}
	}
	return checked, nil
}

func signedBy(sigs []note.Signature, v note.Verifier) bool {
	for _, s := range sigs {
		if s.Name == v.Name() && s.Hash == v.KeyHash() {
			return true
		}
	}
	return false
}

// satisfied returns the time of the Need-th latest cosignature of the group.
func (g Group) satisfied(sigs []note.Signature) (time.Time, error) {
	var times []int64
	for _, w := range g.Witnesses {
		for _, s := range sigs {
			if s.Name != w.Name() || s.Hash != w.KeyHash() {
				continue
			}
			if at, err := torchwood.CosignatureTimestamp(s); err == nil {
				times = append(times, at)
			}
			break
		}
	}
	if len(times) < g.Need {
		return time.Time{}, fmt.Errorf("%w: %d of %d %s", ErrUnwitnessed, len(times), g.Need, g.Name)
	}
	sort.Slice(times, func(i, j int) bool { return times[i] > times[j] })
	if g.Need == 0 {
		return time.Unix(1<<40, 0), nil
	}
	return time.Unix(times[g.Need-1], 0).UTC(), nil
}

// Fetch reads and verifies the current checkpoint of a log.
func Fetch(ctx context.Context, r Reader, p Policy) (Checkpoint, error) {
	signed, err := r.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return Checkpoint{}, err
	}
	return p.Verify(signed)
}

// CheckConsistency verifies with the tiles of r that newer continues older. It
// returns an error that wraps ErrFork or ErrRollback where it does not.
func CheckConsistency(ctx context.Context, r Reader, older, newer Checkpoint) error {
	switch {
	case older.Origin != newer.Origin:
		return fmt.Errorf("%s and %s are different logs", older.Origin, newer.Origin)
	case newer.N < older.N:
		return fmt.Errorf("%w: from %d entries to %d", ErrRollback, older.N, newer.N)
	case newer.N == older.N && newer.Hash != older.Hash:
		return fmt.Errorf("%w: at %d entries", ErrFork, newer.N)
	case older.N == 0 || newer.N == older.N:
		return nil
	}
	hashes := torchwood.TileHashReaderWithContext(ctx, newer.Tree, r)
	proof, err := tlog.ProveTree(newer.N, older.N, hashes)
	if err != nil {
		return fmt.Errorf("the tiles of %s cannot be read: %w", newer.Origin, err)
	}
	if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash); err != nil {
		return fmt.Errorf("%w: at %d and at %d entries", ErrFork, older.N, newer.N)
	}
	return nil
}
