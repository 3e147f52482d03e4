package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost/internal/bench/index"
)

// indexFlags are those of waypost bench --only index.
type indexFlags struct {
	Pointers  int     `help:"Synthetic pointers in the hub's index, ten labels each." default:"100000" group:"With --only index"`
	HubDB     string  `name:"hub-database" help:"Database of the hub: sqlite:PATH, or postgres://... of an empty one. Default: a file in --dir." group:"With --only index"`
	Servers   string  `name:"hub-servers" help:"Spread the labels over the PostgreSQL servers in this file, as waypost hub shards init --servers does." type:"existingfile" group:"With --only index"`
	Warm      bool    `help:"Hold the hub's file in memory while it is searched, where the system would take it away (SQLite in --dir, on Linux, as root or with a large ulimit -l)." group:"With --only index"`
	Searches  float64 `help:"Searches offered per second." default:"200" group:"With --only index"`
	Published float64 `help:"Records published per second beside them, a hundred to a ticket." default:"200" group:"With --only index"`
}

// index fills and searches the index of a hub.
func (c benchCommand) index(s *session) (err error) {
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "waypost-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	r, err := index.Run(s.ctx, index.Config{
		Dir: dir, Database: c.HubDB, Servers: c.Servers, Warm: c.Warm, Pointers: c.Pointers, Searches: c.Searches, Published: c.Published,
		Duration: time.Duration(c.Seconds * float64(time.Second)), Log: s.log, Progress: progress(s),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	engine := "SQLite"
	if strings.HasPrefix(c.HubDB, "postgres") {
		engine = "PostgreSQL"
	}
	fmt.Fprintf(s.out, "An index of %d pointers, %d labels, on %s: filled in %.0f s, %.0f labels/s, %.0f bytes a label and %.0f a pointer\n",
		r.Pointers, 10*r.Pointers, engine, r.Filled.Seconds, r.Filled.LabelsPerSecond, r.Filled.BytesPerLabel, r.Filled.BytesPerPointer)
	if r.Warm {
		fmt.Fprintln(s.out, "Held in memory while it was searched")
	}
	if r.Spread != nil {
		fmt.Fprintf(s.out, "Spread over %d servers in %.0f s, %.0f bytes a label\n", len(r.Spread.Servers), r.Spread.Seconds, r.Spread.BytesPerLabel)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsearches/s\tp50\tp99\tslowest\tbegan late\trecords/s\t100 of them: p50\tp99\tprocessor time each\tof the whole machine\t")
	for _, p := range r.Phases {
		fmt.Fprintf(w, "%s\t%.0f\t%.1f ms\t%.1f ms\t%.1f ms\t%d\t%.0f\t%.0f ms\t%.0f ms\t%.2f ms\t%.2f ms\t\n", p.Name, float64(p.Searches)/p.Seconds,
			p.P50, p.P99, p.Max, p.Late, float64(p.Published)/p.Seconds, p.PublishP50, p.PublishP99, p.CPU, p.Machine)
	}
	return w.Flush()
}
