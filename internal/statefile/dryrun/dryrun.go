package dryrun

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/statefile"
)

// Report is what a file looks like. It holds no name, no id and no line.
type Report struct {
	Rows     int     `json:"rows"`
	Usable   int     `json:"usable"`
	Rejected []Count `json:"rejected"` // rows that a load would refuse, by reason
	Remarks  []Count `json:"remarks"`  // odd, but loadable
	Fields   []Bar   `json:"fields"`   // usable rows with something in a field; the SSN is not among them

	BirthYears  []Bar       `json:"birth_years"` // by five years
	CommonDays  []CommonDay `json:"common_days"` // MM-DD with far more births than others
	CommonDates []CommonDay `json:"common_dates"`
	Family      []Bar       `json:"family_lengths"` // in characters
	Given       []Bar       `json:"given_lengths"`

	Placeholders []Placeholder `json:"ssn_placeholders"`

	Pairs         int `json:"possible_duplicates"` // pairs of records that look like one person
	Crowds        int `json:"crowds"`              // names with a date that more than 20 records share
	RepeatedIDs   int `json:"repeated_ids"`        // rows whose id an earlier row has; a load refuses those that differ
	RepeatedCards int `json:"repeated_card_numbers"`
}

// Count is a number of rows for one reason.
type Count struct {
	Reason string `json:"reason"`
	Rows   int    `json:"rows"`
}

// Bar is one bar of a chart.
type Bar struct {
	Name string `json:"name"`
	Rows int    `json:"rows"`
}

// CommonDay is a day, as MM-DD or YYYY-MM-DD, that is suspiciously common.
type CommonDay struct {
	Day  string `json:"day"`
	Rows int    `json:"rows"`
}

// Placeholder is what stands in the place of an SSN where there is none, in at
// least eleven rows.
type Placeholder struct {
	Value string `json:"value"`
	About int    `json:"about"` // rows, in two digits
	// Absent says that a load takes the value for no SSN as it is; otherwise a
	// layout has to say so.
	Absent bool `json:"taken_as_absent"`
}

// Options say what Check does beside its report.
type Options struct {
	Today waypost.Date
	Dir   string // for files while it works; empty is the system's
	// Line is called with what is to look at in a line, in no certain order.
	// Where rejected, a load would refuse the row. May be nil.
	Line func(line int, rejected bool, reason string) error
	// Pairs receives, as CSV, ids and lines of records that look like one person.
	// May be nil.
	Pairs io.Writer
	// Progress is called with the number of rows read, now and then. May be nil.
	Progress func(rows int)
}

// Check reads a file to its end and says what it looks like. Memory does not
// grow with the file; disk does, by about 100 bytes a row while it works. It
// fails where the file cannot be read at all.
func Check(ctx context.Context, r io.Reader, layout *statefile.Layout, o Options) (report *Report, err error) {
	if o.Line == nil {
		o.Line = func(int, bool, string) error { return nil }
	}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
	finder, err := newFinder(o.Dir, o.Pairs != nil)
	if err != nil {
		return nil, scratchFailed(err)
	}
	defer func() { err = errors.Join(err, finder.close()) }()
	c := &check{Options: o, finder: finder, counts: newCounts(), rejected: make(map[string]int), remarks: make(map[string]int)}
	if err := c.read(ctx, r, layout); err != nil {
		return nil, err
	}
	return c.report()
}

func scratchFailed(err error) error {
	return waypost.Errorf(waypost.Internal, "the check needs room for temporary files: %v", err).WithCause(err)
}

// check is a pass over a file.
type check struct {
	Options
	finder            *finder
	counts            *counts
	rows              int
	rejected, remarks map[string]int // by reason
}

// batchRows go from the reader to those who make the keys at once.
const batchRows = 512

// batch are records on their way to their keys, and how many usable rows there
// were before them.
type batch struct {
	rows    int
	records []seen
}

type seen struct {
	line   int
	record waypost.Record
}

