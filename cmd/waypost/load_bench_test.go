package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/statefile"
)

// BenchmarkCheckBesideLoad is a check at the counter of a state that loads its
// records at the same time, with every role in a process of its own on this
// machine. Rounds with and without the load take turns; what counts is the ratio
// of their 99th percentiles.
func BenchmarkCheckBesideLoad(b *testing.B) {
	dir, program := b.TempDir(), filepath.Join(b.TempDir(), "waypost")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	states := []waypost.Jurisdiction{"AZ", "CA"}
	roles, err := cluster.OpenProcesses(b.Context(), cluster.Config{
		Dir: dir, States: states, Holders: 3, Threshold: 2, Log: slog.New(slog.DiscardHandler),
	}, func(args ...string) *exec.Cmd { return exec.Command(program, args...) })
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := roles.Close(); err != nil {
			b.Error(err)
		}
	}()
	people, err := population.Generate(population.Config{States: states, PerState: 100_000, Seed: 5})
	if err != nil {
		b.Fatal(err)
	}
	l := &besideLoad{people: people}
	if l.loading, _, err = cluster.Counter(dir, "CA"); err != nil {
		b.Fatal(err)
	}
	there, _, err := cluster.Counter(dir, "AZ")
	if err != nil {
		b.Fatal(err)
	}
	l.publish(b, there)
	l.pause.Lock()
	ctx, stop := context.WithCancel(b.Context())
	var load sync.WaitGroup
	load.Go(func() { l.load(ctx) })

	var times [2][]time.Duration // without the load, with it
	for b.Loop() {
		for with := range times {
			if with == 1 {
				l.pause.Unlock()
			}
			times[with] = append(times[with], l.checks(b)...)
			if with == 1 {
				l.pause.Lock()
				time.Sleep(500 * time.Millisecond) // what is under way ends
			}
		}
	}
	stop()
	l.pause.Unlock()
	load.Wait()
	percentile := func(with, percent int) float64 {
		slices.Sort(times[with])
		return times[with][(len(times[with])-1)*percent/100].Seconds() * 1000
	}
	for _, percent := range []int{50, 99} {
		b.ReportMetric(percentile(0, percent), fmt.Sprintf("ms-p%d-alone", percent))
		b.ReportMetric(percentile(1, percent), fmt.Sprintf("ms-p%d-loading", percent))
		b.ReportMetric(percentile(1, percent)/percentile(0, percent), fmt.Sprintf("ratio-p%d", percent))
	}
	b.ReportMetric(float64(l.rows)/l.busy.Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
}

// besideLoad is a load that can be paused, and checks beside it.
type besideLoad struct {
	people  *population.Population
	loading waypostv1connect.CounterClient // of the state that loads
	held    []waypost.Record               // by the other state
	pause   sync.RWMutex
	asked   int
	rows    int // loaded
	busy    time.Duration
}

const (
	besideHeld   = 200
	besideChecks = 25                    // of a round
	besideEvery  = 50 * time.Millisecond // a check
)

// publish loads those that are asked about into the other state.
func (l *besideLoad) publish(b *testing.B, there waypostv1connect.CounterClient) {
	b.Helper()
	loader := cluster.NewLoader(there, 0, func(int) {})
	enough := fmt.Errorf("enough")
	_ = l.people.Each("AZ", func(r waypost.Record) error {
		l.held = append(l.held, r)
		if err := loader.Add(b.Context(), statefile.Row{Line: len(l.held), Record: r}); err != nil || len(l.held) == besideHeld {
			return enough
		}
		return nil
	})
	if _, err := loader.Finish(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// load goes on until the context ends, whenever it is not paused.
func (l *besideLoad) load(ctx context.Context) {
	loader := cluster.NewLoader(l.loading, 1, func(int) {})
	line := 0
	_ = l.people.Each("CA", func(r waypost.Record) error {
		l.pause.RLock()
		defer l.pause.RUnlock()
		line++
		start := time.Now()
		err := loader.Add(ctx, statefile.Row{Line: line, Record: r})
		l.rows, l.busy = line, l.busy+time.Since(start)
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	_, _ = loader.Finish(ctx)
}

// checks asks about one person after another at a steady pace.
func (l *besideLoad) checks(b *testing.B) (took []time.Duration) {
	b.Helper()
	tick := time.NewTicker(besideEvery)
	defer tick.Stop()
	var mu sync.Mutex
	var clerks sync.WaitGroup
	for range besideChecks {
		who := l.held[l.asked%len(l.held)]
		l.asked++
		reference := fmt.Sprintf("BESIDE-%d", l.asked)
		clerks.Go(func() {
			start := time.Now()
			raw, err := l.loading.Check(b.Context(), gateway.CheckToProto(gateway.Applicant{Person: who.Person}, waypost.IssueRealID, reference))
			if err != nil || !raw.Complete {
				b.Errorf("%s has no answer: %v", reference, err)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
		})
		<-tick.C
	}
	clerks.Wait()
	return took
}
