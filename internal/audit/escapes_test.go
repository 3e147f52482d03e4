package audit

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// escapes are cheats that count on a gap between the rules.
var escapes = map[string]struct {
	play  func(s *sim)
	found []string
}{
	"a state off the record, and a key holder that drops its signature": {func(s *sim) {
		p := s.script()
		p.evaluate(2, 3)
		raw := p.Bytes()
		raw[len(raw)-1] ^= 1
		p.put(s.now, "keyholder-1", "evaluate", p.genTicket, map[string]string{"ticket": b64(raw)})
	}, []string{EvaluationWithoutOwner + " AZ or", EvaluationWithoutOwner + " keyholder-1 or"}},
	"a question that is owned up to days later": {func(s *sim) {
		p := s.script()
		p.evaluate(1, 2, 3)
		s.pass(3)
		p.ask()
		p.enter("AZ", "abandoned")
	}, []string{Untimely + " AZ or"}},
	"two searches on one ticket": {func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find()
		p.find()
		p.finish()
	}, []string{SearchWithoutQuorum + " hub or"}},
	"a search on a ticket of last week": {func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.enter("AZ", "abandoned")
		s.pass(7)
		p.find()
	}, []string{Untimely + " hub or"}},
	"two disclosures for one question": {func(s *sim) {
		p := s.script()
		p.whole()
		p.enter("CA", "disclose", "leg", "2", "outcome", "match", "policy", "1", "subject", "00")
	}, []string{DisclosureWithoutSearch + " CA or"}},
	"a second outcome without the candidate": {func(s *sim) {
		p := s.script()
		p.whole()
		p.answers = nil
		p.finish()
	}, []string{NeverAsked + " AZ or hub"}},
	"a search counted for another operator": {func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		fields := ticketFields(p.genTicket, "candidates", "0", "evaluations", strings.Join(sorted(p.evals), " "))
		fields["operator"] = strings.Repeat("00", 32)
		p.searches = []string{s.logs["hub"].place(s.logs["hub"].size)}
		p.put(s.now, "hub", "search_first", p.genTicket, fields)
		p.finish()
	}, []string{Damaged + " hub or"}},
	"erased before anybody could read it": {func(s *sim) {
		p := s.script()
		p.evaluate(1, 2, 3)
		n := int64(3) // what the state had to say
		s.note(s.now, "AZ", "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
		s.logs["AZ"].blank = func(i int64) bool { return i == n }
		s.run(s.now + 100)
		s.note(s.now, "AZ", "erase", map[string]string{"kinds": "ask", "before": fmt.Sprint(s.now), "entries": "1"})
	}, []string{Damaged + " AZ or", Damaged + " AZ or"}},
	"erased under an old date": {func(s *sim) {
		s.logs["AZ"].blank = func(i int64) bool { return i == 3 }
		s.note(s.now, "AZ", "erase", map[string]string{"kinds": "ask", "before": fmt.Sprint(s.now - 3000*aDay), "entries": "1000"})
	}, []string{Damaged + " AZ or"}},
	"a day that is counted before it is over": {func(s *sim) {
		s.run(s.now + aDay)
		s.counted()
		day := s.counts["hub"]
		s.script().whole()
		s.counts["hub"] = day
		fields := map[string]string{"day": "2026-03-03"}
		for kind, n := range s.counts["hub"]["2026-03-03"] {
			fields[kind] = strconv.FormatInt(n, 10)
		}
		s.note(s.now, "hub", "daily", fields)
		delete(s.counts["hub"], "2026-03-03")
	}, []string{Miscounted + " hub or"}},
	"a hub that tells no owner": {func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		p.answers = []string{"CA pending " + b64(p.statement("CA", p.ID, waypost.MessageFirstAnswer, &waypostv1.FirstAnswer{Refused: "no such notice"}))}
		p.finish()
		s.pass(10)
	}, []string{NeverNotified + " hub or CA"}},
	"a state whose checks are all cut off": {func(s *sim) {
		for range manyEnds {
			p := s.script()
			p.ask()
			p.evaluate(1, 2, 3)
			p.find("CA")
			p.notified("CA")
			p.disclose("CA")
			p.enter("AZ", "abandoned")
		}
		s.pass(1)
	}, []string{CutOff + " AZ or"}},
}

// TestNoEscape: cheats that count on a gap between the rules are found, and
// nobody else is named.
func TestNoEscape(t *testing.T) {
	for name, e := range escapes {
		t.Run(name, func(t *testing.T) {
			s := newSim(newExchange(t, "", genQuota), 3)
			s.calm = true
			s.script().whole()
			s.run(s.now + 60)
			e.play(s)
			s.pass(1)
			findsOnly(t, s, nil, e.found...)
		})
	}
}
