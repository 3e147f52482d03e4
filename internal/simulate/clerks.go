package simulate

import (
	"context"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
)

// What clerks do with the records of their own state. What they were told is
// noted on the card: who was told that it is done must not be wrong.

// issue has a state check somebody and issue a card.
func (s *script) issue(state waypost.Jurisdiction, who *person) {
	if s.cardOf(who, state) != nil {
		return // one card of each state is enough for anybody
	}
	s.check(state, who, func(ctx context.Context, l *life, answer waypost.Answer) {
		if s.cardOf(who, state) != nil {
			return // they have moved here meanwhile: which of two cards a later check finds, nobody could say
		}
		c := s.newCard(state, who)
		c.first = true
		r := c.record()
		published, err := l.gateway.File().Issue(ctx, "clerk-1", records.Issuing{Ticket: answer.Ticket, Record: r, Override: "the simulation wants it"})
		s.trace.note("issued", c.id, published, waypost.CodeOf(err))
		if err == nil && !l.dead {
			c.fate = there
		}
	})
}

// change is something that a clerk does with a card. Where two do something with
// one card at the same time, nobody knows who comes last.
func (s *script) change(what string, c *card, after fate, do func(ctx context.Context, f *records.File, r waypost.Record) error) {
	s.act(what+" "+c.id, func(ctx context.Context) {
		l := s.role[string(c.state)].up()
		if l == nil {
			return
		}
		r, err := l.gateway.File().Record(ctx, c.id)
		if err != nil {
			return
		}
		before := c.fate
		c.acts, c.open, c.fate = c.acts+1, c.open+1, unsure
		mine, alone := c.acts, c.open == 1
		err = do(ctx, l.gateway.File(), r)
		c.open--
		s.trace.note(what, c.id, waypost.CodeOf(err))
		switch {
		case !alone || c.acts != mine || c.both:
			c.fate = unsure
		case l.dead || waypost.CodeOf(err) == waypost.Internal:
		case err == nil:
			c.fate = after
		default:
			c.fate = before // refused: nothing was done
		}
	})
}

// rename has somebody who holds a card take another name, which the state keeps as
// well or not.
func (s *script) rename(c *card) {
	family, keep := newNames[s.rng.IntN(len(newNames))], s.rng.IntN(2) == 0
	s.change("rename", c, there, func(ctx context.Context, f *records.File, r waypost.Record) error {
		r.Family = family
		c.who.Family = family
		_, err := f.Change(ctx, "clerk-1", r, keep)
		return err
	})
}

// withdraw takes a card out of the index.
func (s *script) withdraw(c *card) {
	c.out = true
	s.change("withdraw", c, gone, func(ctx context.Context, f *records.File, _ waypost.Record) error {
		_, err := f.Withdraw(ctx, "clerk-1", c.id)
		return err
	})
}

// compareIndex has a state compare its pointers with the hub's.
func (s *script) compareIndex(state waypost.Jurisdiction) {
	s.act("compare "+string(state), func(ctx context.Context) {
		if l := s.role[string(state)].up(); l != nil {
			result, err := l.gateway.File().Compare(ctx, "clerk-1")
			s.trace.note("compared", state, result.Pointers, result.Missing, result.Withdrawn, waypost.CodeOf(err))
		}
	})
}
