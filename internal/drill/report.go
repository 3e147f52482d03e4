package drill

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost"
)

// Report is a run of several drills.
type Report struct {
	Size    Size          `json:"size"`
	Seed    uint64        `json:"seed"`
	Machine string        `json:"machine"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"-"`
	Drills  []Drill       `json:"-"`
	Lines   []Line        `json:"lines"`
}

// Failed are the lines that are not as they should be.
func (r *Report) Failed() (lines []Line) {
	for _, l := range r.Lines {
		if !l.OK {
			lines = append(lines, l)
		}
	}
	return lines
}

// Of are the lines of one drill.
func (r *Report) Of(drill string) (lines []Line) {
	for _, l := range r.Lines {
		if l.Drill == drill {
			lines = append(lines, l)
		}
	}
	return lines
}

// WriteText prints the table for a terminal: one block for each drill.
func (r *Report) WriteText(out io.Writer) error {
	for _, d := range r.Drills {
		fmt.Fprintf(out, "\n%s (%s)\n%s\n", strings.ToUpper(d.Title), d.Name, d.About)
		for _, l := range r.Of(d.Name) {
			mark := "ok "
			switch {
			case !l.OK:
				mark = "NOT"
			case l.Planted:
				mark = "ok*"
			}
			fmt.Fprintf(out, "\n  %s  %s: %s\n", mark, l.Party, l.Attempted)
			w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
			for _, row := range [][2]string{{"obtained", l.Obtained}, {"noticed", l.Noticed}, {"baseline", l.Baseline}, {"target", l.Target}} {
				if row[1] != "" {
					fmt.Fprintf(w, "       %s\t%s\n", row[0], row[1])
				}
			}
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(out, "\n%d lines, %d not as they should be; size %s, %.0f s on %s.\nok* is an attack that is meant to succeed: it shows that the drill can.\n",
		len(r.Lines), len(r.Failed()), r.Size, r.Took.Seconds(), r.Machine)
	return err
}

//go:embed report.html
var page string

// WriteHTML writes the report as one page without anything from elsewhere.
func (r *Report) WriteHTML(path string) error {
	t, err := template.New("report").Funcs(template.FuncMap{"chart": newChart}).Parse(page)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".report-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := t.Execute(f, r); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// chart is a figure drawn as bars on one scale, in percent of its width.
type chart struct {
	Title string
	Bars  []bar
	Bound float64 // where the target lies, less than zero for none
	Words string  // the target
	Log   bool
}

type bar struct {
	Name  string
	Label string
	Width float64
	// Low and Span are the confidence interval; Span is zero where it was counted.
	Low, Span float64
	Own       bool
}

// newChart draws a figure beside its baselines or groups. Numbers that lie more
// than a hundredfold apart are drawn on a logarithmic scale.
func newChart(f *Figure) *chart {
	top, least := max(f.Value, f.High, f.Bound), math.Inf(1)
	for _, v := range append([]Other{{"", f.Value}}, f.Others...) {
		top = max(top, v.Value)
		if v.Value > 0 {
			least = min(least, v.Value)
		}
	}
	if top <= 0 {
		top = 1
	}
	c := &chart{Title: f.Name, Log: !math.IsInf(least, 1) && top/least > 100}
	at := func(v float64) float64 {
		switch {
		case v <= 0:
			return 0
		case c.Log:
			return 100 * math.Log1p(v/least) / math.Log1p(top/least)
		}
		return 100 * v / top
	}
	c.Bound, c.Words = at(f.Bound), "at least "+number(f.Bound)
	if f.AtMost {
		c.Words = "at most " + number(f.Bound)
	}
	own := bar{Name: "Waypost", Label: number(f.Value), Width: at(f.Value), Own: true}
	if f.High > f.Low {
		own.Low, own.Span = at(f.Low), at(f.High)-at(f.Low)
		own.Label += fmt.Sprintf(" (%s to %s)", number(f.Low), number(f.High))
	}
	c.Bars = append(c.Bars, own)
	for _, o := range f.Others {
		c.Bars = append(c.Bars, bar{Name: o.Name, Label: number(o.Value), Width: at(o.Value)})
	}
	return c
}

// number writes a number as short as it is true to three places.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Find returns the drills of the names, or all without any.
func Find(all []Drill, names []string) (found []Drill, err error) {
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, len(all))
	for i, d := range all {
		known[i] = d.Name
	}
	for _, name := range names {
		at := -1
		for i, d := range all {
			if d.Name == name {
				at = i
			}
		}
		if at < 0 {
			return nil, waypost.Errorf(waypost.InvalidArgument, "there is no drill %q; there are %s", name, strings.Join(known, ", "))
		}
		found = append(found, all[at])
	}
	return found, nil
}
