package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/bench"
	"github.com/waypost/waypost/internal/drill"
	"github.com/waypost/waypost/internal/drill/apart"
	"github.com/waypost/waypost/internal/drill/clerk"
	"github.com/waypost/waypost/internal/drill/compelled"
	"github.com/waypost/waypost/internal/drill/fairness"
	"github.com/waypost/waypost/internal/drill/hostile"
	"github.com/waypost/waypost/internal/drill/livehub"
	"github.com/waypost/waypost/internal/drill/offrecord"
	"github.com/waypost/waypost/internal/drill/rewritten"
	"github.com/waypost/waypost/internal/drill/seized"
	"github.com/waypost/waypost/internal/drill/ssn"
)

// drills are all there are, in the order of the page about them.
var drills = []drill.Drill{
	seized.Drill,
	livehub.Drill,
	clerk.Drill,
	ssn.Drill,
	apart.Drill,
	offrecord.Drill,
	rewritten.Drill,
	compelled.Drill,
	hostile.Drill,
	fairness.Drill,
}

type drillCommand struct {
	Only []string `help:"Only these drills, by name; --list names them." placeholder:"NAME,..."`
	Size string   `help:"How much is played: small takes two minutes, default under fifteen, full a night." enum:"small,default,full" default:"default"`
	Seed uint64   `help:"Of everything that is drawn, but for keys." default:"1"`
	Dir  string   `help:"Folder for the drills' exchanges; what they made is removed. Default: a temporary one." type:"path"`
	// Database is the drill seized's only.
	Database string `help:"Also play the theft of a hub's database on this PostgreSQL server: postgres://user@host/name. The user must be allowed to create databases; those that are made are dropped." placeholder:"URL"`
	List     bool   `help:"Name the drills and play none."`
	Report   string `help:"Write the table with charts to this file; or, where it ends in .md, put the tables of drills that have one between their two lines of that page." type:"path" placeholder:"FILE"`
	JSON     bool   `help:"Print the table as JSON."`
}

// Help shows an example.
func (drillCommand) Help() string {
	return `Examples:
  waypost drill                              every adversary, in under fifteen minutes on two cores
  waypost drill --only seized,clerk --size small
  waypost drill --report drills.html --json > drills.json
  waypost drill --only compelled --report THREAT-MODEL.md
  waypost drill --only seized --database postgres://waypost@127.0.0.1/postgres
It fails if a line is not as it should be. docs/drills.md says what each drill shows.`
}

// Run plays the drills and prints the table.
func (c drillCommand) Run(s *session) error {
	chosen, err := drill.Find(drills, c.Only)
	if err != nil {
		return err
	}
	if c.List {
		for _, d := range chosen {
			fmt.Fprintf(s.out, "%-12s %s\n", d.Name, d.About)
		}
		return nil
	}
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "waypost-drill-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r := &drill.Report{Size: drill.Size(c.Size), Seed: c.Seed, Began: time.Now(), Drills: chosen, Machine: bench.Machine()}
	for _, d := range chosen {
		var lines []drill.Line
		lines, playErr := drill.Run(s.ctx, d, dir, drill.Stage{Size: r.Size, Seed: c.Seed, Log: s.log, Database: c.Database, Progress: progress(s)})
		r.Lines = append(r.Lines, lines...)
		if err = errors.Join(err, playErr); s.ctx.Err() != nil {
			break
		}
	}
	r.Took = time.Since(r.Began).Round(time.Second)
	if err := errors.Join(err, c.print(s, r)); err != nil {
		return err
	}
	if failed := r.Failed(); len(failed) > 0 {
		return waypost.Errorf(waypost.Internal, "%d of %d lines are not as they should be; the first is of the drill %s, by %s", len(failed), len(r.Lines), failed[0].Drill, failed[0].Party)
	}
	return nil
}

func (c drillCommand) print(s *session, r *drill.Report) (err error) {
	switch {
	case strings.HasSuffix(c.Report, ".md"):
		err = r.WriteMarkdown(c.Report)
	case c.Report != "":
		err = r.WriteHTML(c.Report)
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return errors.Join(err, e.Encode(r.Lines))
	}
	return errors.Join(err, r.WriteText(s.out))
}
