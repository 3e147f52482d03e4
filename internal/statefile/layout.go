package statefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/waypost/waypost"
)

// Limits on a layout file.
const (
	maxLayoutBytes = 64 << 10
	maxSkip        = 1000
	maxPosition    = maxLineBytes
	maxValues      = 500 // of one field
)

// Layout says what stands where in a state's file and how it is written. The
// zero Layout is of no use; ParseLayout makes them.
type Layout struct {
	separator byte // 0 in a fixed-width file
	encoding  *charmap.Charmap
	skip      int
	noHeader  bool
	length    int     // of every line of a fixed-width file, in characters; 0 is any
	fields    []field // nil where the columns have the names of the fields
}

// plain is the layout of a file that comes without one.
var plain = Layout{separator: ','}

// layoutFile is a layout as it is written; docs/operations/joining.md explains it.
type layoutFile struct {
	Format    string        `json:"format"`
	Encoding  string        `json:"encoding"`
	Separator string        `json:"separator"`
	SkipLines int           `json:"skip_lines"`
	NoHeader  bool          `json:"no_header"`
	Length    int           `json:"length"`
	Date      string        `json:"date"`
	Fields    []layoutField `json:"fields"`
}

type layoutField struct {
	Name   string            `json:"name"`
	Column string            `json:"column"`
	From   int               `json:"from"`
	To     int               `json:"to"`
	Last   int               `json:"last"`
	Date   string            `json:"date"`
	Values map[string]string `json:"values"`
}

// ParseLayout reads a layout file: JSON, at most 64 KiB, without members that it
// does not know. It fails where the layout is not one by which records can be
// read: without a name, a date of birth or an id, or with a value that can never
// be right. The error names what is wrong.
func ParseLayout(file []byte) (*Layout, error) {
	if len(file) > maxLayoutBytes {
		return nil, unusable("the layout is longer than %d bytes", maxLayoutBytes)
	}
	var f layoutFile
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, unusable("the layout is not what a layout should be: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, unusable("the layout goes on after its end")
	}
	l := &Layout{skip: f.SkipLines, noHeader: f.NoHeader, length: f.Length}
	if f.SkipLines < 0 || f.SkipLines > maxSkip {
		return nil, unusable("the layout's skip_lines is a number from 0 to %d", maxSkip)
	}
	if err := errors.Join(l.setFormat(f), l.setEncoding(f.Encoding)); err != nil {
		return nil, err
	}
	for _, one := range f.Fields {
		made, err := l.field(one, f.Date)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(l.fields, func(other field) bool { return other.name == made.name }) {
			return nil, unusable("the layout has %s twice", made.name)
		}
		l.fields = append(l.fields, made)
	}
	if lack := lacking(l.fields); lack != "" {
		return nil, unusable("the layout must say where to find %s", lack)
	}
	return l, nil
}

func (l *Layout) setFormat(f layoutFile) error {
	switch f.Format {
	case "csv":
		if f.Separator == "" {
			f.Separator = ","
		}
		if len(f.Separator) != 1 || strings.IndexByte(",;|\t", f.Separator[0]) < 0 {
			return unusable("the layout's separator is a comma, a semicolon, a bar or a tab")
		}
		if f.Length != 0 {
			return unusable("the layout's length is for fixed-width files")
		}
		l.separator = f.Separator[0]
		return nil
	case "fixed":
		if f.Separator != "" || f.NoHeader {
			return unusable("the layout's separator and no_header are for CSV files")
		}
		if f.Length < 0 || f.Length > maxPosition {
			return unusable("the layout's length is a number of characters up to %d", maxPosition)
		}
		return nil
	}
	return unusable("the layout's format is csv or fixed")
}

func (l *Layout) setEncoding(name string) error {
	switch name {
	case "", "utf-8":
	case "latin-1":
		l.encoding = charmap.ISO8859_1
	case "windows-1252":
		l.encoding = charmap.Windows1252
	default:
		return unusable("the layout's encoding is utf-8, latin-1 or windows-1252")
	}
	return nil
}

// field checks one field of a layout.
func (l *Layout) field(f layoutField, date string) (field, error) {
	out := field{name: f.Name, column: strings.TrimSpace(f.Column), from: f.From, to: f.To, last: f.Last, values: f.Values}
	if !slices.Contains(fieldNames, f.Name) {
		return out, unusable("the layout has a field that does not exist; a field's name is one of %s", strings.Join(fieldNames, ", "))
	}
	if err := errors.Join(l.place(&out), out.checkValues()); err != nil {
		return out, err
	}
	if f.Last != 0 && (f.Name != "ssn5" || f.Last != 5) {
		return out, unusable("the layout's %s: only ssn5 may have last, which is 5", f.Name)
	}
	if f.Name != "dob" && f.Name != "status_since" {
		if f.Date != "" {
			return out, unusable("the layout's %s: only dob and status_since have a date", f.Name)
		}
		return out, nil
	}
	if f.Date != "" {
		date = f.Date
	}
	if date == "" {
		return out, nil
	}
	var err error
	out.date, err = dateLayout(date)
	return out, err
}

