package simulate

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/move"
	"github.com/waypost/waypost/internal/rpc"
)

// What happens between two states about one record.

// journey is a change of state of record that was begun.
type journey struct {
	from, to *card
	id       [16]byte
}

// item is one of driver history that some state was given.
type item struct {
	id       driver.ItemID
	reporter waypost.Jurisdiction
	card     *card // that it was given for
	own      bool  // the state put it into its own book, and that was confirmed
}

const told = "You can have one licence only. Which one do you want to keep?"

// cardOf is the card that a person has of a state, or nil.
func (s *script) cardOf(p *person, st waypost.Jurisdiction) *card {
	for _, c := range s.cards {
		if c.state == st && c.who == p {
			return c
		}
	}
	return nil
}

// found has a state check somebody, and goes on with a card of another state that
// the check has found to be theirs.
func (s *script) found(state waypost.Jurisdiction, who *person, then func(ctx context.Context, l *life, answer waypost.Answer, ref waypost.Reference, theirs *card)) {
	s.check(state, who, func(ctx context.Context, l *life, answer waypost.Answer) {
		for _, a := range answer.Candidates {
			if theirs := s.cardOf(who, a.State); a.Outcome == waypost.Match && theirs != nil && !l.dead {
				then(ctx, l, answer, a.Reference, theirs)
				return
			}
		}
	})
}

// move has somebody become a driver of another state.
func (s *script) move(state waypost.Jurisdiction, who *person) {
	s.found(state, who, func(ctx context.Context, l *life, answer waypost.Answer, ref waypost.Reference, theirs *card) {
		mine := s.cardOf(who, state)
		if mine == nil {
			mine = s.newCard(state, who)
		} else if s.indexed(mine) {
			return // has one there already: that is a matter of ending a card
		}
		id, err := l.gateway.Moves().Start(ctx, move.Start{
			Check: answer.Ticket, Reference: ref, Record: mine.id, CardNumber: mine.record().CardNumber, Told: told, Language: "en", Operator: "clerk-1",
		})
		l.role.work(step)
		s.trace.note("move", theirs.id, mine.id, waypost.CodeOf(err))
		theirs.fate, mine.fate = unsure, unsure
		theirs.both, mine.both = true, true
		if err != nil && waypost.CodeOf(err) != waypost.Internal {
			return
		}
		j := &journey{theirs, mine, id}
		s.journeys = append(s.journeys, j)
		switch s.rng.IntN(6) {
		case 0:
			s.in(time.Duration(s.rng.Int64N(int64(time.Minute))), "cancel", func() { s.cancel(j) })
		case 1, 2: // at the worst moment: when the hub is being asked
			s.during(j, movePassing, func() { s.cancel(j) })
		case 3, 4: // when the history has been sent, and the record has not gone
			s.during(j, moveArrived, func() { s.convict(theirs.state, theirs) })
		}
	})
}

// cancel has the person change their mind.
func (s *script) cancel(j *journey) {
	if l := s.role[string(j.to.state)].up(); l != nil {
		err := l.gateway.Moves().Cancel(context.Background(), j.id)
		s.trace.note("cancel", j.to.id, waypost.CodeOf(err))
	}
}

// during does something as soon as a move has come so far, and is not over.
func (s *script) during(j *journey, from int64, do func()) {
	s.in(0, "during", func() {
		for i := range 200 {
			s.sleep(time.Duration(1+i*i) * time.Millisecond)
			l := s.role[string(j.to.state)].up()
			if l == nil {
				continue
			}
			if at := s.number(l.db, `SELECT coalesce((SELECT state FROM move WHERE id = $1), 6)`, j.id[:]); at >= from {
				if at < moveDone {
					do()
				}
				return
			}
		}
	})
}

// terminate has a state ask another to end somebody's card.
func (s *script) terminate(state waypost.Jurisdiction, who *person) {
	surrendered, keep := s.rng.IntN(4) == 0, s.rng.IntN(4) == 0
	s.found(state, who, func(ctx context.Context, l *life, answer waypost.Answer, ref waypost.Reference, theirs *card) {
		_, err := l.gateway.Moves().Terminate(ctx, move.Choice{
			Check: answer.Ticket, Reference: ref, KeepOld: keep, Surrendered: surrendered && !keep, Told: told, Language: "en", Operator: "clerk-1",
		})
		l.role.work(step)
		s.trace.note("terminate", theirs.id, waypost.CodeOf(err))
		theirs.fate, theirs.out, theirs.both = unsure, true, true
	})
}

