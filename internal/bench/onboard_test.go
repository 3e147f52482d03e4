package bench

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLoad: every figure of a load is there, for a program and for a person.
func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts every role")
	}
	var started []*exec.Cmd
	c := short(&started)
	c.Group, c.Check, c.Load, c.Dir = false, false, 150, t.TempDir()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	allEnded(t, started)
	if r.Records != c.Load || r.RecordsPerSecond <= 0 || r.BesideChecks <= 0 || r.P99Ratio <= 0 {
		t.Errorf("%+v", r.LoadReport)
	}
	if r.RecordCPU != nil && (r.RecordCPU["gateways"] <= 0 || r.GatewayPerSecond <= 0 || r.HubPerSecond <= 0 || r.HolderPerSecond <= 0) {
		t.Errorf("processor time: %+v", r.LoadReport)
	}
	if len(r.Checks) != 2 {
		t.Fatalf("%d phases of checks", len(r.Checks))
	}
	for _, p := range r.Checks {
		if p.Failed != 0 || p.Unfound == p.Checks || p.P50 <= 0 {
			t.Errorf("%+v", p)
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A STATE LOADS ITS RECORDS", "beside_load", "each key holder", "times that before"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, text.String())
		}
	}
}
