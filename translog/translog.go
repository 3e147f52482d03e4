// Package translog verifies the ledgers of an exchange: public leaves,
// checkpoints with their cosignatures, inclusion, consistency, and a whole log
// from nothing. It signs and writes nothing; a secret is needed only for the
// entries behind the leaves, see [Seal] and [OpenSealed].
//
// The formats are C2SP tlog-tiles, tlog-checkpoint and tlog-cosignature, and
// spec/ledger.md; spec/vectors/ledger.json has examples of them.
package translog

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint is the largest signed checkpoint that is looked at, in bytes.
const MaxCheckpoint = 64 << 10

// maxSize is more leaves than any log will have. Below it, no index of a tile
// or of a stored hash overflows.
const maxSize = 1 << 48

// Policy is whose signatures make a checkpoint good.
type Policy struct {
	Origin string
	Log    note.Verifier // the log's own, see LogVerifier
	Groups []Group       // all of them
}

// Group asks for Need cosignatures of distinct Witnesses. A witness is in one
// group only: it cannot vouch for itself in another.
type Group struct {
	Name      string // for the words of an error: "key holders", "outside witnesses"
	Need      int
	Witnesses []note.Verifier // see WitnessVerifier
}

// Checkpoint is a verified tree head.
type Checkpoint struct {
	Origin string
	tlog.Tree
	// Cosigned is the latest time T such that the cosignatures made at T or
	// later satisfy every group: the tree was public then, by the clocks of the
	// witnesses. Zero where no group needs any.
	Cosigned time.Time
	Note     []byte // as it was read
}

// The reasons for which a checkpoint or a log is refused. Errors wrap one of
// them.
var (
	ErrUnsigned    = errors.New("the checkpoint is not signed by its log")
	ErrUnwitnessed = errors.New("the checkpoint lacks the cosignatures that the roster asks for")
	ErrFork        = errors.New("two checkpoints of one log contradict each other")
	ErrRollback    = errors.New("the log has become shorter")
	ErrDamaged     = errors.New("an object of the log is not what it must be")
)

// Verify checks a signed checkpoint. As C2SP signed-note has it, signatures by
// keys that the policy does not name are ignored, and a bad one by a key that
// it names refuses the whole. Extension lines are signed and mean nothing here.
// Where only cosignatures are missing, the error wraps ErrUnwitnessed and the
// checkpoint is returned beside it, without Cosigned.
func (p Policy) Verify(signed []byte) (Checkpoint, error) {
	known, err := p.verifiers()
	if err != nil {
		return Checkpoint{}, err
	}
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes are too many", ErrUnsigned, len(signed))
	}
	n, err := note.Open(signed, known)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	c, err := torchwood.ParseCheckpoint(n.Text)
	switch {
	case err != nil:
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrUnsigned, err)
	case c.Origin != p.Origin:
		return Checkpoint{}, fmt.Errorf("%w: it is of another log than %s", ErrUnsigned, p.Origin)
	case c.String() != n.Text || !canonical(n.Sigs) || c.N > maxSize || c.N == 0 && c.Hash != sha256.Sum256(nil):
		return Checkpoint{}, fmt.Errorf("%w: it is not well formed", ErrUnsigned)
	case !slices.ContainsFunc(n.Sigs, by(p.Log)):
		return Checkpoint{}, fmt.Errorf("%w: there is no signature of %s", ErrUnsigned, p.Origin)
	}
	checked := Checkpoint{Origin: c.Origin, Tree: c.Tree, Note: signed}
	var cosigned time.Time
	for _, g := range p.Groups {
		if g.Need == 0 {
			continue
		}
		at, err := g.satisfied(n.Sigs)
		if err != nil {
			return checked, err
		}
		if cosigned.IsZero() || at.Before(cosigned) {
			cosigned = at
		}
	}
	checked.Cosigned = cosigned
	return checked, nil
}

// verifiers refuses a policy under which one key could count twice, or a
// signature without a time could count as a cosignature.
func (p Policy) verifiers() (note.Verifiers, error) {
	if p.Log == nil || p.Log.Name() != p.Origin {
		return nil, fmt.Errorf("the policy names no key for %s", p.Origin)
	}
	known := []note.Verifier{p.Log}
	keys := make(map[string]bool)
	for _, g := range p.Groups {
		if g.Need < 0 {
			return nil, fmt.Errorf("the policy needs %d cosignatures of %s", g.Need, g.Name)
		}
		for _, w := range g.Witnesses {
			v, ok := w.(*torchwood.CosignatureVerifier)
			if !ok {
				return nil, fmt.Errorf("the policy names among %s a key that is not of type cosignature/v1", g.Name)
			}
			key := keyOf(v)
			if keys[key] {
				return nil, fmt.Errorf("the policy names the key of the witness %s twice", v.Name())
			}
			keys[key] = true
			known = append(known, v)
		}
	}
	return note.VerifierList(known...), nil
}

// keyOf returns the key of a witness without its name: one witness does not
// become two by another name.
func keyOf(v *torchwood.CosignatureVerifier) string {
	vkey := v.String()
	return vkey[len(v.Name())+len("+00000000+"):]
}

// canonical holds where the signatures have no unused bits that could differ.
func canonical(sigs []note.Signature) bool {
	for _, s := range sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return false
		}
	}
	return true
}

func by(v note.Verifier) func(note.Signature) bool {
	return func(s note.Signature) bool { return s.Name == v.Name() && s.Hash == v.KeyHash() }
}

// satisfied returns the time of the Need-th latest cosignature of the group.
func (g Group) satisfied(sigs []note.Signature) (time.Time, error) {
	var times []int64
	for _, w := range g.Witnesses {
		// At most one: note.Open drops repeated signatures by a key.
		if i := slices.IndexFunc(sigs, by(w)); i >= 0 {
			if at, err := torchwood.CosignatureTimestamp(sigs[i]); err == nil && at <= lastSecond {
				times = append(times, at)
			}
		}
	}
	if len(times) < g.Need {
		return time.Time{}, fmt.Errorf("%w: %d of %d %s", ErrUnwitnessed, len(times), g.Need, g.Name)
	}
	slices.Sort(times)
	return time.Unix(times[len(times)-g.Need], 0).UTC(), nil
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
// returns an error that wraps ErrFork or ErrRollback where it does not; any
// other error says that the tiles could not be read or verified.
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
	// The hashes come verified against newer: if older does not follow from
	// them, the two contradict each other.
	proof, err := tlog.ProveTree(newer.N, older.N, hashes(ctx, r, newer))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash); err != nil {
		return fmt.Errorf("%w: at %d and at %d entries", ErrFork, older.N, newer.N)
	}
	return nil
}
