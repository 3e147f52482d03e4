package audit

import (
	"encoding/base64"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/translog"
)

// concluded: a state commits its reply to an errand before it signs it. A final
// reply that its ledger does not have was given off the record if the statement
// beside it is signed, and made up if not.
func (d *dossier) concluded() {
	for _, c := range d.of(kindConcluded) {
		if !c.signed || d.finals() > 0 {
			continue
		}
		asker := d.memberAt(c.log)
		sender, err := d.finalReply(c)
		switch {
		case d.ctx.Err() != nil:
			return
		case err != nil:
			d.findingf(UnloggedDisclosure, asker, []*record{c}, "it concluded an errand with a reply that nobody has signed to that effect")
		case d.readPast(sender, c.at):
			d.findingf(UnloggedDisclosure, sender, []*record{c}, "it signed the reply to an errand of %s, and its ledger has none", d.names.nameOf(asker))
		}
	}
}

func (d *dossier) finals() (n int) {
	for _, r := range d.of(kindReplied) {
		if r.signed {
			n++
		}
	}
	return n
}

// finalReply opens the asker's entry again and returns who has signed the final
// reply that stands in it.
func (d *dossier) finalReply(c *record) (sender uint16, err error) {
	e, err := d.logs[c.log].reopen(d.ctx, c.index)
	if err != nil {
		return noMember, err
	}
	fields, err := translog.ParseBody(e.Body)
	if err != nil {
		return noMember, err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields["reply"])
	if err != nil {
		return noMember, err
	}
	s, err := seal.ParseStatement(raw)
	if err != nil {
		return noMember, err
	}
	sender, known := d.names.members[s.Sender]
	if !known || s.Ticket != d.id || s.Type != waypost.MessageReply {
		return noMember, errors.New("it is about something else")
	}
	identity, err := d.identity(s.RosterVersion, s.Sender)
	if err != nil {
		return noMember, err
	}
	var r waypostv1.Reply
	if err := errors.Join(s.Verify(identity), proto.Unmarshal(s.Body, &r)); err != nil {
		return noMember, err
	}
	if !r.Final || r.Word != fields["word"] {
		return noMember, errors.New("it says something else")
	}
	return sender, nil
}

// followed: an errand that cites a check is about a record that the check found,
// so whoever replies was notified by the hub then, or has made the check itself.
// Otherwise it has told of its own record without a search.
func (d *dossier) followed() {
	for _, r := range d.of(kindReplied) {
		if r.uncited {
			d.findingf(DisclosureWithoutSearch, d.memberAt(r.log), []*record{r}, "it replied to an errand that has to follow a check, and follows none")
		}
	}
	for _, f := range d.follows {
		owner := d.memberAt(f.log)
		n := d.owners()[owner]
		if owner == d.soi || n != nil && n.notified > 0 || !d.readPast(owner, f.at) {
			continue
		}
		d.findingf(DisclosureWithoutSearch, owner, []*record{f}, "it replied to an errand that follows this check, in which no record of its was found")
	}
}

// unheardOf: a reply to an errand that cites a check of which no ledger has
// anything. An audit that goes on from an earlier one has forgotten checks that are
// over, so only an audit of everything can say so.
func (d *dossier) unheardOf() {
	if d.State != "" || len(d.follows) == 0 {
		return
	}
	f := d.follows[0]
	d.issued = f.at - errandTime
	if owner := d.memberAt(f.log); d.readPast(owner, f.at) {
		d.findingf(DisclosureWithoutSearch, owner, []*record{f}, "it replied to an errand that follows a check of which nobody has heard")
	}
}

// passed: the hub passes pointers to another state with the consent of the state
// that had them, and tells that state in the same transaction.
func (d *dossier) passed() {
	hub, ok := d.hub()
	if !ok {
		return
	}
	passed, moved := d.of(kindPassed), d.of(kindMoved)
	for _, p := range passed {
		if len(moved) == 0 && p.owner != noMember && d.readPast(p.owner, p.at) && d.wouldHaveCome(p.at, p.owner, hub) {
			d.betweenf(NeverNotified, hub, []uint16{p.owner}, passed, "it passed pointers of %s to another state, and the ledger of %s does not know it in the time that a message can take",
				d.names.nameOf(p.owner), d.names.nameOf(p.owner))
		}
	}
	for _, m := range moved {
		if len(passed) == 0 && d.readPast(hub, m.at) {
			owner := d.memberAt(m.log)
			d.betweenf(PublicationMismatch, hub, []uint16{owner}, moved, "%s says that the hub has passed its pointers to another state, and the hub's ledger does not", d.names.nameOf(owner))
		}
	}
}
