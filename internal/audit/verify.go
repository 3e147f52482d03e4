package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// VerifiedLog is what [Verify] found of one log.
type VerifiedLog struct {
	Log      string    `json:"log"` // "<member>/<instance>"
	Origin   string    `json:"origin,omitempty"`
	Size     int64     `json:"size"` // entries
	Cosigned time.Time `json:"cosigned,omitzero"`
	Opened   int64     `json:"opened"`            // sealed entries that opened their leaves
	Erased   int64     `json:"erased"`            // whose retention is over
	Closed   int64     `json:"closed"`            // that are not sealed for the identities given
	Problem  string    `json:"problem,omitempty"` // why the log does not hold
}

// Verify verifies each log of the sources by itself, from nothing: the
// signatures on its checkpoint under the roster's witness policy, that it was
// cosigned within maxAge of o.Now (zero: at any time), and every bundle and tile
// against its root. With identities it also opens every sealed entry that is for
// them and holds it against its leaf. What is wrong with a log is its Problem;
// the error says that the work could not be done.
func Verify(ctx context.Context, o Options, maxAge time.Duration) ([]VerifiedLog, error) {
	v := verifier{Options: o, maxAge: maxAge, opener: journal.NewOpener(o.Identities...)}
	logs := make([]VerifiedLog, len(o.Sources))
	heads := make([]translog.Checkpoint, len(o.Sources))
	var err error
	for i, s := range o.Sources {
		logs[i] = VerifiedLog{Log: s.Member + "/" + s.Instance}
		if heads[i], err = readHead(ctx, o.Rosters, s); err != nil {
			logs[i].Problem = err.Error()
		}
		v.total += heads[i].N
	}
	for i, s := range o.Sources {
		if heads[i].Origin == "" {
			continue
		}
		l := &logs[i]
		l.Origin, l.Size, l.Cosigned = heads[i].Origin, heads[i].N, heads[i].Cosigned
		if err := v.whole(ctx, s, heads[i], l); err != nil && l.Problem == "" {
			l.Problem = err.Error()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v.before += heads[i].N
	}
	return logs, nil
}

type verifier struct {
	Options
	maxAge        time.Duration
	opener        *journal.Opener
	before, total int64 // entries in the logs that are done, and in all
}

// readHead reads and verifies the checkpoint of a source. Where only
// cosignatures are missing the checkpoint is returned beside the error.
func readHead(ctx context.Context, rosters []*roster.Roster, s Source) (translog.Checkpoint, error) {
	if s.Reader == nil {
		return translog.Checkpoint{}, errors.New("no such ledger is published")
	}
	note, err := s.Reader.ReadEndpoint(ctx, "checkpoint")
	if errors.Is(err, fs.ErrNotExist) {
		return translog.Checkpoint{}, errors.New("no such ledger is published")
	}
	if err != nil {
		return translog.Checkpoint{}, err
	}
	head, err := verifyHead(rosters, s.Member, note)
	if err == nil && head.Origin == "" {
		err = fmt.Errorf("%s is in none of the newest rosters", s.Member)
	}
	return head, err
}

// whole verifies one log below its head.
func (v *verifier) whole(ctx context.Context, s Source, head translog.Checkpoint, l *VerifiedLog) error {
	progress := func(done, _ int64) {
		if v.Progress != nil {
			v.Progress(v.before+done, v.total)
		}
	}
	if err := translog.VerifyAll(ctx, s.Reader, head, progress); err != nil {
		return err
	}
	ended := false
	if len(v.Identities) > 0 {
		err := eachOpened(ctx, v.opener, roleIn(v.Rosters, s.Member), s.Reader, head, 0, func(o opened) error {
			switch {
			case o.err == nil:
				l.Opened++
			case errors.Is(o.err, translog.ErrErased):
				l.Erased++
			case errors.Is(o.err, journal.ErrNotEntitled):
				l.Closed++
			default:
				return fmt.Errorf("entry %d: %w", o.index, o.err)
			}
			ended = o.err == nil && o.entry.Kind == "stopped"
			return nil
		})
		if err != nil {
			return err
		}
	}
	if age := v.Now.Sub(head.Cosigned); v.maxAge > 0 && age > v.maxAge && !head.Cosigned.IsZero() && !ended {
		return fmt.Errorf("it was last cosigned %s ago, and does not end with the entry of a role that was stopped", age.Round(time.Second))
	}
	return nil
}

// opened is one leaf with its entry, or with the reason why there is none.
type opened struct {
	index int64
	leaf  []byte
	entry translog.Entry
	err   error // wraps ErrErased, ErrNotEntitled or what is wrong
}

// eachOpened calls f with every leaf of a log from index from on, in order, each
// verified against head and opened as far as possible.
func eachOpened(ctx context.Context, opener *journal.Opener, role roster.Role, r translog.Reader, head translog.Checkpoint, from int64, f func(opened) error) error {
	keys := func(ctx context.Context, id translog.KeyID) ([]byte, error) { return r.ReadEndpoint(ctx, id.Path()) }
	for b, err := range translog.Bundles(ctx, r, head, from) {
		if err != nil {
			return err
		}
		blobs, err := translog.Sealed(ctx, r, head, b)
		if err != nil {
			return err
		}
		for i, leaf := range b.Leaves {
			o := opened{index: b.First + int64(i), leaf: leaf}
			o.entry, o.err = opener.Open(ctx, keys, string(role), head.Origin, o.index, leaf, blobs[i])
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// roleIn is the role of a member in the newest roster that names it.
func roleIn(rosters []*roster.Roster, member string) roster.Role {
	for _, r := range slices.Backward(rosters) {
		if m, ok := r.Member(member); ok {
			return m.Role
		}
	}
	return ""
}

// VerifyProof checks a proof offline, under the rosters that name the member
// whose log it is about, the newest first: a checkpoint was witnessed under the
// roster of its time. It returns the name of the member and the entry.
func VerifyProof(rosters []*roster.Roster, p translog.Proof) (member string, e translog.Entry, cp translog.Checkpoint, err error) {
	parts := strings.Split(p.Origin, "/")
	if len(parts) >= 3 {
		member = parts[len(parts)-2]
	}
	err = waypost.Errorf(waypost.NotFound, "the log %.255q is of no member of the rosters given", p.Origin)
	first := true
	for _, r := range slices.Backward(rosters) {
		m, ok := r.Member(member)
		if !ok {
			continue
		}
		policy, policyErr := follow.Policy(r, m, p.Origin)
		if policyErr != nil {
			return member, e, cp, policyErr
		}
		entry, head, verifyErr := p.Verify(policy, string(m.Role))
		if verifyErr == nil {
			return member, entry, head, nil
		}
		if first {
			err, first = verifyErr, false
		}
	}
	return member, e, cp, err
}

// WriteVerified prints what Verify found as a table, for people.
func WriteVerified(w io.Writer, logs []VerifiedLog) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "LEDGER\tENTRIES\tOPENED\tERASED\tNOT FOR US\tCOSIGNED\tRESULT\n")
	for _, l := range logs {
		cosigned, result := "never", "holds"
		if !l.Cosigned.IsZero() {
			cosigned = l.Cosigned.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		if l.Problem != "" {
			result = "DOES NOT HOLD: " + l.Problem
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", l.Log, l.Size, l.Opened, l.Erased, l.Closed, cosigned, result)
	}
	return t.Flush()
}
