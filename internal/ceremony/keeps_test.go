package ceremony

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// has reports whether a holder can open the share that the newest roster names.
func (r *rig) has(name string) bool {
	m, _ := r.view.Latest().Member(name)
	_, ok := r.party[name].vault.Share(m.PublicShare)
	return ok
}

// TestThresholdIsKept: nobody gathers shares of which fewer make a token than the
// roster says, least of all one holder for itself, before a lower threshold was
// announced and has waited its time.
func TestThresholdIsKept(t *testing.T) {
	r := newRig(t, 5)
	r.hold(toprf.Keygen, 3, holderNames(1, 2, 3, 4, 5), nil)
	latest := r.view.Latest()
	plan := func(threshold int, to ...int) (Plan, error) {
		return NewPlan(toprf.Reshare, latest, latest.Epoch, threshold, holderNames(to...), holderNames(2, 3, 4), r.now, time.Hour)
	}
	for _, threshold := range []int{1, 2} {
		if _, err := plan(threshold, 1, 5); err == nil || !strings.Contains(err.Error(), "need 3 key holders at least") {
			t.Errorf("a reshare to any %d: %v", threshold, err)
		}
	}
	// Drafted without the check, it is refused by those who are to deal.
	p, err := plan(3, 1, 2, 5)
	must(t, err)
	p.Threshold, p.Holders = 1, holderNames(1)
	p = r.approve(p)
	for _, dealer := range p.Dealers {
		if _, err := r.party[dealer].StartCeremony(r.as(t.Context(), "keyholder-1"), request(p)); err == nil {
			t.Errorf("%s deals one holder the whole key", dealer)
		}
	}
	r.sign(func(draft *roster.Roster) error {
		draft.Announced = append(draft.Announced, roster.Announcement{From: draft.NotBefore.Add(roster.Delay), Threshold: 2})
		return nil
	})
	latest = r.view.Latest()
	if _, err := plan(2, 1, 5); err == nil {
		t.Error("a lower threshold that is announced and not due is dealt for")
	}
	r.now = r.now.Add(roster.Delay)
	if _, err := plan(2, 1, 5); err != nil {
		t.Errorf("a lower threshold that is due: %v", err)
	}
	if _, err := plan(1, 1, 5); err == nil {
		t.Error("a threshold below that which was announced is dealt for")
	}
}

// TestDealersConsent: nobody deals others its share before its own operator has
// accepted the plan; those who only receive, and a refresh, wait for nobody.
func TestDealersConsent(t *testing.T) {
	r := newRig(t, 4)
	r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	r.refuses = map[string]bool{"keyholder-1": true, "keyholder-3": true, "keyholder-4": true}
	p := r.plan(toprf.Reshare, 2, holderNames(2, 3, 4), holderNames(1, 2))
	ctx := r.as(t.Context(), "keyholder-3")
	start := func(name string, p Plan) error {
		_, err := r.party[name].StartCeremony(ctx, request(p))
		return err
	}
	if err := start("keyholder-1", p); waypost.CodeOf(err) != waypost.Unavailable || !strings.Contains(err.Error(), "has not accepted the plan") {
		t.Errorf("it deals without its operator's word: %v", err)
	}
	if known, err := r.party["keyholder-1"].records(t.Context()); err != nil || len(known) != 1 {
		t.Errorf("what was refused is recorded: %d, %v", len(known), err)
	}
	delete(r.refuses, "keyholder-1")
	transcript, err := r.lead(p, nil)
	must(t, err)
	r.govern(transcript)
	r.refuses["keyholder-2"] = true
	r.hold(toprf.Refresh, 0, nil, nil)
	r.evaluates()
}

// TestAbortTakesNothing: what a given up ceremony leaves is never the next one's.
func TestAbortTakesNothing(t *testing.T) {
	r := newRig(t, 3)
	r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	r.now = r.now.Add(2 * roster.Grace)
	aborted := r.plan(toprf.Refresh, 0, nil, nil)
	for _, l := range r.links(nil) {
		_, err := l.StartCeremony(t.Context(), request(aborted))
		must(t, err)
	}
	must(t, GiveUp(t.Context(), aborted, "keyholder-1", r.links(nil), func(name string, state *waypostv1.CeremonyState, err error) {
		if err != nil || state.State != stateAborted {
			t.Errorf("%s: after the abort it is %s, %v", name, state.GetState(), err)
		}
	}))
	r.now = r.now.Add(time.Minute)
	r.hold(toprf.Refresh, 0, nil, nil)
	output := r.evaluates()
	r.expire()
	r.shares("after the housekeeping", 2, 2, 2)
	for name, p := range r.party {
		known, err := p.records(t.Context())
		must(t, err)
		for _, k := range known {
			if k.slot != "" {
				t.Errorf("%s: a ceremony that is %s has files still: %s", name, k.state, k.slot)
			}
		}
	}
	r.now = r.now.Add(roster.Grace)
	r.expire()
	r.shares("a day later", 1, 1, 1)
	if r.evaluates() != output {
		t.Error("the key is another")
	}
}