// place checks where a field stands and how it is called in a reason.
func (l *Layout) place(f *field) error {
	if l.separator == 0 {
		if f.column != "" || f.from < 1 || f.to < f.from || f.to > maxPosition {
			return unusable("the layout's %s: in a fixed-width file a field has from and to, the first and the last character, counted from 1", f.name)
		}
		if l.length > 0 && f.to > l.length {
			return unusable("the layout's %s ends after the length of a line", f.name)
		}
		f.label = f.name + " (characters " + strconv.Itoa(f.from) + " to " + strconv.Itoa(f.to) + ")"
		return nil
	}
	if f.column == "" || f.from != 0 || f.to != 0 {
		return unusable("the layout's %s: in a CSV file a field has a column", f.name)
	}
	if l.noHeader {
		n, err := strconv.Atoi(f.column)
		if err != nil || n < 1 || n > maxColumns {
			return unusable("the layout's %s: without a header a column is a number from 1 to %d, in quotes", f.name, maxColumns)
		}
	}
	f.label = f.name + " (column " + f.column + ")"
	return nil
}

// checkValues holds what values stand for against what the field can be.
func (f *field) checkValues() error {
	if len(f.values) > maxValues {
		return unusable("the layout's %s has more than %d values", f.name, maxValues)
	}
	trimmed := make(map[string]string, len(f.values))
	for _, written := range slices.Sorted(maps.Keys(f.values)) {
		meant, key := f.values[written], strings.TrimSpace(written)
		if _, twice := trimmed[key]; twice {
			return unusable("the layout's %s has one value twice", f.name)
		}
		trimmed[key] = meant
		switch f.name {
		case "sex", "card_kind", "status", "real_id", "protected":
			if meant == "" {
				continue
			}
			if err := f.set(new(waypost.Record), meant); err != nil {
				return unusable("the layout's %s has a value that stands for something else: %v", f.name, err)
			}
		case "ssn5":
			if meant != "" {
				return unusable("the layout's ssn5: a value can stand for nothing else than an SSN that is absent: \"\"")
			}
		default:
			return unusable("the layout's %s: only sex, ssn5, card_kind, status, real_id and protected have values", f.name)
		}
	}
	if f.values != nil {
		f.values = trimmed
	}
	return nil
}

// dateParts are what a date is written with, and the same for package time.
var dateParts = []struct{ written, layout, part string }{
	{"YYYY", "2006", "year"}, {"MON", "Jan", "month"}, {"MM", "01", "month"}, {"DD", "02", "day"}, {"M", "1", "month"}, {"D", "2", "day"},
}

// dateLayout translates YYYY, MM, DD (or M, D without leading zeros, or MON for
// JAN) and what stands between them. Years have four digits: with two, the
// century of a birth is a guess.
func dateLayout(written string) (string, error) {
	wrong := unusable("the layout's date is made of YYYY, MM or MON, DD, each once, and of - / . or spaces, like MM/DD/YYYY")
	var out strings.Builder
	var seen []string
	for rest := written; rest != ""; {
		i := slices.IndexFunc(dateParts, func(p struct{ written, layout, part string }) bool { return strings.HasPrefix(rest, p.written) })
		switch {
		case i >= 0 && !slices.Contains(seen, dateParts[i].part):
			seen = append(seen, dateParts[i].part)
			out.WriteString(dateParts[i].layout)
			rest = rest[len(dateParts[i].written):]
		case strings.IndexByte("-/. ", rest[0]) >= 0:
			out.WriteByte(rest[0])
			rest = rest[1:]
		default:
			return "", wrong
		}
	}
	if len(seen) != 3 || len(written) > 20 {
		return "", wrong
	}
	return out.String(), nil
}

// fixed is the cutter of a fixed-width file, or nil for CSV. A line that ends
// early lacks its last blanks, unless the layout says how long lines are.
func (l *Layout) fixed() *cutter {
	if l.separator != 0 {
		return nil
	}
	return &cutter{fields: l.fields, value: make([]string, len(l.fields)), values: func(line string, into []string) error {
		places, n := characters(line)
		if l.length > 0 && n != l.length {
			return unusable("the line has %d characters and the layout says %d", n, l.length)
		}
		for i, f := range l.fields {
			into[i] = line[places(min(f.from-1, n)):places(min(f.to, n))]
		}
		return nil
	}}
}

// characters counts the characters of a line, and says where each begins.
func characters(line string) (place func(int) int, n int) {
	n = utf8.RuneCountInString(line)
	if n == len(line) {
		return func(i int) int { return i }, n
	}
	places := make([]int, 0, n+1)
	for i := range line {
		places = append(places, i)
	}
	places = append(places, len(line))
	return func(i int) int { return places[i] }, n
}
