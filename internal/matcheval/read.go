package matcheval

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// people is one file of records.
type people struct {
	path     string
	people   []waypost.Person
	position map[string]int32 // by id
	badDates int
	ignored  []string // columns
}

// columns of a file of people. Only id must be there.
var columns = []string{"id", "family", "given", "middle", "suffix", "dob", "sex", "ssn5"}

// table reads a CSV file row by row, by the names in its first line.
type table struct {
	path   string
	file   *os.File
	csv    *csv.Reader
	column map[string]int
	row    []string
	// ignored lists the columns that mean nothing here, so that a report can
	// say so: "surname" for "family" would otherwise just find nobody.
	ignored []string
}

func open(path string, known []string, required ...string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, waypost.Errorf(waypost.NotFound, "%s: cannot be opened", path).WithCause(err)
	}
	t := &table{path: path, file: f, csv: csv.NewReader(bufio.NewReaderSize(f, 1<<16)), column: make(map[string]int)}
	t.csv.ReuseRecord = true
	if err := t.header(known, required); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *table) close() { t.file.Close() }

func (t *table) header(known, required []string) error {
	first, err := t.csv.Read()
	if err != nil {
		return t.readError(err)
	}
	for i, name := range first {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if !slices.Contains(known, name) {
			t.ignored = append(t.ignored, name)
			continue
		}
		if _, twice := t.column[name]; twice {
			return t.fault(1, i+1, "the header names the column "+name+" twice")
		}
		t.column[name] = i
	}
	for _, r := range required {
		if _, ok := t.column[r]; !ok {
			return t.fault(1, len(first)+1, "the header lacks the column "+r+"; known are "+strings.Join(known, ", "))
		}
	}
	return nil
}

// next reads a row, and returns io.EOF after the last.
func (t *table) next() (err error) {
	t.row, err = t.csv.Read()
	if err != nil && err != io.EOF {
		return t.readError(err)
	}
	return err
}

// get returns a field of the row without the space around it, or "".
func (t *table) get(column string) string {
	if i, ok := t.column[column]; ok {
		return strings.TrimSpace(t.row[i])
	}
	return ""
}

// fail makes an error about a field of the row that is being read.
func (t *table) fail(column, what string) error {
	line, col := t.csv.FieldPos(t.column[column])
	return t.fault(line, col, column+": "+what)
}

func (t *table) fault(line, column int, what string) error {
	return waypost.Errorf(waypost.InvalidArgument, "%s, line %d, column %d: %s", t.path, line, column, what)
}

func (t *table) readError(err error) error {
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		return t.fault(bad.Line, max(bad.Column, 1), bad.Err.Error())
	case errors.Is(err, io.EOF):
		return t.fault(1, 1, "the file is empty; its first line must name the columns")
	}
	return waypost.Errorf(waypost.Internal, "%s: cannot be read", t.path).WithCause(err)
}

// readPeople reads a file of people. A date that is not one is counted and
// treated as missing; so are an SSN and a sex that are none.
func readPeople(path string, noSSN bool) (*people, error) {
	t, err := open(path, columns, "id")
	if err != nil {
		return nil, err
	}
	defer t.close()
	out := &people{path: path, position: make(map[string]int32), ignored: t.ignored}
	for {
		if err := t.next(); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		id := t.get("id")
		if id == "" {
			return nil, t.fail("id", "is empty")
		}
		if _, twice := out.position[id]; twice {
			return nil, t.fail("id", "is that of an earlier line")
		}
		out.position[strings.Clone(id)] = int32(len(out.people))
		out.people = append(out.people, out.person(t, noSSN))
	}
}

func (p *people) person(t *table, noSSN bool) waypost.Person {
	person := waypost.Person{
		Family: strings.Clone(t.get("family")), Given: strings.Clone(t.get("given")),
		Middle: strings.Clone(t.get("middle")), Suffix: strings.Clone(t.get("suffix")),
	}
	if dob := t.get("dob"); dob != "" {
		born, err := waypost.ParseDate(dob)
		if err != nil {
			p.badDates++
		}
		person.Born = born
	}
	if sex, err := waypost.ParseSex(t.get("sex")); err == nil {
		person.Sex = sex
	}
	if !noSSN {
		person.SSN5 = matchkey.SSN5(strings.Clone(t.get("ssn5")))
	}
	return person
}

// readTruth reads the pairs that are one person each.
func (in *input) readTruth(path string) error {
	t, err := open(path, []string{"a", "b"}, "a", "b")
	if err != nil {
		return err
	}
	defer t.close()
	in.truth = make(map[pair]int)
	for {
		if err := t.next(); errors.Is(err, io.EOF) {
			return in.checkTruth(path)
		} else if err != nil {
			return err
		}
		a, b, here := in.between(t)
		if !here {
			in.elsewhere++
			continue
		}
		if in.dedup && a == b {
			return t.fail("b", "pairs a record with itself")
		}
		p := in.pair(a, b)
		if _, twice := in.truth[p]; twice {
			continue
		}
		in.truth[p] = len(in.truthList)
		in.truthList = append(in.truthList, p)
	}
}

// between finds the records of a pair, whichever of its sides stands in which
// file. A pair that is not between these files is about others, as in the truth
// about several states.
func (in *input) between(t *table) (a, b int32, here bool) {
	one, other := t.get("a"), t.get("b")
	for _, sides := range [][2]string{{one, other}, {other, one}} {
		a, inA := in.a.position[sides[0]]
		b, inB := in.b.position[sides[1]]
		if inA && inB {
			return a, b, true
		}
	}
	return 0, 0, false
}

// checkTruth refuses a truth of which no pair is about these files: it is the
// wrong file.
func (in *input) checkTruth(path string) error {
	if in.elsewhere > 0 && len(in.truthList) == 0 {
		return waypost.Errorf(waypost.InvalidArgument, "%s: none of its %d pairs is between %s and %s", path, in.elsewhere, in.a.path, in.b.path)
	}
	return nil
}
