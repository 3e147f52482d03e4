package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// kindsOf are the entries about tickets, by role.
var kindsOf = map[roster.Role]map[string]kind{
	roster.KeyHolder: {"evaluate": kindEvaluate},
	roster.Hub: {"search_first": kindSearchFirst, "search_second": kindSearchSecond, "deliver": kindDeliver,
		"publish": kindPublish, "misuse": kindHubMisuse,
		"withdraw": kindUpkeep, "activate": kindUpkeep, "compare": kindUpkeep, "leave": kindUpkeep, "change_state_of_record": kindPassed},
	roster.Gateway: {"ask": kindAsk, "outcome": kindOutcome, "owed": kindOwed, "abandoned": kindAbandoned, "refused": kindRefused,
		"published": kindPublished, "canary": kindCanary, "notified": kindNotified, "continue": kindContinue, "decline": kindDecline,
		"disclose": kindDisclose, "withheld": kindWithheld, "misuse": kindOwnerMisuse,
		"concluded": kindConcluded, "replied": kindReplied, "moved": kindMoved},
}

// outcomes are the outcomes by their words.
var outcomes = map[string]uint8{
	string(waypost.NoMatch): outcomeNoMatch, string(waypost.Possible): outcomePossible,
	string(waypost.Match): outcomeMatch, string(waypost.Pending): outcomePending,
}

// entry takes one leaf with its sealed entry: it opens it, applies what can be
// said of it alone, and hands its record to its ticket.
func (l *logRun) entry(ctx context.Context, index int64, leaf, blob []byte) error {
	e, ok, err := l.open(ctx, index, leaf, blob)
	if err != nil {
		return err
	}
	if len(blob) == 0 {
		l.kept.Blank++
		l.kept.BlankSince = max(l.kept.BlankSince, l.kept.Latest-dateSlack)
	}
	l.kept.Ended = ok && e.Kind == "stopped"
	if !ok {
		l.kept.DarkBelow = index + 1
		return nil
	}
	l.counters[e.Kind]++
	l.times(index, e)
	rec := record{
		ticket: e.Ticket, kind: kindsOf[l.member.Role][e.Kind], log: l.number, index: index, at: e.At.Unix(), ordinal: e.Ordinal,
		soi: noMember, owner: noMember,
	}
	f := fields{l: l, rec: &rec, entry: &e, ticketFields: l.ticketFields[:0]}
	if !eachField(e.Body, f.take) || !f.complete() {
		l.damagedf(index, "its fields are not those of an entry %q", e.Kind)
		l.kept.DarkBelow = index + 1
		return nil
	}
	l.alone(index, e, &f)
	if rec.kind == kindNone {
		return nil
	}
	rec.tau, rec.about = digest(e.Tau[:]), f.about()
	l.timely(&rec, &f)
	if err := l.count(&rec, &f); err != nil {
		return err
	}
	if err := l.r.keep(&rec, &l.scratch); err != nil || rec.kind != kindReplied || f.cites == ([32]byte{}) {
		return err
	}
	// What follows a check is judged with it.
	rec.ticket, rec.kind, rec.evals = f.cites, kindFollows, nil
	return l.r.keep(&rec, &l.scratch)
}

