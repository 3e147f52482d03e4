package audit

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// A script plays one check by Arizona, step by step, so that any step can be
// left out, altered, or come late.
type script struct {
	*sim
	*check
	answers []string
}

func (s *sim) script() *script {
	t := s.ticket(waypost.KindCheck, "AZ", waypost.CheckElements, waypost.Attended)
	return &script{sim: s, check: &check{genTicket: t, soi: "AZ"}}
}

func (p *script) enter(member, kind string, more ...string) string {
	p.put(p.now, member, kind, p.genTicket, ticketFields(p.genTicket, more...))
	return p.logs[member].place(p.logs[member].size - 1)
}

func (p *script) ask() { p.enter("AZ", "ask") }

func (p *script) evaluate(holders ...int) {
	for _, h := range holders {
		name := fmt.Sprintf("keyholder-%d", h)
		p.put(p.now, name, "evaluate", p.genTicket, map[string]string{"ticket": b64(p.Bytes())})
		p.evals = append(p.evals, p.logs[name].place(p.logs[name].size-1))
	}
}

func (p *script) find(owners ...string) {
	p.searches = append(p.searches, p.enter("hub", "search_first", "candidates", strconv.Itoa(len(owners)), "evaluations", strings.Join(sorted(p.evals), " ")))
	for _, o := range owners {
		p.enter("hub", "deliver", "owner", o)
	}
}

func (p *script) notified(owner string) {
	p.put(p.now, owner, "notified", p.genTicket, map[string]string{"soi": "AZ", "notice": hex.EncodeToString(p.ID[:])})
}

func (p *script) disclose(owner string) {
	p.enter(owner, "continue")
	p.enter(owner, "disclose", "leg", "2", "outcome", "match", "policy", "1", "subject", "00")
	p.answers = append(p.answers, owner+" match "+b64(p.statement(waypost.Jurisdiction(owner), p.ID, waypost.MessageSecondAnswer, &waypostv1.SecondAnswer{Outcome: "match"})))
}

func (p *script) pending(owner string) { p.answers = append(p.answers, owner+" pending") }

func (p *script) finish() {
	more := []string{"outcome", "no_match", "answers", strconv.Itoa(len(p.answers)), "evaluations", strings.Join(sorted(p.evals), " "), "searches", strings.Join(p.searches, " ")}
	for i, a := range p.answers {
		more = append(more, fmt.Sprintf("answer_%d", i), a)
	}
	p.enter("AZ", "outcome", more...)
}

// whole is a check in which nothing goes wrong.
func (p *script) whole() {
	p.ask()
	p.evaluate(1, 2, 3)
	p.find("CA")
	p.notified("CA")
	p.disclose("CA")
	p.finish()
}

const aDay = 24 * 3600

