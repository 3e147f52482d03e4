package audit

import (
	"encoding/binary"
	"errors"

	"github.com/waypost/waypost"
)

// kind is what an entry is, as far as tickets are concerned.
type kind uint8

const (
	kindNone kind = iota
	// At the state of inquiry.
	kindAsk
	kindOutcome
	kindOwed
	kindAbandoned
	kindRefused
	kindPublished
	kindCanary
	kindConcluded // an errand
	// At a key holder.
	kindEvaluate
	// At the hub.
	kindSearchFirst
	kindSearchSecond
	kindDeliver
	kindPublish
	kindHubMisuse
	kindUpkeep
	kindPassed // pointers, to another state
	// At the owner.
	kindNotified
	kindContinue
	kindDecline
	kindDisclose
	kindWithheld
	kindOwnerMisuse
	kindReplied // to an errand
	kindMoved   // its pointers are another state's
	// Of an errand that cites this ticket: the owner's reply to it.
	kindFollows
	// Of an earlier run, not of a ledger: count is the set of findings reported.
	kindReported
	kinds
)

// Outcomes as a record keeps them.
const (
	outcomeNone uint8 = iota
	outcomeNoMatch
	outcomePossible
	outcomeMatch
	outcomePending
)

const (
	// noLog and noMember stand for a log or member that no roster names.
	noLog    = 0xffff
	noMember = 0xffff
	// goneLog stands for a log of a former member that is not among the sources.
	goneLog = 0xfffe
)

// place is a leaf, as one ledger cites it from another.
type place struct {
	log   uint16 // number of the log
	index int64  // with noLog: the number of the member that is named
}

// answer is one candidate's in an outcome.
type answer struct {
	owner   uint16
	outcome uint8
	signed  bool // a statement stands beside it
}

// record is what the rules need of one entry. Members and logs are numbers in
// the tables of the run.
type record struct {
	ticket    [32]byte
	kind      kind
	log       uint16
	index     int64
	at        int64 // Unix seconds
	ordinal   uint64
	tau       uint64 // a digest of the audit secret, to see that all carry the same
	about     uint64 // a digest of the ticket fields; 0 where there are none
	soi       uint16
	publish   bool   // the ticket is for publishing pointers, not for a check
	republish bool   // and for the second time, under another key
	bare      bool   // the ticket carries no elements: for an errand, or upkeep
	uncited   bool   // replied: to what has to cite a check, and cites none
	signed    bool   // concluded: a signed reply stands in it; replied: it is the final one
	version   uint64 // of the roster that the ticket names
	elements  uint64
	count     uint64 // candidates, answers, records, number of a reply, or the set of reported findings
	owner     uint16 // deliver, canary; passed: from whom; moved: to whom
	leg       uint8
	outcome   uint8 // decline, disclose; canary: match where it was found
	cited     []place
	evals     []place
	answers   []answer
}

var errRecord = errors.New("a record in the temporary file or the state is damaged")

// take notes what kind of ticket the entry is about.
func (r *record) take(k waypost.Kind) {
	r.publish, r.republish = k.Publishes(), k == waypost.KindRepublish
	r.bare = k.Takes(0)
}

// appendTo encodes the record, preceded by its length.
func (r *record) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, r.ticket[:]...)
	flags := uint8(0)
	for i, set := range [...]bool{r.publish, r.bare, r.signed, r.uncited, r.republish} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, byte(r.kind), flags, r.leg, r.outcome)
	for _, v := range [...]uint64{uint64(r.log), uint64(r.index), uint64(r.at), r.ordinal, uint64(r.soi), r.version, r.elements, r.count, uint64(r.owner)} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.BigEndian.AppendUint64(b, r.tau)
	b = binary.BigEndian.AppendUint64(b, r.about)
	for _, list := range [...][]place{r.cited, r.evals} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, p := range list {
			b = binary.AppendUvarint(b, uint64(p.log))
			b = binary.AppendUvarint(b, uint64(p.index))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.answers)))
	for _, a := range r.answers {
		signed := uint8(0)
		if a.signed {
			signed = 1
		}
		b = binary.AppendUvarint(b, uint64(a.owner))
		b = append(b, a.outcome, signed)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// cutRecord decodes the first record of b.
func cutRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b)) > uint64(len(b)-4) {
		return r, nil, errRecord
	}
	d := decoder{b: b[4 : 4+binary.BigEndian.Uint32(b)]}
	rest = b[4+len(d.b):]
	copy(r.ticket[:], d.bytes(len(r.ticket)))
	if head := d.bytes(4); head != nil {
		r.kind, r.leg, r.outcome = kind(head[0]), head[2], head[3]
		r.publish, r.bare, r.signed, r.uncited, r.republish = head[1]&1 != 0, head[1]&2 != 0, head[1]&4 != 0, head[1]&8 != 0, head[1]&16 != 0
	}
	r.log, r.index, r.at, r.ordinal = uint16(d.number()), int64(d.number()), int64(d.number()), d.number()
	r.soi, r.version, r.elements, r.count, r.owner = uint16(d.number()), d.number(), d.number(), d.number(), uint16(d.number())
	if digests := d.bytes(16); digests != nil {
		r.tau, r.about = binary.BigEndian.Uint64(digests), binary.BigEndian.Uint64(digests[8:])
	}
	r.cited, r.evals = d.places(), d.places()
	for range d.length() {
		a := answer{owner: uint16(d.number())}
		if tail := d.bytes(2); tail != nil {
			a.outcome, a.signed = tail[0], tail[1] == 1
		}
		r.answers = append(r.answers, a)
	}
	if d.failed || len(d.b) != 0 || r.kind == kindNone || r.kind >= kinds {
		return r, nil, errRecord
	}
	return r, rest, nil
}

// decoder reads what appendTo wrote. After the first failure it returns zeros.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) bytes(n int) []byte {
	if d.failed || len(d.b) < n {
		d.failed = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.failed || n <= 0 {
		d.failed = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads how many elements follow, each of which takes a byte or more.
func (d *decoder) length() int {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.failed = true
		return 0
	}
	return int(n)
}

func (d *decoder) places() []place {
	n := d.length()
	if n == 0 {
		return nil
	}
	list := make([]place, n)
	for i := range list {
		list[i] = place{uint16(d.number()), int64(d.number())}
	}
	return list
}
