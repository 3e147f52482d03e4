package dryrun

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for a terminal: what to clean first, then what the
// file looks like.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rows: %d can be loaded, %d cannot\n", r.Rows, r.Usable, r.Rows-r.Usable)
	for _, advice := range r.Advice() {
		fmt.Fprintf(&b, "\n%s\n", advice.Title)
		for _, line := range advice.Lines {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	for _, chart := range r.charts() {
		if chart.wordy {
			continue // it stands above
		}
		fmt.Fprintf(&b, "\n%s\n", chart.Title)
		for _, bar := range chart.Bars {
			fmt.Fprintf(&b, "  %-*s %-30s %d\n", chart.longestName(), bar.Name, strings.Repeat("#", chart.width(bar, 30)), bar.Rows)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Advice is one thing to clean, with what was seen.
type Advice struct {
	Title string
	Lines []string
}

// Advice lists what to clean before a load, the most pressing first. A file that
// needs nothing has none.
func (r *Report) Advice() (out []Advice) {
	add := func(title string, lines ...string) {
		if len(lines) > 0 {
			out = append(out, Advice{title, lines})
		}
	}
	add("Rows that a load would refuse:", countLines(r.Rejected)...)
	var absent, others []string
	for _, p := range r.Placeholders {
		line := fmt.Sprintf("%s  in about %d rows", p.Value, p.About)
		if p.Absent {
			absent = append(absent, line)
		} else {
			others = append(others, line)
		}
	}
	add("Placeholders in the place of an SSN. A load takes them for no SSN; nothing needs to be done:", absent...)
	add("Digits that far more rows have in the place of an SSN than chance explains. If they are placeholders,\n"+
		"give ssn5 in the layout a \"values\" that makes them \"\"; else people would be taken for one another:", others...)
	if r.RepeatedIDs > 0 {
		add("One id on several rows. Make ids unique:", fmt.Sprintf("%d rows have the id of an earlier row", r.RepeatedIDs))
	}
	if r.RepeatedCards > 0 {
		add("One card number on several records:", fmt.Sprintf("%d rows have the card number of an earlier row", r.RepeatedCards))
	}
	add("Odd, but loadable. Look at these rows:", countLines(r.Remarks)...)
	var days []string
	for _, d := range append(r.CommonDates, r.CommonDays...) {
		days = append(days, fmt.Sprintf("%-10s  %d rows", d.Day, d.Rows))
	}
	add("Birthdays that are far more common than others: what is written where the day is not known.\n"+
		"They are loaded as they are, and compared with care:", days...)
	var same []string
	if r.Pairs > 0 {
		same = append(same, fmt.Sprintf("%d pairs of records look like one person, by name and date of birth alone: a rough count", r.Pairs))
	}
	if r.Crowds > 0 {
		same = append(same, fmt.Sprintf("%d names with a date are on more than %d records each: they may stand for nobody", r.Crowds, crowd))
	}
	add("Possible duplicates inside the file:", same...)
	return out
}

func countLines(counts []Count) (lines []string) {
	for _, c := range counts {
		lines = append(lines, fmt.Sprintf("%8d  %s", c.Rows, c.Reason))
	}
	return lines
}

// chart is a list of bars under a title.
type chart struct {
	Title string
	Bars  []Bar
	most  int // what a full bar stands for
	wordy bool
}

func (r *Report) charts() (out []chart) {
	rejected := make([]Bar, len(r.Rejected))
	for i, c := range r.Rejected {
		rejected[i] = Bar{c.Reason, c.Rows}
	}
	for _, c := range []chart{
		{Title: "Fields with something in them, of the usable rows", Bars: r.Fields, most: r.Usable},
		{Title: "Births from this year on, for five years", Bars: r.BirthYears},
		{Title: "Characters in the family name", Bars: r.Family},
		{Title: "Characters in the given name", Bars: r.Given},
		{Title: "Rows refused", Bars: rejected, wordy: true},
	} {
		if len(c.Bars) == 0 || r.Rows == 0 {
			continue
		}
		for _, b := range c.Bars {
			c.most = max(c.most, b.Rows, 1)
		}
		out = append(out, c)
	}
	return out
}

// width is how much of a bar's full width is drawn.
func (c chart) width(b Bar, full int) int { return (b.Rows*full + c.most - 1) / c.most }

func (c chart) longestName() (n int) {
	for _, b := range c.Bars {
		n = max(n, len(b.Name))
	}
	return n
}
