package holder

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// The figures are for a person to read (go test -v, or waypost bench): a
// timing is never a test that fails on a busy machine.
func TestCompare(t *testing.T) {
	libsodium, err := newLibsodium(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range []int{1, 32} {
		r, err := Compare(batch, turn)
		if err != nil {
			t.Fatal(err)
		}
		if r.Toprf <= 0 || r.Circl <= 0 || (r.Libsodium > 0) != (libsodium != nil) {
			t.Errorf("batches of %d: %+v", batch, r)
		}
		t.Logf("batches of %d: %+v elements/s", batch, r)
	}
	if _, err := Compare(0, turn); err == nil {
		t.Error("an empty batch is measured")
	}
}

func TestRepeat(t *testing.T) {
	calls := 0
	n, spent, err := repeat(30*time.Millisecond, func() error {
		calls++
		time.Sleep(10 * time.Millisecond)
		return nil
	})
	// Sleeping never ends early, so three calls are enough.
	if err != nil || n != calls || n < 1 || n > 3 || spent < 30*time.Millisecond {
		t.Errorf("%d repetitions, %d calls in %v, %v", n, calls, spent, err)
	}
	failed := errors.New("failed")
	if _, _, err := repeat(time.Millisecond, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("an error is lost: %v", err)
	}
}

func BenchmarkCompare(b *testing.B) {
	for _, batch := range []int{32, 1000} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			var r Rates
			for b.Loop() {
				var err error
				if r, err = Compare(batch, 2*time.Second); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(r.Toprf, "toprf/s")
			b.ReportMetric(r.Circl, "circl/s")
			b.ReportMetric(r.Toprf/r.Circl, "x-circl")
			if r.Libsodium > 0 {
				b.ReportMetric(r.Libsodium, "libsodium/s")
				b.ReportMetric(r.Toprf/r.Libsodium, "x-libsodium")
			}
		})
	}
}
