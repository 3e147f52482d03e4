package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// held is an exchange of processes whose key holders hold ceremonies.
type held struct {
	*cluster.Processes
	t       *testing.T
	dir     string
	counter waypostv1connect.CounterClient
	checks  int
	owed    int // of them, and completed by themselves
}

// check asks about somebody whom no state has, and says what is wrong with the answer.
// While holders are killed on a busy machine a check may be owed: then it must be made
// again by itself, and soon.
func (h *held) check(ctx context.Context) error {
	h.checks++
	a, err := h.counter.Check(ctx, &waypostv1.CheckRequest{Purpose: "issue_licence", CaseReference: fmt.Sprint(h.checks),
		Applicant: &waypostv1.Applicant{Family: fmt.Sprintf("Quillfeather%c", 'a'+h.checks%26), Given: "Zebediah", Born: "1970-01-02"}})
	if err != nil || !a.Owed {
		return err
	}
	h.owed++
	for deadline := time.Now().Add(3 * time.Minute); a.Owed && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if a, err = h.counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: a.Ticket}); err != nil {
			return err
		}
	}
	if a.Owed {
		return fmt.Errorf("check %d is owed still", h.checks)
	}
	return nil
}

// checking makes checks until the work is done, and insists that each succeeds.
func (h *held) checking(work func()) {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	before := h.checks
	var counter sync.WaitGroup
	counter.Go(func() {
		for ctx.Err() == nil || h.checks-before < 3 { // on a busy machine the work may be over first
			if err := h.check(h.t.Context()); err != nil {
				h.t.Errorf("while shares are exchanged: %v", err)
				return
			}
		}
	})
	work()
	stop()
	counter.Wait()
	if h.owed > 1+h.checks/20 {
		h.t.Errorf("%d of %d checks were owed for a while", h.owed, h.checks)
	}
}

// hold leads a ceremony from the folder of one key holder; meanwhile is told how far
// it is.
func (h *held) hold(from string, kind toprf.Kind, threshold int, holders, dealers []string, meanwhile func(ceremony.Round, string)) *ceremony.Result {
	h.t.Helper()
	view, clients, err := install.Coordinator(install.FolderOf(h.dir, from), time.Now)
	h.must(err)
	latest := view.Latest()
	epoch := latest.Epoch
	if kind == toprf.Keygen {
		epoch++
	}
	plan, err := ceremony.NewPlan(kind, latest, epoch, threshold, holders, dealers, time.Now(), 5*time.Minute)
	h.must(err)
	plan = h.wanted(plan)
	ctx, stop := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer stop()
	transcript, err := ceremony.Run(ctx, plan, latest, clients, func(round ceremony.Round, who, _ string) {
		if meanwhile != nil {
			meanwhile(round, who)
		}
	})
	h.must(err)
	result, err := transcript.Verify(latest)
	h.must(err)
	return result
}

// wanted is the word of governance, and of the operators of those who deal their shares
// to others.
func (h *held) wanted(plan ceremony.Plan) ceremony.Plan {
	h.t.Helper()
	if plan.Kind != toprf.Reshare {
		return plan
	}
	secret, err := os.ReadFile(filepath.Join(h.dir, "governance", "governance.key"))
	h.must(err)
	officer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	h.must(err)
	plan, err = plan.Approve(officer)
	h.must(err)
	for _, name := range plan.Dealers {
		h.must(install.Accept(install.FolderOf(h.dir, name), plan, time.Now))
	}
	return plan
}

// govern has governance name what was made, publishes it, and waits until every
// member has it.
func (h *held) govern(made *ceremony.Result) {
	h.t.Helper()
	h.change(time.Now(), func(draft *roster.Roster) error {
		return draft.SetShares(made.Plan.Epoch, made.Plan.Holders, made.Keys, made.Transcript)
	})
}

// change has governance sign a successor that begins at that time, publishes it, and
// waits until every member has it.
func (h *held) change(begins time.Time, change func(draft *roster.Roster) error) {
	h.t.Helper()
	signed, err := install.Govern(h.dir, begins, change)
	h.must(err)
	r, err := roster.Read(signed)
	h.must(err)
	h.must(r.Publish(h.t.Context(), r.Hub().Public, signed))
	for _, name := range h.Names() {
		within(h.t, 3*time.Minute, name+" has the new roster", func() bool {
			all, err := install.Rosters(install.FolderOf(h.dir, name))
			return err == nil && uint64(len(all)) == r.Version
		})
	}
}

func (h *held) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// loseShare is a key holder whose disk with the identities of its shares is gone. It is
// down then.
func (h *held) loseShare(name string) error {
	return errors.Join(h.Kill(name), os.RemoveAll(filepath.Join(install.FolderOf(h.dir, name), "identities")), h.withoutShare(name, true))
}

// each does something about several at once.
func (h *held) each(names []string, do func(name string) error) {
	h.t.Helper()
	var all errgroup.Group
	for _, name := range names {
		all.Go(func() error { return do(name) })
	}
	h.must(all.Wait())
}

func (h *held) start(name string) error { return h.Start(h.t.Context(), name) }

