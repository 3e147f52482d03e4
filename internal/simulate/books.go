package simulate

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"path/filepath"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/publisher"
	"github.com/waypost/waypost/translog"
)

// reconcile publishes all ledgers and has the auditor reconcile them: nobody has
// done anything that is not in order.
func (w *world) reconcile(dir string) error {
	ctx := context.Background()
	o := audit.Options{Rosters: w.rosters, Identities: []age.Identity{w.cast.reader}, Now: w.now, WorkDir: dir}
	for _, r := range w.roles {
		source, err := w.publish(ctx, r, filepath.Join(dir, "logs"))
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		o.Sources = append(o.Sources, source)
	}
	report, err := audit.Reconcile(ctx, o)
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		w.failf("the auditor finds %s, and asks %s: %s %v", f.Kind, f.Member, f.Words, f.Evidence)
	}
	return nil
}

// publish ends a role's ledger and puts it where the public reads it.
func (w *world) publish(ctx context.Context, r *role, dir string) (audit.Source, error) {
	j := r.life.journal
	if err := j.Stopped(ctx, "simulated", w.now); err != nil {
		return audit.Source{}, err
	}
	member, _ := w.roster.Member(r.name)
	p, err := publisher.New(publisher.Config{Origin: j.Origin(), Dir: dir}, publisher.Deps{
		Source: j, Key: w.cast.logKey[r.name], Now: w.Now, Log: w.log(r.name),
		Witnesses: func() []publisher.Witness { return []publisher.Witness{cosigner{w}} },
		Policy:    func() (translog.Policy, error) { return follow.Policy(w.roster.Current(), member, j.Origin()) },
	})
	if err != nil {
		return audit.Source{}, err
	}
	if err := p.Flush(ctx); err != nil {
		return audit.Source{}, err
	}
	reader, err := translog.Dir(filepath.Join(dir, r.name, "1"))
	return audit.Source{Member: r.name, Instance: "1", Reader: reader}, err
}

// cosigner is the outside witness, who believes everybody: each ledger is
// published once.
type cosigner struct{ w *world }

// Name implements [publisher.Witness].
func (c cosigner) Name() string { return witnessName }

// Cosign implements [publisher.Witness].
func (c cosigner) Cosign(_ context.Context, _ int64, _ tlog.TreeProof, checkpoint []byte) ([]byte, error) {
	verifier, err := translog.WitnessVerifier(translog.WitnessKey(witnessName, c.w.cast.witness.Public().(ed25519.PublicKey)))
	if err != nil {
		return nil, err
	}
	text, _, found := cutNote(checkpoint)
	if !found {
		return nil, fmt.Errorf("this is no signed note")
	}
	signed, err := note.Sign(&note.Note{Text: text}, cosigning{verifier, c.w.cast.witness, uint64(c.w.now.Unix())})
	if err != nil {
		return nil, err
	}
	_, lines, _ := cutNote(signed)
	return []byte(lines), nil
}

// cosigning makes C2SP cosignatures of one time.
type cosigning struct {
	note.Verifier
	key ed25519.PrivateKey
	at  uint64 // Unix seconds
}

// Sign implements [note.Signer].
func (c cosigning) Sign(msg []byte) ([]byte, error) {
	signed := append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", c.at), msg...)
	return append(binary.BigEndian.AppendUint64(nil, c.at), ed25519.Sign(c.key, signed)...), nil
}

// cutNote cuts a signed note into its text and the lines of its signatures.
func cutNote(signed []byte) (text, lines string, found bool) {
	s := string(signed)
	for i := len(s) - 1; i > 0; i-- {
		if s[i] == '\n' && s[i-1] == '\n' {
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}
