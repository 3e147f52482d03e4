package rewritten

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/notice"
	"github.com/waypost/waypost/internal/drill/rogue"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// hide: a key holder shows no checkpoint any more.
func (p *play) hide(_ context.Context, a *attack) error {
	a.obtained = "nobody can read what it does"
	a.c = p.watch.Add(&notice.Case{Guilty: []string{hider}, Kinds: []string{audit.Missing, audit.Stale}, Auditor: true, Shunned: true})
	return blind(filepath.Join(p.log(hider), "checkpoint"))
}

// hideOther: the hub shows nothing of a state's ledger at its door. Whoever reads there
// finds either of the two at fault: the state alone can show what it has sent.
func (p *play) hideOther(ctx context.Context, a *attack) error {
	copied := filepath.Join(install.FolderOf(p.Dir, "hub"), "log", string(asking), "1", "checkpoint")
	if err := blind(copied); err != nil {
		return err
	}
	hub := install.FolderOf(p.Dir, "hub")
	rosters, err := filepath.Glob(filepath.Join(hub, "roster", "[0-9]*"))
	if err != nil {
		return err
	}
	o, err := audit.FromWeb(ctx, filepath.Join(hub, "governance.json"), rosters, []string{filepath.Join(p.Dir, "governance", "auditor.key")})
	if err != nil {
		return err
	}
	o.Now = p.Clock.Now()
	report, err := audit.Reconcile(ctx, o)
	if err != nil {
		return err
	}
	named, kind := "", ""
	for _, f := range report.Findings {
		if f.Kind == audit.Missing && f.Member == string(asking) {
			named, kind = f.Member+" or "+f.Evidence["or"], f.Kind
		}
	}
	if err := os.RemoveAll(copied); err != nil {
		return err
	}
	p.stage.Add(drill.Line{
		Party: a.party, Attempted: a.attempted, Obtained: "the public cannot read what that state did",
		Noticed:  fmt.Sprintf("the auditor, who reads over the web, finds it %s at its first look, of %s: a word against a word, which the state's own copy decides", kind, named),
		Baseline: notice.NoTrace, Target: "named at the next audit, the hub among those who must answer", OK: named == string(asking)+" or hub",
	})
	return nil
}

// withholdRoster: governance removes a state. One key holder, at whose door it is not to
// be had either, goes on as if it had not heard.
func (p *play) withholdRoster(ctx context.Context, a *attack) error {
	removed := waypost.Jurisdiction("NY")
	folder := p.Role(string(removed)).Folder
	if err := p.Stop(string(removed)); err != nil {
		return err
	}
	signed, err := install.Govern(p.Dir, p.Clock.Now(), func(draft *roster.Roster) error { return draft.Remove(string(removed)) })
	if err != nil {
		return err
	}
	// A roster that cannot be kept is not taken up.
	if err := blind(filepath.Join(install.FolderOf(p.Dir, deafest), "roster", "000002")); err != nil {
		return err
	}
	door, _ := p.Roster().Member("keyholder-6")
	if err := p.Roster().Publish(ctx, door.Public, signed); err != nil {
		return err
	}
	began := time.Now()
	if err := p.everybodyKnows(ctx, removed); err != nil {
		return err
	}
	took := time.Since(began).Round(100 * time.Millisecond)
	answered, err := p.answered(ctx, folder)
	if err != nil {
		return err
	}
	a.obtained = fmt.Sprintf("the state that was removed is answered by %d of %d key holders, of which it needs %d; all others had the roster from elsewhere within %v of real time", answered, holders, p.Roster().Threshold, took)
	a.c = p.watch.Add(&notice.Case{Guilty: []string{deafest}, Kinds: []string{audit.RosterMissing}, Auditor: true})
	if answered != 1 {
		return fmt.Errorf("%d key holders answer a state that was removed", answered)
	}
	return nil
}

