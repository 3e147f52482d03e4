package audit

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/translog"
)

// asked: candidates are there to be asked. An outcome has an answer, if only
// "pending", for each that the hub delivered; and one that is pending though
// its owner took the notice and ran on for longer than any message waits was
// never asked. The question is the state of inquiry's to send.
func (d *dossier) asked() {
	for _, outcome := range d.of(kindOutcome) {
		d.askedIn(outcome)
	}
}

func (d *dossier) askedIn(outcome *record) {
	soi, outcomes := d.memberAt(outcome.log), []*record{outcome}
	hub, ok := d.hub()
	if !ok {
		return
	}
	listed := make(map[uint16]int)
	silent := make(map[uint16]int)
	for _, a := range outcome.answers {
		listed[a.owner]++
		if a.outcome == outcomePending && !a.signed {
			silent[a.owner]++
		}
	}
	for owner, n := range d.owners() {
		switch {
		case n.delivered > listed[owner]:
			d.betweenf(NeverAsked, soi, []uint16{hub}, outcomes, "the hub delivered %d candidates of %s, and its outcome has %d", n.delivered, d.names.nameOf(owner), listed[owner])
		case silent[owner] > 0 && n.notified >= n.delivered && n.firstLegs()+silent[owner] <= n.delivered && d.refusals(owner) == 0 &&
			d.wouldHaveCome(n.lastNotified, owner, soi, hub):
			d.betweenf(NeverAsked, soi, []uint16{hub, owner}, outcomes, "%s was told of its candidate, and no question came in the time that a question can take", d.names.nameOf(owner))
		}
	}
	for owner, n := range listed {
		legs := d.owners()[owner]
		if legs == nil {
			legs = &noLegs
		}
		if n > legs.delivered {
			d.strangers(outcome, owner, legs, n)
		}
	}
}

var noLegs legs

// refusals by an owner are no answers, and show that it was asked. They stand in
// the outcome as signed statements.
func (d *dossier) refusals(owner uint16) (n int) {
	for _, o := range d.of(kindOutcome) {
		for _, a := range o.answers {
			if a.owner == owner && a.outcome == outcomePending && a.signed {
				n++
			}
		}
	}
	return n
}

// strangers: an outcome with more candidates of an owner than the hub delivered.
// If the owner was notified of them, or the hub's receipt for the search is
// broken, the hub has shown candidates off the record. If not, the state of
// inquiry has to show them in a list under the hub's receipt: an answer signed
// by the owner shows only that the two have spoken.
func (d *dossier) strangers(outcome *record, owner uint16, n *legs, listed int) {
	hub, ok := d.hub()
	if !ok || !d.readPast(hub, outcome.at) || !d.readPast(owner, outcome.at) {
		return
	}
	broken := slices.ContainsFunc(outcome.cited, func(p place) bool { return d.proven[p] })
	if n.notified >= listed || broken {
		d.betweenf(UnloggedSearch, hub, []uint16{owner, d.memberAt(outcome.log)}, []*record{outcome},
			"%d candidates of %s were answered for, and the hub's ledger delivers %d", listed, d.names.nameOf(owner), n.delivered)
		return
	}
	d.betweenf(UnloggedSearch, d.memberAt(outcome.log), []uint16{hub}, []*record{outcome}, "its outcome has %d candidates of %s, of which the hub delivered %d and notified %s of %d",
		listed, d.names.nameOf(owner), n.delivered, d.names.nameOf(owner), n.notified)
}

func (d *dossier) hub() (uint16, bool) {
	n, ok := d.names.members[d.hubName()]
	return n, ok
}

// disclosed: an owner commits its answer before it signs it. An outcome with
// more answers of an owner than the owner's ledger has is settled by the signed
// statements that stand in it: as many as are good were given off the record;
// an answer without one was made up.
func (d *dossier) disclosed() {
	for _, outcome := range d.of(kindOutcome) {
		for owner, said := range answersOf(outcome) {
			n := d.owners()[owner]
			if n == nil {
				n = &noLegs
			}
			declines := n.declined + n.declinedInTheEnd
			if said.yes <= n.disclosed && said.no <= declines || owner == noMember || !d.readPast(owner, outcome.at) {
				continue
			}
			yes, no, unsupported := 0, 0, false
			for _, s := range d.statements(outcome, owner) {
				switch {
				case !s.valid || s.outcome != s.claimed:
					unsupported = unsupported || s.claimed != outcomePending
				case s.outcome == outcomeNoMatch:
					no++
				case s.outcome != outcomePending:
					yes++
				}
			}
			if d.ctx.Err() != nil {
				return
			}
			if yes > n.disclosed || no > declines {
				d.findingf(UnloggedDisclosure, owner, []*record{outcome}, "it signed %d disclosures and %d declines to %s; its ledger has %d and %d",
					yes, no, d.names.nameOf(d.memberAt(outcome.log)), n.disclosed, declines)
			} else if unsupported {
				d.findingf(UnloggedDisclosure, d.memberAt(outcome.log), []*record{outcome}, "its ledger says that %s answered, and has no statement signed by %s to that effect",
					d.names.nameOf(owner), d.names.nameOf(owner))
			}
		}
	}
}

type tally struct{ yes, no int }

func answersOf(outcome *record) map[uint16]tally {
	all := make(map[uint16]tally)
	for _, a := range outcome.answers {
		n := all[a.owner]
		switch a.outcome {
		case outcomeNoMatch:
			n.no++
		case outcomeMatch, outcomePossible:
			n.yes++
		}
		all[a.owner] = n
	}
	return all
}

