package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/bench/index"
)

// indexFlags are those of waypost bench --only index.
type indexFlags struct {
	Pointers  int     `help:"Synthetic pointers in the hub's index, ten labels each." default:"100000" group:"With --only index"`
	HubDB     string  `name:"hub-database" help:"Database of the hub: sqlite:PATH, or postgres://... of an empty one. Default: a file in --dir." group:"With --only index"`
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
		Dir: dir, Database: c.HubDB, Pointers: c.Pointers, Searches: c.Searches, Published: c.Published,
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
	_, err = fmt.Fprintf(s.out, "%d searches at %.0f/s beside %.0f published records/s (a ticket of 100: median %.0f ms): p50 %.1f ms, p99 %.1f ms, max %.1f ms; %d began late\n",
		r.Searches, r.SearchesOffered, r.PublishRate, r.PublishP50, r.P50, r.P99, r.Max, r.Late)
	return err
}
