// Package febrl converts the febrl4 record-linkage data set (Christen, Freely
// Extensible Biomedical Record Linkage) to the files that matcheval reads.
package febrl

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Convert reads dataset4a.csv and dataset4b.csv in folder from, and writes
// A.csv, B.csv and truth.csv to folder to: given name, surname, date of birth
// and the last five of soc_sec_id. Record rec-N-org matches rec-N-dup-0.
func Convert(from, to string) error {
	truth := [][]string{{"a", "b"}}
	var inB map[string]bool
	for _, f := range []struct{ from, to string }{{"dataset4b.csv", "B.csv"}, {"dataset4a.csv", "A.csv"}} {
		rows, err := convert(filepath.Join(from, f.from))
		if err != nil {
			return err
		}
		if err := write(filepath.Join(to, f.to), rows); err != nil {
			return err
		}
		ids := make(map[string]bool)
		for _, row := range rows[1:] {
			ids[row[0]] = true
			if dup := strings.TrimSuffix(row[0], "-org") + "-dup-0"; inB[dup] {
				truth = append(truth, []string{row[0], dup})
			}
		}
		inB = ids
	}
	return write(filepath.Join(to, "truth.csv"), truth)
}

func convert(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var at []int
	for _, name := range []string{"rec_id", "surname", "given_name", "date_of_birth", "soc_sec_id"} {
		i := slices.Index(header, name)
		if i < 0 {
			return nil, fmt.Errorf("%s: no column %s", path, name)
		}
		at = append(at, i)
	}
	rows := [][]string{{"id", "family", "given", "dob", "ssn5"}}
	for {
		in, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		row := make([]string, len(at))
		for i, j := range at {
			row[i] = strings.TrimSpace(in[j])
		}
		if ssn := &row[4]; len(*ssn) > 5 {
			*ssn = (*ssn)[len(*ssn)-5:]
		}
		rows = append(rows, row)
	}
}

func write(path string, rows [][]string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = csv.NewWriter(f).WriteAll(rows)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}
