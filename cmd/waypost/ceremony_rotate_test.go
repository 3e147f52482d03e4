package main

import (
	"strings"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/roster"
)

// A switch is refused while a state has records that nobody would find after it, and
// everybody is told that it is searched in full.
func TestSwitchAsksWhoIsThrough(t *testing.T) {
	counted := countedPointers{States: []hub.Published{
		{Owner: "AZ", Epoch: 2, Pointers: 7}, {Owner: "CA", Epoch: 1, Pointers: 1}, {Owner: "CA", Epoch: 2, Pointers: 9}, {Owner: "NV", Epoch: 1, Pointers: 3},
	}}
	draft := func(ca roster.Participation) *roster.Roster {
		r := &roster.Roster{Epoch: 2}
		for _, m := range []struct {
			name waypost.Jurisdiction
			is   roster.Participation
		}{{"AZ", roster.Full}, {"CA", ca}, {"NV", roster.Loading}, {"OR", roster.Full}} {
			r.Members = append(r.Members, roster.Member{Name: string(m.name), Role: roster.Gateway, Jurisdiction: m.name, Participation: m.is})
		}
		return r
	}
	err := counted.through(draft(roster.Full), false)
	if waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), "CA are not through") {
		t.Errorf("with records under the old key alone: %v", err)
	}
	if err := counted.through(draft(roster.Loading), false); err != nil {
		t.Errorf("all who are late are loading: %v", err)
	}
	allowed := draft(roster.Full)
	if err := counted.through(allowed, true); err != nil {
		t.Errorf("with --late: %v", err)
	}
	for i, want := range []roster.Participation{roster.Full, roster.Loading, roster.Loading, roster.Full} {
		if m := allowed.Members[i]; m.Participation != want {
			t.Errorf("with --late %s is %s", m.Name, m.Participation)
		}
	}
}
