// Package index measures what the size of a hub's index does to its searches: the
// tables are filled with synthetic pointers, then the hub is searched, through its
// own door and with real tickets and receipts, beside a load.
//
//	index.go   what is measured
//	fill.go    the pointers
//	spread.go  their labels over several servers
//	warm_*.go  the file held in memory
//	tickets.go tickets and receipts without key holders at work
package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/bench"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/store"
)

// Config says what to measure.
type Config struct {
	Dir       string  // where the exchange is kept: a fill is gone on with there
	Database  string  // of the hub: sqlite:PATH or postgres://...; "" is a file in Dir
	Servers   string  // a file that lists servers for the labels, as "waypost hub shards init" takes it; "" for none
	Warm      bool    // hold the file of a hub on SQLite in memory meanwhile
	Pointers  int     // synthetic, each with ten labels
	Searches  float64 // offered per second
	Published float64 // records per second beside them, 0 for none
	Duration  time.Duration
	Log       *slog.Logger
	Progress  func(part string, done, total int)
}

// Report is what was measured.
type Report struct {
	Pointers int     `json:"index_pointers"`
	Warm     bool    `json:"index_warm"` // the file was held in memory
	Filled   Filled  `json:"index_fill"`
	Spread   *Spread `json:"index_spread,omitempty"`
	Phases   []Phase `json:"index_phases"`
}

// Phase is one part of the measurement: searches, published records, or both.
type Phase struct {
	Name     string  `json:"name"` // warm_up, searches, published, beside
	Seconds  float64 `json:"seconds"`
	Searches int     `json:"searches,omitempty"`
	P50      float64 `json:"search_p50_ms,omitempty"`
	P99      float64 `json:"search_p99_ms,omitempty"`
	Max      float64 `json:"search_max_ms,omitempty"`
	// Late is how many searches began more than 10 ms after they were due: with many
	// of them it is the machine that is measured.
	Late       int     `json:"searches_late,omitempty"`
	Published  int     `json:"published,omitempty"`
	PublishP50 float64 `json:"publish_p50_ms,omitempty"` // of a ticket of 100 records
	PublishP99 float64 `json:"publish_p99_ms,omitempty"`
	// Processor time of this process (hub, caller, their TLS) and of all the machine, in
	// ms for each search, or for each record in a phase without: 0 where the system does
	// not tell.
	CPU     float64 `json:"cpu_ms"`
	Machine float64 `json:"machine_cpu_ms"`
}

const (
	targets = 2000 // people who are searched for, published as anybody
	batch   = waypost.MaxPublishBatch
	asking  = waypost.Jurisdiction("AZ")
	owner   = waypost.Jurisdiction("CA")
)

