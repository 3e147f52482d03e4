package simulate_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"

	"github.com/waypost/waypost/internal/simulate"
)

var (
	seeds = flag.Int("seeds", 20, "how many worlds TestSeeds plays")
	first = flag.Uint64("seed", 1, "the first of them")
	show  = flag.Bool("show", false, "print what happens in them")
)

// folder is where databases of simulations lie: in memory, where the system
// offers that.
func folder(t *testing.T) string {
	t.Helper()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		dir, err := os.MkdirTemp("/dev/shm", "waypost-simulate")
		if err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return t.TempDir()
}

func stage(t *testing.T) *simulate.Stage {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 0)
	s, err := simulate.NewStage(filepath.Join(folder(t), "stage"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func play(t *testing.T, s *simulate.Stage, seed uint64) simulate.Result {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	var print io.Writer
	if *show {
		print = os.Stderr
	}
	res, err := s.Run(seed, print)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return res
}

func TestSeeds(t *testing.T) {
	s := stage(t)
	var crashes, checks int
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		res := play(t, s, seed)
		crashes, checks = crashes+res.Crashes, checks+res.Checks
		for _, wrong := range res.Wrong {
			t.Errorf("seed %d: %s", seed, wrong)
		}
		if len(res.Wrong) > 0 {
			t.Errorf("to see it again: go test ./internal/simulate -run 'TestSeeds$' -seeds 1 -seed %d -show", seed)
		}
	}
	fmt.Printf("%d seeds: %d checks, %d crashes\n", *seeds, checks, crashes)
}

// TestReplay: a seed plays the same world again, to the last byte.
func TestReplay(t *testing.T) {
	s := stage(t)
	for seed := uint64(1); seed <= 3; seed++ {
		if a, b := play(t, s, seed), play(t, s, seed); a.Trace != b.Trace {
			t.Errorf("seed %d: traces %s and %s", seed, a.Trace, b.Trace)
		}
	}
}
