package ceremony

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// officer is another key of a governance.
func officer(t *testing.T, name string) (note.Signer, string) {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, name)
	must(t, err)
	signer, err := note.NewSigner(secret)
	must(t, err)
	return signer, public
}

// TestGovernanceApproves: nobody takes part in a reshare that the threshold of
// governance has not signed to the bit, whatever operators have accepted, and nobody
// takes a transcript of one for good.
func TestGovernanceApproves(t *testing.T) {
	r := newRig(t, 4)
	r.hold(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	wanted := r.plan(toprf.Reshare, 2, holderNames(2, 3, 4), holderNames(1, 2))
	other := r.plan(toprf.Reshare, 2, holderNames(1, 4), holderNames(1, 2))
	stranger, _ := officer(t, "test/stranger")
	unsigned := wanted
	unsigned.Approval = nil
	byStranger, err := unsigned.Approve(stranger)
	must(t, err)
	swapped := other
	swapped.Approval = wanted.Approval
	cut := wanted
	cut.Approval = wanted.Approval[:len(wanted.Approval)-5]
	for name, p := range map[string]Plan{"unsigned": unsigned, "by a stranger": byStranger, "another plan": swapped, "cut": cut} {
		for _, at := range holderNames(1, 2, 3, 4) {
			if position(p.Participants(), at) == 0 {
				continue
			}
			if _, err := r.party[at].StartCeremony(r.as(t.Context(), "keyholder-1"), request(p)); waypost.CodeOf(err) != waypost.PermissionDenied {
				t.Errorf("%s: %s takes part: %v", name, at, err)
			}
		}
		if _, err := r.lead(p, nil); waypost.CodeOf(err) != waypost.PermissionDenied {
			t.Errorf("%s: it is led: %v", name, err)
		}
	}
	long := wanted
	long.Approval = append(slices.Clone(wanted.Approval), make([]byte, maxApproval)...)
	if _, err := r.party["keyholder-1"].StartCeremony(r.as(t.Context(), "keyholder-1"), request(long)); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("too long: %v", err)
	}
	transcript, err := r.lead(wanted, nil)
	must(t, err)
	held, err := r.party["keyholder-2"].record(t.Context(), wanted.ID())
	if err != nil || string(held.plan.Approval) != string(wanted.Approval) || held.opener != "keyholder-1" {
		t.Errorf("what governance signed is not kept: %q, opened by %q, %v", held.plan.Approval, held.opener, err)
	}
	bare := *transcript
	bare.Approval = nil
	if _, err := bare.Verify(r.view.Latest()); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("a reshare that governance did not want is good: %v", err)
	}
	r.govern(transcript)
	r.evaluates()
}

// TestApprovedByAll: all of the threshold have to sign, each once; a draft and a signed
// plan are read as they are written, in one spelling.
func TestApprovedByAll(t *testing.T) {
	a, keyA := officer(t, "test/a")
	b, keyB := officer(t, "test/b")
	g := roster.Governance{Threshold: 2, Keys: []string{keyA, keyB}}
	p, err := ReadPlan([]byte(samplePlan.Text()))
	if err != nil || p.Approval != nil || p.ID() != samplePlan.ID() {
		t.Fatalf("a draft is read as %+v, %v", p, err)
	}
	for _, signer := range []note.Signer{a, a, b} {
		if p.approved(g) == nil {
			t.Error("too few have signed, and it is approved")
		}
		if p, err = p.Approve(signer); err != nil {
			t.Fatal(err)
		}
		again, err := ReadPlan(p.Approval)
		if err != nil || string(again.Approval) != string(p.Approval) || again.ID() != p.ID() {
			t.Fatalf("a signed plan is read as %+v, %v", again, err)
		}
	}
	if err := p.approved(g); err != nil {
		t.Error(err)
	}
	text := samplePlan.Text()
	for name, raw := range map[string]string{"empty": "", "no end": strings.TrimSuffix(text, "\n"), "another line": text + "more\n",
		"a roster": "waypost roster v1\n" + text, "no base64": approvalDomain + "!\n", "a keygen": Plan{Kind: toprf.Keygen, Epoch: 1, Threshold: 1,
			Holders: holderNames(1), Begins: samplePlan.Begins, Ends: samplePlan.Ends}.Text()} {
		if _, err := ReadPlan([]byte(raw)); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s is read: %v", name, err)
		}
	}
}

