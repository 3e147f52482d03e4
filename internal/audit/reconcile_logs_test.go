package audit

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/translog"
)

// A ledgerCheat is played between two cuts of an honest exchange. The second
// audit, with the state of the first, must find the kind and the culprit; where
// fresh is set, so must one without.
type ledgerCheat struct {
	name, kind, culprit string
	fresh               bool
	play                func(s *sim)     // before the second cut
	after               func(s *sim)     // after it
	options             func(o *Options) // of the second audit
}

var ledgerCheats = []ledgerCheat{
	{name: "back-dated", kind: BackDated, culprit: "CA", fresh: true, play: func(s *sim) {
		s.putAt(s.now, s.now-7200, "CA", "hold", nil, map[string]string{"id": "1", "scope": "", "reason": ""})
	}},
	{name: "back-dated before the last audit", kind: BackDated, culprit: "CA", play: func(s *sim) {
		s.logs["CA"].publish(s.now, s.now, s.witnesses...)
		s.counts["CA"] = nil
		s.putAt(s.now+400, s.now-500, "CA", "hold", nil, map[string]string{"id": "1", "scope": "", "reason": ""})
	}},
	{name: "post-dated", kind: PostDated, culprit: "hub", fresh: true, play: func(s *sim) {
		s.putAt(s.now, s.now+7200, "hub", "hold", nil, map[string]string{"id": "1", "scope": "", "reason": ""})
	}},
	{name: "miscounted", kind: Miscounted, culprit: "NV", fresh: true, play: func(s *sim) {
		s.note(s.now, "NV", "daily", map[string]string{"day": "2026-03-01", "ask": "3"})
	}},
	{name: "another roster", kind: RosterMissing, culprit: "keyholder-4", fresh: true, play: func(s *sim) {
		s.note(s.now, "keyholder-4", "roster", map[string]string{"version": "1", "hash": "00", "changes": "other"})
	}},
	{name: "false accusation", kind: Damaged, culprit: "NY", fresh: true, play: func(s *sim) {
		s.logs["NY"].objects.put(s.t, "evidence/e1.json", []byte("nothing"))
		s.note(s.now, "NY", "receipt_missed", map[string]string{"signer": "hub", "place": "hub/1:3", "evidence": "e1"})
	}},
	{name: "accusation without evidence", kind: Damaged, culprit: "NY", fresh: true, play: func(s *sim) {
		s.note(s.now, "NY", "receipt_missed", map[string]string{"signer": "hub", "place": "hub/1:3", "evidence": "e2"})
		s.run(s.now + 1000)
	}},
	{name: "evidence", kind: ReceiptMissed, culprit: "hub", fresh: true, play: func(s *sim) {
		s.missed("NY", "hub", "hub/1:3")
		s.run(s.now + 200)
	}},
	{name: "unwitnessed", kind: Unwitnessed, culprit: "keyholder-2", fresh: true, after: func(s *sim) {
		s.logs["keyholder-2"].publish(s.now, s.now, s.witnesses[0])
	}},
	{name: "stale", kind: Stale, culprit: "hub", fresh: true, after: func(s *sim) { s.logs["hub"].publish(s.now, s.now-1000, s.witnesses...) }},
	{name: "missing", kind: Missing, culprit: "AZ", fresh: true, after: func(s *sim) { delete(s.logs["AZ"].mem, "checkpoint") }},
	{name: "gap", kind: Gap, culprit: "hub", fresh: true, after: func(s *sim) {
		l := s.logs["hub"]
		delete(l.mem, torchwood.TilePath(tlog.Tile{H: 8, L: -1, N: (l.written - 1) / 256, W: int((l.written-1)%256) + 1}))
	}},
	{name: "altered leaf", kind: Damaged, culprit: "hub", fresh: true, after: func(s *sim) { b := s.last("hub", "tile"); b[len(b)-1] ^= 1 }},
	{name: "altered entry", kind: Damaged, culprit: "hub", fresh: true, after: func(s *sim) { b := s.last("hub", "sealed"); b[len(b)-1] ^= 1 }},
	{name: "other key", kind: Damaged, culprit: "CA", fresh: true, play: func(s *sim) {
		s.logs["CA"].key = translog.NewDataKey()
		s.note(s.now, "CA", "started", map[string]string{"version": "test"})
	}},
	{name: "erased without a word", kind: Damaged, culprit: "NV", fresh: true, play: func(s *sim) {
		l := s.logs["NV"]
		n := s.note(s.now, "NV", "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
		s.note(s.now, "NV", "stopped", map[string]string{"version": "test"})
		l.blank = func(index int64) bool { return index == n }
	}},
	{name: "rollback", kind: Rollback, culprit: "keyholder-1", after: func(s *sim) {
		l := s.logs["keyholder-1"]
		l.put(s.t, "checkpoint", l.checkpoint(translog.Frontier{}, s.now, s.witnesses...))
	}},
	{name: "fork", kind: Fork, culprit: "keyholder-1", after: func(s *sim) { s.replace("keyholder-1", s.branch("keyholder-1", 3)) }},
	{name: "fork of the same size", kind: Fork, culprit: "AZ", after: func(s *sim) {
		l := s.logs["AZ"]
		s.replace("AZ", s.branch("AZ", l.written))
	}},
	{name: "fork seen by another", kind: Fork, culprit: "hub", fresh: true, after: func(s *sim) {
		b := s.branch("hub", 2)
		s.logs["CA"].objects.put(s.t, "seen/hub/1", b.mem["checkpoint"])
	}},
	{name: "rollback seen by another", kind: Rollback, culprit: "keyholder-3", fresh: true, after: func(s *sim) {
		l := s.logs["keyholder-3"]
		longer := l.tree
		longer.Peaks = append([]tlog.Hash(nil), l.tree.Peaks...)
		longer.Add([]byte("one more"))
		s.logs["hub"].objects.put(s.t, "seen/keyholder-3/1", l.checkpoint(longer, s.now, s.witnesses...))
	}},
	{name: "a checkpoint that was never signed", kind: Damaged, culprit: "NV", fresh: true, after: func(s *sim) {
		note := bytes.Replace(s.logs["hub"].mem["checkpoint"], []byte("\n"), []byte("\n1"), 1)
		s.logs["NV"].objects.put(s.t, "seen/hub/1", note)
	}},
	{name: "fork between a gateway and its copy", kind: Fork, culprit: "AZ", fresh: true, options: nil, after: func(s *sim) {
		s.copies = map[string]*objects{"AZ": {mem: s.branch("AZ", 2).mem}}
	}},
	{name: "hidden pointer", kind: HiddenPointer, culprit: "hub", fresh: true, play: func(s *sim) { s.lookForCanary(false) }},
	{name: "hidden canary", kind: HiddenPointer, culprit: "AZ", fresh: true, play: func(s *sim) { s.lookForCanary(true) }},
	{name: "disclosure without search", kind: DisclosureWithoutSearch, culprit: "NV", fresh: true, play: func(s *sim) { s.peek("NV", false) }},
	{name: "disclosure without delivery", kind: DisclosureWithoutSearch, culprit: "hub", fresh: true, play: func(s *sim) { s.peek("NV", true) }},
}

// TestLedgerCheats: what is wrong with one ledger is found and names its
// member.
func TestLedgerCheats(t *testing.T) {
	for _, c := range ledgerCheats {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(newExchange(t, "", genQuota), 7)
			s.calm = true
			for range 12 {
				s.in(s.rng.Int64N(300), s.newCheck)
			}
			s.run(s.now + 400)
			s.cut(s.now)
			o := s.options(s.now)
			o.State = filepath.Join(t.TempDir(), "state")
			expect(t, o, nil, "")
			for range 4 {
				s.in(s.rng.Int64N(50), s.newCheck)
			}
			s.run(s.now + 100)
			if c.play != nil {
				c.play(s)
			}
			s.cut(s.now + 400)
			if c.after != nil {
				c.after(s)
			}
			again := s.options(s.now)
			if c.fresh {
				expect(t, again, []string{c.kind}, c.culprit)
			}
			again.State = o.State
			expect(t, again, []string{c.kind}, c.culprit)
		})
	}
}

