package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
)

// script is what people and clerks do in one world, and what the network does to
// them.
type script struct {
	*world
	cases int
	// generation is the number of the last that somebody was loaded into.
	generation uint32
	journeys   []*journey
	items      []*item
	disputes   []*dispute
	clearings  []*dispute // also those of which nobody knows whether they were agreed to
	result     Result     // as far as it is known
}

// play does a number of things, one after the other or at the same time.
func (s *script) play() {
	for range 8 + s.rng.IntN(8) {
		s.something()
		s.pause()
	}
}

// something is one thing that happens.
func (s *script) something() {
	total := 0
	for _, h := range happenings {
		total += h.weight
	}
	n := s.rng.IntN(total)
	for _, h := range happenings {
		if n -= h.weight; n < 0 {
			h.do(s)
			return
		}
	}
}

// happenings are the things that happen, and how often.
var happenings = []struct {
	weight int
	do     func(s *script)
}{
	{4, func(s *script) { s.check(s.someState(), s.someone(), nil) }},
	{3, func(s *script) { s.issue(s.someState(), s.someone()) }},
	{3, func(s *script) { s.rename(s.someCard()) }},
	{1, func(s *script) { s.withdraw(s.someCard()) }},
	{1, func(s *script) { s.compareIndex(s.someState()) }},
	{12, func(s *script) {
		c := s.someCard()
		s.move(s.otherState(c.state), c.who)
	}},
	{2, func(s *script) {
		c := s.someCard()
		s.terminate(s.otherState(c.state), c.who)
	}},
	{1, func(s *script) { s.object(s.someState()) }},
	{5, func(s *script) { s.convict(s.someState(), s.someCard()) }},
	{1, func(s *script) { s.load(s.someState()) }},
	{1, func(s *script) { s.lie() }},
	{2, func(s *script) { s.clear(s.someState()) }},
	{2, func(s *script) { s.crashSomebody() }},
	{2, func(s *script) { s.partSomebody() }},
}

// pause is the time until the next thing: often too short for the one before to
// be over.
func (s *script) pause() {
	switch n := s.rng.IntN(20); {
	case n < 10:
		s.until(s.now.Add(time.Duration(s.rng.IntN(2000)) * time.Millisecond))
	case n < 15:
		s.pass(time.Duration(s.rng.IntN(20))*time.Second, 5*time.Second)
	case n < 18:
		s.pass(time.Duration(s.rng.IntN(60))*time.Minute, 10*time.Minute)
	default:
		s.pass(time.Duration(s.rng.IntN(80))*time.Hour, 12*time.Hour)
	}
}

func (s *script) someState() waypost.Jurisdiction { return States[s.rng.IntN(len(States))] }
func (s *script) otherState(than waypost.Jurisdiction) waypost.Jurisdiction {
	at := slices.Index(States, than)
	return States[(at+1+s.rng.IntN(len(States)-1))%len(States)]
}
func (s *script) someone() *person { return s.people[s.rng.IntN(len(s.people))] }
func (s *script) someCard() *card  { return s.cards[s.rng.IntN(len(s.cards))] }
func (s *script) someRole() *role  { return s.roles[s.rng.IntN(len(s.roles))] }

