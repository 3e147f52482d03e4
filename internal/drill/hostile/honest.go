package hostile

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/drill"
)

// pace is between two honest checks.
const pace = 30 * time.Millisecond

// honest are the checks that go on all the while.
type honest struct {
	asked []waypost.TicketID
}

// phase is what honest checks met at one time.
type phase struct {
	took   []time.Duration
	failed []string
	late   int // answered in part at first, or owed
}

// checks makes that many honest checks one after the other, and goes on until over is
// closed, if there is one.
func (p *play) checks(ctx context.Context, n int, over <-chan struct{}) (ph phase) {
	ended := func() bool {
		if over == nil {
			return true
		}
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
	for i := 0; (i < n || !ended()) && ctx.Err() == nil; i++ {
		began := time.Now()
		a, err := p.Check(ctx, asking, p.known[i%len(p.known)].Person, waypost.IssueRealID, fmt.Sprint("CASE-", i))
		if err != nil {
			ph.failed = append(ph.failed, err.Error())
			continue
		}
		ph.took = append(ph.took, time.Since(began))
		p.honest.asked = append(p.honest.asked, a.Ticket)
		if a.Owed || !a.Complete || a.Best() != waypost.Match {
			ph.late++
		}
		time.Sleep(pace)
	}
	return ph
}

func (ph phase) p99() time.Duration {
	if len(ph.took) == 0 {
		return 0
	}
	took := slices.Sorted(slices.Values(ph.took))
	return took[(len(took)*99)/100]
}

// unanswered counts the checks that have no whole answer after a while.
func (h *honest) unanswered(ctx context.Context, p *play) (n int) {
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		n = 0
		for _, id := range h.asked {
			a, err := p.Gateway(asking).Answer(ctx, id)
			if err != nil || a.Owed || !a.Complete || a.Best() != waypost.Match {
				n++
			}
		}
		if n == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return n
		}
	}
}

// memory is what the process holds, in bytes: all roles and the attackers.
func memory() uint64 {
	runtime.GC()
	return held()
}

func held() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64() - sample[2].Value.Uint64()
}

// watchMemory gives the most that was held until the context ended.
func (p *play) watchMemory(ctx context.Context) <-chan uint64 {
	most := make(chan uint64, 1)
	go func() {
		peak := held()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				most <- peak
				return
			case <-tick.C:
				peak = max(peak, held())
			}
		}
	}()
	return most
}

const mebibyte = 1 << 20

func (p *play) reportHonest(before, during, after phase, used, peak uint64) {
	failed := slices.Concat(before.failed, during.failed, after.failed)
	left := memory()
	p.stage.Add(drill.Line{
		Party: "an honest state", Attempted: fmt.Sprintf("%d checks before, %d during and %d after", len(before.took), len(during.took), len(after.took)),
		Obtained: fmt.Sprintf("p99 %v before, %v during, %v after; %d refused, %d answered in part at first%s", before.p99().Round(time.Millisecond),
			during.p99().Round(time.Millisecond), after.p99().Round(time.Millisecond), len(failed), before.late+during.late+after.late, listed(failed)),
		Target: "every check is answered, and none takes longer than a minute", OK: len(failed) == 0 && len(during.took) > 0,
		Figure: &drill.Figure{Name: "p99 of an honest check during the attack, ms", Value: ms(during.p99()), Low: ms(during.p99()), High: ms(during.p99()), Bound: 60_000, AtMost: true,
			Others: []drill.Other{{Name: "before", Value: ms(before.p99())}, {Name: "after", Value: ms(after.p99())}}},
	})
	const most = 768
	mib := func(n uint64) float64 { return float64(n / mebibyte) }
	p.stage.Add(drill.Line{
		Party: "all of them", Attempted: "use up the memory",
		Obtained: fmt.Sprintf("all roles and the attackers in one process hold %.0f MiB before, %.0f MiB at most, %.0f MiB after", mib(used), mib(peak), mib(left)),
		Target:   fmt.Sprintf("at most %d MiB more at any time, and not twice as much afterwards", most), OK: left < 2*used+64*mebibyte,
		Figure: &drill.Figure{Name: "MiB more at most", Value: mib(peak - min(peak, used)), Low: mib(peak - min(peak, used)), High: mib(peak - min(peak, used)), Bound: most, AtMost: true,
			Others: []drill.Other{{Name: "more afterwards", Value: mib(left - min(left, used))}}},
	})
}

func ms(d time.Duration) float64 { return float64(d.Milliseconds()) }

// faults counts the panics that roles report, and passes on what they say.
type faults struct {
	slog.Handler
	n atomic.Int64
}

// Handle looks for a panic.
func (f *faults) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		f.n.Add(1)
	}
	if !f.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return f.Handler.Handle(ctx, r)
}

// Enabled has every record seen: a web server reports its panics at the lowest level.
func (f *faults) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs keeps counting.
func (f *faults) WithAttrs(attrs []slog.Attr) slog.Handler {
	return child{f, f.Handler.WithAttrs(attrs)}
}

// WithGroup keeps counting.
func (f *faults) WithGroup(name string) slog.Handler { return child{f, f.Handler.WithGroup(name)} }

// child is the handler of one role.
type child struct {
	*faults
	own slog.Handler
}

// Handle looks for a panic, and passes on with the role's own attributes.
func (c child) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panic") {
		return c.faults.Handle(ctx, r)
	}
	if !c.own.Enabled(ctx, r.Level) {
		return nil
	}
	return c.own.Handle(ctx, r)
}

// WithAttrs keeps counting.
func (c child) WithAttrs(attrs []slog.Attr) slog.Handler {
	return child{c.faults, c.own.WithAttrs(attrs)}
}

// WithGroup keeps counting.
func (c child) WithGroup(name string) slog.Handler { return child{c.faults, c.own.WithGroup(name)} }

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