// last returns the last bundle of a log, of leaves or of sealed entries.
func (s *sim) last(member, what string) []byte {
	l := s.logs[member]
	n, width := (l.written-1)/256, int((l.written-1)%256)+1
	if what == "sealed" {
		return l.mem[translog.SealedPath(n, width)]
	}
	return l.mem[torchwood.TilePath(tlog.Tile{H: 8, L: -1, N: n, W: width})]
}

// branch is another history of a log, which differs from the entry n on, signed
// and cosigned.
func (s *sim) branch(member string, n int64) *genLog {
	l := s.logs[member]
	b := &genLog{t: s.t, member: l.member, role: l.role, origin: l.origin, signer: l.signer}
	b.reset(s.auditor.Recipient())
	for i := range l.written {
		at := s.start + i
		if i >= n-1 {
			at++
		}
		b.append(0, translog.Entry{Kind: "hold", At: time.Unix(at, 0), Body: []byte(`{"id":"1"}`)})
	}
	b.publish(s.now, s.now, s.witnesses...)
	return b
}

func (s *sim) replace(member string, b *genLog) { s.logs[member].mem = b.mem }

// lookForCanary makes a check by AZ that should find a synthetic person of CA.
func (s *sim) lookForCanary(delivered bool) {
	c := &check{genTicket: s.ticket(waypost.KindCheck, "AZ", waypost.CheckElements, waypost.Attended), soi: "AZ"}
	s.put(s.now, "AZ", "ask", c.genTicket, ticketFields(c.genTicket))
	evals := s.evaluate(c.genTicket)
	s.run(s.now + 1)
	c.evals = evals()
	n := "0"
	if delivered {
		n = "1"
	}
	place := s.logs["hub"].place(s.logs["hub"].size)
	s.put(s.now, "hub", "search_first", c.genTicket, ticketFields(c.genTicket, "candidates", n, "evaluations", c.evals[0]+" "+c.evals[1]+" "+c.evals[2]))
	c.searches, c.cited = []string{place}, true
	if delivered {
		s.put(s.now, "hub", "deliver", c.genTicket, ticketFields(c.genTicket, "owner", "CA"))
		k := &candidate{owner: "CA"}
		c.candidates = []*candidate{k}
		s.notify(c, k)
		s.in(1, func() { s.firstLeg(c, k) })
		s.run(s.now + 30)
	} else {
		s.conclude(c)
	}
	s.note(s.now, "AZ", "canary", map[string]string{"owner": "CA", "found": "no", "check": hex.EncodeToString(c.ID[:])})
}

