package roster

import (
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

// grants is what one member may do at a time, said by a roster as signed; the
// test's own reading of the rules.
func grants(r *Roster, name string, at time.Time) (quota int, capabilities []Capability, identity ed25519.PublicKey, burst int, in bool) {
	for _, m := range r.Members {
		if m.Name != name || at.Before(m.From) {
			continue
		}
		quota, capabilities, identity, in = m.Quota.TicketsPerDay, slices.Clone(m.Capabilities), m.Identity, true
		if !m.Rise.From.IsZero() && !at.Before(m.Rise.From) {
			if m.Rise.Quota != (Quota{}) {
				quota = m.Rise.Quota.TicketsPerDay
			}
			capabilities = append(capabilities, m.Rise.Capabilities...)
		}
	}
	for _, g := range r.Grants {
		if in && g.Member == name && !at.Before(g.From) && at.Before(g.Until) {
			burst = g.Extra
		}
	}
	return quota, capabilities, identity, burst, in
}

// Whatever governance signs: what a view lets a member do at any time was said,
// for that time, by the version that was current 72 hours before.
func TestNothingSoonerThanPublic(t *testing.T) {
	accepted, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		now := &clock{at: start}
		latest := sample(t)
		v := genesis(t, latest, now)
		history := []*Roster{latest}
		names := []string{"CA", "NV", "OR", "WA"}
		for range rapid.IntRange(2, 8).Draw(rt, "versions") {
			now.set(now.now().Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "hours")) * time.Hour))
			n := next(t, latest)
			n.NotBefore, n.NotAfter = now.now(), now.now().Add(MaxValidity)
			n.Grants, n.Announced = slices.Clone(n.Grants), slices.Clone(n.Announced)
			for range rapid.IntRange(1, 2).Draw(rt, "edits") {
				edit(rt, n, rapid.SampledFrom(names).Draw(rt, "who"))
			}
			if n.Validate() != nil {
				continue
			}
			// Update, less the signatures, which take most of the time.
			x, err := index(n, nil)
			if err != nil {
				rt.Fatal(err)
			}
			if v.chain().last().precedes(x) != nil {
				refused++
				continue
			}
			longer := append(v.chain(), x)
			v.state.Store(&longer)
			accepted++
			latest, history = n, append(history, n)
			for range 4 {
				at := now.now().Add(time.Duration(rapid.IntRange(0, 100).Draw(rt, "later")) * time.Hour)
				then := history[0]
				for _, r := range history {
					if !at.Before(r.NotBefore.Add(Delay)) {
						then = r
					}
				}
				for _, name := range names {
					check(rt, v, now, then, name, at)
				}
			}
		}
	})
	if accepted < 20 || refused < 20 {
		t.Errorf("%d versions were accepted and %d refused: the test hardly tests", accepted, refused)
	}
}

func check(rt *rapid.T, v *View, now *clock, then *Roster, name string, at time.Time) {
	before := now.now()
	now.set(at)
	defer now.set(before)
	m, in := v.Member(name)
	if !in {
		return
	}
	quota, capabilities, identity, burst, was := grants(then, name, at)
	g, _ := v.Current().Grant(name, AttendedChecks, at)
	if !was || m.Quota.TicketsPerDay > quota || g.Extra > burst {
		rt.Fatalf("at %s %s is in with %d and %d; version %d of 72 hours before says %t, %d, %d", at, name, m.Quota.TicketsPerDay, g.Extra, then.Version, was, quota, burst)
	}
	for _, c := range m.Capabilities {
		if !slices.Contains(capabilities, c) {
			rt.Fatalf("at %s %s can %s; version %d of 72 hours before does not say so", at, name, c, then.Version)
		}
	}
	announced := slices.ContainsFunc(then.Announced, func(a Announcement) bool {
		return !at.Before(a.From) && slices.ContainsFunc(a.Keys, func(k KeyChange) bool { return k.Member == name && k.Identity.Equal(m.Identity) })
	})
	if !m.Identity.Equal(identity) && !announced {
		rt.Fatalf("at %s %s has a key that version %d of 72 hours before does not name", at, name, then.Version)
	}
}

// edit makes one change that governance might make, timely or not.
func edit(rt *rapid.T, r *Roster, name string) {
	from := r.NotBefore.Add(time.Duration(rapid.SampledFrom([]int{-10, 0, 24, 71, 72, 73, 100}).Draw(rt, "from")) * time.Hour)
	switch rapid.SampledFrom([]string{"join", "leave", "quota", "rise", "drop", "capability", "key", "announce", "burst", "nothing"}).Draw(rt, "edit") {
	case "join":
		drop(r, name)
		r.Members = append(r.Members, state(waypost.Jurisdiction(name), from))
	case "leave":
		drop(r, name)
		r.Grants = slices.DeleteFunc(r.Grants, func(g Grant) bool { return g.Member == name })
	case "quota":
		change(r, name, func(m *Member) { m.Quota.TicketsPerDay = rapid.IntRange(0, 2000).Draw(rt, "quota") })
	case "rise":
		change(r, name, func(m *Member) {
			m.Rise = Rise{From: from, Quota: m.Quota}
			m.Rise.Quota.TicketsPerDay += rapid.IntRange(1, 1000).Draw(rt, "by")
		})
	case "drop":
		change(r, name, func(m *Member) { *m = m.at(r.NotBefore); m.Rise = Rise{} })
	case "capability":
		change(r, name, func(m *Member) { m.Rise = Rise{From: from, Capabilities: []Capability{History}} })
	case "key":
		change(r, name, func(m *Member) { m.Identity = testPublic(name + " identity 2") })
	case "announce":
		r.Announced = append(r.Announced, Announcement{From: from, Keys: []KeyChange{{Member: name, Identity: testPublic(name + " identity 2")}}})
	case "burst":
		r.Grants = append(r.Grants, Grant{name, AttendedChecks, rapid.IntRange(1, 100).Draw(rt, "extra"), from, from.Add(20 * time.Hour)})
	}
}
