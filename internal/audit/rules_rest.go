package audit

import (
	"encoding/base64"
	"errors"
	"strconv"
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
		reporter := d.memberAt(reports[0].log)
		d.betweenf(Misuse, d.soi, []uint16{reporter}, reports, "%s reports that its ticket was used for another person or twice for different things", d.names.nameOf(reporter))
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
		d.betweenf(HiddenPointer, hub, []uint16{c.owner, d.memberAt(c.log)}, []*record{c}, "it hid the pointer of a synthetic person of %s that %s looked for", d.names.nameOf(c.owner), d.names.nameOf(d.memberAt(c.log)))
	}
}

// catchUpTime is how long a process that starts may take for what fell due
// while it was down, in seconds.
const catchUpTime = 3600

// finished: each ask ends, if only as abandoned, in the time in which its last
// question can be answered.
func (d *dossier) finished() {
	asks := d.of(kindAsk)
	if len(asks) == 0 || d.has(ends...) {
		return
	}
	member, l := d.memberAt(asks[0].log), d.logs[asks[0].log]
	if l.lost || l.source.Former || l.loses(d.issued, l.r.Now.Unix()) { // it was cut off, perhaps before it could say
		return
	}
	if asks[0].at <= l.kept.DarkUntil { // its end may have been erased, which is kept for less long
		return
	}
	if d.readUpTo(member) < max(asks[0].at+d.endTime(), l.kept.Started+catchUpTime) {
		d.open = true
		return
	}
	d.findingf(Unfinished, member, asks, "it asked at %s, and its ledger does not say how that ended", stamp(asks[0].at))
}

// tallyEnd counts how the check ended, if candidates were found: its state
// knows who has the record by then.
func (d *dossier) tallyEnd() {
	if d.soi == noMember || !d.has(kindEvaluate) || !d.has(kindDeliver) || !d.has(kindAsk) {
		return
	}
	d.ends.Lock()
	defer d.ends.Unlock()
	if d.ends.of == nil {
		d.ends.of = make(map[uint16]*[2]int64)
	}
	n := d.ends.of[d.soi]
	if n == nil {
		n = new([2]int64)
		d.ends.of[d.soi] = n
	}
	n[0]++
	if !d.has(kindOutcome) {
		n[1]++
	}
}

const (
	manyEnds  = 100 // so many checks make a habit
	fewBroken = 5   // one in so many may be cut off
)

// judgeEnds: a crash cuts a check off after it was searched now and then. A
// state that often says so hides how its checks ended.
func (r *run) judgeEnds() {
	for soi, n := range r.ends.of {
		if n[0] >= manyEnds && n[1]*fewBroken > n[0] {
			r.findf(CutOff, r.names.nameOf(soi), map[string]string{"checks": strconv.FormatInt(n[0], 10), "cut_off": strconv.FormatInt(n[1], 10)},
				"of %d checks that found candidates, %d have no outcome in its ledger", n[0], n[1])
		}
	}
}

// coherent: all ledgers file a ticket under its audit secret, and number their
// entries about it from 0: otherwise its lines could not be found with the
// secret. And all say of it what the ticket says: quotas are counted by that.
// Every key holder keeps the ticket itself.
func (d *dossier) coherent() {
	var secret, about uint64
	for i := range d.records {
		if d.records[i].kind == kindEvaluate {
			secret, about = d.records[i].tau, d.records[i].about
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
		case secret != 0 && r.about != 0 && r.about != about:
			d.findingf(Damaged, d.memberAt(r.log), []*record{r}, "it says other things about a ticket than the ticket itself")
		case r.ordinal != next[key] && d.issued > l.kept.DarkUntil:
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