// TestApprovedByTheNewest: keys that governance has taken out approve nothing, though
// the version that names them is good for a day.
func TestApprovedByTheNewest(t *testing.T) {
	r := newRig(t, 2)
	r.hold(toprf.Keygen, 2, holderNames(1, 2), nil)
	p := r.plan(toprf.Reshare, 2, holderNames(1, 2), holderNames(1, 2))
	added, public := officer(t, "test/added")
	r.sign(func(draft *roster.Roster) error {
		draft.Governance = roster.Governance{Threshold: 2, Keys: append(slices.Clone(draft.Governance.Keys), public)}
		return nil
	}, added)
	start := func() error {
		_, err := r.party["keyholder-1"].StartCeremony(r.as(t.Context(), "keyholder-2"), request(p))
		return err
	}
	p.Begins, p.Ends = r.now.UTC(), r.now.Add(time.Hour).UTC()
	p.Approval = nil
	p = r.approve(p)
	if err := start(); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("one key of two approves: %v", err)
	}
	p, err := p.Approve(added)
	must(t, err)
	if err := start(); err != nil {
		t.Error(err)
	}
}

// TestAttempts: a key holder's certificate opens so many ceremonies a day; another's is
// not kept from it, and what came to nothing goes after a year.
func TestAttempts(t *testing.T) {
	r := newRig(t, 2)
	p := r.party["keyholder-2"]
	attempt := func(opener string) error {
		r.now = r.now.Add(time.Second)
		plan := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
		id := plan.ID()
		if _, err := p.StartCeremony(r.as(t.Context(), opener), request(plan)); err != nil {
			return err
		}
		_, err := p.AbortCeremony(r.as(t.Context(), "keyholder-2"), &waypostv1.AbortCeremonyRequest{Ceremony: id[:]})
		return err
	}
	first := r.now.Add(time.Second)
	for range maxAttempts {
		must(t, attempt("keyholder-1"))
	}
	err := attempt("keyholder-1")
	if waypost.CodeOf(err) != waypost.QuotaExceeded || !waypost.RetryAfterOf(err).Equal(first.Add(attemptsIn)) {
		t.Errorf("one more: %v, again at %v", err, waypost.RetryAfterOf(err))
	}
	must(t, attempt("keyholder-2"))
	r.now = first.Add(attemptsIn)
	must(t, attempt("keyholder-1"))
	count := func() (ceremonies, messages int) {
		known, err := p.records(t.Context())
		must(t, err)
		for _, k := range known {
			all, err := p.messages(t.Context(), k.id)
			must(t, err)
			messages += len(all)
		}
		return len(known), messages
	}
	if c, m := count(); c != maxAttempts+2 || m != 2*c {
		t.Errorf("%d ceremonies, %d messages", c, m)
	}
	r.hold(toprf.Keygen, 2, holderNames(1, 2), nil)
	r.now = first.Add(keepUnused + attemptsIn/2)
	r.expire()
	if c, m := count(); c != 2 || m != 2+8 {
		t.Errorf("after a year %d ceremonies, %d messages", c, m)
	}
}

// TestUnusedGoes: what was done for nothing goes after a year, what a roster names stays.
func TestUnusedGoes(t *testing.T) {
	r := newRig(t, 2)
	_, err := r.lead(r.plan(toprf.Keygen, 2, holderNames(1, 2), nil), nil)
	must(t, err)
	used := r.hold(toprf.Keygen, 2, holderNames(1, 2), nil).Plan.ID()
	ids := func() (all []ID) {
		known, err := r.party["keyholder-1"].records(t.Context())
		must(t, err)
		for _, k := range known {
			all = append(all, k.id)
		}
		return all
	}
	r.now = r.now.Add(keepUnused - 2*time.Hour)
	r.expire()
	if all := ids(); len(all) != 2 {
		t.Errorf("within the year %d ceremonies are left, want 2", len(all))
	}
	r.now = r.now.Add(3 * time.Hour)
	r.expire()
	if all := ids(); len(all) != 1 || all[0] != used {
		t.Errorf("after a year %x are left, want %x", all, used)
	}
}

