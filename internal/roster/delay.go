package roster

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"
)

// Delay is how long what a version grants is public before it takes effect.
// What it takes away takes effect at once.
const Delay = 72 * time.Hour

// tooSoon says in words what b grants, at any moment from a time until another,
// that a, the version before it, does not grant at that moment; nil if nothing.
// Between two moments neither changes, so that comparing at each is comparing
// at all times.
func tooSoon(a, b *Roster, from, until time.Time) error {
	moments := append([]time.Time{from}, slices.Concat(a.moments(), b.moments())...)
	for _, t := range moments {
		if t.Before(from) || !t.Before(until) {
			continue
		}
		if what := exceeds(a, b, t); what != "" {
			return invalid("version %d %s before %s: what grants must be public for %d hours first",
				b.Version, what, words(until), int(Delay.Hours()))
		}
	}
	return nil
}

// exceeds returns in words what b grants at the time and a does not, the first
// thing found, or "".
func exceeds(a, b *Roster, at time.Time) string {
	then, now := a.InForce(at), b.InForce(at)
	for _, m := range now.Members {
		if !m.inForce(at) { // the hub, removed or not yet there
			continue
		}
		old, ok := then.Member(m.Name)
		if !ok || !old.inForce(at) {
			return fmt.Sprintf("adds %s (%s)", m.Name, m.Role)
		}
		if !a.hasKeys(KeyChange{m.Name, m.Identity, m.LogKey, m.WitnessKey}, at) {
			return "replaces a key of " + m.Name
		}
		if what := m.exceeds(old); what != "" {
			return what
		}
	}
	for _, g := range now.Grants {
		old, ok := then.Grant(g.Member, g.Class, at)
		// A grant that begins anew would count from nothing again.
		if !ok || !old.From.Equal(g.From) || old.Extra < g.Extra {
			return fmt.Sprintf("grants %s %d more in class %s", g.Member, g.Extra, g.Class)
		}
	}
	if what := a.withKey(b.Epoch).exceededBy(b.content(), at); what != "" {
		return what
	}
	if what := a.besideExceeds(b, at); what != "" {
		return what
	}
	if a.WitnessPolicy != (WitnessPolicy{}) && b.WitnessPolicy == (WitnessPolicy{}) {
		return "drops the witness policy"
	}
	for _, n := range b.Announced {
		if at.Before(n.From) {
			continue
		}
		if what := a.exceededBy(n, at); what != "" {
			return "announces for a time what " + what
		}
		for _, k := range n.Keys {
			if !a.hasKeys(k, at) {
				return "announces keys of " + k.Member + " for a time"
			}
		}
	}
	return ""
}

// exceeds compares what a member may do with what it might.
func (m Member) exceeds(old Member) string {
	for _, c := range m.Capabilities {
		if !old.Can(c) {
			return fmt.Sprintf("gives %s the capability %s", m.Name, c)
		}
	}
	before, after := spelledOut(old.Quota, m.Quota)
	was := before.fields()
	for i, f := range after.fields() {
		if *f.limit > *was[i].limit {
			return fmt.Sprintf("raises %s of %s from %d to %d", f.name, m.Name, *was[i].limit, *f.limit)
		}
	}
	return ""
}

// hasKeys reports whether each key named is that of the member, or is announced
// and due at the time.
func (r *Roster) hasKeys(k KeyChange, at time.Time) bool {
	m, _ := r.Member(k.Member)
	known := []KeyChange{{m.Name, m.Identity, m.LogKey, m.WitnessKey}}
	for _, n := range r.Announced {
		if !at.Before(n.From) {
			known = append(known, n.Keys...)
		}
	}
	has := func(key ed25519.PublicKey, of func(KeyChange) ed25519.PublicKey) bool {
		return key == nil || slices.ContainsFunc(known, func(c KeyChange) bool { return c.Member == k.Member && key.Equal(of(c)) })
	}
	return has(k.Identity, func(c KeyChange) ed25519.PublicKey { return c.Identity }) &&
		has(k.LogKey, func(c KeyChange) ed25519.PublicKey { return c.LogKey }) &&
		has(k.WitnessKey, func(c KeyChange) ed25519.PublicKey { return c.WitnessKey })
}

// LeastThreshold is how many key holders shares that replace those in force need at
// least, at a time: as many as now, unless a lower threshold was announced and is due.
func (r *Roster) LeastThreshold(at time.Time) int {
	least := r.Threshold
	for _, n := range r.Announced {
		if n.Threshold != 0 && !at.Before(n.From) {
			least = min(least, n.Threshold)
		}
	}
	return least
}

// content is what the roster has of the things that can be announced, except
// members' keys.
func (r *Roster) content() Announcement {
	return Announcement{Purposes: r.Purposes, Threshold: r.Threshold, GroupKey: r.GroupKey,
		WitnessPolicy: r.WitnessPolicy, Witnesses: r.Witnesses, Auditors: r.Auditors}
}

// exceededBy returns in words what n has that the roster neither has nor has
// announced by the time, or "".
func (r *Roster) exceededBy(n Announcement, at time.Time) string {
	if r.Epoch == 0 { // nobody could ask for anything: the first key takes nothing from anybody
		n.Threshold, n.GroupKey = 0, nil
	}
	known := []Announcement{r.content()}
	for _, k := range r.Announced {
		if !at.Before(k.From) {
			known = append(known, k)
		}
	}
	has := func(condition func(k Announcement) bool) bool { return slices.ContainsFunc(known, condition) }
	for _, p := range n.Purposes {
		if !has(func(k Announcement) bool { return slices.Contains(k.Purposes, p) }) {
			return "adds the purpose " + string(p)
		}
	}
	for _, auditor := range n.Auditors {
		if !has(func(k Announcement) bool { return slices.Contains(k.Auditors, auditor) }) {
			return "adds an auditor"
		}
	}
	switch {
	case n.Threshold != 0 && !has(func(k Announcement) bool { return k.Threshold != 0 && n.Threshold >= k.Threshold }):
		return fmt.Sprintf("lowers the threshold from %d to %d", r.Threshold, n.Threshold)
	case n.GroupKey != nil && !has(func(k Announcement) bool { return bytes.Equal(k.GroupKey, n.GroupKey) }):
		return "replaces the group key"
	case r.WitnessPolicy == (WitnessPolicy{}):
		return "" // nobody relied on witnesses: naming them takes nothing from anybody
	case n.WitnessPolicy != (WitnessPolicy{}) && !has(func(k Announcement) bool { return n.WitnessPolicy.covers(k.WitnessPolicy) }):
		return "lowers the witness policy"
	}
	for _, w := range n.Witnesses {
		if !has(func(k Announcement) bool {
			return slices.ContainsFunc(k.Witnesses, func(o Witness) bool { return o.Key == w.Key })
		}) {
			return "adds the outside witness " + w.name()
		}
	}
	return ""
}

// covers reports whether the policy asks for all that another one, which is
// not empty, asks for.
func (p WitnessPolicy) covers(other WitnessPolicy) bool {
	return other != (WitnessPolicy{}) && p.Holders >= other.Holders && p.Outside >= other.Outside
}
