package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/statefile"
	"github.com/waypost/waypost/internal/statefile/dryrun"
)

// check says what is in the file and what to clean, and loads nothing.
func (c loadCommand) check(s *session, layout *statefile.Layout) error {
	if c.Rejected == "" {
		c.Rejected = c.File + ".check.csv"
	}
	total, err := countLines(c.File)
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	bar := newBar(s, "checking", total)
	now := time.Now()
	options := dryrun.Options{
		Today:    waypost.Date{Year: now.Year(), Month: int(now.Month()), Day: now.Day()},
		Progress: bar.set,
	}
	var report *dryrun.Report
	err = writeCSV(c.Rejected, []string{"line", "what", "reason"}, func(w *csv.Writer) error {
		options.Line = func(line int, rejected bool, reason string) error {
			what := "remark"
			if rejected {
				what = "rejected"
			}
			return w.Write([]string{strconv.Itoa(line), what, reason})
		}
		return withFile(c.Duplicates, func(pairs io.Writer) error {
			options.Pairs = pairs
			report, err = dryrun.Check(s.ctx, file, layout, options)
			return err
		})
	})
	bar.finish()
	if err != nil {
		return err
	}
	return c.printReport(s.out, report)
}

// withFile gives what is written to a file that only its owner may read, or nil
// where none is wanted.
func withFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return write(nil)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(write(w), w.Flush(), f.Close())
}

func (c loadCommand) printReport(out io.Writer, r *dryrun.Report) error {
	if c.Report != "" {
		if err := withFile(c.Report, r.WriteHTML); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(struct {
			*dryrun.Report
			Lines string `json:"lines_file"`
		}{r, c.Rejected})
	}
	if err := r.WriteText(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe rows to look at, with line and reason: %s\n", c.Rejected)
	if c.Duplicates != "" {
		fmt.Fprintf(out, "Pairs of ids that look like one person:    %s\n", c.Duplicates)
	}
	if c.Report != "" {
		fmt.Fprintf(out, "The report as a page:                      %s\n", c.Report)
	}
	return nil
}
