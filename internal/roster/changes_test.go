package roster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

func lines(changes []Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return all
}

// Every kind of change has its line, with the time at which it counts.
func TestChanges(t *testing.T) {
	old := full(t)
	for _, c := range []struct {
		want   string
		change func(r *Roster)
	}{
		{"", func(*Roster) {}},
		{"removes NV at once; ends the grant to NV of 5000 in class publish until 2026-03-12 12:00 UTC at once", func(r *Roster) {
			if err := r.Remove("NV"); err != nil {
				t.Fatal(err)
			}
		}},
		{"removes keyholder-1 at once", func(r *Roster) { change(r, "keyholder-1", func(m *Member) { m.Removed = true }) }},
		{"adds keyholder-3 (keyholder) from 2026-03-08 12:00 UTC", func(r *Roster) {
			change(r, "keyholder-3", func(m *Member) { m.Removed, m.From = false, r.NotBefore.Add(Delay) })
		}},
		{"adds WA (gateway) from 2026-03-08 12:00 UTC", func(r *Roster) {
			if err := r.Add(state("WA", time.Time{})); err != nil {
				t.Fatal(err)
			}
		}},
		{"moves the addition of OR from 2026-03-15 12:00 UTC", func(r *Roster) {
			change(r, "OR", func(m *Member) { m.From = start.Add(13 * 24 * time.Hour) })
		}},
		{"removes CA at once; adds CA (gateway) from 2026-03-08 12:00 UTC; replaces the identity key of CA at once", func(r *Roster) {
			change(r, "CA", func(m *Member) { m.Identity, m.From = testPublic("new"), r.NotBefore.Add(Delay) })
		}},
		{`replaces the certificate key of NV at once; changes the operator of NV from "Operator of NV" to "Nevada" at once`, func(r *Roster) {
			change(r, "NV", func(m *Member) { m.CertKey, m.Operator = Digest{7}, "Nevada" })
		}},
		{"lowers operators of NV from 40 to 3 at once; raises tickets_per_day of NV from 1000 to 1500 from 2026-03-08 12:00 UTC", func(r *Roster) {
			for field, value := range map[string]int{"operators": 3, "tickets_per_day": 1500} {
				if err := r.SetQuota("NV", field, value); err != nil {
					t.Fatal(err)
				}
			}
			// What is lowered while something rises is not raised again with it.
			if m, _ := r.Member("NV"); m.Rise.Quota.Operators != 3 {
				t.Errorf("the rise has %d operators", m.Rise.Quota.Operators)
			}
		}},
		{"takes the capability real_id from NV at once", func(r *Roster) {
			change(r, "NV", func(m *Member) { m.Capabilities = m.Capabilities[:3] })
		}},
		{"takes back what was to rise for CA on 2026-03-12 12:00 UTC at once", func(r *Roster) {
			change(r, "CA", func(m *Member) { m.Rise = Rise{} })
		}},
		{"grants NV 9 more in class attended until 2026-03-08 13:00 UTC from 2026-03-08 12:00 UTC", func(r *Roster) {
			due := r.NotBefore.Add(Delay)
			r.Grants = append(slices.Clone(r.Grants), Grant{"NV", AttendedChecks, 9, due, due.Add(time.Hour)})
		}},
		{"changes the witness policy from 2 key holders and 1 outside to 2 key holders and 2 outside at once; removes the purpose maintain_pointer at once", func(r *Roster) {
			r.Purposes, r.WitnessPolicy.Outside = r.Purposes[:1], 2
		}},
		{"removes the outside witness w2.example at https://w2.example/submit at once; removes the auditor age1ql3z7hjy54pw3hyww5ay... at once", func(r *Roster) {
			r.Witnesses, r.Auditors = r.Witnesses[:1], nil
		}},
		{"revokes all versions before 2 at once; adds the governance key gov.example/d at once; removes the governance key gov.example/c at once", func(r *Roster) {
			r.RevokedBefore, r.Governance = 2, governance(t, 2, "gov.example/a", "gov.example/b", "gov.example/d")
		}},
		{"takes back what was announced for 2026-03-12 12:00 UTC at once", func(r *Roster) { r.Announced = nil }},
		{"announces that a version adds the purpose issue_id from 2026-03-20 12:00 UTC; announces that a version has other keys of hub from 2026-03-20 12:00 UTC", func(r *Roster) {
			r.Announced = append(slices.Clone(r.Announced), Announcement{From: start.Add(18 * 24 * time.Hour), Purposes: []waypost.Purpose{waypost.IssueID},
				Keys: []KeyChange{{Member: "hub", Identity: testPublic("new hub")}}})
		}},
	} {
		n, err := old.Successor(start.Add(3*24*time.Hour), start.Add(4*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		c.change(n)
		if got := strings.Join(lines(Changes(old, n)), "; "); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if err := old.Precedes(n); err != nil {
			t.Errorf("%s: %v", c.want, err)
		}
	}
	first := lines(Changes(nil, sample(t)))
	if len(first) != 6 || first[0] != "adds hub (hub) at once" {
		t.Errorf("the first version: %q", first)
	}
}

// A successor says of itself what the clock brought, and nothing more is a
// change.
func TestSuccessor(t *testing.T) {
	one := full(t)
	due := start.Add(10 * 24 * time.Hour)
	two, err := one.Successor(due, due.Add(MaxValidity))
	if err != nil {
		t.Fatal(err)
	}
	if got := Changes(one, two); len(got) != 0 {
		t.Errorf("changes: %q", lines(got))
	}
	m, _ := two.Member("CA")
	if m.Quota.TicketsPerDay != 5000 || !m.Can(History) || !m.Rise.From.IsZero() || len(two.Grants) != 1 {
		t.Errorf("CA is %+v, grants %v", m, two.Grants)
	}
	if before, _ := one.Member("CA"); before.Can(History) || len(one.Grants) != 2 {
		t.Error("the version before was modified")
	}
	if err := one.Precedes(two); err != nil {
		t.Error(err)
	}
	// What was announced may now be there.
	two.Purposes = append(slices.Clone(two.Purposes), waypost.Renew)
	two.Auditors = append(slices.Clone(two.Auditors), auditorB)
	change(two, "NV", func(m *Member) { m.LogKey = testPublic("new NV log") })
	if err := one.Precedes(two); err != nil {
		t.Error(err)
	}
	wantError(t, two.SetQuota("NV", "fun", 1), waypost.InvalidArgument, "no \"fun\"")
	wantError(t, two.SetQuota("hub", "operators", 1), waypost.NotFound, "not a state")
	wantError(t, two.Add(state("CA", due)), waypost.AlreadyExists, "CA is in the roster")
	wantError(t, two.Remove("WA"), waypost.NotFound, "WA is not")
}

func TestReadAndSigners(t *testing.T) {
	r := full(t)
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	signed := signedBy(t, r, "gov.example/c")
	loose := strings.Replace(text, "  \"version\": 1", "\n\t\"version\":1", 1)
	for name, b := range map[string][]byte{"draft": []byte(text), "JSON alone": []byte(strings.TrimPrefix(text, header)), "edited": []byte(loose), "signed": signed} {
		got, err := Read(b)
		if err != nil {
			t.Fatal(name, err)
		}
		if again, _ := got.text(); again != text {
			t.Errorf("%s: another roster", name)
		}
	}
	for name, b := range map[string]string{"two": text + "{}", "unknown field": strings.Replace(text, `"version"`, `"colour": 1, "version"`, 1), "invalid": strings.Replace(text, `"epoch": 1`, `"epoch": 0`, 1)} {
		if _, err := Read([]byte(b)); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read([]byte(strings.Replace(string(signed), "  \"version\": 1", "\n\t\"version\":1", 1))); err == nil {
		t.Error("a signed text is read loosely")
	}
	for _, c := range []struct {
		content []byte
		want    []string
	}{{[]byte(text), nil}, {signed, []string{"gov.example/c"}}, {signedBy(t, r, "gov.example/x"), []string{}}} {
		if got, err := r.Governance.Signers(c.content); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("signed by %q, %v, want %q", got, err, c.want)
		}
	}
}

func TestChainOfFiles(t *testing.T) {
	a, b := "gov.example/a", "gov.example/b"
	one := sample(t)
	signed, all := [][]byte{signedBy(t, one, a, b)}, []*Roster{one}
	for range keptVersions + 2 { // an auditor reads more than a role keeps
		n := next(t, all[len(all)-1])
		n.NotBefore, n.NotAfter = one.NotBefore, one.NotAfter
		all, signed = append(all, n), append(signed, signedBy(t, n, a, b))
	}
	got, err := Chain(one.Governance, signed...)
	if err != nil || len(got) != len(all) || got[len(got)-1].Version != all[len(all)-1].Version {
		t.Fatal(len(got), err)
	}
	_, err = Chain(one.Governance, signed[0], signed[2])
	wantError(t, err, waypost.InvalidArgument, "cannot follow")
	_, err = Chain(governance(t, 1, "gov.example/x"), signed...)
	wantError(t, err, waypost.PermissionDenied, "carries 0")
}

func TestStatus(t *testing.T) {
	now := &clock{at: start}
	v := genesis(t, sample(t), now)
	for _, c := range []struct {
		left   time.Duration
		words  string
		urgent bool
	}{
		{MaxValidity, "is good until 2026-03-09 12:00 UTC", false},
		{48 * time.Hour, "is good until", false},
		{48*time.Hour - time.Second, "runs out on 2026-03-09 12:00 UTC, in 47 hours: governance must sign", true},
		{0, "ran out on 2026-03-09 12:00 UTC: nobody is admitted", true},
	} {
		now.set(start.Add(MaxValidity - c.left))
		if got, urgent := v.Status(); urgent != c.urgent || !strings.Contains(got, c.words) {
			t.Errorf("%s left: %q, %t", c.left, got, urgent)
		}
	}
}
