package audit

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/translog"
)

// misused: an owner, or the hub, has met a ticket of this state that was for
// somebody or something else. The key holders' entries show that the state
// brought the ticket; without them it is the word of one against the other, and
// the other rules speak.
func (d *dossier) misused() {
	if reports := d.of(kindOwnerMisuse, kindHubMisuse); len(reports) > 0 && d.soi != noMember && d.has(kindEvaluate) {
		d.findingf(Misuse, d.soi, reports, "%s reports that its ticket was used for another person or twice for different things", d.names.nameOf(d.memberAt(reports[0].log)))
	}
}

// canary: states hold synthetic people of each other and look for them by
// ordinary tickets. One that is not found was hidden by the hub, which searched;
// unless the hub's ledger delivers it, and the state of inquiry says otherwise.
func (d *dossier) canary() {
	for _, c := range d.of(kindCanary) {
		hub, ok := d.hub()
		if c.outcome == outcomeMatch || !ok || !d.readPast(hub, c.at) || !d.has(kindSearchFirst, kindSearchSecond) {
			continue // a check that was not made found nobody
		}
		if n := d.owners()[c.owner]; n != nil && n.delivered > 0 {
			d.findingf(HiddenPointer, d.memberAt(c.log), []*record{c}, "it says that a synthetic person of %s was not found, and the hub delivered a candidate of %s", d.names.nameOf(c.owner), d.names.nameOf(c.owner))
			continue
		}
		d.findingf(HiddenPointer, hub, []*record{c}, "it hid the pointer of a synthetic person of %s that %s looked for", d.names.nameOf(c.owner), d.names.nameOf(d.memberAt(c.log)))
	}
}

// finished: each ask ends, if only as abandoned, in the time in which its last
// question can be answered.
func (d *dossier) finished() {
	asks := d.of(kindAsk)
	if len(asks) == 0 || d.has(kindOutcome, kindOwed, kindAbandoned, kindRefused, kindPublished) {
		return
	}
	member := d.memberAt(asks[0].log)
	if d.readUpTo(member) < asks[0].at+askTime || asks[0].at <= d.logs[asks[0].log].kept.DarkUntil {
		d.open = true
		return
	}
	d.findingf(Unfinished, member, asks, "it asked at %s, and its ledger does not say how that ended", stamp(asks[0].at))
}

// coherent: all ledgers file a ticket under its audit secret, and number their
// entries about it from 0: otherwise its lines could not be found with the
// secret. The ticket itself, which every key holder keeps, has the right one.
func (d *dossier) coherent() {
	var secret uint64
	for i := range d.records {
		if d.records[i].kind == kindEvaluate {
			secret = d.records[i].tau
		}
	}
	next := make(map[[2]uint64]uint64) // by log and kind
	for i := range d.records {
		r := d.records[i]
		key := [2]uint64{uint64(r.log), uint64(r.kind)}
		l := d.logs[r.log]
		switch {
		case r.kind == kindCanary || l == nil:
			continue
		case secret != 0 && r.tau != secret:
			d.findingf(Damaged, d.memberAt(r.log), []*record{r}, "it files an entry about a ticket under another audit secret than the ticket's")
		case r.ordinal != next[key] && r.at > l.kept.DarkUntil:
			d.findingf(Damaged, d.memberAt(r.log), []*record{r}, "it numbers an entry about a ticket %d where %d comes next", r.ordinal, next[key])
		}
		next[key] = r.ordinal + 1
	}
}

// ticketIn returns the signed ticket in a key holder's entry.
func ticketIn(body []byte) (waypost.SignedTicket, error) {
	fields, err := translog.ParseBody(body)
	if err != nil {
		return waypost.SignedTicket{}, err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields["ticket"])
	if err != nil {
		return waypost.SignedTicket{}, errors.New("the ticket is not in base64")
	}
	return waypost.ParseTicket(raw)
}

// holderOf is the member in the name of a log, "<member>/<instance>".
func holderOf(log string) string {
	member, _, _ := strings.Cut(log, "/")
	return member
}
