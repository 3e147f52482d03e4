package bench

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// fakes is a Config whose roles are fakes: waits, but for the one named.
func fakes(started *[]*exec.Cmd, name, kind string) Config {
	return Config{Role: func(folder, _ string) *exec.Cmd {
		be := waits
		if filepath.Base(folder) == name {
			be = kind
		}
		c := roleCommand(be)
		*started = append(*started, c)
		return c
	}}
}

func TestStartAndStop(t *testing.T) {
	defer goleak.VerifyNone(t)
	var started []*exec.Cmd
	all, err := startAll(t.Context(), fakes(&started, "", ""), "D")
	if err != nil {
		t.Fatal(err)
	}
	if err := all.alive(); err != nil {
		t.Error(err)
	}
	if used := all.processorTime(); used != nil && (len(used) != len(roles)+2 || used[machine] < used[generator]) {
		t.Errorf("processor time of %v", used)
	}
	if err := all.stop(); err != nil {
		t.Error(err)
	}
	if len(started) != 2+holders+len(states) {
		t.Errorf("%d processes", len(started))
	}
	allEnded(t, started)
}

// TestRoleCannotStart: the error says which role, and what it said; those that
// run already are stopped.
func TestRoleCannotStart(t *testing.T) {
	defer goleak.VerifyNone(t)
	var started []*exec.Cmd
	_, err := startAll(t.Context(), fakes(&started, "keyholder-3", fails), "D")
	if err == nil || !strings.Contains(err.Error(), "keyholder-3 has ended") || !strings.Contains(err.Error(), "no share of the key") {
		t.Errorf("%v", err)
	}
	if len(started) != 5 {
		t.Errorf("%d processes were started, want the witness, the hub and three key holders", len(started))
	}
	allEnded(t, started)
}

// TestRoleDies: the figures of a run in which a role has died do not count.
func TestRoleDies(t *testing.T) {
	defer goleak.VerifyNone(t)
	var started []*exec.Cmd
	all, err := startAll(t.Context(), fakes(&started, "gateway-NV", dies), "D")
	if err == nil {
		select {
		case <-all["gateways"][2].ended:
		case <-time.After(30 * time.Second):
			t.Fatal("it lives")
		}
		err = errors.Join(all.alive(), all.stop())
	}
	if err == nil || !strings.Contains(err.Error(), "NV has ended") || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("%v", err)
	}
	allEnded(t, started)
}

func TestStartInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(t.Context())
	var started []*exec.Cmd
	c := fakes(&started, "", "")
	role := c.Role
	c.Role = func(folder, profile string) *exec.Cmd {
		if filepath.Base(folder) == "keyholder-2" {
			cancel()
			c := exec.Command("cat") // is never ready, and ends when it is told to
			started = append(started, c)
			return c
		}
		return role(folder, profile)
	}
	if _, err := startAll(ctx, c, "D"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	allEnded(t, started)
}

func TestTail(t *testing.T) {
	var log tail
	for range 1000 {
		if n, err := log.Write([]byte("0123456789")); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	_, _ = log.Write([]byte("the end\n"))
	if s := log.String(); len(s) > 2000 || !strings.HasSuffix(s, "89the end") {
		t.Errorf("%d bytes, ending in %q", len(s), s[max(0, len(s)-20):])
	}
}
