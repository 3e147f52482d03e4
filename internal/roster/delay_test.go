package roster

import (
	"slices"
	"testing"
	"time"

	"filippo.io/torchwood"

	"github.com/waypost/waypost"
)

const (
	auditorA = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	auditorB = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
)

// outside is a C2SP witness with a key derived from its name.
func outside(t testing.TB, name string) Witness {
	t.Helper()
	signer, err := torchwood.NewCosignatureSigner(name, testKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return Witness{Key: signer.Verifier().String(), URL: "https://" + name + "/submit"}
}

// witnessed is the sample with witnesses and auditors.
func witnessed(t testing.TB) *Roster {
	r := sample(t)
	for _, h := range r.Holders() {
		change(r, h.Name, func(m *Member) {
			m.WitnessKey, m.Public = testPublic(m.Name+" witness"), "https://"+m.Name+".example:7444"
		})
	}
	change(r, "hub", func(m *Member) { m.Public = "https://hub.example:7444" })
	r.Witnesses = []Witness{outside(t, "w1.example"), outside(t, "w2.example")}
	r.WitnessPolicy = WitnessPolicy{Holders: 2, Outside: 1}
	r.Auditors = []string{auditorA}
	return r
}

// full is the sample with everything that a roster can hold.
func full(t testing.TB) *Roster {
	r := witnessed(t)
	later := start.Add(10 * 24 * time.Hour)
	r.Members = append(r.Members, state("OR", later))
	change(r, "keyholder-3", func(m *Member) { m.Removed = true })
	change(r, "CA", func(m *Member) {
		m.Rise = Rise{From: later, Quota: m.Quota, Capabilities: []Capability{History}}
		m.Rise.Quota.TicketsPerDay = 5000
	})
	change(r, "NV", func(m *Member) { m.Quota.RepublishRecords = 700 })
	r.Beside = besideKey(t, 2, 1)
	r.Beside.Ceremony = Digest{2}
	r.Grants = []Grant{{"CA", UnattendedChecks, 200, later, later.Add(24 * time.Hour)}, {"NV", PublishedElements, 5000, start, later}}
	r.Announced = []Announcement{{
		From: later, Purposes: []waypost.Purpose{waypost.Renew}, Threshold: 1, GroupKey: r.Holders()[0].PublicShare,
		WitnessPolicy: WitnessPolicy{1, 1}, Witnesses: []Witness{outside(t, "w3.example")}, Auditors: []string{auditorB},
		Keys: []KeyChange{{"keyholder-1", testPublic("new identity"), testPublic("new log"), testPublic("new witness")}, {Member: "NV", LogKey: testPublic("new NV log")}},
	}}
	return r
}

func state(name waypost.Jurisdiction, from time.Time) Member {
	return Member{Name: string(name), Role: Gateway, Operator: "Operator of " + string(name), Jurisdiction: name, Participation: Full,
		CertKey: Digest([]byte("certificate of the state named " + name)[:32]), Identity: testPublic(string(name) + " identity"), LogKey: testPublic(string(name) + " log"),
		Protocol: Protocol{1, 1}, Capabilities: []Capability{Search}, Quota: Quota{TicketsPerDay: 10}, From: from}
}

// Everything that grants is refused before its time, and accepted with it.
func TestDelay(t *testing.T) {
	begin := start.Add(3 * 24 * time.Hour) // of version 2
	soon, due := begin.Add(Delay-time.Second), begin.Add(Delay)
	announce := func(fill func(a *Announcement)) func(r *Roster, from time.Time) {
		return func(r *Roster, from time.Time) {
			a := Announcement{From: from}
			fill(&a)
			r.Announced = []Announcement{a}
		}
	}
	for _, c := range []struct {
		words string
		grant func(r *Roster, from time.Time)
	}{
		{"adds OR (gateway)", func(r *Roster, from time.Time) { r.Members = append(r.Members, state("OR", from)) }},
		{"raises tickets_per_day of CA from 1000 to 1001", func(r *Roster, from time.Time) {
			change(r, "CA", func(m *Member) {
				m.Rise = Rise{From: from, Quota: m.Quota}
				m.Rise.Quota.TicketsPerDay++
			})
		}},
		{"raises publish_elements_for_a_load of CA", func(r *Roster, from time.Time) {
			change(r, "CA", func(m *Member) {
				m.Rise = Rise{From: from, Quota: m.Quota}
				m.Rise.Quota.PublishElementsForALoad = 1
			})
		}},
		{"gives CA the capability history", func(r *Roster, from time.Time) {
			change(r, "CA", func(m *Member) { m.Rise = Rise{From: from, Capabilities: []Capability{History}} })
		}},
		{"grants CA 50 more in class attended", func(r *Roster, from time.Time) {
			r.Grants = []Grant{{"CA", AttendedChecks, 50, from, from.Add(time.Hour)}}
		}},
		{"replaces a key of CA", func(r *Roster, from time.Time) { // an emergency: out now, back later with another key
			change(r, "CA", func(m *Member) { m.Identity, m.From = testPublic("CA identity 2"), from })
		}},
		{"adds the purpose renew", announce(func(a *Announcement) { a.Purposes = []waypost.Purpose{waypost.Renew} })},
		{"lowers the threshold from 2 to 1", announce(func(a *Announcement) { a.Threshold = 1 })},
		{"replaces the group key", announce(func(a *Announcement) { a.GroupKey = make([]byte, 32) })},
		{"lowers the witness policy", announce(func(a *Announcement) { a.WitnessPolicy = WitnessPolicy{1, 1} })},
		{"adds the outside witness w3.example", announce(func(a *Announcement) { a.Witnesses = []Witness{outside(t, "w3.example")} })},
		{"adds an auditor", announce(func(a *Announcement) { a.Auditors = []string{auditorB} })},
		{"keys of CA", announce(func(a *Announcement) { a.Keys = []KeyChange{{Member: "CA", LogKey: testPublic("new")}} })},
		{"keys of keyholder-1", announce(func(a *Announcement) { a.Keys = []KeyChange{{Member: "keyholder-1", WitnessKey: testPublic("new")}} })},
	} {
		t.Run(c.words, func(t *testing.T) {
			one, now := witnessed(t), &clock{at: begin}
			two := next(t, one)
			c.grant(two, soon)
			v := genesis(t, one, now)
			signed := signedBy(t, two, "gov.example/a", "gov.example/b")
			wantError(t, v.Update(signed), waypost.InvalidArgument, c.words)
			if v.Latest().Version != 1 {
				t.Fatal("a refused version was installed")
			}
			two = next(t, one)
			c.grant(two, due)
			install(t, v, two)
		})
	}
}

// What a later version contains without a word in advance is refused, and with
// an announcement of the version before it is accepted.
func TestAnnounced(t *testing.T) {
	begin := start.Add(3 * 24 * time.Hour)
	for _, c := range []struct {
		words    string
		change   func(r *Roster)
		announce Announcement
	}{
		{"adds the purpose renew", func(r *Roster) { r.Purposes = append(slices.Clone(r.Purposes), waypost.Renew) },
			Announcement{Purposes: []waypost.Purpose{waypost.Renew}}},
		{"lowers the witness policy", func(r *Roster) { r.WitnessPolicy.Holders = 1 }, Announcement{WitnessPolicy: WitnessPolicy{1, 1}}},
		{"adds the outside witness w3.example", func(r *Roster) { r.Witnesses = append(slices.Clone(r.Witnesses), outside(t, "w3.example")) },
			Announcement{Witnesses: []Witness{outside(t, "w3.example")}}},
		{"adds an auditor", func(r *Roster) { r.Auditors = []string{auditorA, auditorB} }, Announcement{Auditors: []string{auditorB}}},
		{"replaces a key of CA", func(r *Roster) { change(r, "CA", func(m *Member) { m.Identity = testPublic("new") }) },
			Announcement{Keys: []KeyChange{{Member: "CA", Identity: testPublic("new")}}}},
		{"replaces a key of NV", func(r *Roster) { change(r, "NV", func(m *Member) { m.LogKey = testPublic("new") }) },
			Announcement{Keys: []KeyChange{{Member: "NV", LogKey: testPublic("new")}}}},
		{"replaces a key of keyholder-2", func(r *Roster) { change(r, "keyholder-2", func(m *Member) { m.WitnessKey = testPublic("new") }) },
			Announcement{Keys: []KeyChange{{Member: "keyholder-2", WitnessKey: testPublic("new")}}}},
		{"lowers the threshold from 2 to 1", func(r *Roster) { singleShare(r, 1); allLoading(r) }, Announcement{Threshold: 1, GroupKey: sample(t).Holders()[0].PublicShare}},
		{"replaces the group key", func(r *Roster) { rotated(t, r); allLoading(r) }, Announcement{GroupKey: sample(t).Holders()[0].PublicShare}},
	} {
		t.Run(c.words, func(t *testing.T) {
			one, now := witnessed(t), &clock{at: begin}
			two := next(t, one)
			c.change(two)
			v := genesis(t, one, now)
			wantError(t, v.Update(signedBy(t, two, "gov.example/a", "gov.example/b")), waypost.InvalidArgument, c.words)

			c.announce.From = begin
			one.Announced = []Announcement{c.announce}
			two = next(t, one)
			c.change(two)
			v = genesis(t, one, now)
			install(t, v, two)

			// An announcement for later is none yet.
			one.Announced[0].From = begin.Add(time.Second)
			two = next(t, one)
			c.change(two)
			v = genesis(t, one, now)
			wantError(t, v.Update(signedBy(t, two, "gov.example/a", "gov.example/b")), waypost.InvalidArgument, c.words)
		})
	}
	t.Run("the policy is never dropped", func(t *testing.T) {
		one := witnessed(t)
		two := next(t, one)
		two.Witnesses, two.WitnessPolicy = nil, WitnessPolicy{}
		wantError(t, genesis(t, one, &clock{at: begin}).Update(signedBy(t, two, "gov.example/a", "gov.example/b")),
			waypost.InvalidArgument, "drops the witness policy")
	})
	t.Run("the first witnesses are welcome", func(t *testing.T) {
		one := sample(t)
		two := next(t, one)
		two.Witnesses, two.WitnessPolicy = []Witness{outside(t, "w1.example")}, WitnessPolicy{0, 1}
		install(t, genesis(t, one, &clock{at: begin}), two)
	})
}

// rotated gives the next epoch the polynomial x -> p(x+1), whose key is the
// first share of the one before.
func rotated(t testing.TB, r *Roster) {
	_, shares := oprfKeys(t, 4)
	r.Epoch, r.GroupKey = r.Epoch+1, shares[0]
	for _, h := range r.Holders() {
		change(r, h.Name, func(m *Member) { m.PublicShare = shares[m.Index] })
	}
}

// singleShare gives the next epoch a key of which every holder has the whole.
func singleShare(r *Roster, threshold int) {
	same := r.Holders()[0].PublicShare
	r.Epoch, r.Threshold, r.GroupKey = r.Epoch+1, threshold, same
	for _, h := range r.Holders() {
		change(r, h.Name, func(m *Member) { m.PublicShare = same })
	}
}

// What takes away counts from the moment of the update.
func TestTakenAwayAtOnce(t *testing.T) {
	one, now := witnessed(t), &clock{at: start}
	one.Grants = []Grant{{"CA", AttendedChecks, 50, start, start.Add(30 * 24 * time.Hour)}}
	change(one, "CA", func(m *Member) { m.Rise = Rise{From: start.Add(80 * time.Hour), Capabilities: []Capability{History}} })
	v := genesis(t, one, now)
	two := next(t, one)
	drop(two, "NV")
	change(two, "keyholder-2", func(m *Member) { m.Removed = true })
	change(two, "CA", func(m *Member) {
		m.Quota.TicketsPerDay, m.Capabilities, m.Rise = 1, []Capability{Search}, Rise{}
	})
	two.Grants, two.Purposes, two.WitnessPolicy, two.Auditors = nil, two.Purposes[:1], WitnessPolicy{2, 2}, nil
	now.set(two.NotBefore)
	install(t, v, two)
	for _, gone := range []string{"NV", "keyholder-2"} {
		m, _ := one.Member(gone)
		if _, ok := v.Member(gone); ok {
			t.Errorf("%s is still a member", gone)
		}
		if _, ok := v.ByCert(m.CertKey); ok {
			t.Errorf("the certificate of %s is still good", gone)
		}
		wantError(t, v.Allowed(m), waypost.Unauthenticated, "not in roster version 2")
		wantError(t, second(v.SenderKey(1, gone)), waypost.PermissionDenied, "is not a member now")
	}
	for _, at := range []time.Duration{0, 100 * time.Hour} {
		now.set(two.NotBefore.Add(at))
		m, _ := v.Member("CA")
		if m.Quota.TicketsPerDay != 1 || m.Can(History) || m.Can(Answer) || len(v.Current().Grants) != 0 || v.Current().AllowsPurpose(waypost.MaintainPointer) {
			t.Errorf("after %s CA still has %+v", at, m)
		}
	}
	// The others' shares go on making tokens.
	if holders := v.Current().Holders(); len(holders) != 2 || holders[1].Index != 3 {
		t.Errorf("key holders in force: %v", holders)
	}
	keys, err := v.Current().Keys()
	if err != nil || keys.Holders() != 3 {
		t.Error("the public keys do not survive a removal:", err)
	}
	if got := v.Current().HolderShare(90); got != 90 {
		t.Errorf("a key holder's share of 90 is %d", got)
	}
	// Back again is an addition.
	three := next(t, two)
	three.NotBefore, three.NotAfter = now.now(), now.now().Add(time.Hour)
	change(three, "keyholder-2", func(m *Member) { m.Removed = false })
	wantError(t, v.Update(signedBy(t, three, "gov.example/a", "gov.example/b")), waypost.InvalidArgument, "adds keyholder-2 (keyholder)")
	change(three, "keyholder-2", func(m *Member) { m.From = three.NotBefore.Add(Delay) })
	install(t, v, three)
}

// Additions, rises and bursts count by the clock, to the second.
func TestByTheClock(t *testing.T) {
	one, now := sample(t), &clock{at: start}
	v := genesis(t, one, now)
	two := next(t, one)
	due := two.NotBefore.Add(Delay)
	two.Members = append(two.Members, state("OR", due))
	change(two, "CA", func(m *Member) {
		m.Rise = Rise{From: due, Quota: m.Quota, Capabilities: []Capability{History}}
		m.Rise.Quota.TicketsPerDay = 5000
	})
	two.Grants = []Grant{{"CA", AttendedChecks, 50, due, due.Add(time.Hour)}}
	now.set(two.NotBefore)
	install(t, v, two)
	or, _ := two.Member("OR")
	for _, c := range []struct {
		at            time.Time
		member, burst bool
	}{{two.NotBefore, false, false}, {due.Add(-time.Second), false, false}, {due, true, true}, {due.Add(time.Hour - time.Second), true, true}, {due.Add(time.Hour), true, false}} {
		now.set(c.at)
		_, named := v.Member("OR")
		_, certified := v.ByCert(or.CertKey)
		_, listed := v.Current().Member("OR")
		ca, _ := v.Member("CA")
		_, burst := v.Current().Grant("CA", AttendedChecks, now.now())
		if named != c.member || certified != c.member || listed != c.member || (v.Allowed(or) == nil) != c.member ||
			(ca.Quota.TicketsPerDay == 5000) != c.member || ca.Can(History) != c.member || !ca.Can(Search) || burst != c.burst || (len(v.Current().Grants) > 0) != c.burst {
			t.Errorf("at %s: member %t %t %t, CA %+v, burst %t", c.at, named, certified, listed, ca, burst)
		}
		if _, err := v.SenderKey(2, "OR"); (err == nil) != c.member {
			t.Errorf("at %s: %v", c.at, err)
		}
	}
	// What the clock brought may be written down as the state of things.
	three := next(t, two)
	three.NotBefore, three.NotAfter, three.Grants = now.now(), now.now().Add(time.Hour), nil
	change(three, "CA", func(m *Member) { *m = m.at(due) })
	install(t, v, three)
	// The time of joining stays.
	four := next(t, three)
	four.NotBefore, four.NotAfter = three.NotBefore, three.NotAfter
	change(four, "OR", func(m *Member) { m.From = time.Time{} })
	wantError(t, v.Update(signedBy(t, four, "gov.example/a", "gov.example/b")), waypost.InvalidArgument, "from which OR is a member cannot change")
}

// A stolen key: the member is out at once and back after the delay under
// another; what names the versions before is not believed any more.
func TestEmergency(t *testing.T) {
	one, now := sample(t), &clock{at: start}
	v := genesis(t, one, now)
	two := next(t, one)
	change(two, "CA", func(m *Member) { m.Identity, m.From = testPublic("CA identity 2"), two.NotBefore.Add(Delay) })
	change(two, "hub", func(m *Member) { m.Identity, m.From = testPublic("hub identity 2"), two.NotBefore.Add(Delay) })
	now.set(two.NotBefore)
	install(t, v, two)
	for _, name := range []string{"CA", "hub"} {
		if _, ok := v.Member(name); ok {
			t.Errorf("%s is still a member", name)
		}
	}
	if v.Current().Hub().Name != "hub" {
		t.Error("there is no hub to look for")
	}
	now.set(two.NotBefore.Add(Delay))
	for _, name := range []string{"CA", "hub"} {
		if key, err := v.SenderKey(2, name); err != nil || !key.Equal(testPublic(name+" identity 2")) {
			t.Error(name, err)
		}
		wantError(t, second(v.SenderKey(1, name)), waypost.PermissionDenied, "is withdrawn")
	}
	if key, err := v.SenderKey(1, "NV"); err != nil || !key.Equal(testPublic("NV identity")) {
		t.Error("the others' keys:", err)
	}
}
