// Package bench measures what docs/performance.md reports: the group
// arithmetic of one core beside circl's, and one check end to end with every
// role as a process of its own on this machine. A figure is a figure, never a
// test that fails on a busy machine; the ratios are made within one run, so
// that what else the machine does meets both sides of them.
//
//	arithmetic.go  the group arithmetic of one check, step by step
//	people.go      the applicants, and who is known about them where
//	exchange.go    an exchange with these people, and its roles as processes
//	check.go       the phases: at an offered rate, and at saturation
//	stages.go      what the parts of a check take, and the least that they can
//	peer.go        the same question to a plain index
//	load.go        checks on a schedule, or as fast as they are answered
//	onboard.go     a state loads its records, alone and beside checks
//	hardware.go    what it ran on
//	report.go      the figures for a person to read
//	markdown.go    and for a page of documentation
package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/waypost/waypost"
)

// Config says what to measure.
type Config struct {
	Group, Check bool          // which parts
	Load         int           // records that a state loads; 0 leaves that part out
	Duration     time.Duration // of the phase at the offered rate; the others are shorter
	Rate         float64       // checks offered per second
	People       int           // in each of the four states
	Database     string        // URL of a PostgreSQL server for the plain index, or ""
	Dir          string        // where the exchange is kept; "" means a temporary folder
	Profiles     string        // folder for a CPU profile of every role, or ""
	// Role returns the process that runs the role in a folder, prints a line
	// that ends in its URL when it is ready, and stops when its standard input
	// ends. It writes a CPU profile to the file unless that is "".
	Role func(folder, profile string) *exec.Cmd
	// Progress reports how far a part of the run has come, one call at a time.
	Progress func(part string, done, total int)
	Log      *slog.Logger
}

// Report is what was measured. The parts that were not asked for are nil.
type Report struct {
	Hardware Hardware `json:"hardware"`
	*GroupReport
	*CheckReport
	Peer *PeerReport `json:"plain_index,omitempty"`
	*LoadReport
}

// Run measures. The report is complete only if there is no error.
func Run(ctx context.Context, c Config) (Report, error) {
	var r Report
	if c.Duration <= 0 || c.Rate <= 0 || c.People <= 0 {
		return r, waypost.Errorf(waypost.InvalidArgument, "a measurement needs seconds, a rate and people, all above zero")
	}
	var reporting sync.Mutex
	report := c.Progress
	c.Progress = func(part string, done, total int) {
		reporting.Lock()
		defer reporting.Unlock()
		report(part, done, total)
	}
	// Another number of people is other people, under the same record ids.
	dir := filepath.Join(c.Dir, fmt.Sprintf("people-%d", c.People))
	if c.Dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "waypost-bench-"); err != nil {
			return r, err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	var err error
	if r.Hardware, err = hardware(dir); err != nil {
		return r, err
	}
	if c.Group {
		if r.GroupReport, err = measureGroup(ctx, c); err != nil {
			return r, err
		}
	}
	if c.Check {
		if r.CheckReport, err = measureCheck(ctx, c, dir, r.Hardware); err != nil {
			return r, err
		}
	}
	if c.Database != "" {
		if r.Peer, err = measurePeer(ctx, c); err != nil {
			return r, err
		}
		r.Peer.compare(r.CheckReport)
	}
	if c.Load > 0 {
		r.LoadReport, err = measureLoad(ctx, c, dir)
	}
	return r, errors.Join(err, ctx.Err())
}
