package audit

import "slices"

// What is known of the ledgers, and what their citations of each other are
// worth.

// readPast reports whether everything that the member committed by the time at
// has been read, in all its logs. A log that ends with "stopped" holds all that
// its process ever committed. Where something since the ticket was issued was
// erased or is damaged it counts as unread for good: that may be what is missed.
// Otherwise the ticket stays open where the answer is no.
func (d *dossier) readPast(member uint16, at int64) bool {
	seen := false
	for _, l := range d.logs {
		if l == nil || d.names.members[l.member.Name] != member {
			continue
		}
		seen = true
		if d.issued <= l.kept.DarkUntil || l.lost || l.loses(d.issued, at) {
			return false
		}
		if l.source.Former && l.horizon() < at && !l.ended() {
			return false
		}
		if l.closed != nil && l.head.N == 0 {
			continue // nothing of it came back, and nothing that matters here is lost
		}
		if l.broken || l.kept.Size == 0 || l.horizon() < at && !l.ended() {
			d.open = true
			return false
		}
	}
	if !seen && !d.former(d.names.nameOf(member)) {
		d.open = true
	}
	return seen
}

// What stands at a place that an entry cites.
type standing int

const (
	there   standing = iota // what was cited
	unknown                 // not published yet, or erased
	other                   // something else, or nothing though it should be
)

// lookAt tells what stands at a place that an entry cites, given that it
// should be an entry of this ticket of one of the kinds.
func (d *dossier) lookAt(p place, claim *record, which ...kind) standing {
	at := claim.at
	for i := range d.records {
		if r := d.records[i]; r.log == p.log && r.index == p.index && slices.Contains(which, r.kind) {
			return there
		}
	}
	switch {
	case p.log == goneLog:
		return unknown
	case int(p.log) >= len(d.logs): // noLog among them
		return other
	}
	l := d.logs[p.log]
	switch {
	case l == nil || l.lost || l.broken || p.index < l.kept.DarkBelow:
		return unknown
	case l.closed != nil && p.index >= l.kept.Size && at <= l.lostUntil()+guardTime:
		l.closed.cite(p.index)
		return unknown
	case p.index < l.kept.Size || l.horizon() >= at: // nobody vouches for the end of a log that says "stopped" and serves on
		return other
	case l.source.Former:
		return unknown
	}
	d.open = true
	if l.ended() {
		l.cite(d.names.nameOf(d.memberAt(claim.log)), p.index, at)
	}
	return unknown
}

// accused decides between a ledger that cites a place and the one in which
// something else stands there. Whoever cites a place holds a receipt for it,
// and shows it as evidence when its leaf does not come: with evidence, the
// signer of the receipt has broken its promise. A claimant that has had the
// time to show evidence and has none has cited what was never promised. One
// that stopped before it had the time is believed if others hold the same
// receipt, and otherwise judged once it has run for as long.
func (d *dossier) accused(p place, claim *record, credible bool) (culprit uint16, ok bool) {
	claimant, signer := d.memberAt(claim.log), noMember
	if int(p.log) < len(d.logs) && d.logs[p.log] != nil {
		signer = int(d.memberAt(p.log))
	}
	l := d.logs[claim.log]
	switch {
	case signer == noMember:
		return claimant, true
	case d.proven[p]:
		return uint16(signer), true
	case l.shownBy(claim.at):
		return claimant, true
	}
	d.open = true
	return uint16(signer), l.ended() && credible
}

// broken reports whether a log of the member could not be read to its head.
func (r *run) broken(member uint16) bool {
	for _, l := range r.logs {
		if l != nil && l.broken && r.names.members[l.member.Name] == member {
			return true
		}
	}
	return false
}

// readUpTo is the time, Unix seconds, up to which everything is known that a
// member committed, a former one too.
func (r *run) readUpTo(member uint16) int64 {
	least := int64(1 << 62)
	for _, l := range r.logs {
		if l != nil && r.names.members[l.member.Name] == member {
			least = min(least, l.horizon())
		}
	}
	return least
}

// least is the least of the logs of a member, as long as it is one.
func (r *run) least(member uint16, of func(*logRun) int64) int64 {
	least := int64(1 << 62)
	for _, l := range r.logs {
		if l != nil && !l.lost && !l.source.Former && r.names.members[l.member.Name] == member {
			least = min(least, of(l))
		}
	}
	return least
}

// wasDown reports whether a member may have been down for long at some time
// between.
func (r *run) wasDown(member uint16, from, until int64) bool {
	for _, l := range r.logs {
		if l == nil || r.names.members[l.member.Name] != member {
			continue
		}
		if l.closed != nil && !l.closed.whole && l.lostFrom() < until && l.lostUntil() > from {
			return true // what it did then is lost
		}
		if slices.ContainsFunc(l.kept.Down, func(down [2]int64) bool { return down[0] < until && down[1] > from }) {
			return true
		}
	}
	return false
}
