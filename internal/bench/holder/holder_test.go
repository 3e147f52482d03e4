package holder

import (
	"errors"
	"testing"
	"time"
)

// The figures are for a person to read (go test -v, or waypost bench): a
// timing is never a test that fails on a busy machine.
func TestPeersRun(t *testing.T) {
	for _, batch := range []int{1, 32} {
		ours, err := Evaluations(batch, 20*time.Millisecond)
		if err != nil || ours <= 0 {
			t.Errorf("toprf, batch of %d: %v elements/s, %v", batch, ours, err)
		}
		circl, err := CirclEvaluations(batch, 20*time.Millisecond)
		if err != nil || circl <= 0 {
			t.Errorf("circl, batch of %d: %v elements/s, %v", batch, circl, err)
		}
		sodium, built, err := LibsodiumMultiplications(batch, 20*time.Millisecond)
		if err != nil || built != (sodium > 0) {
			t.Errorf("libsodium, batch of %d: %v elements/s, built %v, %v", batch, sodium, built, err)
		}
		t.Logf("batch of %d: toprf %.0f, circl %.0f, libsodium %.0f (built %v) elements/s", batch, ours, circl, sodium, built)
	}
}

func TestRefusesABadBatch(t *testing.T) {
	if _, err := Evaluations(0, time.Millisecond); err == nil {
		t.Error("an empty batch is measured")
	}
	if _, err := CirclEvaluations(0, time.Millisecond); err == nil {
		t.Error("an empty batch is measured")
	}
}

func TestRateCounts(t *testing.T) {
	calls := 0
	perSecond, err := rate(10, 30*time.Millisecond, func() error {
		calls++
		time.Sleep(10 * time.Millisecond)
		return nil
	})
	// Sleeping never ends early: at most ten elements in ten milliseconds.
	if err != nil || calls < 2 || perSecond <= 0 || perSecond > 1000 {
		t.Errorf("%d calls, %.0f elements/s, %v", calls, perSecond, err)
	}
	failed := errors.New("failed")
	if _, err := rate(1, time.Millisecond, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("an error is lost: %v", err)
	}
}

func BenchmarkEvaluations(b *testing.B) {
	for name, measure := range map[string]func(int, time.Duration) (float64, error){"toprf": Evaluations, "circl": CirclEvaluations} {
		for _, batch := range []int{32, 1000} {
			b.Run(name+"/"+map[int]string{32: "32", 1000: "1000"}[batch], func(b *testing.B) {
				for b.Loop() {
					perSecond, err := measure(batch, time.Second)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(perSecond, "elements/s")
				}
			})
		}
	}
}
