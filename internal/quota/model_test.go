package quota_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/quota"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// model says what the counters should: by name of counter and window, what is
// used, and by the same name and a level, whether that was said.
type model struct {
	quota  roster.Quota
	grants []roster.Grant
	used   map[string]int
	said   map[string]bool
}

// limited is a counter of the model.
type limited struct {
	class, window string
	n, limit      int
}

func (l limited) name() string { return l.class + " of " + l.window }

// counters are the counters that the ticket needs and, in order, those that may
// take it instead.
func (m *model) counters(t waypost.Ticket, at time.Time) (need, instead []limited) {
	day := at.Format(time.DateOnly)
	grant := roster.AttendedChecks
	switch {
	case t.Kind.Errand():
		limit := m.quota.FollowUpsPerDay
		if limit == 0 {
			limit = m.quota.TicketsPerDay
		}
		return []limited{{"follow_ups", day, 1, limit}}, nil
	case t.Kind.Upkeep():
		return []limited{{"upkeep", day, 1, 1024}}, nil
	case t.Kind == waypost.KindPublish || t.Kind == waypost.KindChange:
		grant = roster.PublishedElements
		need = []limited{{"publish", day, t.Elements, m.quota.PublishElementsPerDay}}
		instead = []limited{{"load", "ever", t.Elements, m.quota.PublishElementsForALoad}}
	case t.Class == waypost.Unattended:
		grant = roster.UnattendedChecks
		need = []limited{{"tickets", day, 1, m.quota.TicketsPerDay}, {"unattended", day, 1, m.quota.UnattendedPerDay}}
	default:
		need = []limited{{"tickets", day, 1, m.quota.TicketsPerDay}}
	}
	for _, g := range m.grants {
		if g.Member == "" && g.Class == grant && !at.Before(g.From) && at.Before(g.Until) {
			instead = append([]limited{{"grant_" + string(g.Class), g.From.String(), need[0].n, g.Extra}}, instead...)
		}
	}
	return need, instead
}

// charge counts the ticket and returns the alarms, or counts nothing.
func (m *model) charge(t waypost.Ticket, at time.Time) (alarms map[string]int64, admitted bool) {
	before := maps.Clone(m.used)
	taken, instead := m.counters(t, at)
	for i := -1; !m.fits(taken); i++ {
		if i+1 == len(instead) {
			return nil, false
		}
		taken = []limited{instead[i+1]}
	}
	if t.Class == waypost.Attended {
		operator := fmt.Sprint(t.Operator[0])
		met := "met " + operator + at.Format(time.DateOnly)
		class := "operator"
		if t.Kind != waypost.KindCheck {
			class = "follow_ups_operator"
		}
		taken = append(taken, limited{class, operator + at.Format(" 2006-01-02 15"), 1, m.quota.TicketsPerOperatorHour})
		if m.used[met]++; m.used[met] == 1 {
			taken = append(taken, limited{"operators", at.Format(time.DateOnly), 1, m.quota.Operators})
		}
	}
	if !m.fits(taken) {
		m.used = before
		return nil, false
	}
	alarms = make(map[string]int64)
	for _, l := range taken {
		m.used[l.name()] += l.n
		for _, level := range []int64{80, 100} {
			said := fmt.Sprint(l.name(), level)
			if int64(m.used[l.name()])*100 >= int64(l.limit)*level && !m.said[said] {
				m.said[said] = true
				alarms[l.class] = level
			}
		}
	}
	return alarms, true
}

func (m *model) fits(all []limited) bool {
	for _, l := range all {
		if m.used[l.name()]+l.n > l.limit {
			return false
		}
	}
	return true
}

var errUndo = errors.New("undone")

// Over any stream of tickets, rolled-back commits, restarts, forgetting and
// clocks at the edges of windows, what is admitted and what is raised is what
// the model says; and at the time that a refusal names, the ticket is admitted.
func TestAgainstModel(t *testing.T) {
	dir, round := t.TempDir(), 0
	c := counter{db: openAt(t, dir), share: quota.Whole}
	defer func() {
		if err := c.db.Close(); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := drawModel(rt)
		c.member = roster.Member{Name: fmt.Sprint("AZ", round), Quota: m.quota} // one that has used nothing
		c.grants = grantsTo(c.member.Name, m.grants)
		at := start
		for range rapid.IntRange(1, 16).Draw(rt, "steps") {
			at = drawTime(rt, at)
			ticket := drawTicket(rt)
			switch rapid.IntRange(0, 40).Draw(rt, "what") {
			case 0:
				if err := c.db.Close(); err != nil {
					rt.Fatal(err)
				}
				c.db = openAt(t, dir)
			case 1:
				if err := c.db.Write(t.Context(), func(tx *store.Tx) error { return quota.Expire(tx, at) }); err != nil {
					rt.Fatal(err)
				}
			case 2, 3, 4, 5:
				if err := c.probe(t, ticket, at); err != nil && waypost.CodeOf(err) != waypost.QuotaExceeded {
					rt.Fatal(err)
				}
			default:
				c.step(t, rt, m, ticket, at)
			}
		}
	})
}

