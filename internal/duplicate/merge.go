package duplicate

import (
	"context"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// Terminator ends cards, never without notice to the resident. Asked again for
// the same, it is AlreadyExists, or begins nothing more.
type Terminator interface {
	// Terminate asks another state to end the card of a candidate of an own check,
	// or notes that the resident keeps it.
	Terminate(ctx context.Context, req *waypostv1.TerminateRequest) error
	// EndOwn ends a card of this state, whose holder keeps one of that state.
	EndOwn(ctx context.Context, record string, kept waypost.Jurisdiction, consent *waypostv1.Consent) error
}

// nextMerge says who has to do what once both records are one person's.
func (c *Cases) nextMerge(p pair) (kind, next string) {
	switch {
	case p.other == "":
		return "merge", "choose which record's card is kept: waypost case merge --keep"
	case p.keep == "":
		return "merge", "agree with " + string(p.other) + " whose card is kept, then, where it is: waypost case merge --keep"
	case p.keep == string(c.State):
		return "merge", "our card is the newer one: tell the resident, have them choose, then waypost case merge"
	case p.asked:
		return "merge", "the card of " + string(p.other) + " is the newer one: tell the resident, then waypost case merge"
	}
	return "", "" // the other state has its card kept, and asks for the end of ours
}

// Merge begins the end of the card that is not kept, and closes the case: what
// follows is a termination, with its notice and its own place in the worklist.
func (d Door) Merge(ctx context.Context, req *waypostv1.MergeCaseRequest) (*waypostv1.DuplicateCase, error) {
	n, err := noteOf(ctx, req.Text)
	if err != nil {
		return nil, err
	}
	p, _, err := d.find(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	keep := req.Keep
	if keep == "" {
		keep = p.keep
	}
	switch {
	case p.state != decided || p.outcome != Same:
		return nil, waypost.Errorf(waypost.InvalidArgument, "only what both states found to be one person is merged, and only once")
	case d.Terminator == nil:
		return nil, waypost.Errorf(waypost.Unavailable, "this gateway cannot end cards yet")
	case keep == "":
		return nil, waypost.Errorf(waypost.InvalidArgument, "it is not known which card is the newest: say which is kept")
	case keep != p.keep && n.text == "":
		return nil, waypost.Errorf(waypost.InvalidArgument, "say why another card than the newest is kept")
	case clean(req.Told) == "" || len(req.Told) > maxText/2 || len(n.text) > maxText/4:
		return nil, waypost.Errorf(waypost.InvalidArgument, "say what the resident was told, and chose, in at most %d bytes, and any reason in %d: nothing is ended without that", maxText/2, maxText/4)
	}
	what, err := d.end(ctx, p, keep, req)
	if err != nil && waypost.CodeOf(err) != waypost.AlreadyExists { // under way already: a crash came before the note
		return nil, err
	}
	if n.text != "" {
		n.text += "\n"
	}
	n.text += what
	n.outcome, n.closes = Same, true
	if err := d.DB.Write(ctx, func(tx *store.Tx) error { return d.say(tx, p, n) }); err != nil {
		return nil, err
	}
	return d.again(ctx, p.id)
}

// end has the other card ended, and says so in words that both states read.
func (d Door) end(ctx context.Context, p pair, keep string, req *waypostv1.MergeCaseRequest) (what string, err error) {
	consent := &waypostv1.Consent{Told: clean(req.Told), Language: req.Language}
	switch {
	case p.other == "" && keep == p.record:
		err = d.Terminator.EndOwn(ctx, p.recordToo, d.State, consent)
		return "The card of " + p.recordToo + " is ended after notice to the resident, who was told: " + consent.Told, err
	case p.other == "" && keep == p.recordToo:
		err = d.Terminator.EndOwn(ctx, p.record, d.State, consent)
		return "The card of " + p.record + " is ended after notice to the resident, who was told: " + consent.Told, err
	case p.other == "":
		return "", waypost.Errorf(waypost.InvalidArgument, "the record to be kept is %s or %s", p.record, p.recordToo)
	case keep == string(d.State):
		check, reference, err := d.foundBy(ctx, p, req)
		if err != nil {
			return "", err
		}
		err = d.Terminator.Terminate(ctx, &waypostv1.TerminateRequest{Check: check, Reference: reference, Record: p.record, Keep: "new", Consent: consent})
		return "The card of " + string(d.State) + " is kept. " + string(p.other) + " is asked to end its card, after notice to the resident.", err
	case keep == string(p.other) && p.record != "":
		err = d.Terminator.EndOwn(ctx, p.record, p.other, consent)
		return "The card of " + string(p.other) + " is kept. " + string(d.State) + " ends its own after notice to the resident, who was told: " + consent.Told, err
	case keep == string(p.other):
		err = d.Terminator.Terminate(ctx, &waypostv1.TerminateRequest{Check: hexOf(p.check[:]), Reference: hexOf(p.reference[:]), Keep: "old", Consent: consent})
		return "The resident keeps the card of " + string(p.other) + ". " + string(d.State) + " issues none.", err
	}
	return "", waypost.Errorf(waypost.InvalidArgument, "the card to be kept is that of %s or of %s", d.State, p.other)
}

// foundBy names the candidate to the state whose card it is: from the case's own
// check where this state made it, else from another one, after which the card of
// the case was found.
func (d Door) foundBy(ctx context.Context, p pair, req *waypostv1.MergeCaseRequest) (check, reference string, err error) {
	if p.asked {
		return hexOf(p.check[:]), hexOf(p.reference[:]), nil
	}
	if req.Check == "" {
		return "", "", waypost.Errorf(waypost.InvalidArgument, "%s made the check of this case: make one of your own for this person, and name it", p.other)
	}
	id, ref, err := candidate(req.Check, req.Reference)
	if err != nil {
		return "", "", err
	}
	err = d.DB.Read(ctx, func(tx *store.Tx) error {
		asked, err := d.File.Asked(tx, id, ref)
		if err == nil && asked.Owner != p.other {
			err = waypost.Errorf(waypost.InvalidArgument, "that check found a record of %s, and the case is with %s", asked.Owner, p.other)
		}
		return err
	})
	return req.Check, req.Reference, err
}

// Campaign starts, pauses, resumes or stops the campaign, and shows how far it is.
func (d Door) Campaign(ctx context.Context, req *waypostv1.CampaignRequest) (*waypostv1.CampaignStatus, error) {
	if d.Searcher == nil {
		return nil, waypost.Errorf(waypost.Unavailable, "this gateway cannot make campaigns")
	}
	var err error
	switch req.Action {
	case "status", "":
	case "start":
		err = d.startCampaign(ctx, req)
	case "pause":
		err = d.turn(ctx, paused, "by an operator", running)
	case "resume":
		err = d.turn(ctx, running, "", paused)
	case "stop":
		err = d.turn(ctx, stopped, "by an operator", running, paused)
	default:
		err = waypost.Errorf(waypost.InvalidArgument, "a campaign is started, paused, resumed or stopped")
	}
	if err != nil {
		return nil, err
	}
	var k campaign
	var there bool
	var waiting int64
	err = d.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if k, there, err = campaignIn(tx); err == nil {
			err = tx.Row(`SELECT count(*) FROM campaign_record`).Scan(&waiting)
		}
		return err
	})
	return d.showCampaign(k, there, waiting), err
}

