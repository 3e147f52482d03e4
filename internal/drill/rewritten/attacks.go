package rewritten

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/drill/hands"
	"github.com/waypost/waypost/internal/drill/notice"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

func (p *play) attacks() []attack {
	var all []attack
	for _, back := range []time.Duration{time.Minute, 4 * time.Minute, 6 * time.Minute, time.Hour} {
		a := attack{party: "a key holder", attempted: fmt.Sprintf("dates an evaluation back by %s", notice.Span(back)), play: p.backDate(back), within: 5 * time.Minute}
		if back < 5*time.Minute {
			a.within = 0
		}
		all = append(all, a)
	}
	return append(all,
		attack{party: "the hub", attempted: "drops a delivery from its journal before it is published", play: p.drop, within: 10 * time.Minute},
		attack{party: "a key holder", attempted: "withholds its ledger: no checkpoint is shown", play: p.hide, within: 11 * time.Minute},
		// Where nothing of the new ledger is published, it is relied on for ten minutes.
		attack{party: "a key holder", attempted: "brings back its database and its ledger as they were three checks ago", play: p.rollBack, within: 11 * time.Minute},
		attack{party: "a key holder", attempted: "rewrites the last four entries, which are published, and publishes its ledger anew", play: p.fork, within: 10 * time.Minute},
		attack{party: "a key holder and all witnesses but one", attempted: "the same, and the witnesses have forgotten what they cosigned", play: p.forkCosigned, within: 10 * time.Minute},
		attack{party: "the hub", attempted: "withholds the ledger of a state, which is read at the hub's door", play: p.hideOther},
		attack{party: "a key holder", attempted: "withholds a roster that removes a state, and goes on answering that state", play: p.withholdRoster, within: 25 * time.Hour, quiet: 24*time.Hour - 5*time.Minute},
	)
}

// backDate has a key holder write an evaluation under an earlier time, in which there
// was quota left, say.
func (p *play) backDate(by time.Duration) func(context.Context, *attack) error {
	return func(ctx context.Context, a *attack) error {
		early := func(_ *store.Tx, e *journal.Entry) bool {
			if e.Kind == "evaluate" {
				e.At = e.At.Add(-by)
			}
			return true
		}
		err := p.hands.Asking(p.Exchange, asking, []string{dater, "keyholder-6", "keyholder-7"}, func() error {
			// What stands before it says how late it is.
			if _, err := p.ask(ctx); err != nil {
				return err
			}
			return p.hands.With(dater, early, func() error {
				_, err := p.ask(ctx)
				return err
			})
		})
		a.obtained = "an evaluation that counts as of then"
		a.c = p.watch.Add(&notice.Case{Guilty: []string{dater}, Kinds: []string{audit.BackDated}, Auditor: a.within > 0})
		return err
	}
}

