package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
)

// How long a ticket can have further entries, in seconds.
const (
	// guardTime: a key holder takes it for two minutes, the hub for ten.
	guardTime = 15 * 60
	// askTime: a question and its answer each wait in a mailbox.
	askTime = int64((2*waypost.MessageLife + 25*time.Hour) / time.Second)
	// errandTime: a reply may be followed by others, such as when a notice to the
	// resident has run out.
	errandTime = int64(90 * 24 * time.Hour / time.Second)
	// issueTime: a card is issued, and its pointer published, under the ticket of
	// the check before it.
	issueTime = int64(25 * time.Hour / time.Second)
	// ownerTime: and so do the second question and its answer.
	ownerTime = int64((4*waypost.MessageLife + 25*time.Hour) / time.Second)
)

// A dossier is what all ledgers hold about one ticket, and what the rules make
// of it.
type dossier struct {
	*run
	ctx      context.Context
	id       [32]byte
	records  []*record         // by log and index, each once
	follows  []*record         // replies to errands that cite the ticket
	first    int64             // time of the earliest
	issued   int64             // the ticket is not older
	soi      uint16            // noMember where no entry says it
	reported map[uint16]uint64 // by culprit a bit for each rule that has spoken, in an earlier run too
	open     bool              // a rule waits for something
	rule     int               // the one at work
	legs     map[uint16]*legs
}

// rules are applied to each ticket in this order. A ticket that breaks one is
// reported once under it for each who has to answer. At most 64.
var rules = []func(*dossier){
	(*dossier).ownerless,
	(*dossier).quorum,
	(*dossier).searched,
	(*dossier).delivered,
	(*dossier).asked,
	(*dossier).disclosed,
	(*dossier).announced,
	(*dossier).notified,
	(*dossier).published,
	(*dossier).misused,
	(*dossier).canary,
	(*dossier).finished,
	(*dossier).coherent,
	(*dossier).concluded,
	(*dossier).followed,
	(*dossier).passed,
}

// judgeTickets applies the rules, one partition after the other, and returns
// the records of the tickets that may get further entries.
func (r *run) judgeTickets(ctx context.Context) ([]byte, error) {
	var mu sync.Mutex
	var carried []byte
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	for n := range r.tickets.parts {
		if r.tickets.empty(n) {
			continue
		}
		g.Go(func() error {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			raw, err := r.tickets.read(n, *buf)
			*buf = raw
			if err != nil || ctx.Err() != nil {
				return cmp.Or(err, ctx.Err())
			}
			carry, err := r.judgePartition(ctx, raw)
			mu.Lock()
			defer mu.Unlock()
			carried = append(carried, carry...)
			return err
		})
	}
	return carried, g.Wait()
}

func (r *run) judgePartition(ctx context.Context, raw []byte) (carry []byte, err error) {
	var all []*record // sorted as pointers: records are large
	for len(raw) > 0 {
		one := new(record)
		if *one, raw, err = cutRecord(raw); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *record) int {
		return cmp.Or(bytes.Compare(a.ticket[:], b.ticket[:]), cmp.Compare(a.log, b.log), cmp.Compare(a.index, b.index), cmp.Compare(a.kind, b.kind))
	})
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].ticket == all[from].ticket {
			to++
		}
		if carry, err = r.judge(ctx, all[from:to], carry); err != nil {
			return nil, err
		}
		from = to
	}
	return carry, nil
}

