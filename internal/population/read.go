package population

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/waypost/waypost"
)

// Limits on a file from outside.
const (
	maxLineBytes  = 8 << 10
	maxColumns    = 200
	maxFieldBytes = 200 // of an id or card number; waypost.Person limits the names
)

// ReadCSV reads a state's people and calls each for every row, in order, with
// the line number (the header is line 1) and either the record or the reason
// why the row cannot be used; then it goes on with the next row. A reason names
// the column and never repeats what stands in it. ReadCSV itself fails only
// where nothing can be read (a header without names or dob, a read error) and
// where each returns an error, which it returns as it is.
//
// The columns may stand in any order, in any case, and beside others, which
// are ignored. Needed are dob, family or given, and id or card_number. The rest
// may be missing or empty: the id is then the card number, the card a valid
// licence, not a REAL ID. Fields are quoted as in RFC 4180, except that a
// quoted field ends on its line: a stray quote costs one row, not the file. A
// byte order mark, CRLF and empty lines are allowed; a line has at most 8 KiB.
func ReadCSV(r io.Reader, each func(line int, rec waypost.Record, err error) error) error {
	lines := lineReader{r: bufio.NewReaderSize(r, maxLineBytes+2)}
	var of columns
	for {
		text, bad, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return waypost.Errorf(waypost.Internal, "reading stopped at line %d", lines.number).WithCause(err)
		}
		if of == nil {
			if of, err = parseHeader(text, bad); err != nil {
				return err
			}
			continue
		}
		if bad == nil && len(text) == 0 {
			continue
		}
		var rec waypost.Record
		if bad == nil {
			rec, bad = of.record(text)
		}
		if bad != nil {
			rec = waypost.Record{}
		}
		if err := each(lines.number, rec, bad); err != nil {
			return err
		}
	}
	if of == nil {
		return unusable("the file is empty: its first line must name the columns")
	}
	return nil
}

func unusable(format string, args ...any) error {
	return waypost.Errorf(waypost.InvalidArgument, format, args...)
}

// lineReader yields lines without their ends.
type lineReader struct {
	r      *bufio.Reader
	number int // of the line that next returned last, from 1
}

// next returns the next line, or in bad why that line cannot be used; err is
// io.EOF after the last line, or what the reader said.
func (l *lineReader) next() (text string, bad, err error) {
	line, err := l.r.ReadSlice('\n')
	if len(line) == 0 && err != nil {
		return "", nil, err
	}
	l.number++
	tooLong := false
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		_, err = l.r.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return "", nil, err
	}
	if tooLong {
		return "", unusable("the line is longer than %d bytes", maxLineBytes), nil
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if l.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if !utf8.Valid(line) {
		return "", unusable("the line is not UTF-8"), nil
	}
	return string(line), nil, nil
}

// columns maps a column's place to its name, for the names in header; the
// other places are "".
type columns []string

func parseHeader(text string, bad error) (columns, error) {
	if bad != nil {
		return nil, bad
	}
	names, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(names) > maxColumns {
		return nil, unusable("there are more than %d columns", maxColumns)
	}
	of := make(columns, len(names))
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(header, name) {
			continue
		}
		if slices.Contains(of, name) {
			return nil, unusable("the column %s stands twice in the first line", name)
		}
		of[i] = name
	}
	for _, needed := range [][]string{{"dob"}, {"family", "given"}, {"id", "card_number"}} {
		if !slices.ContainsFunc(needed, func(name string) bool { return slices.Contains(of, name) }) {
			return nil, unusable("the first line must name the columns, among them %s; all names: %s",
				strings.Join(needed, " or "), strings.Join(header, ","))
		}
	}
	return of, nil
}

// record makes a record of one line. It fails where the line does not fit the
// header or a field cannot be what its column says.
func (of columns) record(text string) (waypost.Record, error) {
	fields, err := split(text)
	if err != nil {
		return waypost.Record{}, err
	}
	if len(fields) != len(of) {
		return waypost.Record{}, unusable("the row has %d fields and the first line %d", len(fields), len(of))
	}
	rec := waypost.Record{Kind: waypost.Licence, Status: waypost.Valid}
	for i, name := range of {
		value := strings.TrimSpace(fields[i])
		if name == "" || value == "" {
			continue
		}
		if strings.ContainsFunc(value, unicode.IsControl) {
			return waypost.Record{}, unusable("%s has a control character in it", name)
		}
		if err := set(&rec, name, value); err != nil {
			return waypost.Record{}, unusable("%s: %v", name, err)
		}
	}
	if rec.ID == "" {
		rec.ID = rec.CardNumber
	}
	if rec.ID == "" {
		return waypost.Record{}, unusable("id and card_number are both empty")
	}
	return rec, rec.Validate()
}

var (
	cardKinds = []waypost.CardKind{waypost.Licence, waypost.Permit, waypost.IDCard, waypost.Commercial}
	statuses  = []waypost.Status{waypost.Valid, waypost.ExpiredCard, waypost.Surrendered, waypost.Suspended,
		waypost.Revoked, waypost.Disqualified, waypost.Closed}
)

// set reads one column into the record.
func set(rec *waypost.Record, name, value string) (err error) {
	switch name {
	case "id":
		rec.ID, err = short(value)
	case "family":
		rec.Family = value
	case "given":
		rec.Given = value
	case "middle":
		rec.Middle = value
	case "suffix":
		rec.Suffix = value
	case "dob":
		rec.Born, err = waypost.ParseDate(value)
	case "sex":
		rec.Sex, err = waypost.ParseSex(value)
	case "ssn5":
		rec.SSN5 = value
	case "card_number":
		rec.CardNumber, err = short(value)
	case "card_kind":
		rec.Kind, err = oneOf(cardKinds, value)
	case "status":
		rec.Status, err = oneOf(statuses, value)
	case "real_id":
		rec.RealID, err = yesNo(value)
	case "protected":
		rec.Protected, err = yesNo(value)
	}
	return err
}

func short(value string) (string, error) {
	if len(value) > maxFieldBytes {
		return "", unusable("longer than %d bytes", maxFieldBytes)
	}
	return value, nil
}

func oneOf[T ~string](list []T, value string) (T, error) {
	if v := T(strings.ToLower(value)); slices.Contains(list, v) {
		return v, nil
	}
	return "", unusable("must be one of %v", list)
}

func yesNo(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "yes", "y", "1":
		return true, nil
	case "false", "no", "n", "0":
		return false, nil
	}
	return false, unusable("must be true or false")
}

// split cuts one line of RFC 4180 into its fields.
func split(line string) ([]string, error) {
	var fields []string
	for {
		var field string
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
			field, line = strings.ReplaceAll(line[1:end-1], `""`, `"`), line[end:]
			if line != "" && line[0] != ',' {
				return nil, unusable("field %d goes on after its closing quote", len(fields)+1)
			}
		} else {
			end := strings.IndexByte(line, ',')
			if end < 0 {
				end = len(line)
			}
			field, line = line[:end], line[end:]
			if strings.Contains(field, `"`) {
				return nil, unusable("field %d has a quote in it but is not quoted", len(fields)+1)
			}
		}
		fields = append(fields, field)
		if line == "" {
			return fields, nil
		}
		line = line[1:]
	}
}