// startCampaign begins with the first record, at a rate that leaves most of the
// quota to people.
func (d Door) startCampaign(ctx context.Context, req *waypostv1.CampaignRequest) error {
	t := d.config.Campaign
	if req.PerMinute > 0 {
		t.PerMinute = int(req.PerMinute)
	}
	quota := 0
	if d.UnattendedPerDay != nil {
		quota = d.UnattendedPerDay()
	}
	if req.PerDay > 0 {
		t.PerDay = int(req.PerDay)
	} else if quota > 0 {
		t.PerDay = min(t.PerDay, max(1, quota/2))
	}
	if quota > 0 && t.PerDay >= quota {
		return waypost.Errorf(waypost.InvalidArgument, "the roster allows %d unattended checks a day: a campaign takes fewer, or governance grants a burst", quota)
	}
	switch {
	case req.AnyHour:
		t.FromHour, t.ToHour = 0, 0
	case req.FromHour != 0 || req.ToHour != 0:
		t.FromHour, t.ToHour = int(min(req.FromHour, 99)), int(min(req.ToHour, 99))
	}
	if err := t.check(); err != nil {
		return err
	}
	operator := rpc.Operator(ctx)
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		before, there, err := campaignIn(tx)
		if err != nil {
			return err
		}
		if there && before.state <= paused {
			return waypost.Errorf(waypost.AlreadyExists, "a campaign is %s already", campaignWords[before.state])
		}
		k := campaign{operator: operator, perMinute: t.PerMinute, perDay: t.PerDay, fromHour: t.FromHour, toHour: t.ToHour, began: d.Now().Unix(),
			minute: before.minute, usedMinute: before.usedMinute, day: before.day, usedDay: before.usedDay}
		if k.records, err = d.File.CountFindable(tx); err != nil {
			return err
		}
		return k.put(tx)
	})
}

// turn brings the campaign from one of some states into another.
func (d Door) turn(ctx context.Context, to campaignState, why string, from ...campaignState) error {
	return d.DB.Write(ctx, func(tx *store.Tx) error {
		k, there, err := campaignIn(tx)
		if err != nil {
			return err
		}
		ok := false
		for _, f := range from {
			ok = ok || there && k.state == f
		}
		if !ok {
			return waypost.Errorf(waypost.InvalidArgument, "there is no campaign in a state for that: waypost case campaign status")
		}
		k.state, k.why = to, why
		if to == running {
			k.notBefore = 0
		}
		if to == stopped {
			k.ended = d.Now().Unix()
		}
		return k.put(tx)
	})
}