// digest is 64 bits of SHA-256.
func digest(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// keep puts a record to those of its ticket.
func (r *run) keep(rec *record, scratch *[]byte) error {
	*scratch = rec.appendTo((*scratch)[:0])
	return r.tickets.put(int(binary.BigEndian.Uint32(rec.ticket[:])%uint32(len(r.tickets.parts))), *scratch)
}

// fields gathers what the record of an entry needs from its body.
type fields struct {
	l     *logRun
	rec   *record
	entry *translog.Entry
	bad   bool

	answers  uint64
	cites    [32]byte // the check that an answered errand follows
	refused  bool     // the errand was, or nobody was found by what it names
	uncited  bool     // the errand is of a kind that follows a check
	minute   int64    // of the ticket, Unix seconds; 0 where the entry does not say
	class    waypost.OperatorClass
	operator [16]byte
	more     map[string]string // of entries without a ticket

	ticketFields []byte // each name and value with a zero behind it
}

// take is called with each field.
func (f *fields) take(name, value []byte) {
	r := f.rec
	if r.kind == kindNone || r.kind == kindCanary {
		if f.more == nil {
			f.more = make(map[string]string, 8)
		}
		f.more[string(name)] = string(value)
		return
	}
	if r.kind != kindEvaluate && r.kind != kindNotified && isTicketField(name) {
		f.ticketFields = appendField(f.ticketFields, name, value)
	}
	switch string(name) {
	case "minute":
		at, err := time.Parse(journal.MinuteFormat, string(value))
		f.minute, f.bad = at.Unix(), f.bad || err != nil
	case "soi":
		r.soi = f.l.r.names.memberOf(value)
	case "kind":
		f.uncited = follows(waypost.Kind(value))
		r.take(waypost.Kind(value))
	case "cites":
		if n, err := hex.Decode(f.cites[:], value[:min(len(value), 64)]); err != nil || n != len(f.cites) || len(value) != 64 {
			f.bad = true
		}
	case "class":
		f.class = waypost.OperatorClass(value)
	case "operator":
		f.tag(value)
	case "elements":
		r.elements = f.number(value)
	case "roster":
		r.version = f.number(value)
	case "ticket":
		f.ticket(value)
	default:
		f.done(name, value)
	}
}

// done takes a field that says what was done under the ticket.
func (f *fields) done(name, value []byte) {
	r := f.rec
	switch string(name) {
	case "word":
		f.refused = string(value) == errand.Refused || string(value) == driver.DriverNotFound
	case "final":
		r.signed = string(value) == "yes"
	case "reply":
		r.signed = len(value) > 0
	case "from", "to", "owner":
		r.owner = f.l.r.names.memberOf(value)
	case "number", "candidates", "records":
		r.count = f.number(value)
	case "answers":
		f.answers = f.number(value)
	case "leg":
		r.leg = uint8(f.number(value))
	case "outcome":
		r.outcome = outcomes[string(value)]
	case "evaluations":
		r.evals = f.places(value)
	case "searches", "publications":
		r.cited = f.places(value)
	default:
		if bytes.HasPrefix(name, []byte("answer_")) {
			f.answer(value)
		}
	}
}

// follows reports whether errands of the kind are about a record that a check has
// found, and nothing else.
func follows(k waypost.Kind) bool {
	return k.Errand() && k != waypost.KindVerifyCard && k != waypost.KindReport
}

// isTicketField reports whether the field says what the ticket says.
func isTicketField(name []byte) bool {
	switch string(name) {
	case "soi", "kind", "purpose", "class", "operator", "case", "minute", "elements", "environment", "epoch", "roster", "cites":
		return true
	}
	return false
}

// sortedFields are the ticket fields in the order of a body.
func sortedFields(t waypost.Ticket) []journal.Field {
	list := journal.TicketFields(t)
	slices.SortFunc(list, func(a, b journal.Field) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// appendField adds one: neither a name nor a value has a zero in it.
func appendField(b, name, value []byte) []byte {
	b = append(append(b, name...), 0)
	return append(append(b, value...), 0)
}

// about digests what the entry says of its ticket.
func (f *fields) about() uint64 {
	f.l.ticketFields = f.ticketFields // grown, for the next entry
	if len(f.ticketFields) == 0 {
		return 0
	}
	return digest(f.ticketFields)
}

// complete fills in what stands elsewhere, and reports whether the fields make
// sense.
func (f *fields) complete() bool {
	r := f.rec
	switch r.kind {
	case kindOutcome:
		r.count = f.answers
		return !f.bad && r.count == uint64(len(r.answers))
	case kindReplied:
		r.uncited = f.uncited && !f.refused && f.cites == [32]byte{}
		if f.refused { // it disclosed nothing, whatever the errand cites
			f.cites = [32]byte{}
		}
	case kindCanary:
		check, err := hex.DecodeString(f.more["check"])
		if err != nil || len(check) != len(r.ticket) {
			return false
		}
		copy(r.ticket[:], check)
		r.owner, r.outcome = f.l.r.names.memberOf([]byte(f.more["owner"])), outcomeNoMatch
		if f.more["found"] == "yes" {
			r.outcome = outcomeMatch
		}
	}
	return !f.bad && (r.kind == kindNone || r.ticket != [32]byte{})
}

func (f *fields) number(value []byte) uint64 {
	n, ok := decimal(value)
	f.bad = f.bad || !ok
	return n
}

// decimal reads up to 18 digits.
func decimal(s []byte) (n uint64, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(s) >= 1 && len(s) <= 18
}

// tag keeps half of an operator's tag: still no two operators share it.
func (f *fields) tag(value []byte) {
	if len(value) != 64 {
		f.bad = true
		return
	}
	if _, err := hex.Decode(f.operator[:], value[:32]); err != nil {
		f.bad = true
	}
}

// places reads "<member>/<instance>:<index>", separated by spaces.
func (f *fields) places(value []byte) []place {
	if len(value) == 0 {
		return nil
	}
	list := make([]place, 0, 4)
	for one := range bytes.SplitSeq(value, []byte(" ")) {
		name, index, ok := bytes.Cut(one, []byte(":"))
		n, isNumber := decimal(index)
		if !ok || !isNumber || len(list) == waypost.MaxReceipts {
			f.bad = true
			return nil
		}
		holder := holderOf(string(name))
		p := place{noLog, int64(f.l.r.names.memberOf([]byte(holder)))}
		if log, known := f.l.r.names.logs[string(name)]; known {
			p = place{log, int64(n)}
		} else if f.l.r.former(holder) {
			p = place{goneLog, int64(n)}
		}
		list = append(list, p)
	}
	return list
}

// answer reads "<owner> <outcome> <statement>"; the statement is looked at only
// where it is disputed.
func (f *fields) answer(value []byte) {
	owner, rest, _ := bytes.Cut(value, []byte(" "))
	outcome, statement, _ := bytes.Cut(rest, []byte(" "))
	a := answer{owner: f.l.r.names.memberOf(owner), outcome: outcomes[string(outcome)], signed: len(statement) > 0}
	if a.outcome == outcomeNone {
		f.bad = true
	}
	f.rec.answers = append(f.rec.answers, a)
}

// ticket reads a key holder's entry. The ticket's id is the hash of what was
// signed, so the entry cannot be about another; the signature is looked at only
// where the state of inquiry does not own up to the ticket.
func (f *fields) ticket(value []byte) {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(value))
	if err != nil {
		f.bad = true
		return
	}
	t, err := waypost.ParseTicket(raw)
	if err != nil || t.ID != f.entry.Ticket || t.Tau != f.entry.Tau {
		f.bad = true
		return
	}
	for _, one := range sortedFields(t.Ticket) {
		f.ticketFields = appendField(f.ticketFields, []byte(one.Name), []byte(one.Value))
	}
	r := f.rec
	f.minute = t.IssuedAt.Unix()
	r.soi = f.l.r.names.memberOf([]byte(t.SOI))
	r.take(t.Kind)
	r.elements, r.version = uint64(t.Elements), t.RosterVersion
	f.class, f.operator = t.Class, [16]byte(t.Operator[:16])
}