// read counts every row itself and has the keys made beside it.
func (c *check) read(ctx context.Context, r io.Reader, layout *statefile.Layout) error {
	work, ctx := errgroup.WithContext(ctx)
	batches := make(chan batch, 2)
	var mu sync.Mutex // of the finder's keys
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() error {
			for b := range batches {
				var all []entry
				for _, s := range b.records {
					all = append(all, c.finder.entries(s.line, s.record, b.rows)...)
				}
				if err := c.keep(&mu, all); err != nil {
					return err
				}
			}
			return nil
		})
	}
	work.Go(func() error {
		defer close(batches)
		next := batch{}
		send := func() error {
			select {
			case batches <- next:
				next = batch{rows: c.counts.usable}
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := statefile.Read(r, layout, func(row statefile.Row) error {
			if err := c.row(row); err != nil || row.Err != nil {
				return err
			}
			if next.records = append(next.records, seen{row.Line, row.Record}); len(next.records) < batchRows {
				return nil
			}
			c.Progress(c.rows)
			return send()
		})
		if err != nil {
			return err
		}
		return send()
	})
	return work.Wait()
}

func (c *check) keep(mu *sync.Mutex, all []entry) error {
	mu.Lock()
	defer mu.Unlock()
	for _, e := range all {
		if err := c.finder.keys.add(e); err != nil {
			return scratchFailed(err)
		}
	}
	return nil
}

func (c *check) row(row statefile.Row) error {
	c.rows++
	if row.Err != nil {
		return c.reject(row.Line, row.Err.Error())
	}
	c.counts.add(row.Record, row.SSN5)
	for _, reason := range remarks(row.Record, c.Today) {
		count(c.remarks, reason)
		if row.Record.Born.Month == 1 && row.Record.Born.Day == 1 && strings.HasPrefix(reason, "dob") {
			continue // no list of those whose birthday may be a default
		}
		if err := c.Line(row.Line, false, reason); err != nil {
			return err
		}
	}
	if c.finder.ids == nil {
		return nil
	}
	return c.finder.ids.put(row.Line, row.Record.ID)
}

func (c *check) reject(line int, reason string) error {
	count(c.rejected, reason)
	return c.Line(line, true, reason)
}

var digits = regexp.MustCompile(`has \d+ `)

// count counts a reason. Numbers that differ from row to row are left out of it,
// so that there are as many reasons as things to do.
func count(by map[string]int, reason string) {
	by[digits.ReplaceAllString(reason, "has another number of ")]++
}

func (c *check) report() (*Report, error) {
	if c.finder.ids != nil {
		if err := c.finder.ids.flush(); err != nil {
			return nil, scratchFailed(err)
		}
	}
	found, err := c.finder.find(c.counts.usable, func(line int) error {
		return c.Line(line, false, "id: an earlier row has it: of rows with one id that differ in name, date of birth or SSN only one is loaded")
	})
	if err == nil {
		found.pairs, err = c.finder.list(c.Pairs)
	}
	if err != nil {
		return nil, scratchFailed(err)
	}
	r := &Report{
		Rows: c.rows, Usable: c.counts.usable, Rejected: sorted(c.rejected), Remarks: sorted(c.remarks),
		BirthYears: c.counts.years(), Family: c.counts.nameLengths(0), Given: c.counts.nameLengths(1),
		Placeholders: c.counts.placeholders(),
		Pairs:        found.pairs, Crowds: found.crowds, RepeatedIDs: found.repeatedIDs, RepeatedCards: found.repeatedCards,
	}
	r.CommonDays, r.CommonDates = c.counts.commonDays()
	for i, name := range fillNames {
		r.Fields = append(r.Fields, Bar{Name: name, Rows: c.counts.filled[i]})
	}
	return r, nil
}

// sorted lists reasons, the commonest first.
func sorted(by map[string]int) []Count {
	out := make([]Count, 0, len(by)) // never null in JSON
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		out = append(out, Count{reason, by[reason]})
	}
	slices.SortStableFunc(out, func(a, b Count) int { return cmp.Compare(b.Rows, a.Rows) })
	return out
}
