package bench

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestAdd: what a phase reports of its shots and of the clocks.
func TestAdd(t *testing.T) {
	lost := errors.New("no answer")
	var r CheckReport
	used := func(hub, holders, gateways, own, all time.Duration) map[string]time.Duration {
		return map[string]time.Duration{"hub": hub, "keyholders": holders, "gateways": gateways, generator: own, machine: all}
	}
	shots := []shot{
		{took: 30 * time.Millisecond, candidates: 1, found: true},
		{took: 10 * time.Millisecond, candidates: 4, found: true},
		{err: lost},
		{took: 20 * time.Millisecond, candidates: 1},
		{took: 40 * time.Millisecond, found: true, candidates: 2},
	}
	got := r.add(Phase{Name: "offered"}, shots, 2*time.Second,
		used(time.Second, 2*time.Second, 3*time.Second, 4*time.Second, 100*time.Second),
		used(time.Second+20*time.Millisecond, 2*time.Second+40*time.Millisecond, 3*time.Second+80*time.Millisecond, 4*time.Second+4*time.Millisecond,
			101*time.Second+144*time.Millisecond))
	want := Phase{
		Name: "offered", Seconds: 2, Checks: 5, Failed: 1, Unfound: 1, Candidates: 2, PerSecond: 2, P50: 20, P90: 40, P99: 40, Max: 40,
		CPU: map[string]float64{"hub": 5, "keyholders": 10, "gateways": 20, generator: 1}, Others: 0.5,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Phase{}), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Error(diff)
	}
	if got.RolesCPU() != 35 {
		t.Errorf("all roles %v", got.RolesCPU())
	}
	if err := r.failures(); !errors.Is(err, lost) || err.Error() != "1 of 5 checks had no answer, the first: no answer" {
		t.Errorf("%v", err)
	}
	if err := (&CheckReport{Phases: []Phase{{Checks: 5}}}).failures(); err != nil {
		t.Errorf("nothing failed: %v", err)
	}
}