// TestGiveUp: who gives up is known by its signature, to all; nobody is given up by
// another's word.
func TestGiveUp(t *testing.T) {
	r := newRig(t, 3)
	p := r.plan(toprf.Keygen, 2, holderNames(1, 2, 3), nil)
	id := p.ID()
	for _, name := range holderNames(1, 2) {
		_, err := r.party[name].StartCeremony(r.as(t.Context(), "keyholder-1"), request(p))
		must(t, err)
	}
	_, err := r.party["keyholder-2"].AbortCeremony(r.as(t.Context(), "keyholder-1"), &waypostv1.AbortCeremonyRequest{Ceremony: id[:]})
	if waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("it gives up on another's word: %v", err)
	}
	heard := make(map[string]string)
	told := func(name string, state *waypostv1.CeremonyState, err error) {
		heard[name] = string(waypost.CodeOf(err)) + state.GetState() + " " + state.GetReason()
	}
	if err := GiveUp(t.Context(), p, "keyholder-2", r.links(nil), told); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("another's certificate gives up: %v", err) // the links show that of keyholder-1
	}
	must(t, GiveUp(t.Context(), p, "keyholder-1", r.links(nil), told))
	if !strings.HasPrefix(heard["keyholder-1"], "aborted keyholder-1 gives up") || !strings.HasPrefix(heard["keyholder-2"], "aborted keyholder-1 has given up") || heard["keyholder-3"] != "not_found " {
		t.Errorf("heard: %v", heard)
	}
	messages, err := r.party["keyholder-2"].messages(t.Context(), id)
	must(t, err)
	if !slices.ContainsFunc(messages, func(m Message) bool { return m.Round == Abort && m.Sender == "keyholder-1" }) {
		t.Error("keyholder-2 has nothing that shows who gave up")
	}
	steps := r.party["keyholder-2"].entries(id)
	if last := steps[len(steps)-1]; last["step"] != "aborted" || last["evidence"] == "" {
		t.Errorf("its ledger: %v", steps)
	}
}

// TestHolds: before governance names shares it is told who does not have his.
func TestHolds(t *testing.T) {
	r := newRig(t, 3)
	p := r.plan(toprf.Keygen, 2, holderNames(1, 2), nil)
	_, err := r.lead(p, nil)
	must(t, err)
	missing := func() []string {
		names, err := Missing(t.Context(), p, r.links(nil))
		must(t, err)
		return names
	}
	if names := missing(); names != nil {
		t.Errorf("missing: %v", names)
	}
	must(t, os.RemoveAll(filepath.Join(r.party["keyholder-2"].dir, "identities")))
	r.party["keyholder-2"].crash()
	if names := missing(); !slices.Equal(names, holderNames(2)) {
		t.Errorf("missing: %v", names)
	}
}

// FuzzReadPlan: a plan that governance signs has one spelling.
func FuzzReadPlan(f *testing.F) {
	f.Add([]byte(samplePlan.Text()))
	f.Add([]byte(samplePlan.Text() + "\n— test/a AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ReadPlan(raw)
		if err == nil && (!strings.HasPrefix(string(raw), p.Text()) || len(p.Approval) > 0 != (string(raw) != p.Text())) {
			t.Fatalf("%q is read as %+v", raw, p)
		}
	})
}

// FuzzApproval: whatever a caller calls an approval is no approval.
func FuzzApproval(f *testing.F) {
	_, key, err := note.GenerateKey(rand.Reader, "test/a")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(samplePlan.Text() + "\n— test/a AAAAAAA=\n"))
	raw, err := json.Marshal(samplePlan)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := samplePlan
		p.Approval = raw
		if p.approved(roster.Governance{Threshold: 1, Keys: []string{key}}) == nil {
			t.Fatalf("%q is a signature", raw)
		}
	})
}