// counter has somebody do something at a state's counter, if it is up.
func (s *script) counter(name string, state waypost.Jurisdiction, do func(ctx context.Context, l *life)) {
	s.act(name+" "+string(state), func(ctx context.Context) {
		if l := s.role[string(state)].up(); l != nil {
			do(rpc.WithOperator(ctx, "clerk-1"), l)
			l.role.work(step) // what was begun goes on
		}
	})
}

// mail has a state mail the letters that it has written.
func (s *script) mail(state waypost.Jurisdiction) {
	s.counter("mail", state, func(ctx context.Context, l *life) {
		door := l.gateway.Moves().Door()
		open, err := door.Letters(ctx, &waypostv1.LettersRequest{})
		if err != nil {
			return
		}
		var ids []string
		for _, letter := range open.Letters {
			ids = append(ids, letter.Id)
		}
		if len(ids) > 0 {
			_, err = door.Letters(ctx, &waypostv1.LettersRequest{Mailed: ids})
			s.trace.note("mailed", state, len(ids), waypost.CodeOf(err))
		}
	})
}

// object has residents object to the ending of their cards, and a person decide.
func (s *script) object(state waypost.Jurisdiction) {
	s.counter("object", state, func(ctx context.Context, l *life) {
		door := l.gateway.Moves().Door()
		all, err := door.Terminations(ctx, &waypostv1.TerminationsRequest{})
		if err != nil {
			return
		}
		for _, t := range all.Terminations {
			if !t.Ours || l.dead {
				continue
			}
			_, err := door.Object(ctx, &waypostv1.ObjectRequest{Id: t.Id, Words: "I want to keep it."})
			s.trace.note("object", state, waypost.CodeOf(err))
			if err != nil || l.dead {
				continue
			}
			decision := &waypostv1.DecideTerminationRequest{Id: t.Id, Decision: []string{"end", "keep", "decline"}[s.rng.IntN(3)]}
			if decision.Decision == "decline" {
				decision.Reason = "objection"
			}
			_, err = door.Decide(ctx, decision)
			s.trace.note("decide", state, decision.Decision, waypost.CodeOf(err))
		}
	})
}

// convict has a state report a conviction of the holder of a card: to the state
// that the card is of, which may not be the state of record any more. To its own
// cards it adds it by itself.
func (s *script) convict(state waypost.Jurisdiction, c *card) {
	s.cases++
	reference := fmt.Sprintf("DOCKET-%d", s.cases)
	day := s.now.Add(-10 * 24 * time.Hour).Format(time.DateOnly)
	conviction := &waypostv1.Item{Type: string(driver.Conviction), Reference: reference, Code: "S92", Occurred: "2026-01-05", Convicted: day, Speed: 88, Limit: 65}
	s.counter("convict "+c.id+" in", state, func(ctx context.Context, l *life) {
		owner := s.role[string(c.state)].up()
		if owner == nil {
			return
		}
		r, err := owner.gateway.File().Record(ctx, c.id)
		if err != nil {
			return
		}
		door := driver.Door{Desk: l.gateway.Desk()}
		i := &item{id: driver.IDOf(driver.Conviction, state, reference), reporter: state, card: c}
		if c.state == state {
			res, err := door.AddOwn(ctx, &waypostv1.AddOwnRequest{Record: c.id, Items: []*waypostv1.Item{conviction}})
			s.trace.note("own item", c.id, res.GetAdded(), waypost.CodeOf(err))
			i.own = err == nil && !l.dead && res.Added == 1
			s.items = append(s.items, i)
			return
		}
		s.items = append(s.items, i)
		res, err := door.Report(ctx, &waypostv1.ReportRequest{Item: conviction, Driver: &waypostv1.Applicant{
			Family: r.Family, Given: r.Given, Born: r.Born.String(), Sex: string(r.Sex), CardNumber: r.CardNumber, CardState: string(c.state),
		}})
		s.trace.note("report", c.id, hex.EncodeToString(i.id[:4]), res.GetState(), res.GetWord(), waypost.CodeOf(err))
	})
}
