package statefile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/waypost/waypost"
)

// Limits on a file from outside.
const (
	maxLineBytes = 8 << 10
	maxColumns   = 200
)

// Row is one line of a file.
type Row struct {
	Line   int            // from 1; lines that are skipped or empty count too
	Record waypost.Record // zero where Err says why there is none
	// SSN5 are the five digits as they stand in the file. In Record they are
	// empty where they are a placeholder.
	SSN5 string
	Err  error
}

// Read reads a state's people and calls each for every row, in order; then it
// goes on with the next row, whether the row can be used or not. Read itself
// fails only where nothing can be read (a header that lacks a column, a read
// error) and where each returns an error, which it returns as it is.
//
// Without a layout the file is CSV in UTF-8 and its first line names the columns.
// They may stand in any order, in any case, and beside others, which are ignored.
// Needed are dob, family or given, and id or card_number. The rest may be missing
// or empty: the id is then the card number, the card a valid licence, not a REAL
// ID. Fields are quoted as in RFC 4180, except that a quoted field ends on its
// line: a stray quote costs one row, not the file. A byte order mark, CRLF and
// empty lines are allowed; a line has at most 8 KiB.
func Read(r io.Reader, layout *Layout, each func(Row) error) error {
	if layout == nil {
		layout = &plain
	}
	lines := lineReader{r: bufio.NewReaderSize(r, maxLineBytes+2), encoding: layout.encoding}
	cut := layout.fixed()
	for {
		text, bad, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return waypost.Errorf(waypost.Internal, "reading stopped at line %d", lines.number).WithCause(err)
		}
		if lines.number <= layout.skip {
			continue
		}
		if cut == nil {
			var named bool
			if cut, named, err = layout.columns(text, bad); err != nil {
				return err
			}
			if named {
				continue
			}
		}
		if bad == nil && text == "" {
			continue
		}
		if err := each(cut.row(lines.number, text, bad)); err != nil {
			return err
		}
	}
	if cut == nil {
		return unusable("the file is empty: its first line must name the columns")
	}
	return nil
}

// cutter takes the values of a layout's fields from a line, in their order.
type cutter struct {
	fields []field
	values func(line string, into []string) error
	value  []string // used again for every line
}

func (c *cutter) row(line int, text string, bad error) Row {
	if bad == nil {
		bad = c.values(text, c.value)
	}
	row := Row{Line: line, Err: bad}
	if bad == nil {
		row.Record, row.SSN5, row.Err = record(c.fields, c.value)
	}
	if row.Err != nil {
		row.Record, row.SSN5 = waypost.Record{}, ""
	}
	return row
}

func unusable(format string, args ...any) error {
	return waypost.Errorf(waypost.InvalidArgument, format, args...)
}

// lineReader yields lines without their ends, as UTF-8.
type lineReader struct {
	r        *bufio.Reader
	encoding *charmap.Charmap // nil is UTF-8
	number   int              // of the line that next returned last, from 1
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
	if l.encoding != nil {
		return decode(l.encoding, line), nil, nil
	}
	if l.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if !utf8.Valid(line) {
		return "", unusable("the line is not UTF-8: a layout file can name another encoding"), nil
	}
	return string(line), nil, nil
}

func decode(encoding *charmap.Charmap, line []byte) string {
	text := make([]byte, 0, len(line)+8)
	for _, b := range line {
		text = utf8.AppendRune(text, encoding.DecodeByte(b))
	}
	return string(text)
}
