package audit

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/waypost/waypost"
)

// republish has a batch evaluated that is to be published once more, and published or
// given up.
func (s *sim) republish(soi waypost.Jurisdiction, records int, publish bool) {
	t := s.ticket(waypost.KindRepublish, soi, records*waypost.RecordElements, waypost.Loader)
	s.put(s.now, string(soi), "ask", t, ticketFields(t))
	holders := s.evaluate(t)
	s.in(1, func() {
		if !publish {
			s.put(s.now, string(soi), "abandoned", t, ticketFields(t))
			return
		}
		evals := strings.Join(holders(), " ")
		place := s.logs["hub"].place(s.logs["hub"].size)
		s.put(s.now, "hub", "publish", t, ticketFields(t, "records", strconv.Itoa(records), "evaluations", evals))
		s.put(s.now, string(soi), "published", t, ticketFields(t, "records", strconv.Itoa(records), "evaluations", evals, "publications", place))
	})
	s.run(s.now + 20)
}

// TestRenewed: a state that has more evaluated in a rotation than it publishes is named,
// over the audits of all days, once for each hundred; crashes explain some.
func TestRenewed(t *testing.T) {
	quota := genQuota
	quota.RepublishRecords = 100_000
	x := newExchange(t, "", quota)
	s := newSim(x, 1)
	s.calm = true
	file := filepath.Join(t.TempDir(), "state")
	audit := func() (found []string) {
		t.Helper()
		s.run(s.now + 3*3600)
		x.publishAll(s.now)
		o := x.options(s.now)
		o.State = file
		rep, err := Reconcile(t.Context(), o)
		must(t, err)
		if rep.Open != 0 {
			t.Errorf("%d tickets are open", rep.Open)
		}
		for _, f := range rep.Findings {
			found = append(found, f.Member+" "+f.Kind+" "+f.Evidence["epoch"]+" "+f.Evidence["or"]+" "+f.Evidence["evaluated"]+" "+f.Evidence["published"])
		}
		return found
	}
	for i := range 12 {
		s.republish("AZ", 100, i > 0) // one of twelve was cut off
		s.republish("CA", 100, i%4 > 0)
	}
	if found := audit(); !slices.Equal(found, []string{"CA republish_surplus 1 hub 1200 900"}) {
		t.Errorf("found: %v", found)
	}
	s.republish("CA", 100, false) // no more than may be cut off
	if found := audit(); found != nil {
		t.Errorf("found again: %v", found)
	}
	s.republish("CA", 1, false)
	if found := audit(); !slices.Equal(found, []string{"CA republish_surplus 1 hub 1301 900"}) {
		t.Errorf("found in the end: %v", found)
	}
}

// TestRenewedOfNobody: who did nothing has no surplus. Fewer key holders than make a token
// write down what nobody asked for, and a hub leaves out what it has.
func TestRenewedOfNobody(t *testing.T) {
	quota := genQuota
	quota.RepublishRecords = 100_000
	x := newExchange(t, "", quota)
	s := newSim(x, 1)
	s.calm = true
	for range 3 {
		invented := s.ticket(waypost.KindRepublish, "CA", 100*waypost.RecordElements, waypost.Loader)
		for _, holder := range []string{"keyholder-1", "keyholder-2"} {
			s.put(s.now, holder, "evaluate", invented, map[string]string{"ticket": b64(invented.Bytes())})
		}
		hidden := s.ticket(waypost.KindRepublish, "AZ", 100*waypost.RecordElements, waypost.Loader)
		s.put(s.now, "AZ", "ask", hidden, ticketFields(hidden))
		holders := s.evaluate(hidden)
		s.in(1, func() {
			evals := strings.Join(holders(), " ")
			s.put(s.now, "AZ", "published", hidden, ticketFields(hidden, "records", "100", "evaluations", evals, "publications", s.logs["hub"].place(s.logs["hub"].size)))
			s.put(s.now, "hub", "alarm", hidden, map[string]string{"member": "AZ", "class": "publish", "level": "80", "used": "8", "limit": "10"})
		})
		s.run(s.now + 20)
	}
	s.run(s.now + 3*3600)
	x.publishAll(s.now)
	rep, err := Reconcile(t.Context(), x.options(s.now))
	must(t, err)
	found := make(map[string]bool)
	for _, f := range rep.Findings {
		found[f.Kind] = true
		if f.Kind == RepublishSurplus {
			t.Errorf("%s is named: %v", f.Member, f.Evidence)
		}
	}
	if !found[PublicationMismatch] || !found[EvaluationWithoutOwner] {
		t.Errorf("what was done is not found: %v", rep.Findings)
	}
}

// TestRenewedByKey: what may be cut off is counted for each rotation.
func TestRenewedByKey(t *testing.T) {
	r := &run{before: new(state)}
	for _, epoch := range []uint32{4, 2, 3} {
		for range 2 {
			r.before.addRenewed(renewed{State: "NV", Epoch: epoch, Evaluated: 300, Published: 250})
		}
	}
	if r.judgeRenewed(); len(r.findings.sorted()) > 0 || len(r.before.Renewed) != 3 || !slices.IsSortedFunc(r.before.Renewed, byStateAndEpoch) {
		t.Errorf("%v, found %v", r.before.Renewed, r.findings.sorted())
	}
}
