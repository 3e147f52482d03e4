package audit

import (
	"slices"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// ownerless: a state of inquiry commits its "ask" before a ticket leaves. Where
// a key holder has evaluated a ticket that its state does not own up to, the
// ticket inside the entry tells who lies: if the state has signed it, the
// state asked off the record; if not, the key holder made it up.
func (d *dossier) ownerless() {
	evaluated := d.of(kindEvaluate)
	if len(evaluated) == 0 || d.has(kindAsk) {
		return
	}
	if d.soi != noMember && !d.readPast(d.soi, evaluated[0].at) {
		return
	}
	// Not the first entry alone: a key holder that keeps a ticket without its
	// signature would clear the state that signed it.
	for _, one := range evaluated {
		switch {
		case d.signedBySOI(one):
			d.findingf(EvaluationWithoutOwner, d.soi, evaluated, "it had a ticket evaluated that is not in its ledger; the ticket carries its signature")
		case d.ctx.Err() == nil:
			d.findingf(EvaluationWithoutOwner, d.memberAt(one.log), []*record{one}, "it evaluated a ticket that its state of inquiry neither asked for nor signed")
		}
	}
}

// signedBySOI opens a key holder's entry again and verifies the ticket in it.
func (d *dossier) signedBySOI(evaluate *record) bool {
	e, err := d.logs[evaluate.log].reopen(d.ctx, evaluate.index)
	if err != nil {
		return false
	}
	t, err := ticketIn(e.Body)
	if err != nil {
		return false
	}
	identity, err := d.identity(t.RosterVersion, string(t.SOI))
	return err == nil && t.Verify(identity) == nil
}

// quorum: the hub searches and publishes only after it has verified the
// receipts of t key holders, and cites their leaves. If it cites fewer, or leaves
// that are not this ticket's, it has searched without; unless evidence shows
// that a key holder gave a receipt and no leaf. One ticket serves once.
func (d *dossier) quorum() {
	for _, search := range d.of(kindSearchFirst, kindPublish, kindUpkeep, kindPassed, kindReplied) {
		if search.kind != kindReplied || search.count == 1 { // later replies rest on the first
			d.quorumOf(search)
		}
	}
	for _, once := range []kind{kindSearchFirst, kindSearchSecond, kindPublish, kindUpkeep, kindPassed} {
		if all := d.of(once); len(all) > 1 {
			d.findingf(SearchWithoutQuorum, d.memberAt(all[1].log), all, "it served one ticket %d times", len(all))
		}
	}
	seconds := d.of(kindSearchSecond)
	if len(seconds) == 0 || d.has(kindSearchFirst) || !d.readPast(d.memberAt(seconds[0].log), seconds[0].at) {
		return
	}
	d.findingf(SearchWithoutQuorum, d.memberAt(seconds[0].log), seconds, "it searched the second part of a check that it never searched the first part of")
}

func (d *dossier) quorumOf(search *record) {
	need := d.threshold(search.version)
	good, pending := make(map[uint16]bool), make(map[uint16]bool)
	var wrong []place
	var strange []uint16 // whose logs are cited that are not published
	for i, p := range search.evals {
		if p.log == noLog && p.index < noMember {
			strange = append(strange, uint16(p.index))
		}
		if p.log == goneLog {
			pending[uint16(len(d.names.Members)+i)] = true // of a key holder that is gone: whichever it was
			continue
		}
		if p.log == noLog || int(p.log) >= len(d.logs) || d.logs[p.log] != nil && d.logs[p.log].member.Role != roster.KeyHolder {
			continue
		}
		holder := d.names.members[holderOf(d.names.Logs[p.log])]
		switch d.lookAt(p, search, kindEvaluate) {
		case there:
			good[holder] = true
		case unknown:
			pending[holder] = true
		case other:
			wrong = append(wrong, p)
		}
	}
	switch {
	case len(good) >= need:
		return
	case len(good)+len(pending)+len(wrong) < need:
		d.betweenf(SearchWithoutQuorum, d.memberAt(search.log), strange, []*record{search},
			"it served a ticket on the receipts of %d key holders, where %d are needed", len(good)+len(pending)+len(wrong), need)
		return
	case len(good)+len(pending) >= need:
		return // open, or erased
	}
	for _, p := range wrong {
		if culprit, ok := d.accused(p, search, d.citedBySOI(p)); ok {
			d.findingf(SearchWithoutQuorum, culprit, []*record{search}, "%s cites %s as an evaluation of this ticket, and it is none",
				d.placeName(place{search.log, search.index}), d.placeName(p))
			return
		}
	}
}

func (d *dossier) threshold(version uint64) int {
	if known := d.roster(version); known != nil {
		return known.Quorum()
	}
	return d.Rosters[len(d.Rosters)-1].Quorum()
}

// citedBySOI reports whether the state of inquiry holds a receipt for the same
// place, by its own ledger.
func (d *dossier) citedBySOI(p place) bool {
	return slices.ContainsFunc(d.of(kindOutcome, kindPublished, kindConcluded), func(r *record) bool { return slices.Contains(r.evals, p) })
}

// searched: an outcome rests on the hub's receipts and cites their leaves. What
// stands there must be this ticket's search.
func (d *dossier) searched() {
	for _, outcome := range d.of(kindOutcome) {
		if len(outcome.cited) == 0 {
			d.findingf(UnloggedSearch, d.memberAt(outcome.log), []*record{outcome}, "it gave an outcome without a search")
		}
		for _, p := range outcome.cited {
			if d.lookAt(p, outcome, kindSearchFirst, kindSearchSecond) != other {
				continue
			}
			culprit, ok := d.accused(p, outcome, true)
			hub, is := d.hub()
			var others []uint16
			if told := d.exposed(); is && len(told) > 0 { // others saw what it found
				told = append(told, d.memberAt(outcome.log))
				culprit, ok, others = hub, true, told
			} else if p.log == noLog && is {
				others = []uint16{hub}
			}
			if ok {
				d.betweenf(UnloggedSearch, culprit, others, []*record{outcome}, "%s cites %s as the search of this ticket, and it is none",
					d.placeName(place{outcome.log, outcome.index}), d.placeName(p))
			}
		}
	}
}

// exposed returns the owners that were notified of more candidates than the hub
// delivered: it has searched, whatever its ledger says.
func (d *dossier) exposed() (told []uint16) {
	for owner, n := range d.owners() {
		if n.notified > n.delivered {
			told = append(told, owner)
		}
	}
	return told
}

// delivered: with each search the hub commits one delivery for every candidate.
func (d *dossier) delivered() {
	searches := d.of(kindSearchFirst, kindSearchSecond)
	if len(searches) == 0 {
		return
	}
	want, have := 0, len(d.of(kindDeliver))
	for _, s := range searches {
		want += int(s.count)
		// The deliveries follow the search in one transaction.
		if l := d.logs[s.log]; s.index+int64(s.count) >= l.kept.Size {
			d.open = d.open || have != want
			return
		}
	}
	if want != have && !d.erased(searches) {
		d.findingf(UnloggedSearch, d.memberAt(searches[0].log), searches, "its searches of this ticket count %d candidates, and it delivered %d", want, have)
	}
}

// erased reports whether entries around these may be gone.
func (d *dossier) erased(records []*record) bool {
	return slices.ContainsFunc(records, func(r *record) bool { return r.at <= d.logs[r.log].kept.DarkUntil })
}

// published: what the hub published, what the state says it published, and what
// the key holders evaluated is the same number of records.
func (d *dossier) published() {
	hub, state := d.of(kindPublish), d.of(kindPublished)
	for _, p := range hub {
		if !p.addsUp() {
			d.findingf(PublicationMismatch, d.memberAt(p.log), hub, "it published %d records under a ticket of %d elements", p.count, p.elements)
		}
	}
	for _, p := range state {
		for _, c := range p.cited {
			if d.lookAt(c, p, kindPublish, kindUpkeep, kindPassed) != other {
				continue
			}
			if culprit, ok := d.accused(c, p, true); ok {
				d.findingf(PublicationMismatch, culprit, state, "%s cites %s as the publication of this ticket, and it is none", d.placeName(place{p.log, p.index}), d.placeName(c))
			}
		}
		if len(p.cited) == 0 || !p.addsUp() {
			d.findingf(PublicationMismatch, d.memberAt(p.log), state, "it says it published %d records under a ticket of %d elements", p.count, p.elements)
		}
	}
}

// addsUp reports whether so many pointers can have been written under the
// ticket: ten elements each, or one under the ticket of the check before it.
func (r *record) addsUp() bool {
	switch {
	case r.bare:
		return true
	case r.publish:
		return r.count*waypost.RecordElements == r.elements
	}
	return r.count == 1
}
