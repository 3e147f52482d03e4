package bench

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost"
)

// short is a run that is over in some seconds.
func short(started *[]*exec.Cmd) Config {
	return Config{
		Group: true, Check: true, Duration: time.Second, Rate: 8, People: 20,
		Progress: func(string, int, int) {}, Log: slog.New(slog.DiscardHandler),
		Role: func(folder, _ string) *exec.Cmd {
			c := roleCommand(folder)
			*started = append(*started, c)
			return c
		},
	}
}

// allEnded: every process was started, and has been waited for.
func allEnded(t *testing.T, started []*exec.Cmd) {
	t.Helper()
	for _, c := range started {
		if c.ProcessState == nil {
			t.Errorf("the role in %s was never waited for", c.Env[len(c.Env)-1])
		}
	}
}

func TestRun(t *testing.T) {
	defer goleak.VerifyNone(t)
	var started []*exec.Cmd
	c := short(&started)
	c.Dir = t.TempDir()
	var parts []string
	c.Progress = func(part string, done, total int) {
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
		if done < 0 || done > total {
			t.Errorf("%s: %d of %d", part, done, total)
		}
	}
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(started) != 2+holders+len(states) {
		t.Errorf("%d processes", len(started))
	}
	allEnded(t, started)
	for _, part := range []string{"group arithmetic", "loading people", "warm_up", "offered", "offered_crowded", "saturation"} {
		if !slices.Contains(parts, part) {
			t.Errorf("no progress was reported for %s", part)
		}
	}
	checkFigures(t, r)
	checkJSON(t, r)
	checkText(t, r)
	t.Run("interrupted", func(t *testing.T) { interrupted(t, c.Dir) })
}

// interrupted: whoever loses patience leaves no process behind. The folder is
// one that was used before.
func interrupted(t *testing.T, dir string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var started []*exec.Cmd
	c := short(&started)
	c.Group, c.Dir = false, dir
	c.Progress = func(part string, _, _ int) {
		if part == "offered" {
			cancel()
		}
	}
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted, and the error is %v", err)
	}
	if len(started) != 2+holders+len(states) {
		t.Errorf("%d processes", len(started))
	}
	allEnded(t, started)
}

func checkFigures(t *testing.T, r Report) {
	t.Helper()
	sum := 0.0
	for _, s := range steps {
		if r.Steps[s.name] <= 0 {
			t.Errorf("%s took no time", s.name)
		}
		sum += r.Steps[s.name] * float64(s.times) / 1e3
	}
	if r.PerCheck < 0.99*sum || r.PerCheck > 1.01*sum {
		t.Errorf("the steps take %v ms, the check %v", sum, r.PerCheck)
	}
	for _, p := range r.Phases {
		if p.Checks == 0 || p.Failed != 0 || p.Unfound == p.Checks || p.P50 <= 0 || p.P50 > p.P90 || p.P90 > p.P99 || p.P99 > p.Max {
			t.Errorf("%+v", p)
		}
		// The true candidate, and the look-alikes where there are some; a pair
		// in the crowd may happen to look alike too. What a busy machine answers late has
		// fewer at first.
		want := 1.0
		if p.Name == "offered_crowded" {
			want += falseCandidates
		}
		n := float64(p.Checks)
		if p.Candidates*n < want*(n-float64(p.Unfound))-1e-6 || p.Candidates > want+0.5 {
			t.Errorf("%s: %v candidates a check, want about %v", p.Name, p.Candidates, want)
		}
	}
	if len(r.Stages) != len(parts) {
		t.Errorf("stages: %+v", r.Stages)
	}
	for _, s := range r.Stages {
		if s.P50 <= 0 || s.P50 > s.P99 || s.Limit <= 0 {
			t.Errorf("%+v", s)
		}
	}
	offered, full := r.Phases[1], r.Phases[3]
	if r.P50 != offered.P50 || r.P99 != offered.P99 || r.PerSecond != full.PerSecond {
		t.Error("the summary is not that of the phases")
	}
	if want := r.PerSecond / r.ArithmeticPerSecond; r.ThroughputShare != want {
		t.Errorf("throughput share %v, want %v", r.ThroughputShare, want)
	}
	want := r.ThroughputShare
	if full.CPU != nil {
		want = r.ArithmeticCPU / (full.CPU["witness"] + full.CPU["hub"] + full.CPU["keyholders"] + full.CPU["gateways"])
	}
	if full.CPU != nil && (len(full.CPU) != len(roles)+1 || full.RolesCPU() <= 0) { // the generator's may be less than a step of the clock
		t.Errorf("processor time %v", full.CPU)
	}
	if r.ArithmeticShare != want {
		t.Errorf("arithmetic share %v, want %v", r.ArithmeticShare, want)
	}
}

// checkJSON: the keys that others rely on.
func checkJSON(t *testing.T, r Report) {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"holder_elements_per_second", "circl_elements_per_second"} {
		sizes, _ := got[key].(map[string]any)
		for _, size := range []string{"32", "1000"} {
			if rate, _ := sizes[size].(float64); rate <= 0 {
				t.Errorf("%s of %s: %v", key, size, sizes[size])
			}
		}
	}
	for _, key := range []string{"check_p50_ms", "check_p99_ms", "checks_per_second", "arithmetic_share"} {
		if v, _ := got[key].(float64); v <= 0 {
			t.Errorf("%s: %v", key, got[key])
		}
	}
	for _, key := range []string{"hardware", "phases", "group_us"} {
		if got[key] == nil {
			t.Errorf("no %s", key)
		}
	}
}

func checkText(t *testing.T, r Report) {
	t.Helper()
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"circl", "evaluate_32", "offered_crowded", "saturation", "load generator", r.Hardware.Go} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, text.String())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, broken := range []func(*Config){
		func(c *Config) { c.Duration = 0 }, func(c *Config) { c.Rate = 0 }, func(c *Config) { c.Rate = -1 }, func(c *Config) { c.People = 0 },
	} {
		c := short(new([]*exec.Cmd))
		broken(&c)
		if _, err := Run(t.Context(), c); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
