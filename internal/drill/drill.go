// Package drill runs adversaries against a real exchange: real servers, real
// files, real people's names in synthetic combinations. Each drill says what a
// party attempted, what it obtained, who noticed and after how long, beside the
// same attack on two indexes built for the comparison: one in plain text, as
// today's is, and one of unkeyed hashes.
//
// A drill lives in a folder of its own below this one and adds lines to the
// table. None prints a figure that it did not obtain by running, and each has at
// least one line in which the attack succeeds, on a baseline or on a weakness
// that is planted for the purpose: a drill that cannot succeed shows nothing.
package drill

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Drill is one adversary.
type Drill struct {
	Name  string // for --only: short, lower case
	Title string
	About string // one or two plain sentences: who attacks, with what
	Run   func(ctx context.Context, s *Stage) error
}

// Line is one attack and what came of it.
type Line struct {
	Drill     string `json:"drill"`
	Party     string `json:"party"`     // who attacks, with what in hand
	Attempted string `json:"attempted"` // in words
	Obtained  string `json:"obtained"`  // in words and figures
	// Noticed says who noticed it, by what, and after how long, or that nobody did.
	Noticed string `json:"noticed_after"`
	// Baseline is what the same attack obtains of the plain index and of the unkeyed
	// one.
	Baseline string `json:"baseline"`
	Target   string `json:"target"` // what must hold, in words
	OK       bool   `json:"ok"`
	// Planted marks an attack that is meant to succeed: it shows that the drill can.
	Planted bool `json:"planted,omitempty"`
	// Figure, if there is one, is the number that Target is about, for the charts
	// and for comparing runs.
	Figure *Figure `json:"figure,omitempty"`
	// NoticedSeconds is the time in Noticed where somebody noticed.
	NoticedSeconds *float64 `json:"noticed_seconds,omitempty"`
}

// Figure is a measured number with the ends of its 95 % confidence interval.
type Figure struct {
	Name  string  `json:"name"` // with its unit, for example "AUC" or "people identified"
	Value float64 `json:"value"`
	Low   float64 `json:"low"` // Low and High are Value where it was counted, not estimated
	High  float64 `json:"high"`
	// Bound is the target; AtMost says on which side of it Value must lie.
	Bound  float64 `json:"bound"`
	AtMost bool    `json:"at_most"`
	// Others are the same number for the baselines or for groups, by name.
	Others []Other `json:"others,omitempty"`
}

// Other is a number beside a figure.
type Other struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Holds reports whether the figure keeps its bound. An estimate may miss it by no
// more than its interval, so that a target that is met does not fail by chance.
func (f Figure) Holds() bool {
	if f.AtMost {
		return f.Low <= f.Bound
	}
	return f.High >= f.Bound
}

// Size is how much is played.
type Size string

// The sizes. Small is for a gate that must be quick, Default takes under 15
// minutes for all drills on two cores, Full is for a night.
const (
	Small   Size = "small"
	Default Size = "default"
	Full    Size = "full"
)

// Pick returns the number for the size.
func (s Size) Pick(small, normal, full int) int {
	switch s {
	case Small:
		return small
	case Full:
		return full
	}
	return normal
}

// Stage is what a drill works with.
type Stage struct {
	Size Size
	Seed uint64 // of everything that is drawn, but for keys
	Log  *slog.Logger
	// Database, if not empty, is the URL of a PostgreSQL server on which databases may be
	// made, for what concerns a hub that keeps its own there.
	Database string
	// Progress reports a part of the drill, and how much of it is done.
	Progress func(part string, done, total int)

	drill string
	dir   string
	began time.Time
	lines []Line
}

// Run plays a drill in a folder of its own below dir, which it removes.
func Run(ctx context.Context, d Drill, dir string, s Stage) (lines []Line, err error) {
	s.drill, s.began = d.Name, time.Now()
	if s.dir, err = os.MkdirTemp(dir, d.Name+"-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(s.dir)
	if s.Progress == nil {
		s.Progress = func(string, int, int) {}
	}
	if err := d.Run(ctx, &s); err != nil {
		return s.lines, fmt.Errorf("drill %s: %w", d.Name, err)
	}
	if len(s.lines) == 0 {
		return nil, fmt.Errorf("drill %s says nothing", d.Name)
	}
	return s.lines, nil
}

// Add puts a line into the table. Where it has a figure, that also decides
// whether it is well.
func (s *Stage) Add(l Line) {
	l.Drill = s.drill
	if l.Figure != nil {
		l.OK = l.OK && l.Figure.Holds()
	}
	s.lines = append(s.lines, l)
}

// Dir makes a folder for the drill's files; it is gone when the drill is over.
func (s *Stage) Dir(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}
