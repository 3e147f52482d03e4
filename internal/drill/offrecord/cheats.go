package offrecord

import (
	"context"
	"errors"
	"fmt"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill/hands"
	"github.com/waypost/waypost/internal/drill/notice"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// cheat is one way to answer off the record, and what came of it.
type cheat struct {
	party, attempted string
	play             func(ctx context.Context, c *cheat) error

	obtained string
	person   waypost.Person
	c        *notice.Case
}

func (p *play) cheats() []cheat {
	search := []string{"search_first", "search_second", "deliver"}
	return []cheat{
		{party: "the hub", attempted: "answers an honest state's search and leaves it out of its ledger",
			play: p.answers("hub", "CA", hands.Off(search...), true, "hub")},
		{party: "the hub and the state that asks", attempted: "the same, and the friend writes that its check was broken off and throws the receipts away",
			play: p.silent(search)},
		{party: "a state of record", attempted: "discloses a record to an honest state and does not write the disclosure down",
			play: p.answers("NV", "NV", hands.Off("disclose"), false, "NV")},
		{party: "a state of record", attempted: "the same, and writes down nothing of the whole question",
			play: p.answers("NV", "NV", hands.Off("notified", "continue", "disclose"), false, "NV")},
		{party: "a state of record", attempted: "the same, in a ledger that is otherwise in order: it says that it has declined",
			play: p.answers("NV", "NV", declined, false, "NV")},
		{party: "a key holder", attempted: "evaluates for an honest state and takes the entry out of its journal before it is published",
			play: p.evaluates("keyholder-2", []string{"keyholder-1", "keyholder-2", "keyholder-4"}, p.droppedAt("keyholder-2"), false)},
		{party: "a key holder and the state that asks", attempted: "evaluates without an entry, and the friend throws the receipt away",
			play: p.evaluates("keyholder-3", []string{"keyholder-1", "keyholder-3", "keyholder-4"}, hands.Off("evaluate"), true)},
	}
}

// honest makes checks until enough people are known about whom a check finds one
// record and says match.
func (p *play) honest(ctx context.Context) error {
	for _, owner := range []waypost.Jurisdiction{"CA", "NV"} {
		for _, r := range p.Records[owner] {
			if len(p.known[owner]) == 4 {
				break
			}
			a, err := p.check(ctx, "NY", r.Person)
			if err != nil {
				return err
			}
			if len(a.Candidates) == 1 && a.Candidates[0].Outcome == waypost.Match && a.Candidates[0].State == owner && len(a.Own) == 0 {
				p.known[owner] = append(p.known[owner], r)
			}
		}
		if len(p.known[owner]) < 2 {
			return fmt.Errorf("%s has too few people with one record", owner)
		}
	}
	return nil
}

// ask is an honest check of a person whom the owner knows; it must say match.
func (p *play) ask(ctx context.Context, state, owner waypost.Jurisdiction) (waypost.Answer, waypost.Person, error) {
	known := p.known[owner]
	p.asked++
	who := known[p.asked%len(known)].Person
	a, err := p.check(ctx, state, who)
	if err == nil && (a.Owed || a.Best() != waypost.Match) {
		err = fmt.Errorf("a check of a person whom %s knows says %q", owner, a.Best())
	}
	return a, who, err
}

// check asks at a counter and waits for the last answer.
func (p *play) check(ctx context.Context, state waypost.Jurisdiction, who waypost.Person) (waypost.Answer, error) {
	a, err := p.Whole(ctx, state, who, waypost.IssueRealID, fmt.Sprint("CASE-", p.asked))
	if err == nil && !a.Complete {
		err = errors.New("a check is not complete after minutes")
	}
	return a, err
}

// answers has a role act while a state asks about somebody.
func (p *play) answers(role string, owner waypost.Jurisdiction, act hands.Act, evidence bool, guilty ...string) func(context.Context, *cheat) error {
	return func(ctx context.Context, c *cheat) error {
		return p.hands.With(role, act, func() error {
			a, who, err := p.ask(ctx, asking, owner)
			if err != nil {
				return err
			}
			c.person, c.obtained = who, "the answer, as if all were well: match"
			c.c = p.watch.Add(&notice.Case{Ticket: a.Ticket, Guilty: guilty, Auditor: true, Evidence: evidence})
			return nil
		})
	}
}

// silent: hub and friend have agreed that there was no search. The owner was told.
func (p *play) silent(kinds []string) func(context.Context, *cheat) error {
	return func(ctx context.Context, c *cheat) error {
		return p.hands.With(string(asking), hands.Rename("outcome", "abandoned"), func() error {
			if err := p.answers("hub", "CA", hands.Off(kinds...), false, "hub", string(asking))(ctx, c); err != nil {
				return err
			}
			return p.forgetReceipts(ctx, c.c.Ticket)
		})
	}
}

// forgetReceipts throws away what others have signed under a ticket.
func (p *play) forgetReceipts(ctx context.Context, id waypost.TicketID) error {
	return hands.Edit(ctx, p.Exchange, string(asking), `DELETE FROM receipt WHERE ticket IN (SELECT signed FROM inquiry WHERE ticket = $1)`, id[:])
}

// evaluates has a key holder act, which is one of the three that are asked.
func (p *play) evaluates(holder string, quorum []string, act hands.Act, friend bool) func(context.Context, *cheat) error {
	guilty := []string{holder}
	if friend {
		guilty = append(guilty, string(asking))
	}
	return func(ctx context.Context, c *cheat) error {
		return p.hands.Asking(p.Exchange, asking, quorum, func() error {
			// Who threw the receipt away cannot show it; the hub was given it too.
			if err := p.answers(holder, "CA", act, true, guilty...)(ctx, c); err != nil || !friend {
				return err
			}
			return p.forgetReceipts(ctx, c.c.Ticket)
		})
	}
}

// droppedAt takes an evaluation out of the journal in the commit in which it got its
// number.
func (p *play) droppedAt(holder string) hands.Act {
	return func(_ *store.Tx, e *journal.Entry) bool {
		if e.Kind != "evaluate" {
			return true
		}
		p.Role(holder).DB.Later(func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal) AND kind = 'evaluate'`)
			return err
		})
		return true
	}
}

// declined writes down a disclosure as a decline.
var declined = hands.Rewrite("disclose", func(e *journal.Entry, fields map[string]string) {
	e.Kind, fields["outcome"] = "decline", string(waypost.NoMatch)
})
