package roster

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Change is one thing that differs from one version to the next.
type Change struct {
	Member string    `json:"member,omitempty"` // whom it is about; empty: all
	What   string    `json:"what"`             // in words: "raises tickets_per_day of CA from 30000 to 40000"
	From   time.Time `json:"from,omitzero"`    // when it takes effect; zero: with the version
}

// String is the change as a line for people.
func (c Change) String() string {
	if c.From.IsZero() {
		return c.What + " at once"
	}
	return c.What + " from " + words(c.From)
}

// Changes lists what differs between two versions, the second of which follows
// the first; of a version without a predecessor, nil, it lists who takes part.
// Dates of validity and what the clock has brought in the meantime are not
// changes.
func Changes(old, next *Roster) []Change {
	c := &changes{now: next.NotBefore}
	if old == nil {
		old = &Roster{Purposes: next.Purposes, Threshold: next.Threshold, Epoch: next.Epoch, GroupKey: next.GroupKey, Profile: next.Profile,
			RevokedBefore: next.RevokedBefore, Governance: next.Governance}
	}
	c.members(old, next)
	c.grants(old, next)
	c.together(old, next)
	c.announced(old, next)
	return c.list
}

// changes collects; what lies before now is at once.
type changes struct {
	now  time.Time
	list []Change
}

func (c *changes) addf(member string, from time.Time, format string, args ...any) {
	if !from.After(c.now) {
		from = time.Time{}
	}
	c.list = append(c.list, Change{member, fmt.Sprintf(format, args...), from})
}

func (c *changes) members(old, next *Roster) {
	for _, m := range old.Members {
		later, ok := next.Member(m.Name)
		if !m.Removed && (!ok || later.Removed || m.inForce(c.now) && !later.inForce(c.now)) {
			c.addf(m.Name, time.Time{}, "removes %s", m.Name)
		}
	}
	for _, m := range next.Members {
		if m.Removed {
			continue
		}
		was, ok := old.Member(m.Name)
		switch {
		case !ok || was.Removed || was.inForce(c.now) && !m.inForce(c.now):
			c.addf(m.Name, m.From, "adds %s (%s)", m.Name, m.Role)
		case !m.inForce(c.now) && !m.From.Equal(was.From):
			c.addf(m.Name, m.From, "moves the addition of %s", m.Name)
		}
		if ok {
			c.member(was, m)
		}
	}
}

// member compares what one member is and may do.
func (c *changes) member(old, next Member) {
	name := next.Name
	for _, x := range []struct {
		what     string
		old, new any
	}{
		{"the certificate key", old.CertKey, next.CertKey},
		{"the identity key", []byte(old.Identity), []byte(next.Identity)},
		{"the log key", []byte(old.LogKey), []byte(next.LogKey)},
		{"the witness key", []byte(old.WitnessKey), []byte(next.WitnessKey)},
		{"the public share", old.PublicShare, next.PublicShare},
	} {
		if !reflect.DeepEqual(x.old, x.new) {
			c.addf(name, time.Time{}, "replaces %s of %s", x.what, name)
		}
	}
	for _, x := range []struct{ what, old, new string }{
		{"operator", old.Operator, next.Operator},
		{"URL", old.URL, next.URL},
		{"public URL", old.Public, next.Public},
		{"further addresses", old.also(), next.also()},
		{"participation", string(old.Participation), string(next.Participation)},
		{"protocol range", fmt.Sprint(old.Protocol), fmt.Sprint(next.Protocol)},
		{"share index", fmt.Sprint(old.Index), fmt.Sprint(next.Index)},
	} {
		if x.old != x.new {
			c.addf(name, time.Time{}, "changes the %s of %s from %q to %q", x.what, name, x.old, x.new)
		}
	}
	c.powers(name, time.Time{}, old.at(c.now), next.at(c.now))
	if rise := next.Rise; rise.From.After(c.now) && !reflect.DeepEqual(rise, old.Rise) {
		c.powers(name, rise.From, next.at(c.now), next.at(rise.From))
	}
	if rise := old.Rise; rise.From.After(c.now) && next.Rise.From.IsZero() && old.at(rise.From).exceeds(next) != "" {
		c.addf(name, time.Time{}, "takes back what was to rise for %s on %s", name, words(rise.From))
	}
}

