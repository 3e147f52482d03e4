package statefile

import (
	"slices"
	"strconv"
	"strings"
)

// columns makes the cutter of a CSV file from its first line, and says whether
// that line names the columns; if not, it is a row.
func (l *Layout) columns(text string, bad error) (cut *cutter, named bool, err error) {
	if l.noHeader {
		return l.numbered(), false, nil
	}
	if bad != nil {
		return nil, false, bad
	}
	names, err := split(text, l.separator)
	if err != nil {
		return nil, false, err
	}
	if len(names) > maxColumns {
		return nil, false, unusable("there are more than %d columns", maxColumns)
	}
	for i := range names {
		names[i] = strings.ToLower(strings.TrimSpace(names[i]))
	}
	fields := l.fields
	if fields == nil {
		if fields, err = known(names); err != nil {
			return nil, false, err
		}
	}
	places := make([]int, len(fields))
	for i, f := range fields {
		name := strings.ToLower(f.column)
		places[i] = slices.Index(names, name)
		if places[i] < 0 {
			return nil, false, unusable("the first line does not name the column %s, from which the layout takes %s", f.column, f.name)
		}
		if slices.Contains(names[places[i]+1:], name) {
			return nil, false, unusable("the column %s stands twice in the first line", f.column)
		}
	}
	return l.byPlace(fields, places, len(names)), true, nil
}

// known are the fields of a file without a layout: the columns with names that
// mean something.
func known(names []string) (fields []field, err error) {
	for _, name := range names {
		if slices.Contains(fieldNames, name) && !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			fields = append(fields, field{name: name, column: name})
		}
	}
	if lack := lacking(fields); lack != "" {
		return nil, unusable("the first line must name the columns, among them %s; all names: %s", lack, strings.Join(fieldNames, ","))
	}
	return fields, nil
}

// numbered is for files that do not name their columns: the layout has their
// numbers.
func (l *Layout) numbered() *cutter {
	places := make([]int, len(l.fields))
	for i, f := range l.fields {
		n, _ := strconv.Atoi(f.column) // the layout was checked
		places[i] = n - 1
	}
	return l.byPlace(l.fields, places, 0)
}

// byPlace cuts lines of so many columns, or of any number that suffices if that
// is 0.
func (l *Layout) byPlace(fields []field, places []int, columns int) *cutter {
	return &cutter{fields: fields, value: make([]string, len(fields)), values: func(line string, into []string) error {
		texts, err := split(line, l.separator)
		if err != nil {
			return err
		}
		if columns > 0 && len(texts) != columns {
			return unusable("the row has %d fields and the first line %d", len(texts), columns)
		}
		for i, place := range places {
			if place >= len(texts) {
				return unusable("the row has %d fields: %s is in column %d", len(texts), fields[i].name, place+1)
			}
			into[i] = texts[place]
		}
		return nil
	}}
}

// split cuts one line of RFC 4180 into its fields.
func split(line string, separator byte) ([]string, error) {
	var fields []string
	for {
		var text string
		if strings.HasPrefix(line, `"`) {
			end := 1
			for {
				i := strings.IndexByte(line[end:], '"')
				if i < 0 {
					return nil, unusable("field %d opens a quote that does not close on its line", len(fields)+1)
				}
				if end += i + 1; !strings.HasPrefix(line[end:], `"`) {
					break
				}
				end++ // a doubled quote stands for one
			}
			text, line = strings.ReplaceAll(line[1:end-1], `""`, `"`), line[end:]
			if line != "" && line[0] != separator {
				return nil, unusable("field %d goes on after its closing quote", len(fields)+1)
			}
		} else {
			end := strings.IndexByte(line, separator)
			if end < 0 {
				end = len(line)
			}
			text, line = line[:end], line[end:]
			if strings.Contains(text, `"`) {
				return nil, unusable("field %d has a quote in it but is not quoted", len(fields)+1)
			}
		}
		fields = append(fields, text)
		if line == "" {
			return fields, nil
		}
		line = line[1:]
	}
}
