package simulate

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/duplicate"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store"
)

// Two people who may be taken for each other, and are not.

// dispute is a wrong match that one state has corrected and the other confirmed.
type dispute struct {
	asking waypost.Jurisdiction
	who    waypost.Person // as they were then
	card   *card          // of somebody else
	acts   int            // done with the card by then
}

// namesakes are the people of folk who have one name and one date of birth.
var namesakes = [2]int{5, 6}

// clear has a state find a namesake's card and say that this is somebody else, and
// the other state agree.
func (s *script) clear(asking waypost.Jurisdiction) {
	n := s.rng.IntN(2)
	who, other := s.people[namesakes[n]], s.people[namesakes[1-n]]
	s.check(asking, who, func(_ context.Context, _ *life, answer waypost.Answer) {
		for _, a := range answer.Candidates {
			theirs := s.cardOf(other, a.State)
			if a.Outcome != waypost.Possible && a.Outcome != waypost.Match || theirs == nil || s.cardOf(who, a.State) != nil {
				continue
			}
			d := &dispute{asking, who.Person, theirs, theirs.acts}
			s.clearings = append(s.clearings, d)
			s.counter("clear", asking, func(ctx context.Context, l *life) {
				res, err := duplicate.Door{Cases: l.gateway.Cases()}.Clear(ctx, &waypostv1.ClearCaseRequest{
					Check: hex.EncodeToString(answer.Ticket[:]), Reference: hex.EncodeToString(a.Reference[:]), Text: "Another SSN, another photograph."})
				s.trace.note("clear", asking, theirs.id, waypost.CodeOf(err))
				if err == nil && !l.dead {
					s.agree(d, res.Id)
				}
			})
			return
		}
	})
}

// agree has the state of the record look at the case as soon as it has it.
func (s *script) agree(d *dispute, id string) {
	for _, later := range []time.Duration{5 * time.Second, time.Minute, time.Hour, 30 * time.Hour} {
		s.in(later, "agree", func() {
			s.counter("agree", d.card.state, func(ctx context.Context, l *life) {
				_, err := duplicate.Door{Cases: l.gateway.Cases()}.Decide(ctx, &waypostv1.DecideCaseRequest{Id: id, Outcome: "different", Text: "I agree."})
				s.trace.note("agree", d.card.id, waypost.CodeOf(err))
				if err == nil && !l.dead {
					s.disputes = append(s.disputes, d)
				}
			})
		})
	}
}

// agreed: both states see the same in every case that they share.
func (s *script) agreed() {
	type standing struct {
		state                 int
		outcome, ours, theirs string
	}
	cases := make(map[string]map[waypost.Jurisdiction]standing)
	var ids []string
	for _, st := range States {
		err := s.role[string(st)].life.db.Read(context.Background(), func(tx *store.Tx) error {
			return tx.Query(`SELECT id, state, outcome, ours, theirs FROM duplicate WHERE other <> '' ORDER BY id`, nil, func(scan func(dest ...any) error) error {
				var id []byte
				var c standing
				err := scan(&id, &c.state, &c.outcome, &c.ours, &c.theirs)
				if cases[string(id)] == nil {
					cases[string(id)] = make(map[waypost.Jurisdiction]standing)
					ids = append(ids, string(id))
				}
				cases[string(id)][st] = c
				return err
			})
		})
		if err != nil {
			s.failf("%s: %v", st, err)
		}
	}
	for _, id := range ids {
		var seen []standing
		for _, st := range States {
			if c, ok := cases[id][st]; ok {
				seen = append(seen, c)
			}
		}
		if len(seen) != 2 || seen[0].state != seen[1].state || seen[0].outcome != seen[1].outcome || seen[0].ours != seen[1].theirs || seen[0].theirs != seen[1].ours {
			s.failf("two states do not see the same in the case %x: %+v", id[:4], seen)
		}
	}
}

// mayHide reports whether a state has asked that somebody like the holder of a card
// be cleared: they are known apart by nothing that may be told, so the holder is
// hidden too, unless the card is shown.
func (s *script) mayHide(asking waypost.Jurisdiction, c *card) bool {
	return slices.ContainsFunc(s.clearings, func(d *dispute) bool { return d.asking == asking && d.card == c && c.who.like(d.who) })
}

// raisedAgain: a wrong match that was cleared is not raised again, as long as
// neither the person nor the record has changed.
func (s *script) raisedAgain() {
	for _, d := range s.disputes {
		if d.card.acts != d.acts || d.card.both || !s.indexed(d.card) {
			continue
		}
		s.act("raise again", func(ctx context.Context) {
			why := gateway.Counter{Operator: "clerk-2", Class: waypost.Attended, Purpose: waypost.IssueLicence, Case: "AGAIN"}
			answer, err := s.role[string(d.asking)].life.gateway.Check(ctx, gateway.Applicant{Person: d.who}, why)
			if err != nil || answer.Owed {
				s.failf("a check in the end: %v, owed %v", err, answer.Owed)
				return
			}
			for _, a := range answer.Candidates {
				if a.State == d.card.state && a.Outcome != waypost.NoMatch && s.only(d.card) {
					s.failf("%s was cleared for an applicant of %s, and is raised again as %q", d.card.id, d.asking, a.Outcome)
				}
			}
		})
		s.until(s.now.Add(10 * time.Second))
		return // one is enough in each world
	}
}

// only reports whether no other card of that state is of anybody like its holder.
func (s *script) only(c *card) bool {
	for _, o := range s.cards {
		if o != c && o.state == c.state && o.who.like(c.who.Person) && s.indexed(o) {
			return false
		}
	}
	return true
}
