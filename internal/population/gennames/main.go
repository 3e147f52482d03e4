// Command gennames makes names.gz, the weighted name lists from which the
// synthetic population is drawn, out of two public-domain tables:
//
//   - census_surnames_2000_qss.csv: US Census Bureau, "Frequently Occurring
//     Surnames from the Census 2000", with counts and the share of bearers who
//     call themselves Hispanic.
//   - ssa_firstnames_1930_2010_min50.csv: US Social Security Administration,
//     first names by year of birth and sex.
//
// Run it through go generate; WAYPOST_DATA names the folder that holds
// us_names. The output depends on the input alone.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	surnames   = 40000 // commonest surnames kept: nine people in ten
	firstNames = 500   // commonest first names kept for each decade and sex
)

func main() {
	log.SetFlags(0)
	dir := os.Getenv("WAYPOST_DATA")
	if dir == "" {
		log.Fatal("gennames: set WAYPOST_DATA to the folder that holds us_names")
	}
	var text bytes.Buffer
	writeSurnames(&text, filepath.Join(dir, "us_names", "census_surnames_2000_qss.csv"))
	writeFirstNames(&text, filepath.Join(dir, "us_names", "ssa_firstnames_1930_2010_min50.csv"))

	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	check(err)
	_, err = z.Write(text.Bytes())
	check(err)
	check(z.Close())
	check(os.WriteFile("names.gz", out.Bytes(), 0o644))
	fmt.Printf("names.gz: %d bytes\n", out.Len())
}

// writeSurnames prints "S name count percent-hispanic" lines, commonest first.
func writeSurnames(w io.Writer, path string) {
	for i, row := range rows(path) {
		if i == surnames {
			break
		}
		// The Census suppresses small cells; what is not a number counts as none.
		hispanic, err := strconv.ParseFloat(row[5], 64)
		if err != nil {
			hispanic = 0
		}
		fmt.Fprintf(w, "S %s %s %d\n", row[0], row[1], int(math.Round(hispanic)))
	}
}

// writeFirstNames prints "decade sex name births" lines, births in that
// decade, commonest first.
func writeFirstNames(w io.Writer, path string) {
	type cohort struct{ decade, sex string }
	births := map[cohort]map[string]int{}
	for _, row := range rows(path) {
		c := cohort{row[0][:3] + "0", row[1]}
		n, err := strconv.Atoi(row[3])
		check(err)
		if births[c] == nil {
			births[c] = map[string]int{}
		}
		births[c][strings.ToUpper(row[2])] += n
	}
	delete(births, cohort{"2010", "F"}) // a single year
	delete(births, cohort{"2010", "M"})
	cohorts := slices.SortedFunc(maps.Keys(births), func(a, b cohort) int {
		return cmp.Or(cmp.Compare(a.decade, b.decade), cmp.Compare(a.sex, b.sex))
	})
	for _, c := range cohorts {
		names := slices.SortedFunc(maps.Keys(births[c]), func(a, b string) int {
			return cmp.Or(cmp.Compare(births[c][b], births[c][a]), cmp.Compare(a, b))
		})
		for _, name := range names[:min(firstNames, len(names))] {
			fmt.Fprintf(w, "%s %s %s %d\n", c.decade, c.sex, name, births[c][name])
		}
	}
}

func rows(path string) [][]string {
	f, err := os.Open(path)
	check(err)
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	check(err)
	return all[1:]
}

func check(err error) {
	if err != nil {
		log.Fatal("gennames: ", err)
	}
}
