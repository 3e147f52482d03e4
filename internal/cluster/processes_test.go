package cluster_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
)

// program builds the waypost program, without the race detector, and returns
// what runs it.
func program(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "waypost")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/waypost/waypost/cmd/waypost").CombinedOutput(); err != nil {
		t.Fatalf("the program cannot be built: %v\n%s", err, out)
	}
	return func(args ...string) *exec.Cmd { return exec.Command(path, args...) }
}

// TestProcesses: roles run as processes, are killed, stopped and started again,
// and what ends by itself is noticed.
func TestProcesses(t *testing.T) {
	ctx, dir, run := t.Context(), t.TempDir(), program(t)
	started := make(map[string]*exec.Cmd) // by folder, the last one
	p, err := cluster.OpenProcesses(ctx, config(dir), func(args ...string) *exec.Cmd {
		cmd := run(args...)
		started[filepath.Base(args[1])] = cmd
		return cmd
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Kill("hub"); waypost.CodeOf(err) != waypost.NotFound {
			t.Errorf("killing what was stopped: %v", err)
		}
	})
	if got := strings.Join(p.Names(), " "); got != "witness-1 hub keyholder-1 keyholder-2 keyholder-3 AZ CA" {
		t.Errorf("the roles are %s", got)
	}
	status := func(want bool) {
		t.Helper()
		counter, _, err := cluster.Counter(dir, "CA")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := counter.Status(ctx, &waypostv1.StatusRequest{}); (err == nil) != want {
			t.Errorf("CA's counter: %v", err)
		}
	}
	status(true)
	if err := p.Start(ctx, "CA"); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("starting what runs: %v", err)
	}
	for _, end := range []func(string) error{p.Kill, p.Stop} {
		if err := end("CA"); err != nil {
			t.Fatal(err)
		}
		status(false)
		if err := p.Start(ctx, "CA"); err != nil {
			t.Fatal(err)
		}
		status(true)
	}
	if err := p.Alive(); err != nil {
		t.Error(err)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "gateway-CA", "process.log")); err != nil || strings.Count(string(log), "is ready on") != 3 {
		t.Errorf("the log of three processes: %v\n%s", err, log)
	}

	// Somebody else kills one, and takes the folder of another away.
	_ = started["hub"].Process.Kill()
	for deadline := time.Now().Add(time.Minute); p.Alive() == nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := p.Alive(); err == nil || !strings.Contains(err.Error(), "hub has ended (signal: killed)") {
		t.Errorf("a hub that was killed by others: %v", err)
	}
	if err := p.Stop("hub"); err == nil {
		t.Error("a hub that was killed by others is stopped without a word")
	}
	if err := p.Start(ctx, "hub"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop("keyholder-1"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "keyholder-1", "identities")); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(ctx, "keyholder-1"); err == nil || !strings.Contains(err.Error(), "its identity") {
		t.Errorf("a key holder without its share: %v", err)
	}
	if err := p.Kill("keyholder-1"); err == nil {
		t.Error("what never came up is killed without a word")
	}
}