// peek has an owner answer about a ticket that found nothing of its.
func (s *sim) peek(owner waypost.Jurisdiction, notified bool) {
	c := &check{genTicket: s.ticket(waypost.KindCheck, "AZ", waypost.CheckElements, waypost.Attended), soi: "AZ"}
	s.put(s.now, "AZ", "ask", c.genTicket, ticketFields(c.genTicket))
	if notified {
		s.put(s.now, string(owner), "notified", c.genTicket, map[string]string{"soi": "AZ", "notice": "00"})
	}
	s.put(s.now, string(owner), "continue", c.genTicket, ticketFields(c.genTicket))
	s.put(s.now, string(owner), "disclose", c.genTicket, ticketFields(c.genTicket, "leg", "2", "outcome", "match", "policy", "1", "subject", "00"))
	s.end(c, "abandoned")
}

// TestStopped: an exchange that was stopped is not stale, and everything that
// it committed is known to have been read.
func TestStopped(t *testing.T) {
	s := newSim(newExchange(t, "", genQuota), 3)
	s.calm = true
	for range 10 {
		s.newCheck()
	}
	s.run(s.now + 60)
	s.cheat = "unlogged_decline"
	for range 10 {
		s.newCheck()
	}
	s.run(s.now + 60)
	for _, m := range s.members {
		s.note(s.now, m, "stopped", map[string]string{"version": "test"})
	}
	s.publishAll(s.now + 1)
	rep := expect(t, s.options(s.now+30*24*3600), []string{UnloggedDisclosure}, s.culprit)
	if rep.Open != 0 {
		t.Errorf("%d tickets are open in a stopped exchange", rep.Open)
	}
}