// powers compares capabilities and quota.
func (c *changes) powers(name string, from time.Time, old, next Member) {
	for _, x := range missing(next.Capabilities, old.Capabilities) {
		c.addf(name, from, "gives %s the capability %s", name, x)
	}
	for _, x := range missing(old.Capabilities, next.Capabilities) {
		c.addf(name, from, "takes the capability %s from %s", x, name)
	}
	before, after := spelledOut(old.Quota, next.Quota)
	was := before.fields()
	for i, f := range after.fields() {
		switch a, b := *was[i].limit, *f.limit; {
		case b > a:
			c.addf(name, from, "raises %s of %s from %d to %d", f.name, name, a, b)
		case b < a:
			c.addf(name, from, "lowers %s of %s from %d to %d", f.name, name, a, b)
		}
	}
}

func (c *changes) grants(old, next *Roster) {
	for _, g := range missing(next.Grants, old.Grants) {
		c.addf(g.Member, g.From, "grants %s %d more in class %s until %s", g.Member, g.Extra, g.Class, words(g.Until))
	}
	for _, g := range missing(old.Grants, next.Grants) {
		if g.Until.After(c.now) {
			c.addf(g.Member, time.Time{}, "ends the grant to %s of %d in class %s until %s", g.Member, g.Extra, g.Class, words(g.Until))
		}
	}
}

// together compares what all parties share.
func (c *changes) together(old, next *Roster) {
	at := time.Time{}
	for _, x := range []struct {
		what     string
		old, new any
	}{
		{"the match-key profile", old.Profile, next.Profile},
		{"the epoch of the key", old.Epoch, next.Epoch},
		{"the threshold", old.Threshold, next.Threshold},
		{"the witness policy", old.WitnessPolicy.String(), next.WitnessPolicy.String()},
		{"the number of governance signatures", old.Governance.Threshold, next.Governance.Threshold},
	} {
		if x.old != x.new {
			c.addf("", at, "changes %s from %v to %v", x.what, x.old, x.new)
		}
	}
	if !bytes.Equal(old.GroupKey, next.GroupKey) {
		c.addf("", at, "replaces the group key")
	}
	c.rotation(old, next)
	if next.RevokedBefore > old.RevokedBefore {
		c.addf("", at, "revokes all versions before %d", next.RevokedBefore)
	}
	c.lists(at, "adds", next.content(), old.content())
	c.lists(at, "removes", old.content(), next.content())
	for _, k := range missing(next.Governance.Keys, old.Governance.Keys) {
		c.addf("", at, "adds the governance key %s", Witness{Key: k}.name())
	}
	for _, k := range missing(old.Governance.Keys, next.Governance.Keys) {
		c.addf("", at, "removes the governance key %s", Witness{Key: k}.name())
	}
}

// lists names what is in the lists of a and not in those of b.
func (c *changes) lists(from time.Time, verb string, a, b Announcement) {
	for _, p := range missing(a.Purposes, b.Purposes) {
		c.addf("", from, "%s the purpose %s", verb, p)
	}
	for _, w := range missing(a.Witnesses, b.Witnesses) {
		c.addf("", from, "%s the outside witness %s at %s", verb, w.name(), w.URL)
	}
	for _, r := range missing(a.Auditors, b.Auditors) {
		c.addf("", from, "%s the auditor %s...", verb, r[:24])
	}
}

func (c *changes) announced(old, next *Roster) {
	for _, n := range missing(next.Announced, old.Announced) {
		c.lists(n.From, "announces that a version adds", n, Announcement{})
		if n.Threshold != 0 {
			c.addf("", n.From, "announces that a version has the threshold %d", n.Threshold)
		}
		if n.GroupKey != nil {
			c.addf("", n.From, "announces that a version has another group key")
		}
		if n.WitnessPolicy != (WitnessPolicy{}) {
			c.addf("", n.From, "announces that a version has the witness policy %s", n.WitnessPolicy)
		}
		for _, k := range n.Keys {
			c.addf(k.Member, n.From, "announces that a version has other keys of %s", k.Member)
		}
	}
	for _, n := range missing(old.Announced, next.Announced) {
		if n.From.After(c.now) {
			c.addf("", time.Time{}, "takes back what was announced for %s", words(n.From))
		}
	}
}

// String is the policy in words.
func (p WitnessPolicy) String() string {
	return fmt.Sprintf("%d key holders and %d outside", p.Holders, p.Outside)
}

// missing returns what is in a and not in b.
func missing[T any](a, b []T) []T {
	var list []T
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y T) bool { return reflect.DeepEqual(x, y) }) {
			list = append(list, x)
		}
	}
	return list
}
