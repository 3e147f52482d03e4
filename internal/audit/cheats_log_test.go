package audit_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/follow"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// log is the folder of a role's own published log.
func (d *drill) log(role string) string {
	return filepath.Join(install.FolderOf(d.dir, role), "log", role, "1")
}

func (d *drill) stop(role string) {
	d.t.Helper()
	if err := d.Stop(role); err != nil {
		d.t.Fatal(err)
	}
}

func (d *drill) start(role string) {
	d.t.Helper()
	if err := d.Start(d.t.Context(), role); err != nil {
		d.t.Fatal(err)
	}
}

// says waits until a gateway says this of a member's ledger.
func (d *drill) says(member, words string) {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(d.usable(member), words) {
		if time.Now().After(deadline) {
			d.t.Errorf("Arizona may use %s, or says %q", member, d.usable(member))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// usable is what a gateway says of a member's ledger, empty where it relies on it.
func (d *drill) usable(member string) string {
	if err := d.Role("AZ").Follower.Usable(member); err != nil {
		return err.Error()
	}
	return ""
}

// TestRolledBackLog: a key holder brings back its database and its published
// log as they were before the last checks. The other members stop using it, and
// an audit that has never seen the log before names it.
func TestRolledBackLog(t *testing.T) {
	d := open(t, roster.Quota{})
	p := d.holder("CA")
	d.finds("AZ", p, waypost.Match)
	d.stop("keyholder-3")
	folder, copied := install.FolderOf(d.dir, "keyholder-3"), t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	d.start("keyholder-3")
	for range 3 {
		d.finds("NV", p, waypost.Match)
	}
	d.settle()
	d.expect(d.reconcile(""), nil, nil)

	d.stop("keyholder-3")
	for _, name := range []string{"log", "keyholder.db", "keyholder.db-wal", "keyholder.db-shm"} {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	restore(t, copied, folder)
	d.start("keyholder-3")
	d.settle()
	d.expect(d.reconcile(""), nil, []string{"keyholder-3 " + audit.Rollback})
	d.says("keyholder-3", "went back from")
	if err := d.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "older than what was cosigned") {
		t.Errorf("the key holder itself publishes on, or says: %v", err)
	}
	d.finds("NV", p, waypost.Match) // with the other two
}

// restore copies files that are not there.
func restore(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if _, err := os.Stat(name); err == nil {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		return os.WriteFile(name, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestForkedLog: a key holder rewrites the end of its journal, which is
// published, and publishes its log anew. The witnesses do not cosign that: what
// its readers get then is not witnessed, and contradicts what all others have
// seen. With witnesses who forget what they have cosigned, there is evidence
// that it signed two trees.
func TestForkedLog(t *testing.T) {
	d := open(t, roster.Quota{})
	p := d.holder("CA")
	for range 3 {
		d.finds("AZ", p, waypost.Match)
	}
	d.settle()
	d.expect(d.reconcile(""), nil, nil)

	d.stop("keyholder-2")
	d.rewriteEnd("keyholder-2", 4)
	d.start("keyholder-2")
	if err := d.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), "cosigned what this log does not hold") {
		t.Errorf("the key holder publishes another tree, or says: %v", err)
	}
	d.show("keyholder-2")
	d.settle()
	d.show("keyholder-2")
	d.expect(d.reconcile(""), nil, []string{"keyholder-2 " + audit.Fork, "keyholder-2 " + audit.Unwitnessed})
	if words := d.usable("keyholder-2"); words != "" && !strings.Contains(words, "has not been cosigned since") {
		t.Errorf("Arizona says %q", words)
	}

	for _, witness := range []string{"witness-1", "keyholder-1", "keyholder-3"} {
		d.edit(witness, `DELETE FROM witness_log WHERE origin = 'waypost.test/keyholder-2/1'`)
	}
	d.settle()
	d.settle() // once more, so that the first evidence is published
	d.expect(d.reconcile(""), nil, []string{"keyholder-2 " + audit.Fork})
	d.says("keyholder-2", "contradicts itself")
	proofs := d.evidence()
	for _, e := range proofs {
		if member, err := e.Verify(d.governance()); err != nil || member != "keyholder-2" || e.Claim != follow.Fork {
			t.Errorf("evidence of %s against %s: %v", e.Claim, member, err)
		}
	}
	if len(proofs) == 0 {
		t.Error("nobody has published evidence of the fork")
	}
}

// rewriteEnd takes the last entries out of a stopped role's journal, writes more
// others in their place, and deletes what was published.
func (d *drill) rewriteEnd(role string, entries int) {
	d.t.Helper()
	ctx := d.t.Context()
	folder, err := install.OpenFolder(install.FolderOf(d.dir, role), d.Clock.Now)
	if err != nil {
		d.t.Fatal(err)
	}
	_, file, _ := strings.Cut(folder.Config.Database, ":")
	db, err := store.Open(ctx, "sqlite:"+filepath.Join(folder.Dir, file), "keyholder")
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	readers, err := journal.ParseRecipients(append(slices.Clone(folder.Config.Openers), folder.Roster.Current().Auditors...)...)
	if err != nil {
		d.t.Fatal(err)
	}
	j, err := journal.Open(ctx, db, folder.Config.Origin, readers...)
	if err == nil {
		err = db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM journal WHERE seq > (SELECT max(seq) FROM journal) - $1`, entries)
			return err
		})
	}
	for range entries + 2 {
		if err == nil {
			err = j.Started(ctx, "rewritten", d.Clock.Now())
		}
	}
	if err == nil {
		err = os.RemoveAll(d.log(role))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// show puts the tree that a role has signed by itself where its readers look.
func (d *drill) show(role string) {
	d.t.Helper()
	signed, err := os.ReadFile(filepath.Join(d.log(role), "signed"))
	if err == nil {
		err = os.WriteFile(filepath.Join(d.log(role), "checkpoint"), signed, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// evidence is what all members have published of it.
func (d *drill) evidence() (all []*follow.Evidence) {
	d.t.Helper()
	for _, role := range d.roles() {
		files, err := filepath.Glob(filepath.Join(d.log(role), "evidence", "*.json"))
		if err != nil {
			d.t.Fatal(err)
		}
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil {
				d.t.Fatal(err)
			}
			e, err := follow.Parse(raw)
			if err != nil {
				d.t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

func (d *drill) governance() (g roster.Governance) {
	d.t.Helper()
	raw, err := os.ReadFile(filepath.Join(install.FolderOf(d.dir, "hub"), "governance.json"))
	if err == nil {
		err = json.Unmarshal(raw, &g)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return g
}

// TestOverQuota: the hub and two key holders let a state have more checks than
// the roster grants; the third key holder does not. Each guard that did is
// named, and only those.
func TestOverQuota(t *testing.T) {
	const limit = 5
	d := open(t, roster.Quota{TicketsPerDay: limit, UnattendedPerDay: limit, TicketsPerOperatorHour: 100, Operators: 10,
		PublishElementsPerDay: 1000, PublishElementsForALoad: 1000})
	p := d.holder("CA")
	lax := []string{"hub", "keyholder-1", "keyholder-2"}
	for i := range limit + 4 {
		if i == limit {
			d.settle()
			d.expect(d.reconcile(d.state), nil, nil) // to the limit, nothing
		}
		d.finds("AZ", p, waypost.Match)
		if i >= limit-1 {
			for _, guard := range lax {
				err := d.Role(guard).DB.Write(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Exec(`DELETE FROM quota WHERE member = 'AZ'`)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	d.settle()
	var want []string
	for guard, n := range d.checksBy("AZ") {
		if n > limit {
			want = append(want, guard+" "+audit.QuotaExceeded)
		}
		t.Logf("%s let %d checks pass", guard, n)
	}
	if !slices.Contains(want, "hub "+audit.QuotaExceeded) || slices.Contains(want, "keyholder-3 "+audit.QuotaExceeded) || len(want) < 2 {
		t.Fatalf("%q have exceeded the quota: this is not what was played", want)
	}
	d.expect(d.reconcile(d.state), nil, want)
}

// checksBy counts a state's checks in the ledgers of the guards.
func (d *drill) checksBy(state waypost.Jurisdiction) map[string]int {
	d.t.Helper()
	counts := make(map[string]int)
	for _, e := range d.entries(slices.Concat(holders, []string{"hub"})...) {
		switch e.Kind {
		case "evaluate":
			if t, err := audit.TicketIn(e.Body); err == nil && t.SOI == state && t.Kind == waypost.KindCheck {
				counts[e.role]++
			}
		case "search_first":
			if f, err := translog.ParseBody(e.Body); err == nil && f["soi"] == string(state) {
				counts[e.role]++
			}
		}
	}
	return counts
}

// opened is an entry, with where it stands.
type opened struct {
	journal.Stored
	role string
}

// entries opens the journals of running roles, as the auditor can.
func (d *drill) entries(roles ...string) (all []opened) {
	d.t.Helper()
	opener, err := install.Auditor(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, role := range roles {
		for from := uint64(0); ; {
			page, err := opener.Read(context.Background(), d.Role(role).Journal, from, 1000)
			if err != nil {
				d.t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, one := range page {
				all = append(all, opened{one, role})
			}
			from += uint64(len(page))
		}
	}
	return all
}
