package duplicate

import (
	"context"
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Open begins a case about a candidate of a check that this state has made, where
// the state of record did not say no_match. One about the same candidate that is
// there already is returned, with the text as a further note.
func (c *Cases) open(ctx context.Context, check waypost.TicketID, reference waypost.Reference, first note) (p pair, err error) {
	err = c.DB.Write(ctx, func(tx *store.Tx) error {
		asked, err := c.File.Asked(tx, check, reference)
		if err != nil {
			return err
		}
		origin := fromCheck
		if first.outcome != "" {
			origin = fromCorrection
		}
		p, err = c.begin(tx, asked, check, reference, origin, "", first)
		return err
	})
	return p, err
}

// begin opens a case of two states, with this one as the state that asked. record
// is this state's own, if the check was about one.
func (c *Cases) begin(tx *store.Tx, asked records.Asked, check waypost.TicketID, reference waypost.Reference, origin, record string, first note) (pair, error) {
	if asked.Owner == c.State {
		return pair{}, waypost.Errorf(waypost.InvalidArgument, "that record is this state's own: open a case about two records")
	}
	if origin != fromCampaign && asked.Outcome != waypost.Possible && asked.Outcome != waypost.Match {
		return pair{}, waypost.Errorf(waypost.InvalidArgument, "%s has not said that it may have this person: there is nothing to clear up", asked.Owner)
	}
	known, err := selectPairs(tx, `WHERE other = $1 AND ticket = $2 AND reference = $3`, asked.Owner, check[:], reference[:])
	if err != nil {
		return pair{}, err
	}
	if len(known) > 0 {
		if first.text == "" && first.outcome == "" {
			return known[0], nil
		}
		return known[0], c.say(tx, known[0], first)
	}
	who, _ := personOf(asked.Applicant)
	p := pair{
		id: newID(), other: asked.Owner, origin: origin, asked: true, check: check, reference: reference, record: record,
		applicant: asked.Applicant, person: c.pseudonym(asked.Owner, who, record), told: asked.Outcome, purpose: asked.Purpose,
		operator: first.operator, opened: c.Now().Unix(),
	}
	isNew, err := c.insert(tx, p)
	if err == nil && !isNew {
		err = waypost.Errorf(waypost.AlreadyExists, "there is a case about this candidate already")
	}
	if err != nil {
		return p, err
	}
	if first.text == "" {
		first.text = "Opened from " + map[string]string{fromCheck: "a check", fromCorrection: "a check, as a correction", fromCampaign: "the campaign"}[origin] + "."
	}
	return p, c.say(tx, p, first)
}

// openOwn begins a case about two records of this state.
func (c *Cases) openOwn(ctx context.Context, ids []string, first note) (p pair, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) != 2 {
		return p, waypost.Errorf(waypost.InvalidArgument, "a case of this state alone is about two different records")
	}
	p = pair{id: newID(), origin: fromRecords, asked: true, record: ids[0], recordToo: ids[1], operator: first.operator, opened: c.Now().Unix()}
	for _, id := range ids {
		record, err := c.File.Record(ctx, id)
		if err != nil {
			return p, err
		}
		p.protected = p.protected || record.Protected
	}
	if p.protected && !rpc.OfUnit(ctx) {
		return p, waypost.Errorf(waypost.PermissionDenied, "one of these records is for the special unit")
	}
	if first.text == "" {
		first.text = "Opened from this state's own records."
	}
	err = c.DB.Write(ctx, func(tx *store.Tx) error {
		known, err := selectPairs(tx, `WHERE other = '' AND record = $1 AND record_too = $2`, p.record, p.recordToo)
		if err != nil {
			return err
		}
		if len(known) > 0 {
			p = known[0]
			return c.say(tx, p, first)
		}
		if _, err := c.insert(tx, p); err != nil {
			return err
		}
		return c.say(tx, p, first)
	})
	return p, err
}

// decide says what this state finds of a case. Reasons are needed where the other
// state is to understand them, or sees it differently.
func (c *Cases) decide(ctx context.Context, p pair, n note) error {
	list, err := c.clearings(ctx, p)
	if err != nil {
		return err
	}
	return c.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := byID(tx, p.id)
		if err != nil {
			return err
		}
		switch {
		case now.other == "" && n.outcome == Left:
			return waypost.Errorf(waypost.InvalidArgument, "there is no other state in this case to leave it to")
		case n.text == "" && (n.outcome == Fraud || n.outcome == Left || now.theirs.definite() && now.theirs != n.outcome):
			return waypost.Errorf(waypost.InvalidArgument, "say why: the other state reads it")
		}
		if err := c.prepare(tx, now, list); err != nil {
			return err
		}
		return c.say(tx, now, n)
	})
}
