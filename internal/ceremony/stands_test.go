package ceremony

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// TestStands: what governance takes back while a reshare is under way is not dealt: its
// word, by other keys, and a participant.
func TestStands(t *testing.T) {
	for name, change := range map[string]struct {
		roster func(r *rig, draft *roster.Roster) (more []note.Signer)
		reason string
	}{
		"other officers": {func(r *rig, draft *roster.Roster) []note.Signer {
			added, public := officer(r.t, "test/added")
			draft.Governance = roster.Governance{Threshold: 2, Keys: append(slices.Clone(draft.Governance.Keys), public)}
			return []note.Signer{added}
		}, "governance has not signed the plan"},
		"a receiver removed": {func(r *rig, draft *roster.Roster) []note.Signer {
			must(r.t, draft.Remove("keyholder-4"))
			return nil
		}, "keyholder-4 is not a member now"},
		"nothing": {func(*rig, *roster.Roster) []note.Signer { return nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 4)
			r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
			p := r.plan(toprf.Reshare, 2, holderNames(2, 3, 4), holderNames(1, 2))
			p.Ends, p.Approval = p.Begins.Add(5*time.Hour), nil
			p = r.approve(p)
			var once sync.Once // all are asked side by side
			_, err := r.lead(p, func(links map[string]*link) {
				for at := range links {
					links[at].in = func(req *waypostv1.AdvanceCeremonyRequest) error {
						if Round(req.Round) == Reveal {
							once.Do(func() { r.successor(change.roster) })
						}
						return nil
					}
				}
			})
			if change.reason == "" {
				must(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), change.reason) {
				t.Fatalf("the ceremony goes on: %v", err)
			}
			for _, at := range holderNames(1, 2) {
				messages, err := r.party[at].messages(t.Context(), p.ID())
				must(t, err)
				if slices.ContainsFunc(messages, func(m Message) bool { return m.Round == Deal }) {
					t.Errorf("%s has dealt", at)
				}
			}
		})
	}
}

// successor is sign, at once, of a change that may need other officers.
func (r *rig) successor(change func(*rig, *roster.Roster) []note.Signer) {
	r.t.Helper()
	var more []note.Signer
	draft, err := r.view.Latest().Successor(r.now, r.now.Add(roster.MaxValidity))
	must(r.t, err)
	more = change(r, draft)
	signed, err := draft.Sign(append(more, r.signer)...)
	must(r.t, err)
	must(r.t, r.view.Update(signed))
}

// TestOldIdentity: whose identity key was replaced does not get shares by the old one,
// under a version that is still good.
func TestOldIdentity(t *testing.T) {
	r := newRig(t, 2)
	fresh, _, err := ed25519.GenerateKey(nil)
	must(t, err)
	days := func(n int, change func(*roster.Roster)) {
		for range n {
			r.now = r.now.Add(23 * time.Hour)
			r.sign(func(draft *roster.Roster) error { change(draft); return nil })
		}
	}
	at := r.now.Add(2*time.Hour + roster.Delay).UTC()
	r.sign(func(draft *roster.Roster) error {
		draft.Announced = []roster.Announcement{{From: at, Keys: []roster.KeyChange{{Member: "keyholder-2", Identity: fresh}}}}
		return nil
	})
	days(4, func(*roster.Roster) {})
	p := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	r.successor(func(_ *rig, draft *roster.Roster) []note.Signer {
		i := slices.IndexFunc(draft.Members, func(m roster.Member) bool { return m.Name == "keyholder-2" })
		draft.Members = slices.Clone(draft.Members)
		draft.Members[i].Identity = fresh
		return nil
	})
	_, err = r.party["keyholder-1"].StartCeremony(r.as(t.Context(), "keyholder-1"), request(p))
	if waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), "another identity key") {
		t.Errorf("who had the old key takes part: %v", err)
	}
}

// TestRestoredByAnotherClock: a plan that was written by a clock that goes before is none
// that a restored holder can be sure not to have followed.
func TestRestoredByAnotherClock(t *testing.T) {
	r := newRig(t, 2)
	p := r.party["keyholder-1"]
	p.restored = r.now
	p.crash()
	r.now = r.now.Add(skew - time.Second)
	plan := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	if _, err := p.StartCeremony(r.as(t.Context(), "keyholder-1"), request(plan)); waypost.CodeOf(err) != waypost.Expired {
		t.Errorf("it takes part: %v", err)
	}
	r.now = r.now.Add(2 * time.Second)
	plan = r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	_, err := p.StartCeremony(r.as(t.Context(), "keyholder-2"), request(plan))
	must(t, err)
	if steps := p.entries(plan.ID()); len(steps) != 1 || steps[0]["opener"] != "keyholder-2" {
		t.Errorf("the ledger does not say who opened it: %v", steps)
	}
}
