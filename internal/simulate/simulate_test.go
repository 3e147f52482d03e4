package simulate_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/waypost/waypost/internal/simulate"
)

var (
	seeds = flag.Int("seeds", defaultSeeds, "how many worlds TestSeeds plays")
	first = flag.Uint64("seed", 1, "the first of them")
	show  = flag.Bool("show", false, "print what happens in them")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a world is small, and most of it short-lived
	os.Exit(m.Run())
}

// folder is where databases of simulations lie: in memory, where the system
// offers that.
func folder(t *testing.T) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		dir, err := os.MkdirTemp("/dev/shm", "waypost-simulate") //nolint:usetesting // which is on a disk
		if err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return t.TempDir()
}

func stage(t *testing.T) *simulate.Stage {
	t.Helper()
	return stageOn(t, nil)
}

func stageOn(t *testing.T, databases *simulate.Databases) *simulate.Stage {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 0)
	s, err := simulate.NewStage(filepath.Join(folder(t), "stage"), databases)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func play(t *testing.T, s *simulate.Stage, seed uint64) simulate.Result {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	var out io.Writer
	if *show {
		out = os.Stderr
	}
	res, err := s.Run(seed, out)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return res
}

// TestSeeds: nothing that must not be is in any world.
func TestSeeds(t *testing.T) {
	s := stage(t)
	var sum simulate.Result
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		res := play(t, s, seed)
		sum.Add(res)
		for _, wrong := range res.Wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		if len(res.Wrong) > 0 {
			t.Errorf("to see it again: go test ./internal/simulate -run 'TestSeeds$' -seeds 1 -seed %d -show", seed)
		}
	}
	t.Logf("%d worlds: %s", *seeds, sum)
	if *seeds >= 100 && (sum.Crashes == 0 || sum.Checks == 0 || sum.Moves == 0 || sum.Items == 0 || sum.Ended == 0) {
		t.Errorf("in so many worlds something of everything happens: %s", sum)
	}
}

// tracing has this test be the other process of TestReplay.
const tracing = "WAYPOST_SIMULATE_TRACE"

// TestReplay: a seed plays the same world again to the last byte, in this process
// and in another.
func TestReplay(t *testing.T) {
	if raced {
		t.Skip("played without the race detector, which makes it last minutes: make simulate")
	}
	s := stage(t)
	const seed = 3
	a := play(t, s, seed).Trace
	if os.Getenv(tracing) != "" {
		fmt.Println("trace", a)
		return
	}
	if b := play(t, s, seed).Trace; a != b {
		t.Errorf("again: the traces are %s and %s", a, b)
	}
	if c := play(t, s, seed+1).Trace; a == c {
		t.Error("two seeds have the same trace")
	}
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReplay$")
	other.Env = append(os.Environ(), tracing+"=1")
	out, err := other.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "trace "+a) {
		t.Errorf("another process: %v, and not the trace %s:\n%s", err, a, out)
	}
}
