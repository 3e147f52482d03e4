package audit

import (
	"encoding/hex"
	"fmt"
	"maps"
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

// pass lets some days pass in which every member but the absent writes, and
// publishes in the end.
func (s *sim) pass(days int, absent ...string) {
	for range days {
		s.run(s.now + aDay)
		for _, m := range s.members {
			if !slices.Contains(absent, m) {
				s.note(s.now, m, "hold", map[string]string{"id": "1", "scope": "", "reason": ""})
			}
		}
		s.counted(absent...)
	}
	for _, m := range s.members {
		if !slices.Contains(absent, m) {
			s.logs[m].publish(s.now, s.now, s.witnesses...)
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
	maps.Copy(s.counts, away)
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
