package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost/waypost/internal/bench"
)

type benchCommand struct {
	Seconds    float64 `help:"How long checks are offered at the rate; all of it takes some three times that, and the loading." default:"20"`
	Rate       float64 `help:"Checks offered per second." default:"20"`
	People     int     `help:"Synthetic people in each of four states. Each is asked about once." default:"2000"`
	Only       string  `help:"Measure only the group arithmetic (group), only checks end to end (check), a state that loads its records (load), or searches of a large index (index)." enum:",group,check,load,index" default:""`
	Records    int     `help:"With --only load: how many records the state loads." default:"20000"`
	Dir        string  `help:"Keep the exchange in this folder, on the disk to be measured, and use it again the next time. Default: a temporary folder." type:"path"`
	Database   string  `help:"URL of a PostgreSQL server: also measure a plain index of unkeyed hashes there, one SELECT for a check. A table waypost_bench_peer is made and removed. The password is better in PGPASSWORD or ~/.pgpass." placeholder:"URL"`
	Report     string  `help:"Put the figures into this page of documentation, between its two markers." type:"path" placeholder:"FILE"`
	CPUProfile string  `name:"cpuprofile" help:"Write a CPU profile of every role to this folder, for go tool pprof." type:"path" placeholder:"DIR"`
	JSON       bool    `help:"Print the figures as JSON."`
	indexFlags
}

// Help shows an example.
func (benchCommand) Help() string {
	return `Examples:
  waypost bench                        everything, in about three minutes
  waypost bench --only group           a key holder's arithmetic beside circl's
  waypost bench --only check --dir D   checks end to end, databases on the disk of D
  waypost bench --database postgres://me@localhost/bench?sslmode=require --report docs/performance.md
  waypost bench --only load            a state loads its records, alone and beside checks
  waypost bench --only index --pointers 1000000 --dir D   searches of a large index
docs/performance.md says what each figure means. Whatever else the machine does lowers them.`
}

// Run measures and prints. It fails if a check had no answer.
func (c benchCommand) Run(s *session) error {
	if c.Only == "index" {
		return c.index(s)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	load := 0
	if c.Only == "load" {
		load = c.Records
	}
	report, err := bench.Run(s.ctx, bench.Config{
		Group: c.Only == "" || c.Only == "group", Check: c.Only == "" || c.Only == "check", Load: load, Duration: time.Duration(c.Seconds * float64(time.Second)),
		Rate: c.Rate, People: c.People, Dir: c.Dir, Database: c.Database, Profiles: c.CPUProfile, Log: s.log, Progress: progress(s),
		Role: func(folder, profile string) *exec.Cmd { return roleProcess(program, folder, profile) },
	})
	if err != nil && report.GroupReport == nil && report.CheckReport == nil && report.LoadReport == nil {
		return err
	}
	if err == nil && c.Report != "" {
		err = report.WritePage(c.Report)
	}
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return errors.Join(err, e.Encode(report))
	}
	return errors.Join(err, report.WriteText(s.out))
}

// roleProcess is this program as the role of a folder. It lives no longer than
// its standard input, and so no longer than this process.
func roleProcess(program, folder, profile string) *exec.Cmd {
	role, _, _ := strings.Cut(filepath.Base(folder), "-") // hub, keyholder-1, gateway-CA
	args := []string{os.Args[0], role, "--lifeline", folder}
	if profile != "" {
		args = append(args, "--cpuprofile", profile)
	}
	return &exec.Cmd{Path: program, Args: args}
}

// progress shows one bar after another.
func progress(s *session) func(part string, done, total int) {
	var shown string
	var b bar
	return func(part string, done, total int) {
		if part != shown {
			b.finish()
			b, shown = newBar(s, part, total), part
		}
		b.set(done)
	}
}