// Run fills and measures. A fill that was cut off is gone on with where it was.
func Run(ctx context.Context, c Config) (r Report, err error) {
	if c.Pointers <= 0 || c.Searches <= 0 || c.Duration <= 0 || c.Published < 0 {
		return r, waypost.Errorf(waypost.InvalidArgument, "an index needs pointers, searches and seconds, all above zero")
	}
	if c.Servers != "" && !strings.HasPrefix(c.Database, "postgres:") {
		return r, waypost.Errorf(waypost.InvalidArgument, "labels can lie on other servers only where the hub's own database is on a PostgreSQL server: name it with --hub-database")
	}
	if c.Warm && c.Database != "" {
		return r, waypost.Errorf(waypost.InvalidArgument, "only the file in the folder of the measurement can be held in memory: name no other database")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return r, err
	}
	x, err := cluster.Open(ctx, cluster.Config{
		Dir: c.Dir, States: []waypost.Jurisdiction{owner, asking}, Holders: 3, Threshold: 2, Log: c.Log,
		Databases: func(_, kind string) (string, error) {
			if kind == "hub" && c.Database != "" {
				return c.Database, nil
			}
			return "sqlite:" + kind + ".db", nil
		},
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	r.Pointers = c.Pointers
	if r.Filled, err = fillOnce(ctx, c, x.Role("hub").DB); err != nil {
		return r, err
	}
	if c.Servers != "" {
		if r.Spread, err = spread(ctx, c); err != nil {
			return r, err
		}
	}
	if err := forgetPromises(ctx, x.Role("hub").DB); err != nil {
		return r, err
	}
	if r.Warm = c.Warm; c.Warm {
		release, err := holdFile(filepath.Join(c.Dir, "hub", "hub.db"))
		if err != nil {
			return r, err
		}
		defer func() { _ = release() }() // at the end it is let go anyway
	}
	d := newDesk(x)
	// The gateways have announced the keys by which they are notified, and are in
	// the way from here on.
	for _, state := range []waypost.Jurisdiction{owner, asking} {
		if err := x.Stop(string(state)); err != nil {
			return r, err
		}
	}
	return r, measure(ctx, c, d, &r)
}

// fillOnce fills the index, or returns what that took an earlier run.
func fillOnce(ctx context.Context, c Config, db *store.DB) (f Filled, err error) {
	done := filepath.Join(c.Dir, fmt.Sprintf("filled-%d.json", c.Pointers))
	if text, err := os.ReadFile(done); err == nil {
		return f, json.Unmarshal(text, &f)
	}
	if f, err = fill(ctx, db, c.Pointers, c.Progress); err != nil {
		return f, err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return f, err
	}
	return f, os.WriteFile(done, text, 0o600)
}

// measure publishes the people who are searched for and plays the phases.
func measure(ctx context.Context, c Config, d *desk, r *Report) error {
	people := make([]person, targets)
	for i := range people {
		people[i] = newPerson()
	}
	for chunk := range slices.Chunk(people, batch) {
		if err := d.publish(ctx, chunk); err != nil {
			return err
		}
	}
	phases := []struct {
		name                string
		searches, published bool
	}{{"warm_up", true, true}, {"searches", true, false}, {"published", false, true}, {"beside", true, true}}
	for _, p := range phases {
		one := c
		if !p.searches {
			one.Searches = 0
		}
		if !p.published {
			one.Published = 0
		}
		if one.Searches == 0 && one.Published == 0 {
			continue
		}
		phase, err := play(ctx, one, d, people, p.name)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		r.Phases = append(r.Phases, phase)
	}
	return nil
}

// play offers searches and records for the duration.
func play(ctx context.Context, c Config, d *desk, people []person, name string) (Phase, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := Phase{Name: name}
	var publishing sync.WaitGroup
	var took, batches []time.Duration
	var err, publishErr error
	start := time.Now()
	own, _ := bench.ProcessorTime(os.Getpid())
	all, _ := bench.BusyTime()
	if c.Published > 0 {
		publishing.Go(func() { batches, publishErr = d.publishOn(ctx, c.Published) })
	}
	if c.Searches > 0 {
		took, p.Late, err = d.searchOn(ctx, c, people)
	} else {
		wait(ctx, c)
	}
	stop()
	publishing.Wait()
	if err = errors.Join(err, publishErr); err != nil {
		return p, err
	}
	ownAfter, _ := bench.ProcessorTime(os.Getpid())
	allAfter, _ := bench.BusyTime()
	slices.Sort(took)
	slices.Sort(batches)
	p.Seconds, p.Searches, p.Published = time.Since(start).Seconds(), len(took), len(batches)*batch
	p.P50, p.P99, p.Max = ms(took, 0.5), ms(took, 0.99), ms(took, 1)
	p.PublishP50, p.PublishP99 = ms(batches, 0.5), ms(batches, 0.99)
	n := float64(p.Searches)
	if n == 0 {
		n = float64(max(p.Published, 1))
	}
	p.CPU, p.Machine = (ownAfter-own).Seconds()*1e3/n, (allAfter-all).Seconds()*1e3/n
	return p, nil
}

// wait lets the duration pass.
func wait(ctx context.Context, c Config) {
	over := time.NewTimer(c.Duration)
	defer over.Stop()
	c.Progress("publishing", 0, 1)
	select {
	case <-ctx.Done():
	case <-over.C:
	}
	c.Progress("publishing", 1, 1)
}

// ms is a quantile of sorted times in milliseconds.
func ms(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Microseconds()) / 1e3
}