// pass lets some days pass in which every member but the absent writes and
// publishes.
func (s *sim) pass(days int, absent ...string) {
	for range days {
		s.run(s.now + aDay)
		for _, m := range s.members {
			if !slices.Contains(absent, m) {
				s.note(s.now, m, "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
			}
		}
		s.counted(absent...)
		for _, m := range s.members {
			if !slices.Contains(absent, m) {
				s.logs[m].publish(s.now, s.now, s.witnesses...)
			}
		}
	}
}

// counted writes the counters of all but the absent.
func (s *sim) counted(absent ...string) {
	away := make(map[string]map[string]map[string]int64)
	for _, m := range absent {
		away[m] = s.counts[m]
		delete(s.counts, m)
	}
	s.daily(s.now)
	for m, counts := range away {
		s.counts[m] = counts
	}
}

// honest are histories in which nobody cheats, or in which a cheat would like
// to have somebody else accused.
var honest = map[string]struct {
	play    func(s *sim)
	options func(o *Options)
	found   []string // "kind member or ...": what may be said all the same
}{
	"an owner that was down for nine days after its notice": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		p.notified("CA")
		p.pending("CA")
		s.pass(9, "CA")
		s.restart("CA")
		s.pass(6)
		p.finish()
		s.pass(1)
	}},
	"an owner that was down while its notice waited": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		p.pending("CA")
		s.pass(9, "CA")
		s.restart("CA")
		s.pass(6)
		p.finish()
		s.pass(16)
	}},
	"a state that was down before its question left": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		p.notified("CA")
		s.pass(9, "AZ")
		s.restart("AZ")
		s.pass(6)
		p.pending("CA")
		p.finish()
		s.pass(1)
	}},
	"a state that was down when its check was over": {play: func(s *sim) {
		p := s.script()
		p.ask()
		s.pass(20, "AZ")
		s.restart("AZ")
		s.publishAll(s.now) // before it has caught up
	}},
	"a state that was removed while it asked": {play: func(s *sim) {
		s.script().ask()
		s.logs["AZ"].publish(s.now, s.now, s.witnesses...)
		s.pass(20, "AZ")
	}, options: func(o *Options) { former(o, "AZ") }},
	"an owner that was removed before it answered": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		p.notified("CA")
		p.pending("CA")
		s.publishAll(s.now)
		s.pass(15, "CA")
		p.finish()
		s.pass(2, "CA")
	}, options: func(o *Options) { former(o, "CA") }},
	"a delivery that was erased, and answers to it that were not yet": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		erased := s.logs["hub"].size
		s.run(s.now + 3600)
		s.note(s.now, "hub", "hold", map[string]string{"id": "2", "scope": "", "reason": ""})
		s.run(s.now + aDay)
		p.notified("CA")
		p.disclose("CA")
		p.finish()
		s.logs["hub"].blank = func(i int64) bool { return i >= erased-2 && i < erased }
		before := s.now - aDay
		s.run(s.now + 100*aDay)
		s.note(s.now, "hub", "erase", map[string]string{"kinds": "deliver search_first", "before": fmt.Sprint(before), "entries": "2"})
		s.counted()
		s.pass(1)
	}},
	"a hub that serves on after it said it had stopped": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		s.note(s.now, "hub", "stopped", map[string]string{"version": "test"})
		s.publishAll(s.now)
		p.searches = []string{s.logs["hub"].place(s.logs["hub"].size)}
		p.finish()
		s.pass(1, "hub")
	}},
	"a key holder that breaks its word to a hub that stops": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2)
		p.evals = append(p.evals, s.logs["keyholder-3"].place(s.logs["keyholder-3"].size))
		s.note(s.now, "keyholder-3", "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
		p.find()
		p.enter("AZ", "abandoned")
		s.run(s.now + 100)
		s.note(s.now, "hub", "stopped", map[string]string{"version": "test"})
		s.publishAll(s.now)
		s.pass(1, "hub")
	}},
	"an owner that makes up a notice": {play: func(s *sim) {
		s.script().notified("NV")
	}, found: []string{UnloggedSearch + " hub or NV"}},
	"a state that makes up misuse": {play: func(s *sim) {
		p := s.script()
		p.whole()
		p.enter("CA", "misuse")
	}, found: []string{Misuse + " AZ or CA", DisclosureWithoutSearch + " CA or "}},
	"an owner that lets a question lie": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("CA")
		p.notified("CA")
		p.pending("CA")
		s.pass(15)
		p.finish()
		s.pass(1)
	}, found: []string{NeverAsked + " AZ or CA hub"}},
	"a hub that writes down more candidates than it told": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2, 3)
		p.find("NV")
		p.finish()
		p.notified("NV")
	}, found: []string{NeverAsked + " AZ or hub"}},
	"a state that holds no canary": {play: func(s *sim) { s.lookForCanary(false) }, found: []string{HiddenPointer + " hub or AZ CA"}},
	"a key holder that signs for a log that it does not publish": {play: func(s *sim) {
		p := s.script()
		p.ask()
		p.evaluate(1, 2)
		p.evals = append(p.evals, "keyholder-3/7:5")
		p.find()
		p.enter("AZ", "abandoned")
	}, found: []string{SearchWithoutQuorum + " hub or keyholder-3"}},
}

func former(o *Options, member string) {
	for i := range o.Sources {
		o.Sources[i].Former = o.Sources[i].Former || o.Sources[i].Member == member
	}
}

// TestNobodyIsFramed: no honest member is named, or, where it is a word against
// a word, not without the one who lies.
func TestNobodyIsFramed(t *testing.T) {
	for name, h := range honest {
		t.Run(name, func(t *testing.T) {
			s := newSim(newExchange(t, "", genQuota), 3)
			s.calm = true
			s.script().whole()
			h.play(s)
			if len(h.found) > 0 {
				s.pass(1)
			}
			findsOnly(t, s, h.options, h.found...)
		})
	}
}

// findsOnly reconciles, at once and with a state, and compares what is found.
func findsOnly(t *testing.T, s *sim, options func(*Options), want ...string) {
	t.Helper()
	for _, state := range []string{"", filepath.Join(t.TempDir(), "state")} {
		o := s.options(s.now)
		if o.State = state; options != nil {
			options(&o)
		}
		rep, err := Reconcile(ctx, o)
		must(t, err)
		var got []string
		for _, f := range rep.Findings {
			if f.Kind == Stale {
				continue // who is down is; it is said beside all else
			}
			got = append(got, strings.TrimSpace(f.Kind+" "+f.Member+" or "+f.Evidence["or"]))
		}
		for i := range want {
			want[i] = strings.TrimSpace(want[i])
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("found %q, want %q:", got, want)
			for _, f := range rep.Findings {
				t.Errorf("  %+v", f)
			}
		}
	}
}

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

// TestWithheld: where a log lies behind another member's door, what is missing
// of it may have been held back there.
func TestWithheld(t *testing.T) {
	s := newSim(newExchange(t, "", genQuota), 3)
	s.script().whole()
	s.pass(1)
	behind := func(o *Options) {
		for i := range o.Sources {
			if o.Sources[i].Member == "AZ" {
				o.Sources[i].Door = "hub"
			}
		}
	}
	findsOnly(t, s, behind)
	delete(s.logs["AZ"].mem, "checkpoint")
	findsOnly(t, s, behind, Missing+" AZ or hub")
}
