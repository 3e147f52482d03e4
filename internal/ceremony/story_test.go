package ceremony

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

func holderNames(numbers ...int) (names []string) {
	for _, n := range numbers {
		names = append(names, fmt.Sprintf("keyholder-%d", n))
	}
	return names
}

// TestLife follows one key: made by five holders, refreshed, reshared to six with one
// newcomer and one who leaves, while what it computes stays the same and old shares
// die a day after the roster that replaces them.
func TestLife(t *testing.T) {
	r := newRig(t, 6)
	made := r.hold(toprf.Keygen, 3, holderNames(1, 2, 3, 4, 5), nil)
	if made.Plan.Epoch != 1 || made.Keys.Threshold() != 3 || made.Keys.Holders() != 5 {
		t.Errorf("made %+v", made)
	}
	output := r.evaluates()
	for i := range 5 {
		steps := r.party[holderNames(i + 1)[0]].entries(made.Plan.ID())
		if len(steps) != 2 || steps[0]["step"] != "opened" || steps[1]["step"] != "signed" || steps[1]["transcript"] != fmt.Sprintf("%x", made.Transcript[:]) {
			t.Errorf("holder %d's ledger: %v", i+1, steps)
		}
	}

	r.now = r.now.Add(2 * roster.Grace)
	r.hold(toprf.Refresh, 0, nil, nil)
	if r.evaluates() != output {
		t.Error("after a refresh the key is another")
	}
	r.shares("during the grace", 2, 2, 2, 2, 2, 0)
	r.now = r.now.Add(roster.Grace)
	r.expire()
	r.shares("after the grace", 1, 1, 1, 1, 1, 0)
	if r.evaluates() != output {
		t.Error("the old shares were needed")
	}

	// Holder 2 leaves, holder 6 comes, any four are needed; two of the old ones are away.
	reshared := r.hold(toprf.Reshare, 4, holderNames(6, 1, 3, 4, 5), holderNames(1, 3, 4))
	if r.evaluates() != output || r.view.Latest().Threshold != 4 {
		t.Error("after a reshare the key is another")
	}
	if m, _ := r.view.Latest().Member("keyholder-2"); m.Index != 0 {
		t.Error("who left has a share")
	}
	if steps := r.party["keyholder-2"].entries(reshared.Plan.ID()); len(steps) != 0 {
		t.Errorf("who did not take part logged %v", steps)
	}
	r.now = r.now.Add(roster.Grace)
	r.expire()
	r.shares("after the reshare", 1, 0, 1, 1, 1, 1)
	for _, p := range r.party {
		p.crash()
	}
	if r.evaluates() != output {
		t.Error("after a restart the shares are others")
	}
}

// expire is the housekeeping of all.
func (r *rig) expire() {
	r.t.Helper()
	for _, p := range r.party {
		must(r.t, p.Expire(r.t.Context()))
	}
}

// shares counts the files that the holders have, each with its identity, and sees
// that nothing else is left.
func (r *rig) shares(when string, want ...int) {
	r.t.Helper()
	for i, n := range want {
		p := r.party[holderNames(i + 1)[0]]
		for _, pattern := range []string{"share/*.age", "identities/*.key"} {
			if files, _ := filepath.Glob(filepath.Join(p.dir, pattern)); len(files) != n {
				r.t.Errorf("%s: %s has %v, want %d", when, p.name, files, n)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(p.dir, "*/*.open")); len(left) > 0 {
			r.t.Errorf("%s: %s has the secrets of a ceremony still: %v", when, p.name, left)
		}
		if left, _ := filepath.Glob(filepath.Join(p.dir, "*/.new-*")); len(left) > 0 {
			r.t.Errorf("%s: %s has %v", when, p.name, left)
		}
	}
}

// TestNeverNamed: shares that no roster names in time are destroyed, and not before;
// an expiry that a holder slept through is not held against a roster it has not seen.
func TestNeverNamed(t *testing.T) {
	r := newRig(t, 2)
	_, err := r.lead(r.plan(toprf.Keygen, 2, holderNames(1, 2), nil), nil)
	must(t, err)
	r.shares("waiting", 1, 1)
	r.now = r.now.Add(Waits + time.Hour)
	r.expire()
	r.shares("the newest roster known is older than the end of the wait", 1, 1)
	r.sign(func(*roster.Roster) error { return nil })
	r.expire()
	r.shares("a later roster does not name them", 0, 0)
}

// TestTranscript: as a file it verifies for those who were not there; no message can
// be left out, added or changed.
func TestTranscript(t *testing.T) {
	r := newRig(t, 3)
	transcript, err := r.lead(r.plan(toprf.Keygen, 2, holderNames(1, 2, 3), nil), nil)
	must(t, err)
	raw, err := json.Marshal(transcript)
	must(t, err)
	read, err := ReadTranscript(raw)
	must(t, err)
	result, err := read.Verify(r.view.Latest())
	must(t, err)
	if result.Keys.Holders() != 3 {
		t.Error("the keys are not those of the ceremony")
	}
	if fault, err := Judge(read, r.view.Latest()); fault != nil || err != nil {
		t.Errorf("somebody is blamed: %v, %v", fault, err)
	}
	for name, spoil := range map[string]func(*Transcript){
		"a message less": func(t *Transcript) { t.Messages = t.Messages[:len(t.Messages)-1] },
		"a byte changed": func(t *Transcript) { t.Messages[4][100] ^= 1 },
		"another plan":   func(t *Transcript) { t.Plan[len(t.Plan)-1] ^= 1 },
		"garbage":        func(t *Transcript) { t.Messages = append(t.Messages, []byte("x")) },
	} {
		spoiled, err := ReadTranscript(raw)
		must(t, err)
		spoil(spoiled)
		if _, err := spoiled.Verify(r.view.Latest()); err == nil {
			t.Errorf("%s: it verifies", name)
		}
	}
	for _, bad := range []string{"", "{}x", `{"plan":"","messages":[],"more":1}`, `[]`} {
		if _, err := ReadTranscript([]byte(bad)); err == nil && bad != "{}" {
			t.Errorf("%q is read as a transcript", bad)
		}
	}
	id := result.Plan.ID()
	_, err = os.Stat(filepath.Join(r.party["keyholder-1"].dir, "share", slotName(1, id[:])+".age"))
	must(t, err)
}
