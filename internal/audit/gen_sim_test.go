package audit

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// A simulation writes the ledgers of an exchange at work: checks and loads with
// what goes wrong in an honest exchange, and one planted cheat or none.

type sim struct {
	*genExchange
	rng    *rand.Rand
	now    int64
	events queue
	serial uint64
	calm   bool // nothing goes wrong

	cheat   string // to be played once
	culprit string // set when it was
}

type event struct {
	at, order int64
	do        func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func newSim(x *genExchange, seed uint64) *sim {
	return &sim{genExchange: x, rng: rand.New(rand.NewPCG(seed, 1)), now: x.start + 10}
}

// in runs do after some seconds.
func (s *sim) in(seconds int64, do func()) {
	s.serial++
	heap.Push(&s.events, event{s.now + seconds, int64(s.serial), do})
}

// run plays until the time.
func (s *sim) run(until int64) {
	for len(s.events) > 0 && s.events[0].at <= until {
		e := heap.Pop(&s.events).(event)
		if e.at/3600 != s.now/3600 {
			s.daily(e.at)
		}
		s.now = e.at
		e.do()
	}
	s.now = until
}

// chance is true once in n, and never where nothing may go wrong.
func (s *sim) chance(n int) bool { return !s.calm && s.rng.IntN(n) == 0 }

// plays reports whether this is the occasion for the cheat, and who does it.
func (s *sim) plays(cheat, culprit string) bool {
	if s.cheat != cheat || s.culprit != "" {
		return false
	}
	s.culprit = culprit
	return true
}

func (s *sim) ticket(kind waypost.Kind, soi waypost.Jurisdiction, elements int, class waypost.OperatorClass) *genTicket {
	s.serial++
	var id [32]byte
	binary.BigEndian.PutUint64(id[:], s.serial)
	t := waypost.Ticket{
		Kind: kind, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: soi, Class: class, Purpose: waypost.IssueLicence,
		IssuedAt: time.Unix(s.now, 0), Elements: elements, Operator: sha256.Sum256(fmt.Appendf(nil, "operator %d", s.rng.IntN(20))),
		Nonce: [16]byte(id[:16]), Tau: sha256.Sum256(append([]byte("tau"), id[:]...)),
	}
	t.Nonce[0] = 1
	if kind == waypost.KindPublish {
		t.Purpose = waypost.MaintainPointer
	}
	signed, err := t.Sign(genKey(string(soi) + " identity"))
	must(s.t, err)
	return &genTicket{signed, make(map[[2]string]uint64)}
}

// check is one check on its way.
type check struct {
	*genTicket
	soi                waypost.Jurisdiction
	evals, searches    []string
	candidates         []*candidate
	cited, ended, dead bool
}

type candidate struct {
	owner     waypost.Jurisdiction
	outcome   waypost.Outcome
	statement []byte
	done      bool
}

// newCheck starts a check of a random state.
func (s *sim) newCheck() {
	soi := genStates[s.rng.IntN(len(genStates))]
	class := waypost.Attended
	if s.rng.IntN(10) == 0 {
		class = waypost.Unattended
	}
	c := &check{genTicket: s.ticket(waypost.KindCheck, soi, waypost.CheckElements, class), soi: soi}
	if !s.plays("evaluation_without_owner", string(soi)) {
		s.put(s.now, string(soi), "ask", c.genTicket, ticketFields(c.genTicket))
	} else {
		c.dead = true
	}
	holders := s.evaluate(c.genTicket)
	if s.chance(20) { // no quorum: owed, and made again under another ticket
		s.in(3, func() { s.end(c, "owed", "code", "unavailable"); s.newCheck() })
		return
	}
	if s.chance(30) { // the gateway dies
		s.in(int64(s.rng.IntN(400)), func() { s.restart(string(soi)); s.end(c, "abandoned") })
		return
	}
	s.in(1, func() {
		if !c.dead {
			c.evals = holders()
			s.search(c, "search_first", s.pick(0, 0, 1, 1, 2))
		}
	})
}

func (s *sim) pick(from ...int) int { return from[s.rng.IntN(len(from))] }

// evaluate has three holders evaluate, and sometimes one more; it returns how to
// cite them.
func (s *sim) evaluate(t *genTicket) func() []string {
	order := s.rng.Perm(genHolders)
	n := 3
	if s.chance(5) {
		n = 4 // hedged
	}
	places := make([]string, n)
	for i := range n {
		holder := fmt.Sprintf("keyholder-%d", order[i]+1)
		late := int64(0)
		if i == 3 {
			late = int64(s.rng.IntN(20))
		}
		s.in(late, func() {
			if i == 0 && s.plays("forged_evaluation", holder) {
				forged := s.forge(t)
				s.put(s.now, holder, "evaluate", forged, map[string]string{"ticket": b64(forged.Bytes())})
			}
			places[i] = s.logs[holder].place(s.logs[holder].size)
			if i == 0 && s.plays("dropped_evaluation", holder) {
				s.note(s.now, holder, "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
				s.missed("hub", holder, places[i])
				return
			}
			s.put(s.now, holder, "evaluate", t, map[string]string{"ticket": b64(t.Bytes())})
		})
	}
	return func() []string {
		if s.plays("too_few", "hub") {
			return sorted(places[:2])
		}
		if s.plays("other_evaluation", "hub") {
			return sorted([]string{places[0], places[1], "keyholder-" + fmt.Sprint(order[4]+1) + "/1:0"})
		}
		return sorted(places[:3])
	}
}

func sorted(places []string) []string {
	places = slices.Clone(places)
	slices.Sort(places)
	return places
}

// forge is a ticket that a key holder made up.
func (s *sim) forge(t *genTicket) *genTicket {
	f := t.Ticket
	f.Nonce[1]++
	signed, err := f.Sign(genKey("somebody"))
	must(s.t, err)
	return &genTicket{signed, make(map[[2]string]uint64)}
}

// search commits one part and its deliveries.
func (s *sim) search(c *check, part string, n int) {
	if s.cheat != "" && n == 0 {
		n = 1 // most cheats need a candidate
	}
	fields := ticketFields(c.genTicket, "candidates", strconv.Itoa(n))
	if part == "search_first" {
		fields["evaluations"] = strings.Join(c.evals, " ")
	}
	place := s.logs["hub"].place(s.logs["hub"].size)
	unlogged := s.plays("unlogged_search", "hub")
	if unlogged {
		s.note(s.now, "hub", "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
		s.missed(string(c.soi), "hub", place)
	} else {
		s.put(s.now, "hub", part, c.genTicket, fields)
	}
	for range n {
		owner := c.soi
		for owner == c.soi {
			owner = genStates[s.rng.IntN(len(genStates))]
		}
		k := &candidate{owner: owner, outcome: waypost.Pending}
		c.candidates = append(c.candidates, k)
		if !unlogged && !s.plays("undelivered", "hub") {
			s.put(s.now, "hub", "deliver", c.genTicket, ticketFields(c.genTicket, "owner", string(owner)))
		}
		s.notify(c, k)
	}
	if s.chance(40) { // the gateway dies before it has the answer
		s.in(int64(s.rng.IntN(600)), func() { s.restart(string(c.soi)); s.end(c, "abandoned") })
		c.dead = true
		return
	}
	c.searches = append(c.searches, place)
	s.in(1, func() {
		if part == "search_first" && (n == 0 || s.rng.IntN(3) > 0) {
			s.search(c, "search_second", s.pick(0, 0, 0, 1))
			return
		}
		c.cited = true
		s.conclude(c)
	})
	for _, k := range c.candidates[len(c.candidates)-n:] {
		s.in(1, func() { s.firstLeg(c, k) })
	}
	s.in(int64((2*waypost.MessageLife+time.Hour)/time.Second), func() {
		if !c.ended && !c.dead {
			s.outcome(c)
		}
	})
}

func (s *sim) notify(c *check, k *candidate) {
	late := int64(0)
	if s.chance(10) {
		late = int64(s.rng.IntN(3 * 24 * 3600)) // its owner is down
	}
	k.done = false
	if s.cheat == "unnotified" && s.culprit == "" {
		return
	}
	s.in(late, func() {
		s.put(s.now, string(k.owner), "notified", c.genTicket, map[string]string{"soi": string(c.soi), "notice": hex.EncodeToString(c.ID[:])})
		if late > 1 {
			s.in(1, func() { s.firstLeg(c, k) })
		}
	})
	k.done = late > 1 // the question waits too
}

func (s *sim) firstLeg(c *check, k *candidate) {
	if k.done || c.dead || c.ended {
		k.done = false
		return
	}
	switch {
	case s.plays("never_asked", string(c.soi)):
		return
	case s.chance(50): // refused
		s.put(s.now, string(k.owner), "refuse", &genTicket{c.SignedTicket, map[[2]string]uint64{}}, map[string]string{"soi": string(c.soi), "code": "unavailable"})
		s.answered(c, k, waypost.Pending, s.statement(k.owner, c.ID, waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{Refused: "no"}))
	case s.rng.IntN(2) == 0:
		if !s.plays("unlogged_decline", string(k.owner)) {
			s.put(s.now, string(k.owner), "decline", c.genTicket, ticketFields(c.genTicket, "leg", "1"))
		}
		s.answered(c, k, waypost.NoMatch, s.statement(k.owner, c.ID, waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{}))
	default:
		s.put(s.now, string(k.owner), "continue", c.genTicket, ticketFields(c.genTicket))
		late := int64(1)
		if s.chance(10) {
			late = int64(s.rng.IntN(24 * 3600))
		}
		if s.chance(20) {
			s.put(s.now, string(k.owner), "withheld", c.genTicket, ticketFields(c.genTicket))
			late = int64(s.rng.IntN(10 * 24 * 3600))
		}
		s.in(late, func() { s.secondLeg(c, k) })
	}
}

func (s *sim) secondLeg(c *check, k *candidate) {
	kind, outcome := "disclose", waypost.Match
	if s.rng.IntN(3) == 0 {
		kind, outcome = "decline", waypost.NoMatch
	}
	if s.plays("misuse", string(c.soi)) {
		s.put(s.now, string(k.owner), "misuse", c.genTicket, ticketFields(c.genTicket))
		s.answered(c, k, waypost.Pending, s.statement(k.owner, c.ID, waypost.MessageSecondAnswer, &waypostv1.SecondAnswer{Refused: "misuse"}))
		return
	}
	if !s.plays("unlogged_disclosure", string(k.owner)) {
		s.put(s.now, string(k.owner), kind, c.genTicket, ticketFields(c.genTicket, "leg", "2", "outcome", string(outcome), "policy", "1", "subject", "00"))
	}
	s.answered(c, k, outcome, s.statement(k.owner, c.ID, waypost.MessageSecondAnswer, &waypostv1.SecondAnswer{Outcome: string(outcome)}))
}

func (s *sim) answered(c *check, k *candidate, o waypost.Outcome, statement []byte) {
	k.outcome, k.statement = o, statement
	k.done = true
	s.in(1, func() { s.conclude(c) })
}

// conclude writes the outcome once all have answered.
func (s *sim) conclude(c *check) {
	if c.ended || c.dead || !c.cited {
		return
	}
	for _, k := range c.candidates {
		if len(k.statement) == 0 {
			return
		}
	}
	s.outcome(c)
}

func (s *sim) outcome(c *check) {
	more := []string{"outcome", "no_match", "evaluations", strings.Join(c.evals, " "), "searches", strings.Join(sorted(c.searches), " ")}
	if s.plays("false_place", string(c.soi)) {
		more[5] = "hub/1:0"
	}
	list := c.candidates
	if len(list) > 0 && s.plays("invented_answer", string(c.soi)) {
		list = append(slices.Clone(list), &candidate{owner: list[0].owner, outcome: waypost.Match})
	}
	if len(list) > 0 && s.plays("hidden_candidate", string(c.soi)) {
		list = list[1:]
	}
	for i, k := range list {
		said := k.outcome
		if said == waypost.Match && s.plays("false_outcome", string(c.soi)) {
			said = waypost.NoMatch
		}
		more = append(more, fmt.Sprintf("answer_%d", i), strings.TrimSpace(string(k.owner)+" "+string(said)+" "+b64(k.statement)))
	}
	s.end(c, "outcome", append(more, "answers", strconv.Itoa(len(list)))...)
}

func (s *sim) end(c *check, kind string, more ...string) {
	if c.ended {
		return
	}
	c.ended, c.dead = true, c.dead || kind != "outcome"
	if s.plays("unfinished", string(c.soi)) {
		return
	}
	s.put(s.now, string(c.soi), kind, c.genTicket, ticketFields(c.genTicket, more...))
}

// missed is what follows when a receipt's leaf does not come: evidence, which
// here is only who broke which promise.
func (s *sim) missed(victim, member, place string) {
	s.in(90, func() {
		s.serial++
		id := fmt.Sprintf("e%d", s.serial)
		s.logs[victim].objects.put(s.t, "evidence/"+id+".json", []byte(member+" "+place))
		s.note(s.now, victim, "receipt_missed", map[string]string{"signer": member, "place": place, "evidence": id})
	})
}

// restart is a crash.
func (s *sim) restart(member string) {
	s.note(s.now, member, "started", map[string]string{"version": "test"})
}