// step charges a ticket and compares with the model.
func (c counter) step(t *testing.T, rt *rapid.T, m *model, ticket waypost.Ticket, at time.Time) {
	raised, err := c.alarmed(ticket, at)
	want, admitted := m.charge(ticket, at)
	if (err == nil) != admitted || err != nil && waypost.CodeOf(err) != waypost.QuotaExceeded {
		rt.Fatalf("%s %s of %d elements by %d at %v: %v, the model says %v: %v", ticket.Kind, ticket.Class, ticket.Elements, ticket.Operator[0], at, err, admitted, m.used)
	}
	got := make(map[string]int64)
	for _, a := range raised {
		got[a.Class] = a.Level
	}
	if !maps.Equal(got, want) || len(raised) != len(want) {
		rt.Fatalf("at %v alarms %v, the model says %v", at, raised, want)
	}
	again := waypost.RetryAfterOf(err)
	if again.IsZero() || len(m.grants) > 0 { // a grant may begin or end meanwhile
		return
	}
	if err := c.probe(t, ticket, again.Add(-time.Nanosecond)); waypost.CodeOf(err) != waypost.QuotaExceeded {
		rt.Fatalf("refused at %v until %v, and admitted before: %v", at, again, err)
	}
	if err := c.probe(t, ticket, again); err != nil {
		rt.Fatalf("refused at %v until %v, and then: %v", at, again, err)
	}
}

// probe charges and undoes it, as a commit that fails does.
func (c counter) probe(t *testing.T, ticket waypost.Ticket, at time.Time) error {
	err := c.db.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := quota.Charge(tx, c.limits(), ticket, at); err != nil {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}

func drawModel(t *rapid.T) *model {
	few := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	m := &model{used: make(map[string]int), said: make(map[string]bool), quota: roster.Quota{
		TicketsPerDay: few("tickets", 8), UnattendedPerDay: few("unattended", 5), TicketsPerOperatorHour: 1 + few("operator", 3), Operators: 1 + few("operators", 2),
		PublishElementsPerDay: few("publish", 50), PublishElementsForALoad: few("load", 80), FollowUpsPerDay: few("follow-ups", 6),
	}}
	if !rapid.Bool().Draw(t, "granted") {
		return m
	}
	for _, class := range []roster.GrantClass{roster.AttendedChecks, roster.UnattendedChecks, roster.PublishedElements} {
		from := start.Add(time.Duration(few("from", 10)) * time.Hour)
		until := from.Add(time.Duration(1+few("until", 40)) * time.Hour)
		for range few("grants", 2) { // one after the other
			m.grants = append(m.grants, roster.Grant{Class: class, Extra: few("extra", 30), From: from, Until: until})
			from, until = until, until.Add(time.Duration(1+few("longer", 40))*time.Hour)
		}
	}
	return m
}

// grantsTo gives the grants to the member, and as much to another.
func grantsTo(member string, all []roster.Grant) (signed []roster.Grant) {
	for _, g := range all {
		g.Member = "CA"
		signed = append(signed, g)
		g.Member = member
		signed = append(signed, g)
	}
	return signed
}

// drawTime goes on, sometimes to the last moment of a window or the first of
// the next.
func drawTime(t *rapid.T, at time.Time) time.Time {
	next := at.Truncate(time.Hour).Add(time.Hour)
	switch rapid.IntRange(0, 9).Draw(t, "clock") {
	case 0:
		return next.Add(-time.Nanosecond)
	case 1:
		return next
	case 2:
		return at.Truncate(24 * time.Hour).Add(24 * time.Hour)
	case 3:
		return at.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "hours")) * time.Hour)
	}
	return at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
}

func drawTicket(t *rapid.T) waypost.Ticket {
	switch rapid.IntRange(0, 7).Draw(t, "ticket") {
	case 0:
		return publish(rapid.IntRange(1, 4).Draw(t, "records"))
	case 2:
		again := publish(rapid.IntRange(1, 4).Draw(t, "records"))
		again.Kind = waypost.KindChange
		return again
	case 3:
		return question(byte(rapid.IntRange(1, 4).Draw(t, "operator")))
	case 4:
		asked := question(1)
		asked.Class = waypost.Unattended
		return asked
	case 5:
		return housework()
	case 1:
		return unattended()
	}
	return check(byte(rapid.IntRange(1, 4).Draw(t, "operator")))
}