// everybodyKnows waits until all but one have the roster.
func (p *play) everybodyKnows(ctx context.Context, removed waypost.Jurisdiction) error {
	for began := time.Now(); time.Since(began) < time.Minute; {
		missing := 0
		for _, m := range p.Roster().Members {
			r := p.Role(m.Name)
			if r == nil || m.Name == deafest {
				continue
			}
			if _, still := r.Folder.Roster.Member(string(removed)); still {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("not everybody has a roster after a minute")
}

// answered counts the key holders that evaluate for the state in the folder.
func (p *play) answered(ctx context.Context, folder *install.Folder) (n int, err error) {
	g, err := rogue.New(ctx, folder, p.Clock.Now)
	if err != nil {
		return 0, err
	}
	look, err := g.Look(rogue.Keys(p.known[0].Person), folder.Identity, func(*waypost.Ticket) {})
	if err != nil {
		return 0, err
	}
	// What it asks off its own record is found as well.
	p.watch.Add(&notice.Case{Ticket: look.Ticket.ID, Guilty: []string{string(g.State)}})
	for _, h := range folder.Roster.Current().Holders() {
		if _, err := g.Evaluate(ctx, h.Name, look.Ticket.Bytes(), look.Elements); err == nil {
			n++
		}
	}
	return n, ctx.Err()
}

// forgetful is the weakness that is planted: a reader who asks for no cosignatures and
// remembers nothing. The rewritten ledger is as good as any.
func (p *play) forgetful(ctx context.Context) error {
	r, err := translog.Dir(p.log(forger))
	if err != nil {
		return err
	}
	m, _ := p.Roster().Member(forger)
	policy, err := follow.Policy(p.Roster(), m, p.Role(forger).Journal.Origin())
	if err != nil {
		return err
	}
	policy.Groups = nil
	head, err := translog.Fetch(ctx, r, policy)
	if err != nil {
		return err
	}
	leaves := int64(0)
	for b, bundleErr := range translog.Bundles(ctx, r, head, 0) {
		if bundleErr != nil {
			return bundleErr
		}
		leaves += int64(len(b.Leaves))
	}
	p.stage.Add(drill.Line{
		Party: "the key holder that forked its ledger", Attempted: "shows it to a reader who asks for no cosignatures and remembers nothing",
		Obtained: fmt.Sprintf("all %d leaves of the rewritten ledger verify", leaves), Noticed: "nobody: it takes witnesses, or a reader who has seen the other tree",
		Target: "the attack succeeds on a reader without witnesses", OK: leaves == head.N && leaves > 0, Planted: true,
	})
	return nil
}

// without are the baselines: a row is changed, and the tables are the same in every part
// as those of an index in which it was never otherwise. Who looks at them has nothing to
// notice it by.
func (p *play) without() {
	plain, unkeyed := drill.NewBaselines(p.Records)
	victim := p.known[0]
	row, changed := drill.RowOf(victim.Person, "CA"), 0
	for i := range plain.Rows {
		if plain.Rows[i] == row {
			plain.Rows[i].Owner = asking
			changed++
		}
	}
	if unkeyed.Owners[row.Hash()] == "CA" {
		unkeyed.Owners[row.Hash()] = asking
		changed++
	}
	told, _ := unkeyed.Find(row.Family, row.Given, row.Born, row.SSN5)

	otherwise := maps.Clone(p.Records)
	otherwise["CA"] = slices.DeleteFunc(slices.Clone(p.Records["CA"]), func(r waypost.Record) bool { return r.ID == victim.ID })
	otherwise[asking] = append(slices.Clone(p.Records[asking]), victim)
	plainly, hashed := drill.NewBaselines(otherwise)
	alike := maps.Equal(unkeyed.Owners, hashed.Owners) && maps.Equal(counts(plain.Rows), counts(plainly.Rows))
	p.stage.Add(drill.Line{
		Party: "the operator of a plain or an unkeyed index", Attempted: "changes in place whose record a person's is",
		Obtained: fmt.Sprintf("%d rows changed; whoever asks is told %s", changed, told),
		Noticed:  fmt.Sprintf("nobody, ever: %d and %d rows before and after, the same as if it had never been otherwise: %t", len(plain.Rows), len(unkeyed.Owners), alike),
		Target:   "the attack succeeds on the baselines", OK: changed == 2 && alike && told == asking, Planted: true,
	})
}

// counts are how often each row stands in a table.
func counts(rows []drill.PlainRow) map[drill.PlainRow]int {
	all := make(map[drill.PlainRow]int)
	for _, r := range rows {
		all[r]++
	}
	return all
}
