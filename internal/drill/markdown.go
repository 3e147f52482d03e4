package drill

import (
	"fmt"
	"os"
	"strings"

	"github.com/waypost/waypost"
)

// markers are the lines of a page between which the table of a drill stands.
func markers(drill string) (begin, end string) {
	return "<!-- waypost drill " + drill + ": begin -->", "<!-- waypost drill " + drill + ": end -->"
}

// WriteMarkdown puts the tables of the run's drills into a page of documentation, each
// between the two lines that mark its place. It is an error if the page has a place for
// none of them.
func (r *Report) WriteMarkdown(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, places := string(raw), 0
	for _, d := range r.Drills {
		begin, end := markers(d.Name)
		before, rest, ok := strings.Cut(page, begin)
		_, after, closed := strings.Cut(rest, end)
		if ok && closed {
			page = before + begin + "\n\n" + Table(r.Of(d.Name)) + "\n" + end + after
			places++
		}
	}
	if places == 0 {
		begin, end := markers("NAME")
		return waypost.Errorf(waypost.InvalidArgument, "%s has no line %s followed by a line %s, with the name of a drill that was played", path, begin, end)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(page), info.Mode())
}

// Table is a table in Markdown of the lines whose figures have the same other numbers
// beside them as the first that has any: a row for each party, a column for each
// number.
func Table(lines []Line) string {
	var b strings.Builder
	var columns []string
	for _, l := range lines {
		if l.Figure == nil || len(l.Figure.Others) == 0 || columns != nil && !hasColumns(l, columns) {
			continue
		}
		if columns == nil {
			for _, o := range l.Figure.Others {
				columns = append(columns, o.Name)
			}
			fmt.Fprintf(&b, "| party | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
		}
		fmt.Fprintf(&b, "| %s |", l.Party)
		for _, o := range l.Figure.Others {
			fmt.Fprintf(&b, " %s |", number(o.Value))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func hasColumns(l Line, columns []string) bool {
	if len(l.Figure.Others) != len(columns) {
		return false
	}
	for i, o := range l.Figure.Others {
		if o.Name != columns[i] {
			return false
		}
	}
	return true
}