// said is one answer in an outcome, looked at closely.
type said struct {
	claimed uint8 // by the state of inquiry
	outcome uint8 // by the statement, where it is valid
	valid   bool  // signed by the owner, about this ticket, and not said twice
}

// statements opens an outcome again and verifies what stands in it of an owner.
func (d *dossier) statements(outcome *record, owner uint16) []said {
	e, err := d.logs[outcome.log].reopen(d.ctx, outcome.index)
	if err != nil {
		return nil
	}
	fields, err := translog.ParseBody(e.Body)
	if err != nil {
		return nil
	}
	var list []said
	seen := make(map[string]bool)
	for _, name := range sortedKeys(fields) {
		parts := strings.Split(fields[name], " ")
		if !strings.HasPrefix(name, "answer_") || parts[0] != d.names.nameOf(owner) || len(parts) < 2 {
			continue
		}
		one := said{claimed: outcomes[parts[1]]}
		if len(parts) == 3 && !seen[parts[2]] {
			seen[parts[2]] = true
			if one.outcome, err = d.statement(parts[2], owner); err == nil {
				one.valid = true
			}
		}
		list = append(list, one)
	}
	return list
}

// statement verifies an owner's signed answer and returns what it says.
func (d *dossier) statement(encoded string, owner uint16) (uint8, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return 0, err
	}
	s, err := seal.ParseStatement(raw)
	if err != nil {
		return 0, err
	}
	if s.Sender != d.names.nameOf(owner) || s.Ticket != d.id {
		return 0, errors.New("it is about something else")
	}
	identity, err := d.identity(s.RosterVersion, s.Sender)
	if err != nil {
		return 0, err
	}
	if err := s.Verify(identity); err != nil {
		return 0, err
	}
	return meaning(s)
}

func meaning(s seal.Statement) (uint8, error) {
	switch s.Type {
	case waypost.MessageFirstAnswer:
		var a waypostv1.FirstAnswer
		if err := proto.Unmarshal(s.Body, &a); err != nil {
			return 0, err
		}
		if a.Refused != "" || a.Continue {
			return outcomePending, nil
		}
		return outcomeNoMatch, nil
	case waypost.MessageSecondAnswer:
		var a waypostv1.SecondAnswer
		if err := proto.Unmarshal(s.Body, &a); err != nil {
			return 0, err
		}
		if a.Refused != "" {
			return outcomePending, nil
		}
		if o := outcomes[a.Outcome]; o != outcomeNone {
			return o, nil
		}
	}
	return 0, errors.New("it is no answer")
}

// announced: an owner answers only what the hub has announced to it, and the hub
// commits the delivery before it announces. An owner that says it was notified
// has to show the hub's signed notice, of which its entry has the hash; one that
// was not has looked at its own record for somebody without a search.
func (d *dossier) announced() {
	hub, ok := d.hub()
	if !ok {
		return
	}
	for owner, n := range d.owners() {
		if max(n.secondLegs(), n.withheld) > n.continued && d.readPast(owner, n.lastSecondLeg) {
			d.findingf(DisclosureWithoutSearch, owner, d.by(owner), "it answered %d second legs, and continued %d first ones", max(n.secondLegs(), n.withheld), n.continued)
			continue
		}
		over := max(n.firstLegs(), n.notified)
		if over <= n.delivered || !d.readPast(hub, max(n.lastNotified, n.lastFirstLeg)) {
			continue
		}
		switch {
		case n.firstLegs() <= n.delivered:
			d.betweenf(UnloggedSearch, hub, []uint16{owner}, d.by(owner), "it notified %s of %d candidates, and its ledger delivers %d", d.names.nameOf(owner), n.notified, n.delivered)
		case n.notified >= n.firstLegs():
			d.betweenf(DisclosureWithoutSearch, hub, []uint16{owner}, d.by(owner), "%s answered for %d candidates that the hub notified it of, and the hub's ledger delivers %d", d.names.nameOf(owner), n.firstLegs(), n.delivered)
		default:
			d.findingf(DisclosureWithoutSearch, owner, d.by(owner), "it answered for %d candidates, was notified of %d, and the hub delivered %d", n.firstLegs(), n.notified, n.delivered)
		}
	}
}

// notified: the hub tells the owner of each candidate that it delivers. A notice
// waits in a mailbox for a week.
func (d *dossier) notified() {
	hub, ok := d.hub()
	if !ok {
		return
	}
	for owner, n := range d.owners() {
		if owner != noMember && n.delivered > n.notified && d.readPast(owner, n.lastDeliver) && d.wouldHaveCome(n.lastDeliver, owner, hub) {
			d.betweenf(NeverNotified, hub, []uint16{owner}, d.of(kindDeliver), "it delivered %d candidates of %s, whose ledger was notified of %d in the time that a notice can take",
				n.delivered, d.names.nameOf(owner), n.notified)
		}
	}
}

// wouldHaveCome reports whether a message that was on its way to the reader at
// the time must have come by now: its ledger was read beyond the life of a
// message, and neither it nor who sends and carries the message was down for
// long meanwhile.
func (d *dossier) wouldHaveCome(at int64, reader uint16, carriers ...uint16) bool {
	until := at + int64((waypost.MessageLife+24*time.Hour)/time.Second)
	for _, member := range append(carriers, reader) {
		if d.readUpTo(member) <= until || d.wasDown(member, at, until) {
			return false
		}
	}
	return true
}

// by returns what stands in an owner's ledger.
func (d *dossier) by(owner uint16) []*record {
	return slices.DeleteFunc(d.of(kindNotified, kindContinue, kindDecline, kindDisclose, kindWithheld, kindOwnerMisuse), func(r *record) bool {
		return d.memberAt(r.log) != owner
	})
}