// TestRosterMissing: a ledger that still runs under a roster that others have
// replaced more than a day ago is found, once.
func TestRosterMissing(t *testing.T) {
	x := newExchange(t, "", genQuota)
	s := newSim(x, 5)
	next := *x.roster
	hash, err := x.roster.Hash()
	must(t, err)
	next.Version, next.Previous = 2, hash
	next.NotBefore = next.NotBefore.Add(time.Hour)
	newHash, err := next.Hash()
	must(t, err)
	s.run(s.now + 3700)
	for _, m := range x.members {
		if m != "NV" {
			x.note(s.now, m, "roster", map[string]string{"version": "2", "hash": hex.EncodeToString(newHash[:]), "changes": "signed again"})
		}
	}
	file := filepath.Join(t.TempDir(), "state")
	for _, c := range []struct {
		later int64
		kinds []string
	}{{3600, nil}, {23 * 3600, nil}, {2 * 3600, []string{RosterMissing}}, {3600, nil}} {
		s.run(s.now + c.later)
		s.daily(s.now)
		x.publishAll(s.now)
		o := x.options(s.now)
		o.Rosters, o.State = []*roster.Roster{x.roster, &next}, file
		rep := expect(t, o, c.kinds, "NV")
		if len(rep.Findings) != len(c.kinds) {
			t.Errorf("%+v", rep.Findings)
		}
	}
}

// TestFormer: the ledger of a key holder that was removed ends, or is gone; what
// others cite from it is not held against anybody.
func TestFormer(t *testing.T) {
	x := newExchange(t, "", genQuota)
	s := newSim(x, 5)
	s.calm = true
	for range 20 {
		s.newCheck()
	}
	s.run(s.now + 100)
	x.publishAll(s.now)
	next := *x.roster
	next.Version, next.Members = 2, append([]roster.Member(nil), x.roster.Members...)
	next.Members[5].Removed = true
	s.run(s.now + 3000)
	for _, m := range x.members {
		if m != "keyholder-5" {
			x.logs[m].publish(s.now, s.now, x.witnesses...)
		}
	}
	file := filepath.Join(t.TempDir(), "state")
	for _, gone := range []bool{false, true} {
		o := x.options(s.now)
		o.Rosters = []*roster.Roster{x.roster, &next}
		o.Sources[5].Former = true
		if gone {
			o.Sources = append(o.Sources[:5:5], o.Sources[6:]...)
		}
		for _, o.State = range []string{"", file} {
			if rep := expect(t, o, nil, ""); o.State == "" && (rep.Tickets != 20 || rep.Open != 0) {
				t.Errorf("gone %v: %+v", gone, rep)
			}
		}
	}
}

