package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/waypost/waypost/matchkey/internal/freq"
)

// eras is the number of letters that freq.Era returns.
const eras = 16

// name counts one given name: by era of birth, of both sexes, and of women.
type name struct {
	births [eras]float64
	female float64
	male   float64
	census float64 // share of the people of 1990
}

func (n *name) total() (sum float64) {
	for _, b := range n.births {
		sum += b
	}
	return sum
}

// sources is what the public files say, with every name in capitals A-Z.
type sources struct {
	surnames  map[string]float64
	given     map[string]*name
	years     map[int]float64
	pairs     map[[2]string]float64 // how much commoner than independent names
	nicknames [][2]string           // formal name, nickname
}

func read(data string) (*sources, error) {
	s := &sources{
		surnames: make(map[string]float64), given: make(map[string]*name),
		years: make(map[int]float64), pairs: make(map[[2]string]float64),
	}
	names := filepath.Join(data, "us_names")
	for _, f := range []struct {
		path string
		row  func([]string) error
	}{
		{filepath.Join(names, "census_surnames_2000_qss.csv"), s.addSurname},
		{filepath.Join(names, "ssa_firstnames_1930_2010_min50.csv"), s.addBirths},
		{filepath.Join(names, "adjusted-name-combinations-list.csv"), s.addPair},
		{filepath.Join(data, "nicknames", "names.csv"), s.addNickname},
	} {
		if err := eachRow(f.path, f.row); err != nil {
			return nil, err
		}
	}
	for _, sex := range []string{"male", "female"} {
		if err := s.addCensus(filepath.Join(names, "census1990_dist."+sex+".first")); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// eachRow calls row for every line of a CSV file but the first.
func eachRow(path string, row func([]string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f))
	r.ReuseRecord = true
	for n := 1; ; n++ {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n > 1 {
			err = row(fields)
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
}

// letters keeps A-Z of a name, in capitals.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 'A' || r > 'Z' {
			return -1
		}
		return r
	}, strings.ToUpper(s))
}

func (s *sources) addSurname(f []string) error {
	count, err := strconv.ParseFloat(f[1], 64)
	s.surnames[letters(f[0])] += count
	return err
}

func (s *sources) name(text string) *name {
	key := letters(text)
	if s.given[key] == nil {
		s.given[key] = new(name)
	}
	return s.given[key]
}

func (s *sources) addBirths(f []string) error {
	year, err := strconv.Atoi(f[0])
	if err != nil {
		return err
	}
	births, err := strconv.ParseFloat(f[3], 64)
	n := s.name(f[2])
	n.births[freq.Era(year)-'a'] += births
	if f[1] == "F" {
		n.female += births
	} else {
		n.male += births
	}
	s.years[year] += births
	return err
}

func (s *sources) addPair(f []string) error {
	alone, err := strconv.ParseFloat(f[5], 64)
	if err != nil {
		return err
	}
	together, err := strconv.ParseFloat(f[6], 64)
	s.pairs[[2]string{letters(f[1]), letters(f[2])}] = together / alone
	return err
}

func (s *sources) addNickname(f []string) error {
	if f[1] == "has_nickname" {
		s.nicknames = append(s.nicknames, [2]string{letters(f[0]), letters(f[2])})
	}
	return nil
}

// addCensus reads a name and its percentage among one sex from each line.
func (s *sources) addCensus(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		percent, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.name(fields[0]).census += percent / 100 / 2 // half the people are of this sex
	}
	return lines.Err()
}