// TestDoneIsFinal: what a participant signs after all have signed names it, and takes
// nobody's share.
func TestDoneIsFinal(t *testing.T) {
	r := newRig(t, 3)
	made := r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	r.now = r.now.Add(2 * roster.Grace)
	r.sign(func(*roster.Roster) error { return nil })
	id := made.Plan.ID()
	late := Message{Ceremony: id, Round: Abort, Sender: "keyholder-1", Body: abortBody("never mind")}.sign(r.party["keyholder-1"].identity)
	for _, name := range holderNames(2, 3) {
		p := r.party[name]
		for range 2 {
			state, err := p.AbortCeremony(r.as(t.Context(), "keyholder-1"), &waypostv1.AbortCeremonyRequest{Ceremony: id[:], Messages: [][]byte{late.Bytes()}})
			must(t, err)
			if state.State != stateDone || state.Culprit != "keyholder-1" {
				t.Errorf("%s: the ceremony is %s, the culprit %q", name, state.State, state.Culprit)
			}
		}
		steps := p.entries(id)
		if last := steps[len(steps)-1]; len(steps) != 3 || last["step"] != "named" || last["culprit"] != "keyholder-1" || last["evidence"] == "" {
			t.Errorf("%s's ledger: %v", name, steps)
		}
	}
	r.expire()
	r.shares("after a late word", 1, 1, 1)
	r.evaluates()
}

// TestSignedIsKept: who has signed keeps its share though another shows that the
// ceremony is void: a roster that names it may be under way.
func TestSignedIsKept(t *testing.T) {
	r := newRig(t, 2)
	transcript, err := r.lead(r.plan(toprf.Keygen, 2, holderNames(1, 2), nil), func(all map[string]*link) {
		all["keyholder-1"].in = func(req *waypostv1.AdvanceCeremonyRequest) error {
			if Round(req.Round) != Sign {
				return nil
			}
			id := ID(req.Ceremony)
			late := Message{Ceremony: id, Round: Abort, Sender: "keyholder-2", Body: abortBody("no")}.sign(r.party["keyholder-2"].identity)
			_, err := all["keyholder-1"].to.AbortCeremony(r.as(t.Context(), "keyholder-2"), &waypostv1.AbortCeremonyRequest{Ceremony: id[:], Messages: [][]byte{late.Bytes()}})
			return err
		}
	})
	if err == nil {
		t.Errorf("a ceremony that one has given up goes on: %v", transcript)
	}
	r.expire()
	r.shares("after it", 1, 1)
}

// TestDatabaseFromBackup: a database that is older than the vault takes no share, and
// has its holder sign nothing against itself.
func TestDatabaseFromBackup(t *testing.T) {
	r := newRig(t, 2)
	p := r.party["keyholder-1"]
	var backup storedDB
	transcript, err := r.lead(r.plan(toprf.Keygen, 2, holderNames(1, 2), nil), func(all map[string]*link) {
		all["keyholder-1"].in = func(req *waypostv1.AdvanceCeremonyRequest) error {
			if Round(req.Round) == Commit && backup == nil {
				must(t, p.db.Close())
				backup = copyDB(t, p.dir)
				p.start()
			}
			return nil
		}
	})
	must(t, err)
	r.govern(transcript)
	must(t, p.db.Close())
	backup.restore(t, p.dir)
	p.start()
	r.now = r.now.Add(2 * time.Hour)
	r.expire()
	if !r.has("keyholder-1") {
		t.Error("a restored database had the live share destroyed")
	}
	read, err := ParsePlan(transcript.Plan)
	must(t, err)
	messages, err := p.messages(t.Context(), read.ID())
	must(t, err)
	for _, m := range messages {
		if m.Round == Abort {
			t.Error("it says that it has given up what it has signed")
		}
	}
}

// TestRestored: a holder whose database came back from a backup says nothing more in a
// ceremony of before, whether the database knows of it or not, and takes part in the next.
func TestRestored(t *testing.T) {
	r := newRig(t, 2)
	p := r.party["keyholder-1"]
	ctx := r.as(t.Context(), "keyholder-2")
	comeBack := func(backup storedDB) {
		must(t, p.db.Close())
		if backup != nil {
			backup.restore(t, p.dir)
		}
		p.restored = r.now
		p.start()
	}
	must(t, p.db.Close())
	empty := copyDB(t, p.dir)
	p.start()
	plan := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	_, err := p.StartCeremony(ctx, request(plan))
	must(t, err)

	comeBack(nil)
	state, err := p.StartCeremony(ctx, request(plan))
	must(t, err)
	if state.State != stateAborted || !strings.Contains(state.Reason, "came back from a backup") {
		t.Errorf("%s: %s", state.State, state.Reason)
	}
	comeBack(empty)
	if _, err := p.StartCeremony(ctx, request(plan)); waypost.CodeOf(err) != waypost.Expired || !strings.Contains(err.Error(), "was restored from a backup") {
		t.Errorf("it opens a ceremony again of which it knows nothing: %v", err)
	}
	r.now = r.now.Add(2 * time.Hour)
	r.expire()
	r.hold(toprf.Keygen, 2, holderNames(1, 2), nil)
}

