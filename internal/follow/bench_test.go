package follow

import (
	"context"
	"testing"
	"time"
)

func BenchmarkUsable(b *testing.B) {
	r := newRig(b)
	r.logs["hub"].grow(3).publish(r.clock)
	r.round()
	for b.Loop() {
		if err := r.follower.Usable("hub"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceipts follows receipts of one log to their leaves; an operation
// is 1000 of them.
func BenchmarkReceipts(b *testing.B) {
	const many = 1000
	r := newRig(b)
	l := r.logs["hub"]
	due := r.clock.Add(2 * time.Minute)
	var keep []func()
	for range many {
		t := r.ask()
		receipt := l.evaluate(t)
		keep = append(keep, func() { r.keep(t, receipt) })
	}
	r.clock = due
	l.publish(r.clock)
	r.round()
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		for _, k := range keep {
			k()
		}
		b.StartTimer()
		must(b, r.follower.CheckDue(context.Background()))
	}
	b.StopTimer()
	if n := r.kept(); n != 0 {
		b.Fatalf("%d receipts wait", n)
	}
}
