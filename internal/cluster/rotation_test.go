package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/ceremony"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// rotates is what the command says of a state.
type rotates struct {
	Epoch         uint32
	Records, Done int
}

// TestRotationKilled leads the index from one key to the next between processes, each
// of which is killed while a state publishes its records once more. The command is said
// again until it is through; whoever is looked for is found, all the time, and the
// ledgers add up.
func TestRotationKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes")
	}
	const records = 230 // three batches
	run, c := program(t), config(t.TempDir())
	// What is announced waits for 72 hours: this exchange is four days old.
	old := time.Now().Add(-roster.Delay - 24*time.Hour)
	h := &held{t: t, dir: c.Dir}
	h.must(install.Create(c.Dir, install.Plan{States: c.States, Holders: c.Holders, Threshold: c.Threshold, Quota: cluster.Ample, Now: old}))
	next := h.announced(old.Add(time.Hour), records)
	var err error
	h.Processes, err = cluster.OpenProcesses(t.Context(), c, run)
	h.must(err)
	t.Cleanup(func() { _ = h.Close() })
	h.counter, _, err = cluster.Counter(c.Dir, "AZ")
	h.must(err)
	h.load("CA", records)

	h.change(time.Now(), func(r *roster.Roster) error { r.Beside = next; return nil })
	gateways := []string{"AZ", "CA"}
	h.each(gateways, h.Stop) // one that starts names the newest version at once
	h.each(gateways, h.start)

	publish := func() (at rotates, err error) {
		out, err := run("ceremony", "rotate", "publish", "--dir", c.Dir, "--state", "CA", "--rate", "0", "--json").Output()
		return at, errors.Join(err, json.NewDecoder(bytes.NewReader(out)).Decode(&at))
	}
	for i, victim := range []string{"CA", "hub", "keyholder-2", "CA", "hub"} {
		over := make(chan struct{})
		go func() { defer close(over); _, _ = publish() }()
		time.Sleep(time.Duration(50+40*i) * time.Millisecond)
		h.must(h.Kill(victim))
		h.must(h.start(victim))
		<-over
		h.finds(i * 40)
	}
	var at rotates
	within(t, 5*time.Minute, "the command is through", func() bool { at, err = publish(); return err == nil })
	if at.Epoch != 2 || at.Records != records || at.Done != records {
		t.Errorf("after all that: %+v", at)
	}
	h.finds(7)
	h.change(time.Now(), (*roster.Roster).Switch)
	h.each(gateways, h.Stop)
	h.each(gateways, h.start)
	for i := range 5 {
		h.finds(records - 1 - 50*i)
	}
	h.reconcile(1 + 3 + 2)
}

// announced is a key of the next epoch, with its shares where they belong, that all
// members have known of since then.
func (h *held) announced(since time.Time, records int) *roster.Key {
	h.t.Helper()
	keys, shares, err := toprf.Generate(2, 3)
	h.must(err)
	group := keys.Group()
	next := &roster.Key{Epoch: 2, Threshold: 2, GroupKey: group.Bytes()}
	for i, share := range shares {
		public := share.Public()
		next.Shares = append(next.Shares, public.Bytes())
		folder := install.FolderOf(h.dir, fmt.Sprintf("keyholder-%d", i+1))
		vault, err := ceremony.OpenVault(filepath.Join(folder, "share"), filepath.Join(folder, "identities"))
		h.must(err)
		h.must(vault.Put(next.Epoch, share))
	}
	signed, err := install.Govern(h.dir, since, func(r *roster.Roster) error {
		r.Announced = append(r.Announced, roster.Announcement{From: r.NotBefore.Add(roster.Delay), GroupKey: next.GroupKey})
		return r.SetQuota("CA", "republish_records", 2*records)
	})
	h.must(err)
	folders, err := filepath.Glob(filepath.Join(h.dir, "*", "roster"))
	h.must(err)
	for _, folder := range folders {
		h.must(os.WriteFile(filepath.Join(folder, "000002"), signed, 0o600))
	}
	return next
}

// load has a state publish so many people.
func (h *held) load(state string, n int) {
	h.t.Helper()
	counter, _, err := cluster.Counter(h.dir, waypost.Jurisdiction(state))
	h.must(err)
	for from := 0; from < n; from += 100 {
		req := &waypostv1.LoadRequest{}
		for i := from; i < min(n, from+100); i++ {
			req.Records = append(req.Records, gateway.RecordToProto(waypost.Record{
				ID: fmt.Sprintf("%s-%d", state, i), Person: person(i), CardNumber: fmt.Sprintf("%s%06d", state, i), Kind: waypost.Licence, Status: waypost.Valid,
			}))
		}
		res, err := counter.Load(h.t.Context(), req)
		h.must(err)
		if len(res.Rejected) > 0 {
			h.t.Fatalf("%d records are rejected", len(res.Rejected))
		}
	}
}

// finds has Arizona look for somebody who is there, until the answer is complete: no
// answer on the way says that there is nobody.
func (h *held) finds(i int) {
	h.t.Helper()
	within(h.t, 3*time.Minute, fmt.Sprintf("person %d is found", i), func() bool {
		h.checks++
		raw, err := h.counter.Check(h.t.Context(), gateway.CheckToProto(gateway.Applicant{Person: person(i)}, waypost.IssueLicence, fmt.Sprint(h.checks)))
		if err != nil {
			if waypost.CodeOf(err) != waypost.Unavailable {
				h.t.Errorf("person %d: %v", i, err)
			}
			return false
		}
		a := gateway.AnswerFromProto(raw)
		if a.Complete && a.Best() != waypost.Match {
			h.t.Errorf("person %d: %+v", i, a)
		}
		return a.Complete
	})
}