// TestQuota: a guard that lets more pass than the roster grants is found, also
// where the excess is spread over two audits; a guard that keeps to it is not.
func TestQuota(t *testing.T) {
	quota := roster.Quota{TicketsPerDay: 30, UnattendedPerDay: 4, TicketsPerOperatorHour: 6, Operators: 6, PublishElementsPerDay: 300, PublishElementsForALoad: 500, RepublishRecords: 55}
	for _, c := range []struct {
		name    string
		checks  int
		class   waypost.OperatorClass
		persons int
		asks    int // to single states
		hours   bool
		loads   int
		again   int // published once more
		extra   int // by a grant
		over    bool
	}{
		{name: "in the quota", checks: 30, class: waypost.Attended, persons: 6, loads: 8},
		{name: "the same persons in two hours", checks: 30, class: waypost.Attended, persons: 6, hours: true},
		{name: "the same persons ask what follows", checks: 30, asks: 30, class: waypost.Attended, persons: 6},
		{name: "a question too many", asks: 31, class: waypost.Attended, persons: 6, over: true},
		{name: "a person who asks too much", asks: 7, class: waypost.Attended, persons: 1, over: true},
		{name: "another person who asks", checks: 6, asks: 7, class: waypost.Attended, persons: 7, over: true},
		{name: "a check too many", checks: 31, class: waypost.Attended, persons: 6, over: true},
		{name: "an unattended check too many", checks: 5, class: waypost.Unattended, persons: 6, over: true},
		{name: "a person too busy", checks: 7, class: waypost.Attended, persons: 1, over: true},
		{name: "a person too many", checks: 7, class: waypost.Attended, persons: 7, over: true},
		{name: "more than the load", loads: 9, over: true},
		{name: "published once more beside the load", loads: 8, again: 5},
		{name: "more once more than there is", again: 6, over: true},
		{name: "a burst that was granted", checks: 36, class: waypost.Attended, persons: 6, extra: 6},
		{name: "a burst beyond what was granted", checks: 36, class: waypost.Attended, persons: 6, extra: 5, over: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newExchange(t, "", quota)
			if c.extra > 0 {
				x.roster.Grants = []roster.Grant{{Member: "CA", Class: roster.AttendedChecks, Extra: c.extra, From: x.roster.NotBefore, Until: x.roster.NotAfter}}
			}
			s := newSim(x, 1)
			file := filepath.Join(t.TempDir(), "state")
			found := 0
			play := func(from, to int) {
				for i := from; i < to; i++ {
					if i < c.checks {
						s.quotaTicket(waypost.KindCheck, c.class, fmt.Sprint(i%c.persons), waypost.CheckElements)
					}
					if i < c.asks {
						s.quotaTicket(waypost.KindChangeSOR, c.class, fmt.Sprint(i%c.persons), 0)
					}
					if i < c.loads {
						s.quotaTicket(waypost.KindPublish, waypost.Loader, "loader", 100)
					}
				}
				for i := from; i < min(to, c.again); i++ {
					s.quotaTicket(waypost.KindRepublish, waypost.Loader, "loader", 100)
				}
				s.run(s.now + 100)
				s.publishAll(s.now)
				o := s.options(s.now)
				o.State = file
				rep, err := Reconcile(ctx, o)
				must(t, err)
				for _, f := range rep.Findings {
					if f.Kind == QuotaExceeded && f.Member == "hub" {
						found++
					}
				}
			}
			play(0, 4)
			if c.hours {
				s.run(s.now + hourSeconds)
			}
			play(4, 40)
			play(40, 40) // found once
			if want := map[bool]int{true: 1}[c.over]; found != want {
				t.Errorf("found %d times, want %d", found, want)
			}
		})
	}
}

// quotaTicket is a search or a publication at the hub and nothing else: its
// other findings are not looked at.
func (s *sim) quotaTicket(kind waypost.Kind, class waypost.OperatorClass, person string, elements int) {
	t := s.ticket(kind, "CA", elements, class)
	fields := ticketFields(t, "candidates", "0")
	entry := "search_first"
	if kind.Publishes() {
		entry, fields = "publish", ticketFields(t, "records", fmt.Sprint(elements/10))
	}
	if kind == waypost.KindChangeSOR {
		entry, fields = string(kind), ticketFields(t, "records", "1", "from", "AZ")
	}
	fields["operator"] = hex.EncodeToString(bytes.Repeat([]byte(person[:1]), 32))
	s.put(s.now, "hub", entry, t, fields)
}
