package audit

import (
	"fmt"
	"slices"
	"testing"
)

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

// TestServesOn: a ledger that ends with "stopped" owes nothing more, unless others cite
// what came after: its owner serves on and shows nothing, or they have made it up. While
// it has had no time to show it nobody is named.
func TestServesOn(t *testing.T) {
	for _, goesOn := range []bool{false, true} {
		s := newSim(newExchange(t, "", genQuota), 3)
		s.calm = true
		s.script().whole()
		p := s.script()
		p.ask()
		p.evaluate(1, 2)
		s.note(s.now, "keyholder-3", "stopped", map[string]string{"version": "test"})
		s.publishAll(s.now)
		if goesOn {
			p.evals = append(p.evals, s.logs["keyholder-3"].place(s.logs["keyholder-3"].size))
		} else {
			p.evaluate(4)
		}
		p.find()
		p.enter("AZ", "abandoned")
		s.pass(1, "keyholder-3")
		findsOnly(t, s, nil)
		rep, err := Reconcile(ctx, s.options(s.now))
		must(t, err)
		stale := slices.ContainsFunc(rep.Findings, func(f Finding) bool {
			return f.Kind == Stale && f.Member == "keyholder-3" && f.Evidence["or"] == "hub"
		})
		if stale != goesOn {
			t.Errorf("found to have gone on: %v, want %v", stale, goesOn)
		}
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
