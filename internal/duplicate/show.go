package duplicate

import (
	"time"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// show is a case as the door shows it.
func (c *Cases) show(p pair, notes []note) *waypostv1.DuplicateCase {
	age := max(0, c.Now().Sub(time.Unix(p.opened, 0)))
	_, next := c.next(p)
	why := p.why
	if why == "" && c.late(p) {
		why = "undecided for " + days(c.config.Late)
	}
	out := &waypostv1.DuplicateCase{
		Id: p.id.String(), Other: string(p.other), Origin: p.origin, Asked: p.asked && p.other != "", Record: p.record, RecordToo: p.recordToo,
		Applicant: p.applicant, Told: string(p.told), State: p.state.String(), Outcome: string(p.outcome), Ours: string(p.ours), Theirs: string(p.theirs),
		Escalated: why != "" && p.state == open, WhyEscalated: why, Fraud: p.fraud, Opened: p.opened, Due: c.due(p).Unix(),
		AgeDays: uint32(age / (24 * time.Hour)), AgeBand: band(age), Next: next, Keep: p.keep, Portraits: uint32(p.portraits),
	}
	if p.other != "" {
		out.Check, out.Reference = hexOf(p.check[:]), hexOf(p.reference[:])
	}
	for _, n := range notes {
		shown := &waypostv1.ShownNote{Author: string(n.author), Operator: n.operator, Class: string(n.class), Written: n.written,
			Text: n.text, Outcome: string(n.outcome), Issued: n.issued}
		if n.author == c.State && p.other != "" {
			if shown.Delivery = n.delivery; n.delivery == "" {
				shown.Delivery = "on its way"
			}
		}
		out.Notes = append(out.Notes, shown)
	}
	return out
}

// showItem is a worklist item as the door shows it.
func (c *Cases) showItem(i Item) *waypostv1.WorkItem {
	age := max(0, c.Now().Sub(i.Since))
	return &waypostv1.WorkItem{Type: i.Type, Id: i.ID, Other: string(i.Other), Since: i.Since.Unix(), AgeDays: uint32(age / (24 * time.Hour)),
		Late: i.Late, Count: uint32(i.Count), Next: i.Next}
}

func (c *Cases) showCampaign(k campaign, there bool, waiting int64) *waypostv1.CampaignStatus {
	if !there {
		return &waypostv1.CampaignStatus{State: "none"}
	}
	return &waypostv1.CampaignStatus{
		State: campaignWords[k.state], Why: k.why, Records: uint64(k.records), Asked: uint64(k.asked), Waiting: uint64(waiting),
		Opened: uint64(k.opened), Skipped: uint64(k.skipped), PerMinute: uint32(k.perMinute), PerDay: uint32(k.perDay),
		FromHour: uint32(k.fromHour), ToHour: uint32(k.toHour), Started: k.began, Ended: k.ended, Operator: k.operator,
	}
}
