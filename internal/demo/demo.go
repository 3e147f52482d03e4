// Package demo plays the whole exchange on one machine: real servers on
// loopback, synthetic people, a story that a clerk understands, and attempts
// that must be refused. It fails if anything differs from the truth about the
// people.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/population"
	"github.com/waypost/waypost/internal/statefile"
)

// Options says what to play.
type Options struct {
	Dir     string // where all state is kept
	States  []waypost.Jurisdiction
	People  int                             // in each state
	Seed    uint64                          // of the population
	Records map[waypost.Jurisdiction]string // CSV files to load instead of made-up people
	Out     io.Writer
	Log     *slog.Logger
	// Progress reports rows done while a state's records are loaded.
	Progress func(state waypost.Jurisdiction, done, total int)
	// Databases is as in install.Plan: without it the databases are files.
	Databases func(name, kind string) (url string, err error)
}

// Demo is an exchange with its people loaded.
type Demo struct {
	options  Options
	exchange *cluster.Cluster
	people   *population.Population
	auditor  *journal.Opener
}

// Open starts the exchange in the folder, which is made at the first call, and
// loads what is not loaded yet.
func Open(ctx context.Context, o Options) (*Demo, error) {
	d := &Demo{options: o}
	fmt.Fprintf(o.Out, "Starting the exchange in %s\n", o.Dir)
	var err error
	d.exchange, err = cluster.Open(ctx, cluster.Config{Dir: o.Dir, States: o.States, Log: o.Log, Databases: o.Databases})
	if err != nil {
		return nil, err
	}
	if d.auditor, err = install.Auditor(o.Dir); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	r := d.exchange.Roster()
	fmt.Fprintf(o.Out, "  1 hub, %d key holders of which any %d make a token (nobody holds the key), %d states: %s\n",
		len(r.Holders()), r.Threshold, len(r.Gateways()), strings.Join(names(o.States), " "))
	if err := d.populate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close stops every role.
func (d *Demo) Close() error { return d.exchange.Close() }

// populate writes the made-up people once, and loads every state's file. A load
// that was cut off goes on where it stopped.
func (d *Demo) populate(ctx context.Context) error {
	o := d.options
	var err error
	d.people, err = population.Generate(population.Config{States: o.States, PerState: o.People, Seed: o.Seed})
	if err != nil {
		return err
	}
	folder := filepath.Join(o.Dir, "population")
	if _, err := os.Stat(filepath.Join(folder, "truth.csv")); errors.Is(err, fs.ErrNotExist) {
		if err := d.people.WriteCSV(folder); err != nil {
			return err
		}
	}
	start, rows := time.Now(), 0
	for _, state := range o.States {
		path, given := o.Records[state]
		if !given {
			path = filepath.Join(folder, string(state)+".csv")
		}
		n, err := d.load(ctx, state, path)
		if err != nil {
			return fmt.Errorf("loading %s: %w", state, err)
		}
		rows += n
	}
	if rows > 0 {
		took := time.Since(start)
		fmt.Fprintf(o.Out, "  %d records published, 10 tokens each, in %.1f s (%.0f records/s with every role on this machine)\n",
			rows, took.Seconds(), float64(rows)/took.Seconds())
	}
	return nil
}

// load loads one file unless all of it is in the index, and returns how many
// records were published.
func (d *Demo) load(ctx context.Context, state waypost.Jurisdiction, path string) (int, error) {
	counter, _, err := cluster.Counter(d.options.Dir, state)
	if err != nil {
		return 0, err
	}
	status, err := counter.Status(ctx, &waypostv1.StatusRequest{})
	if err != nil {
		return 0, err
	}
	if _, given := d.options.Records[state]; !given && status.Published >= uint64(d.options.People) {
		return 0, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	loader := cluster.NewLoader(counter, 0, func(rows int) {
		if d.options.Progress != nil {
			d.options.Progress(state, rows, d.options.People)
		}
	})
	err = statefile.Read(file, nil, func(row statefile.Row) error { return loader.Add(ctx, row) })
	result, finishErr := loader.Finish(ctx)
	if len(result.Rejected) > 0 {
		fmt.Fprintf(d.options.Out, "  %s: %d rows rejected; the first: line %d: %s\n",
			state, len(result.Rejected), result.Rejected[0].Line, result.Rejected[0].Reason)
	}
	return result.Published, errors.Join(err, finishErr)
}

// Announce prints where everything is, for a demo that stays up.
func (d *Demo) Announce() error {
	out, dir := d.options.Out, d.options.Dir
	r := d.exchange.Roster()
	fmt.Fprintf(out, "\nThe exchange is up. Stop it with Ctrl-C; its data stays in %s\n", dir)
	fmt.Fprintf(out, "  hub            %s\n", r.Hub().URL)
	for _, h := range r.Holders() {
		fmt.Fprintf(out, "  %-14s %s\n", h.Name, h.URL)
	}
	for _, g := range r.Gateways() {
		_, url, err := cluster.Counter(dir, g.Jurisdiction)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  counter of %s  %s\n", g.Name, url)
	}
	scene := d.people.Scenarios()[0]
	for _, s := range d.people.Scenarios() {
		if s.Name == "one_card" {
			scene = s
		}
	}
	p := scene.Applicant
	fmt.Fprintf(out, "\nTry, in another terminal:\n  waypost check --dir %s --state %s --family %s --given %s --dob %s --case EXAMPLE-1\n",
		dir, scene.Ask, p.Family, p.Given, p.Born)
	return nil
}

func names(states []waypost.Jurisdiction) []string {
	out := make([]string, len(states))
	for i, j := range states {
		out[i] = string(j)
	}
	return out
}