// withoutShare sets in a key holder's config whether its share is lost.
func (h *held) withoutShare(name string, lost bool) error {
	path := filepath.Join(install.FolderOf(h.dir, name), "config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return err
	}
	config["without_share"] = lost
	if raw, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// reconcile stops everybody, whose last entries are published then, and looks whether
// the ledgers, so many, add up.
func (h *held) reconcile(ledgers int) {
	h.t.Helper()
	h.must(h.Settle(h.t.Context()))
	o, err := audit.FromDir(h.dir)
	h.must(err)
	o.Now = time.Now()
	report, err := audit.Reconcile(h.t.Context(), o)
	h.must(err)
	for _, f := range report.Findings {
		h.t.Errorf("%s: %s %v", f.Member, f.Words, f.Evidence)
	}
	if len(report.Logs) != ledgers || report.Tickets < int64(h.checks) {
		h.t.Errorf("%d ledgers were read, with %d tickets of %d checks", len(report.Logs), report.Tickets, h.checks)
	}
}

// TestCeremonies holds ceremonies between the processes of five key holders while
// checks go on: a refresh in which one is killed in every round, the loss of one and
// what is done about it, and the loss of as many as make the key useless.
func TestCeremonies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts nine processes")
	}
	run, c := program(t), config(t.TempDir())
	c.Holders, c.Threshold = 5, 3
	processes, err := cluster.OpenProcesses(t.Context(), c, run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = processes.Close() })
	h := &held{Processes: processes, t: t, dir: c.Dir}
	h.counter, _, err = cluster.Counter(c.Dir, "AZ")
	h.must(err)
	within(t, 3*time.Minute, "a first check", func() bool { return h.check(t.Context()) == nil })
	holders := []string{"keyholder-1", "keyholder-2", "keyholder-3", "keyholder-4", "keyholder-5"}

	killed := make(map[ceremony.Round]bool)
	var made *ceremony.Result
	h.checking(func() {
		made = h.hold("keyholder-1", toprf.Refresh, 0, nil, nil, func(round ceremony.Round, _ string) {
			if round <= ceremony.Sign && !killed[round] {
				killed[round] = true
				victim := holders[len(killed)] // another one each time
				h.must(h.Kill(victim))
				h.must(h.Start(t.Context(), victim))
			}
		})
	})
	if len(killed) != 4 {
		t.Errorf("killed in %d rounds", len(killed))
	}
	h.checking(func() { h.govern(made) })

	// Keyholder-5 loses its share. The others reshare, and it gets one like everybody.
	last := "keyholder-5"
	h.must(h.loseShare(last))
	h.must(h.withoutShare(last, false))
	if err := h.start(last); err == nil || !strings.Contains(err.Error(), "identity") {
		t.Errorf("%s starts without its share: %v", last, err)
	}
	_ = h.Kill(last) // it never came up
	h.must(h.withoutShare(last, true))
	h.must(h.start(last))
	h.checking(func() {
		made = h.hold(last, toprf.Reshare, 3, holders, holders[:3], nil)
		h.govern(made)
	})
	h.must(h.withoutShare(last, false))
	h.each([]string{last, "AZ"}, h.Stop) // a gateway that starts names the newest version at once
	h.each([]string{last, "AZ"}, h.start)
	h.each(holders[:2], h.Kill)
	if err := h.check(t.Context()); err != nil { // 3, 4 and 5: the new share counts
		t.Errorf("with the new share: %v", err)
	}

	// Three of five lose theirs: the key is gone. Nothing says "no card" meanwhile.
	h.each(holders[2:], h.loseShare)
	h.each(holders, h.start)
	a, err := h.counter.Check(t.Context(), &waypostv1.CheckRequest{Purpose: "issue_licence", CaseReference: "lost", Applicant: &waypostv1.Applicant{Family: "Lost", Given: "Key", Born: "1970-01-02"}})
	if err == nil && !a.Owed {
		t.Errorf("without a quorum a check is answered: %v", a)
	}
	view, clients, err := install.Coordinator(install.FolderOf(c.Dir, "keyholder-1"), time.Now)
	h.must(err)
	plan, err := ceremony.NewPlan(toprf.Reshare, view.Latest(), 1, 3, holders, holders[:3], time.Now(), 5*time.Minute)
	h.must(err)
	plan = h.wanted(plan)
	// On a busy machine others are late, too: then it is said once more, with more time.
	for limit := 2 * time.Second; ; limit *= 3 {
		ctx, stop := context.WithTimeout(t.Context(), limit)
		_, err := ceremony.Run(ctx, plan, view.Latest(), clients, func(ceremony.Round, string, string) {})
		stop()
		if err != nil && strings.Contains(err.Error(), "keyholder-3") {
			break
		}
		if err == nil || limit > time.Minute {
			t.Errorf("a key that is lost is reshared: %v", err)
			break
		}
	}
	h.must(ceremony.GiveUp(t.Context(), plan, "keyholder-1", clients, func(name string, state *waypostv1.CeremonyState, err error) {
		if state.GetState() != "aborted" && waypost.CodeOf(err) != waypost.NotFound {
			t.Errorf("%s does not end it: %v, %v", name, state, err)
		}
	}))
	made = h.hold("keyholder-1", toprf.Keygen, 3, holders, nil, nil)
	if made.Plan.Epoch != 2 {
		t.Errorf("the next key is of epoch %d", made.Plan.Epoch)
	}
	h.reconcile(1 + 5 + 2)
}
