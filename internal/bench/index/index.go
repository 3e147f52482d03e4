// Package index measures what the size of a hub's index does to its searches: the
// tables are filled with synthetic pointers, then the hub is searched, through its
// own door and with real tickets and receipts, beside a load.
//
//	index.go   what is measured
//	fill.go    the pointers
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
	"sync"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
)

// Config says what to measure.
type Config struct {
	Dir       string  // where the exchange is kept: a fill is gone on with there
	Database  string  // of the hub: sqlite:PATH or postgres://...; "" is a file in Dir
	Pointers  int     // synthetic, each with ten labels
	Searches  float64 // offered per second
	Published float64 // records per second beside them, 0 for none
	Duration  time.Duration
	Log       *slog.Logger
	Progress  func(part string, done, total int)
}

// Report is what was measured.
type Report struct {
	Pointers        int     `json:"index_pointers"`
	Filled          Filled  `json:"index_fill"`
	SearchesOffered float64 `json:"index_searches_offered_per_second"`
	Searches        int     `json:"index_searches"`
	P50             float64 `json:"index_search_p50_ms"`
	P99             float64 `json:"index_search_p99_ms"`
	Max             float64 `json:"index_search_max_ms"`
	// Late is how many searches began more than 10 ms after they were due: with many
	// of them it is the machine that is measured.
	Late        int     `json:"index_searches_late"`
	PublishRate float64 `json:"index_published_per_second"`
	PublishP50  float64 `json:"index_publish_batch_p50_ms"`
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
	done := filepath.Join(c.Dir, fmt.Sprintf("filled-%d.json", c.Pointers))
	if text, readErr := os.ReadFile(done); readErr == nil {
		err = json.Unmarshal(text, &r.Filled)
	} else if r.Filled, err = fill(ctx, x.Role("hub").DB, c.Pointers, c.Progress); err == nil {
		var text []byte
		if text, err = json.Marshal(r.Filled); err == nil {
			err = os.WriteFile(done, text, 0o600)
		}
	}
	if err != nil {
		return r, err
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
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var publishing sync.WaitGroup
	var batches []time.Duration
	var publishErr error
	start := time.Now()
	if c.Published > 0 {
		publishing.Go(func() { batches, publishErr = d.publishOn(ctx, c.Published) })
	}
	took, late, err := d.searchOn(ctx, c, people)
	stop()
	publishing.Wait()
	if err = errors.Join(err, publishErr); err != nil {
		return err
	}
	slices.Sort(took)
	slices.Sort(batches)
	r.SearchesOffered, r.Searches, r.Late = c.Searches, len(took), late
	r.P50, r.P99, r.Max = ms(took, 0.5), ms(took, 0.99), ms(took, 1)
	r.PublishRate, r.PublishP50 = float64(len(batches)*batch)/time.Since(start).Seconds(), ms(batches, 0.5)
	return nil
}

// ms is a quantile of sorted times in milliseconds.
func ms(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Microseconds()) / 1e3
}