// check has a clerk check somebody, and go on from there once the answer is
// complete: at once, or when the clerk looks again.
func (s *script) check(state waypost.Jurisdiction, who *person, then func(ctx context.Context, l *life, answer waypost.Answer)) {
	s.cases++
	why := gateway.Counter{Operator: "clerk-1", Class: waypost.Attended, Purpose: waypost.IssueLicence, Case: fmt.Sprintf("CASE-%d", s.cases)}
	s.act("check "+string(state), func(ctx context.Context) {
		l := s.role[string(state)].up()
		if l == nil {
			return
		}
		answer, err := l.gateway.Check(ctx, gateway.Applicant{Person: who.Person}, why)
		s.trace.note("answer", state, answer.TicketHex, answer.Best(), answer.Owed, waypost.CodeOf(err))
		s.tooEarly(who, answer)
		if err != nil || l.dead || then == nil {
			return
		}
		for _, later := range []time.Duration{0, 5 * time.Second, 25 * time.Second, 4 * time.Minute, time.Hour, 10 * time.Hour, 48 * time.Hour} {
			s.sleep(later)
			if l = s.role[string(state)].up(); l == nil {
				continue
			}
			if answer, err = l.gateway.Answer(ctx, answer.Ticket); err == nil && answer.Complete {
				s.tooEarly(who, answer)
				then(ctx, l, answer)
				return
			}
		}
	})
}

// lookUp has the holder of a card checked once more, when all is over, and
// compares the answer with what the states have on file.
func (s *script) lookUp(c *card) {
	r, ok := s.onFile(c)
	if !ok {
		return
	}
	state := s.someState()
	s.act("look up", func(ctx context.Context) {
		why := gateway.Counter{Operator: "clerk-2", Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: "LAST"}
		answer, err := s.role[string(state)].life.gateway.Check(ctx, gateway.Applicant{Person: r.Person}, why)
		if err != nil || answer.Owed {
			s.failf("a check in the end: %v, owed %v", err, answer.Owed)
			return
		}
		s.compare(state, c, r, answer)
	})
	s.until(s.now.Add(10 * time.Second))
}

// compare holds an answer against the truth: the state that has the card in the
// index says so, or is silent where its holder is protected; and who has no card
// of anybody like that says nothing.
func (s *script) compare(state waypost.Jurisdiction, c *card, r waypost.Record, answer waypost.Answer) {
	found := make(map[waypost.Jurisdiction]waypost.Outcome)
	for _, a := range answer.Candidates {
		if a.Outcome != waypost.NoMatch && found[a.State] != waypost.Match {
			found[a.State] = a.Outcome
		}
	}
	for _, o := range answer.Own {
		found[state] = o.Outcome
	}
	got := found[c.state]
	switch {
	case !s.visibleTo(state, c) || got == waypost.Match || got == waypost.Possible:
	case r.Protected && c.state != state && got == waypost.Pending:
	case s.mayHide(state, c): // the namesake of the one who was cleared
	default:
		s.failf("%s asks about the holder of %s, which is in the index, and is told %q", state, c.id, got)
	}
	for _, st := range States {
		if found[st] != "" && !slices.ContainsFunc(s.cards, func(o *card) bool { return o.state == st && o.who.like(r.Person) && s.visibleTo(state, o) }) {
			s.failf("%s asks about the holder of %s: %s says %q, and has no such card in the index", state, c.id, st, found[st])
		}
	}
}

// settle ends all trouble and lets everything come to its end.
func (s *script) settle() {
	s.faults.over = true
	since := s.now.Add(-3 * 24 * time.Hour).Unix() // what was sent then arrives
	for _, r := range s.roles {
		s.in(0, "start "+r.name, r.revive)
	}
	for _, p := range []struct{ d, every time.Duration }{
		{10 * time.Second, 3 * time.Second}, {3 * time.Minute, time.Minute}, {3 * time.Hour, time.Hour},
		{16 * 24 * time.Hour, 4 * 24 * time.Hour}, {17 * 24 * time.Hour, 8 * 24 * time.Hour}, {2 * time.Hour, time.Hour},
	} {
		s.pass(p.d, p.every)
		s.counted()
		for _, st := range States {
			s.mail(st)
		}
	}
	s.answered(since)
	s.agreed()
	s.raisedAgain()
	for range 2 {
		s.lookUp(s.cards[s.rng.IntN(len(s.cards))])
	}
	s.pass(20*24*time.Hour, 10*24*time.Hour)
	s.pass(2*time.Minute, time.Minute) // until a question that is never answered is over
}
