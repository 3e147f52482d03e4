package roster

import (
	"slices"
	"time"
)

// InForce returns what the roster amounts to at the time: the members who have
// joined and are not removed, with the quota and the capabilities they have
// then, and the grants that run. The hub stays in the list even if it is
// removed. The result may be r itself; its text and hash are not those of what
// was signed, and it is no base for a successor.
func (r *Roster) InForce(at time.Time) *Roster {
	if len(r.moments()) == 0 && !slices.ContainsFunc(r.Members, func(m Member) bool { return m.Removed }) {
		return r
	}
	f := *r
	f.shares = r.Holders()
	f.Members, f.Grants = nil, nil
	for _, m := range r.Members {
		if m.Role == Hub || m.inForce(at) {
			f.Members = append(f.Members, m.at(at))
		}
	}
	for _, g := range r.Grants {
		if _, ok := f.Member(g.Member); ok && g.inForce(at) {
			f.Grants = append(f.Grants, g)
		}
	}
	return &f
}

// Grant returns the grant to the member in the class that runs at the time, if
// there is one.
func (r *Roster) Grant(member string, class GrantClass, at time.Time) (Grant, bool) {
	for _, g := range r.Grants {
		if g.Member == member && g.Class == class && g.inForce(at) {
			return g, true
		}
	}
	return Grant{}, false
}

func (m Member) inForce(at time.Time) bool { return !m.Removed && !at.Before(m.From) }

func (g Grant) inForce(at time.Time) bool { return !at.Before(g.From) && at.Before(g.Until) }

// at is the member with its rise, once that is due.
func (m Member) at(t time.Time) Member {
	if m.Rise.From.IsZero() || t.Before(m.Rise.From) {
		return m
	}
	if m.Rise.Quota != (Quota{}) {
		m.Quota = m.Rise.Quota
	}
	m.Capabilities = slices.Concat(m.Capabilities, m.Rise.Capabilities)
	m.Rise = Rise{}
	return m
}

// moments are the times at which what is in force or announced changes by the
// clock, in order, each once. Between two of them nothing changes.
func (r *Roster) moments() []time.Time {
	var all []time.Time
	for _, m := range r.Members {
		all = append(all, m.From, m.Rise.From)
	}
	for _, g := range r.Grants {
		all = append(all, g.From, g.Until)
	}
	for _, a := range r.Announced {
		all = append(all, a.From)
	}
	all = slices.DeleteFunc(all, time.Time.IsZero)
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}