// drop: the hub hands out a candidate and takes the entry out again.
func (p *play) drop(ctx context.Context, a *attack) error {
	drop := func(_ *store.Tx, e *journal.Entry) bool {
		if e.Kind == "deliver" {
			p.Role("hub").DB.Later(func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal) AND kind = 'deliver'`)
				return err
			})
		}
		return true
	}
	return p.hands.With("hub", drop, func() error {
		answer, err := p.ask(ctx)
		a.obtained = "the answer, as if all were well: match"
		a.c = p.watch.Add(&notice.Case{Ticket: answer.Ticket, Guilty: []string{"hub"}, Auditor: true})
		return err
	})
}

// log is the folder of a role's own published log.
func (p *play) log(role string) string {
	return filepath.Join(install.FolderOf(p.Dir, role), "log", role, "1")
}

// blind puts a folder where a file would have to be written, so that it never is.
func blind(file string) error {
	err := os.Remove(file)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.MkdirAll(filepath.Join(file, "kept"), 0o700))
}

// rollBack: the key holder is as it was before the last checks.
func (p *play) rollBack(ctx context.Context, a *attack) error {
	folder := install.FolderOf(p.Dir, returner)
	copied, err := p.stage.Dir("copied")
	if err != nil {
		return err
	}
	if err := p.Stop(returner); err != nil {
		return err
	}
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		return err
	}
	if err := p.Start(ctx, returner); err != nil {
		return err
	}
	err = p.hands.Asking(p.Exchange, asking, []string{returner, "keyholder-6", "keyholder-7"}, func() error {
		for range 3 {
			if _, err := p.ask(ctx); err != nil {
				return err
			}
		}
		_ = p.Publish(ctx) // another one, which hides its ledger, cannot
		return nil
	})
	if err := errors.Join(err, p.Stop(returner)); err != nil {
		return err
	}
	for _, name := range []string{"log", "keyholder.db", "keyholder.db-wal", "keyholder.db-shm"} {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(copied, name)); err != nil {
			continue
		}
		if err := restore(filepath.Join(copied, name), filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	a.obtained = "three evaluations are in its ledger no more, nor in its quotas"
	a.c = p.watch.Add(&notice.Case{Guilty: []string{returner}, Kinds: []string{audit.Rollback, audit.Stale, audit.Missing, audit.Unwitnessed, audit.ReceiptMissed}, Auditor: true, Shunned: true})
	return p.Start(ctx, returner)
}

// restore copies a file or a folder.
func restore(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}

// rewriteEnd takes the last entries out of a stopped role's journal, writes others in
// their place, and deletes what was published.
func (p *play) rewriteEnd(ctx context.Context, role string, entries int) error {
	folder, err := install.OpenFolder(install.FolderOf(p.Dir, role), p.Clock.Now)
	if err != nil {
		return err
	}
	_, file, _ := strings.Cut(folder.Config.Database, ":")
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(folder.Dir, file), "keyholder")
	if err != nil {
		return err
	}
	defer db.Close()
	readers, err := journal.ParseRecipients(append(slices.Clone(folder.Config.Openers), folder.Roster.Current().Auditors...)...)
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, db, folder.Config.Origin, readers...)
	if err != nil {
		return err
	}
	if err := db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM journal WHERE seq > (SELECT max(seq) FROM journal) - $1`, entries)
		return err
	}); err != nil {
		return err
	}
	for range entries + 2 {
		if err := j.Started(ctx, "rewritten", p.Clock.Now()); err != nil {
			return err
		}
	}
	return os.RemoveAll(p.log(role))
}

// fork: the witnesses do not cosign another tree, so that its readers get one that the
// key holder alone has signed.
func (p *play) fork(ctx context.Context, a *attack) error {
	if err := p.Stop(forger); err != nil {
		return err
	}
	if err := p.rewriteEnd(ctx, forger, 4); err != nil {
		return err
	}
	if err := p.Start(ctx, forger); err != nil {
		return err
	}
	_ = p.Publish(ctx) // the witnesses refuse it
	a.obtained = "a ledger without the last evaluations, that no witness has cosigned"
	a.c = p.watch.Add(&notice.Case{Guilty: []string{forger}, Kinds: forkKinds, Auditor: true, Shunned: true})
	return p.show(forger)
}

var forkKinds = []string{audit.Fork, audit.Unwitnessed, audit.Stale, audit.Missing, audit.ReceiptMissed}

// show puts the tree that a role has signed by itself where its readers look.
func (p *play) show(role string) error {
	signed, err := os.ReadFile(filepath.Join(p.log(role), "signed"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.log(role), "checkpoint"), signed, 0o600)
}

// forkCosigned: witnesses that have forgotten cosign the other tree. What members have
// seen of the first proves that there were two.
func (p *play) forkCosigned(ctx context.Context, a *attack) error {
	for _, m := range p.Roster().Holders() {
		if m.Name == forger || m.Name == returner {
			continue
		}
		if err := hands.Edit(ctx, p.Exchange, m.Name, `DELETE FROM witness_log WHERE origin = $1`, p.Role(forger).Journal.Origin()); err != nil {
			return err
		}
	}
	if err := hands.Edit(ctx, p.Exchange, "witness-1", `DELETE FROM witness_log WHERE origin = $1`, p.Role(forger).Journal.Origin()); err != nil {
		return err
	}
	a.obtained = "a second tree with all the cosignatures that the roster asks for"
	a.c = p.watch.Add(&notice.Case{Guilty: []string{forger}, Kinds: []string{audit.Fork, "fork"}, Auditor: true, Evidence: true, Shunned: true})
	return nil
}
