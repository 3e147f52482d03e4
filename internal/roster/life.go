package roster

import "time"

const (
	maxGrants    = 128
	maxAnnounced = 16
	// maxMoments bounds the times at which one version changes by the clock.
	maxMoments = 64
	// farthest is how far ahead of a version's beginning any time in it lies, so
	// that a slip of the pen in a year is noticed.
	farthest = 400 * 24 * time.Hour
	// maxBurst is how long one grant may run.
	maxBurst = 92 * 24 * time.Hour
)

// checkTimes checks the times that lie inside a roster.
func (r *Roster) checkTimes() error {
	all := r.moments()
	if len(all) > maxMoments {
		return invalid("it changes by the clock at more than %d times", maxMoments)
	}
	for _, t := range all {
		if !wholeSecond(t) {
			return invalid("times are in UTC and whole seconds")
		}
		if t.After(r.NotBefore.Add(farthest)) {
			return invalid("the time %s lies more than 400 days ahead", words(t))
		}
	}
	return nil
}

func (r *Roster) checkGrants() error {
	if len(r.Grants) > maxGrants {
		return invalid("more than %d grants", maxGrants)
	}
	for i, g := range r.Grants {
		m, ok := r.Member(g.Member)
		switch {
		case !ok || m.Role != Gateway:
			return invalid("a grant is for a gateway of the roster")
		case g.Class != AttendedChecks && g.Class != UnattendedChecks && g.Class != PublishedElements:
			return invalid("grant to %s: the class is attended, unattended or publish", g.Member)
		case g.Extra < 1 || g.Extra > maxQuota:
			return invalid("grant to %s: it gives nothing, or an absurd number", g.Member)
		case g.From.IsZero() || !g.From.Before(g.Until) || g.Until.Sub(g.From) > maxBurst:
			return invalid("grant to %s: it runs from a time until a later one, at most 92 days", g.Member)
		}
		for _, other := range r.Grants[:i] {
			if other.Member == g.Member && other.Class == g.Class && g.From.Before(other.Until) && other.From.Before(g.Until) {
				return invalid("two grants to %s in class %s overlap: make it one", g.Member, g.Class)
			}
		}
	}
	return nil
}

func (r *Roster) checkAnnounced() error {
	if len(r.Announced) > maxAnnounced {
		return invalid("more than %d announcements", maxAnnounced)
	}
	for _, a := range r.Announced {
		if err := a.check(); err != nil {
			return err
		}
	}
	return nil
}

func (a Announcement) check() error {
	switch {
	case a.From.IsZero():
		return invalid("an announcement has a time from which a version may contain it")
	case len(a.Purposes) > maxPurposes || repeats(a.Purposes):
		return invalid("an announcement names at most %d purposes, each once", maxPurposes)
	case a.Threshold < 0 || a.Threshold > maxHolders:
		return invalid("an announced threshold is at most %d", maxHolders)
	case a.GroupKey != nil && len(a.GroupKey) != 32:
		return invalid("an announced group key is 32 bytes")
	case a.WitnessPolicy.Holders < 0 || a.WitnessPolicy.Outside < 0 || a.WitnessPolicy != (WitnessPolicy{}) && a.WitnessPolicy.Outside == 0:
		return invalid("an announced witness policy asks for an outside witness")
	case len(a.Witnesses) > maxWitnesses || len(a.Keys) > maxMembers:
		return invalid("an announcement is too long")
	}
	for _, w := range a.Witnesses {
		if err := w.check(); err != nil {
			return err
		}
	}
	for _, k := range a.Keys {
		if !nameShape.MatchString(k.Member) { // one that has left meanwhile may stay named
			return invalid("keys are announced for a member")
		}
		for _, key := range [][]byte{k.Identity, k.LogKey, k.WitnessKey} {
			if key != nil && !soundKey(key) {
				return invalid("a key announced for %s is not a sound Ed25519 key", k.Member)
			}
		}
	}
	if err := checkPurposes(a.Purposes); err != nil {
		return err
	}
	return checkAuditors(a.Auditors)
}

// limit is one field of a quota, with its name in the roster.
type limit struct {
	name  string
	limit *int
}

// fields lists the fields of a quota, always in the same order.
func (q *Quota) fields() []limit {
	return []limit{
		{"tickets_per_day", &q.TicketsPerDay},
		{"unattended_per_day", &q.UnattendedPerDay},
		{"tickets_per_operator_hour", &q.TicketsPerOperatorHour},
		{"operators", &q.Operators},
		{"publish_elements_per_day", &q.PublishElementsPerDay},
		{"publish_elements_for_a_load", &q.PublishElementsForALoad},
		{"follow_ups_per_day", &q.FollowUpsPerDay},
		{"republish_records", &q.RepublishRecords},
	}
}

// spelledOut returns two quotas as they are compared: where either says how many
// questions may follow checks, both do. Otherwise they follow the checks, and it
// is enough to compare these.
func spelledOut(a, b Quota) (Quota, Quota) {
	if a.FollowUpsPerDay != b.FollowUpsPerDay {
		a.FollowUpsPerDay, b.FollowUpsPerDay = a.FollowUps(), b.FollowUps()
	}
	return a, b
}