// judge applies the rules to one ticket and appends to carry what the next run
// needs of it.
func (r *run) judge(ctx context.Context, records []*record, carry []byte) ([]byte, error) {
	d := &dossier{run: r, ctx: ctx, id: records[0].ticket, soi: noMember, first: 1 << 62}
	for _, one := range records {
		n := len(d.records)
		switch {
		case one.kind == kindReported:
			d.mark(one.owner, one.count)
		case one.kind == kindFollows:
			if f := len(d.follows); f == 0 || d.follows[f-1].log != one.log || d.follows[f-1].index != one.index {
				d.follows = append(d.follows, one)
			}
		case n > 0 && d.records[n-1].log == one.log && d.records[n-1].index == one.index: // carried, and read again
		default:
			d.records = append(d.records, one)
			d.first = min(d.first, one.at)
			if d.soi == noMember || one.kind == kindEvaluate {
				d.soi = one.soi
			}
		}
	}
	if len(d.records) == 0 {
		d.unheardOf()
		return carry, nil
	}
	d.issued = d.first - ownerTime
	if d.has(kindAsk, kindEvaluate, kindSearchFirst, kindSearchSecond, kindPublish) {
		d.issued = d.first - guardTime
	}
	r.judged.Add(1)
	for d.rule = range rules {
		rules[d.rule](d)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if d.open {
		r.open.Add(1)
	}
	if over := d.over(); r.State == "" || over {
		if over {
			d.tallyEnd()
			d.tallyRenewed()
		}
		return carry, nil
	}
	for _, one := range slices.Concat(d.records, d.follows) {
		carry = one.appendTo(carry)
	}
	for culprit, bits := range d.reported {
		mark := record{ticket: d.id, kind: kindReported, owner: culprit, count: bits}
		carry = mark.appendTo(carry)
	}
	return carry, nil
}

func (d *dossier) mark(culprit uint16, bits uint64) {
	if d.reported == nil {
		d.reported = make(map[uint16]uint64)
	}
	d.reported[culprit] |= bits
}

// over reports whether the ticket can have no further entries that mean
// anything: then it is forgotten.
func (d *dossier) over() bool {
	for _, l := range d.logs {
		if l != nil && l.member.Role != roster.Gateway && l.closedBy() < d.first+guardTime {
			return false
		}
	}
	soi := d.least(d.soi, (*logRun).closedBy)
	if d.soi != noMember && (soi < d.first+d.latest() || !d.has(ends...) && soi < d.first+d.endTime()) {
		return false
	}
	for owner, n := range d.owners() {
		if !n.settled() && d.least(owner, (*logRun).closedBy) < d.first+ownerTime {
			return false
		}
	}
	return !d.open
}

// ends are the entries that end an ask.
var ends = []kind{kindOutcome, kindOwed, kindAbandoned, kindRefused, kindPublished, kindConcluded}

// endTime is how long after an ask its end may come, in seconds.
func (d *dossier) endTime() int64 {
	if d.records[0].bare {
		return errandTime
	}
	return askTime
}

// latest is how long a ticket that has ended may still be used, in seconds.
func (d *dossier) latest() int64 {
	switch r := d.records[0]; {
	case r.bare:
		return errandTime
	case r.publish:
		return guardTime
	}
	return issueTime
}

// of returns the records of the kinds.
func (d *dossier) of(which ...kind) []*record {
	var list []*record
	for i := range d.records {
		if slices.Contains(which, d.records[i].kind) {
			list = append(list, d.records[i])
		}
	}
	return list
}

func (d *dossier) has(which ...kind) bool {
	for i := range d.records {
		if slices.Contains(which, d.records[i].kind) {
			return true
		}
	}
	return false
}

// memberAt is the member whose log it is.
func (d *dossier) memberAt(log uint16) uint16 {
	if int(log) < len(d.logs) && d.logs[log] != nil {
		return d.names.members[d.logs[log].member.Name]
	}
	return noMember
}

// legs are what an owner's ledger says of a ticket, and how many candidates of
// its the hub has delivered. Several candidates may be one state's.
type legs struct {
	delivered, notified         int
	continued, declined         int // first leg
	disclosed, declinedInTheEnd int // second leg
	withheld, misused           int
	lastDeliver, lastNotified   int64
	lastFirstLeg, lastSecondLeg int64
}

func (n *legs) firstLegs() int  { return n.continued + n.declined }
func (n *legs) secondLegs() int { return n.disclosed + n.declinedInTheEnd + n.misused }

// settled holds when the owner has nothing more to say.
func (n *legs) settled() bool {
	return n.notified >= n.delivered && n.firstLegs() >= n.delivered && n.secondLegs() >= n.continued
}

// owners returns the legs by owner.
func (d *dossier) owners() map[uint16]*legs {
	if d.legs != nil {
		return d.legs
	}
	all := make(map[uint16]*legs)
	d.legs = all
	get := func(owner uint16) *legs {
		if all[owner] == nil {
			all[owner] = new(legs)
		}
		return all[owner]
	}
	for i := range d.records {
		r := d.records[i]
		switch r.kind {
		case kindDeliver:
			n := get(r.owner)
			n.delivered++
			n.lastDeliver = max(n.lastDeliver, r.at)
		case kindNotified:
			n := get(d.memberAt(r.log))
			n.notified++
			n.lastNotified = max(n.lastNotified, r.at)
		case kindContinue, kindDecline, kindDisclose, kindWithheld, kindOwnerMisuse:
			if r.kind == kindWithheld && r.bare {
				continue // an errand waits for the special unit: it has no legs
			}
			get(d.memberAt(r.log)).leg(r)
		}
	}
	return all
}

func (n *legs) leg(r *record) {
	switch {
	case r.kind == kindContinue:
		n.continued++
	case r.kind == kindDecline && r.leg != 2:
		n.declined++
	case r.kind == kindDecline:
		n.declinedInTheEnd++
	case r.kind == kindDisclose:
		n.disclosed++
	case r.kind == kindWithheld:
		n.withheld++
	default:
		n.misused++
	}
	if r.kind == kindContinue || r.kind == kindDecline && r.leg != 2 {
		n.lastFirstLeg = max(n.lastFirstLeg, r.at)
	} else {
		n.lastSecondLeg = max(n.lastSecondLeg, r.at)
	}
}

// findingf reports that the ticket breaks the rule at work, once for each
// culprit.
func (d *dossier) findingf(kind string, culprit uint16, at []*record, format string, args ...any) {
	d.betweenf(kind, culprit, nil, at, format, args...)
}

// betweenf is findingf where the ledgers alone cannot tell the culprit from
// others. The one named has to answer first.
func (d *dossier) betweenf(kind string, culprit uint16, others []uint16, at []*record, format string, args ...any) {
	bit := uint64(1) << d.rule
	if d.reported[culprit]&bit != 0 {
		return
	}
	d.mark(culprit, bit)
	evidence := map[string]string{"ticket": hex.EncodeToString(d.id[:])}
	var places, or []string
	for _, r := range at {
		places = append(places, d.placeName(place{r.log, r.index}))
	}
	if len(places) > 0 {
		evidence["place"] = strings.Join(places, " ")
		evidence["at"] = stamp(at[0].at)
	}
	for _, o := range others {
		if name := d.names.nameOf(o); o != culprit && o != noMember && !slices.Contains(or, name) {
			or = append(or, name)
		}
	}
	if slices.Sort(or); len(or) > 0 {
		evidence["or"] = strings.Join(or, " ")
	}
	d.findf(kind, d.names.nameOf(culprit), evidence, format, args...)
}

func (r *run) placeName(p place) string {
	name := "?"
	if int(p.log) < len(r.names.Logs) {
		name = r.names.Logs[p.log]
	}
	return name + ":" + strconv.FormatInt(p.index, 10)
}