// storedDB are the files of a SQLite database, by name.
type storedDB map[string][]byte

var dbFiles = []string{"keyholder.db", "keyholder.db-wal", "keyholder.db-shm"}

func copyDB(t *testing.T, dir string) storedDB {
	s := make(storedDB)
	for _, f := range dbFiles {
		if raw, err := os.ReadFile(filepath.Join(dir, f)); err == nil {
			s[f] = raw
		}
	}
	if len(s) == 0 {
		t.Skip("the database of this run is not a file")
	}
	return s
}

func (s storedDB) restore(t *testing.T, dir string) {
	for _, f := range dbFiles {
		_ = os.Remove(filepath.Join(dir, f))
		if raw, ok := s[f]; ok {
			must(t, os.WriteFile(filepath.Join(dir, f), raw, 0o600))
		}
	}
}

// TestOldShareIsKept: the old share outlives its roster as long as the new one does
// not open here.
func TestOldShareIsKept(t *testing.T) {
	r := newRig(t, 2)
	r.hold(toprf.Keygen, 2, holderNames(1, 2), nil)
	r.now = r.now.Add(2 * roster.Grace)
	refreshed := r.hold(toprf.Refresh, 0, nil, nil)
	id := refreshed.Plan.ID()
	p := r.party["keyholder-1"]
	lost := p.vault.identityPath(slotName(1, id[:]))
	key, err := os.ReadFile(lost)
	must(t, err)
	must(t, os.Remove(lost))
	p.crash()
	if r.has("keyholder-1") {
		t.Fatal("the new share opens without its identity")
	}
	r.now = r.now.Add(2 * roster.Grace)
	r.expire()
	if files, _ := filepath.Glob(filepath.Join(p.dir, "identities", "*.key")); len(files) != 1 {
		t.Errorf("the only share that opens is gone: %v", files)
	}
	must(t, os.WriteFile(lost, key, 0o600))
	p.crash()
	r.expire()
	r.shares("when the new one opens", 1, 1)
	r.evaluates()
}

// TestHalfDestroyed: after a power cut while a file is destroyed the holder starts and
// goes on with it; one that was damaged otherwise is told, and stops nothing.
func TestHalfDestroyed(t *testing.T) {
	for _, half := range []string{"identities", "share"} {
		r := newRig(t, 2)
		made := r.hold(toprf.Keygen, 2, holderNames(1, 2), nil)
		r.now = r.now.Add(2 * roster.Grace)
		r.hold(toprf.Refresh, 0, nil, nil)
		p, id := r.party["keyholder-1"], made.Plan.ID()
		path := p.vault.sharePath(slotName(1, id[:]))
		if half == "identities" {
			path = p.vault.identityPath(slotName(1, id[:]))
		}
		must(t, os.WriteFile(path, make([]byte, 100), 0o600))
		p.crash()
		if closed := p.vault.Closed(); len(closed) != 1 || !r.has("keyholder-1") {
			t.Errorf("%s is damaged: closed are %v", half, closed)
		}
		must(t, os.Rename(path, filepath.Join(filepath.Dir(path), gone+filepath.Base(path))))
		p.crash()
		if left, _ := filepath.Glob(filepath.Join(p.dir, "*", gone+"*")); len(left) > 0 {
			t.Errorf("half destroyed and left: %v", left)
		}
	}
}

// TestForgottenRoster: an open ceremony under a roster version that is not known any
// more does not stop the housekeeping, nor the next one.
func TestForgottenRoster(t *testing.T) {
	r := newRig(t, 2)
	p := r.party["keyholder-1"]
	plan := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	plan.Roster = 99
	id := plan.ID()
	forgotten := record{id: id, plan: plan, state: stateOpen, started: r.now, slot: slotName(1, id[:])}
	must(t, p.vault.begin(forgotten.slot))
	must(t, p.DB.Write(t.Context(), forgotten.insert))
	r.now = r.now.Add(2 * time.Hour)
	r.expire()
	if known, err := p.record(t.Context(), id); err != nil || known.state != stateAborted || known.slot != "" {
		t.Errorf("it is %s: %v", known.state, err)
	}
	r.shares("after it", 0, 0)
	r.hold(toprf.Keygen, 2, holderNames(1, 2), nil)
}

// TestLongName: a plan with a name that has no place in it is refused in words.
func TestLongName(t *testing.T) {
	r := newRig(t, 2)
	if _, err := NewPlan(toprf.Keygen, r.view.Latest(), 1, 1, []string{strings.Repeat("x", 300)}, nil, r.now, time.Hour); err == nil {
		t.Error("it is taken")
	}
}
