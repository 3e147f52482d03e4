package driver

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// A driver moves about while states report, in any order and with decisions that
// are out of date when they are committed. In the end every item that was accepted
// stands once in the history of the state of record, and every report has a word.
func TestNothingLostOrDoubled(t *testing.T) {
	homes := []waypost.Jurisdiction{"AZ", "CA", "UT"}
	rig, drivers := newRig(t, "NV", "AZ", "CA", "UT"), 0
	rapid.Check(t, func(rt *rapid.T) {
		drivers++ // one after the other, in the same databases
		rig.wire = nil
		m := model{rig: rig, driver: drivers, home: "CA", record: fmt.Sprintf("CA-%d-0", drivers)}
		rec := jane(t, m.record, fmt.Sprintf("D%d", drivers))
		m.card = shows(rec, "CA")
		m.states["CA"].add(rec)
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				m.newItem(rapid.Bool().Draw(rt, "negate"))
			case 1, 2:
				if len(m.wire) > 0 {
					m.touch(rapid.IntRange(0, len(m.wire)-1).Draw(rt, "errand"), rapid.Bool().Draw(rt, "only decide"))
				}
			case 3:
				if m.finish == nil && m.moves < maxHops {
					away := slices.DeleteFunc(slices.Clone(homes), func(j waypost.Jurisdiction) bool { return j == m.home })
					m.leaveFor(rapid.SampledFrom(away).Draw(rt, "to"))
				}
			case 4:
				m.arrive()
			default:
				j := rapid.SampledFrom(m.order).Draw(rt, "steps")
				m.now = m.now.Add(time.Minute)
				m.must(m.states[j].desk.Step(context.Background()))
			}
		}
		m.arrive()
		for range 3 {
			m.settle()
			m.now = m.now.Add(2 * time.Hour)
		}
		m.settle()
		m.check(rt)
	})
}

// model is what should come of it.
type model struct {
	*rig
	driver int
	home   waypost.Jurisdiction
	record string
	card   *waypostv1.Applicant
	items  []Item
	moves  int
	finish func()
}

// newItem reports a conviction, or cancels the newest one.
func (m *model) newItem(negate bool) {
	i := item(m.t.(*testing.T), Conviction, fmt.Sprintf("C-%d-%d", m.driver, len(m.items)))
	if negate && len(m.items) > 0 && m.items[len(m.items)-1].Type == Conviction {
		target := m.items[len(m.items)-1].ID
		i = item(m.t.(*testing.T), Negate, fmt.Sprintf("N-%d-%d", m.driver, len(m.items)))
		i.Linked = target
	}
	m.items = append(m.items, i)
	for range 2 {
		_, err := (Door{m.states["NV"].desk}).Report(context.Background(), &waypostv1.ReportRequest{Item: i.Proto(), Driver: m.card})
		m.must(err)
	}
}

// touch has an errand decided, or decided and committed.
func (m *model) touch(n int, onlyDecide bool) {
	p := m.wire[n]
	if !onlyDecide || p.asked {
		m.deliver(p)
		return
	}
	if p.question.Body == nil {
		p.question = m.questionOf(p)
	}
	if res, err := m.states[p.mine.To].desk.answer(context.Background(), p.question); err == nil {
		p.stale = &res
	}
}

func (m *model) leaveFor(to waypost.Jurisdiction) {
	m.moves++
	record := fmt.Sprintf("%s-%d-%d", to, m.driver, m.moves)
	finish := m.leave(m.home, to, m.record, record)
	m.finish = func() {
		finish()
		m.home, m.record = to, record
	}
}

func (m *model) arrive() {
	if m.finish != nil {
		m.finish()
		m.finish = nil
	}
}

func (m *model) check(rt *rapid.T) {
	var want []string
	for _, i := range m.items {
		want = append(want, i.Reference)
		if s := m.standing("NV", i.ID); s.Word != Accepted {
			rt.Errorf("the report of %s: %v", i.Reference, s)
		}
	}
	got := m.states[m.home].book(m.record)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		rt.Errorf("%s is the state of record and has %q, want %q", m.home, got, want)
	}
	negated := make(map[ItemID]bool)
	for _, i := range m.items {
		negated[i.Linked] = negated[i.Linked] || i.Type == Negate
	}
	for _, e := range m.states[m.home].entries(m.record) {
		if (e.NegatedBy != ItemID{}) != negated[e.ID] {
			rt.Errorf("%s is cancelled by %s", e.Reference, e.NegatedBy)
		}
	}
}
