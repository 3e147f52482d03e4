package offrecord

import (
	"context"
	"fmt"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/hands"
	"github.com/waypost/waypost/internal/drill/notice"
	"github.com/waypost/waypost/internal/store"
)

// talk is a disclosure that two states have agreed on, and what stands in the ledgers of
// others all the same.
type talk struct {
	c         *notice.Case
	answered  waypost.Outcome
	disclosed int // entries of the owner that it told anything
	delivered int // of the hub, that a candidate was shown
	evaluated int // of all key holders
}

// talk: the state of record discloses, keeps that off the record and all else in order;
// the friend writes that its check was broken off.
func (p *play) talk(ctx context.Context) (t talk, err error) {
	const other = waypost.Jurisdiction("NV")
	count := func(sign int) error {
		for _, m := range p.Roster().Holders() {
			if err := p.count(ctx, m.Name, "evaluate", sign, &t.evaluated); err != nil {
				return err
			}
		}
		if err := p.count(ctx, "hub", "deliver", sign, &t.delivered); err != nil {
			return err
		}
		return p.count(ctx, string(other), "disclose", sign, &t.disclosed)
	}
	if err := count(-1); err != nil {
		return t, err
	}
	err = p.hands.With(string(asking), hands.Rename("outcome", "abandoned"), func() error {
		return p.hands.With(string(other), hands.Off("disclose"), func() error {
			a, _, err := p.ask(ctx, asking, other)
			if err != nil {
				return err
			}
			t.answered = a.Best()
			t.c = p.watch.Add(&notice.Case{Ticket: a.Ticket, Guilty: []string{string(other), string(asking)}})
			return p.forgetReceipts(ctx, a.Ticket)
		})
	})
	if err != nil {
		return t, err
	}
	return t, count(+1)
}

// count adds the number of entries of a kind, or takes it away.
func (p *play) count(ctx context.Context, role, kind string, sign int, n *int) error {
	return p.Role(role).DB.Read(ctx, func(tx *store.Tx) error {
		var entries int
		err := tx.Row(`SELECT count(*) FROM journal WHERE kind = $1`, kind).Scan(&entries)
		*n += sign * entries
		return err
	})
}

// between is the line about two states that talk. What they tell each other is conceded;
// that there was a search is not theirs to hide.
func (p *play) between(t talk) {
	p.stage.Add(drill.Line{
		Party: "a state of record and the state that asks", Attempted: "the one discloses and writes all but the disclosure down, the other writes that its check was broken off and throws the receipts away",
		Obtained: "the answer: " + string(t.answered),
		Noticed: fmt.Sprintf("%s. In the ledgers of others it stands that there was a search: %d evaluations, %d candidates delivered; in the owner's, %d disclosures",
			t.c.Words(), t.evaluated, t.delivered, t.disclosed),
		Baseline: notice.NoTrace,
		Target:   "conceded: two states can talk; but not search without the key holders' and the hub's entries",
		OK:       t.answered == waypost.Match && t.disclosed == 0 && t.delivered >= 1 && t.evaluated >= p.Roster().Threshold,
	})
}
