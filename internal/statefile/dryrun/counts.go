package dryrun

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

const (
	firstYear, lastYear = 1850, 2200 // waypost.ParseDate allows no others
	longestName         = 40         // longer ones are counted with it
	mostListed          = 20         // of a kind, in a report
	// fewest people that a number about an SSN may be about: design, section 12.
	fewest = 11
)

// counts are what shows only over the whole file.
type counts struct {
	usable  int
	dates   [(lastYear - firstYear + 1) * 12 * 31]uint32
	ssn     [100000]uint32 // the five digits as they stand
	lengths [2][longestName + 1]int
	filled  []int // by index in fillNames
}

func newCounts() *counts { return &counts{filled: make([]int, len(fillNames))} }

// fillNames are the fields with a fill rate: all but the SSN.
var fillNames = []string{"family", "given", "middle", "suffix", "sex", "card_number"}

func (c *counts) add(r waypost.Record, ssn5 string) {
	c.usable++
	for i, text := range [...]string{r.Family, r.Given, r.Middle, r.Suffix, string(r.Sex), r.CardNumber} {
		if text != "" {
			c.filled[i]++
		}
	}
	for i, name := range [...]string{r.Family, r.Given} {
		c.lengths[i][min(utf8.RuneCountInString(name), longestName)]++
	}
	c.dates[dateIndex(r.Born)]++
	if n, err := strconv.Atoi(ssn5); err == nil && len(ssn5) == 5 {
		c.ssn[n]++
	}
}

func dateIndex(d waypost.Date) int { return ((d.Year-firstYear)*12+d.Month-1)*31 + d.Day - 1 }

func dateAt(i int) waypost.Date {
	return waypost.Date{Year: firstYear + i/31/12, Month: i/31%12 + 1, Day: i%31 + 1}
}

// farMore reports whether so many of one kind are far more than the number that
// is expected by chance, although not all kinds are equally likely.
func farMore(n int, expected float64) bool {
	return float64(n) > 3*expected+6*math.Sqrt(expected)+fewest-1
}

// placeholders are the digits that stand for no SSN, or for one that far more
// people have than chance explains: one in 100,000 has any five digits.
func (c *counts) placeholders() []Placeholder {
	out := []Placeholder{} // never null in JSON
	total := 0
	for _, n := range c.ssn {
		total += int(n)
	}
	for i, n := range c.ssn {
		value := fmt.Sprintf("%05d", i)
		absent := matchkey.SSN5(value) == ""
		if n < fewest || !absent && !farMore(int(n), float64(total)/float64(len(c.ssn))) {
			continue
		}
		out = append(out, Placeholder{Value: value, About: round(int(n)), Absent: absent})
	}
	slices.SortStableFunc(out, func(a, b Placeholder) int { return cmp.Compare(b.About, a.About) })
	return out[:min(len(out), mostListed)]
}

// round keeps two digits: a number that moves when one person's SSN is added
// would tell of that person.
func round(n int) int {
	unit := 1
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}

// commonDays are the days of the year, and the dates, on which far more people
// were born than on others: what a system writes where the day is not known.
func (c *counts) commonDays() (days, dates []CommonDay) {
	var year [lastYear - firstYear + 1]int
	var day [12 * 31]int
	days, dates = []CommonDay{}, []CommonDay{}
	for i, n := range c.dates {
		year[i/31/12] += int(n)
		day[i%len(day)] += int(n)
	}
	for i, n := range day {
		if farMore(n, float64(c.usable)/365.25) {
			d := dateAt(i)
			days = append(days, CommonDay{Day: fmt.Sprintf("%02d-%02d", d.Month, d.Day), Rows: n})
		}
	}
	for i, n := range c.dates {
		if n > 0 && farMore(int(n), float64(year[i/31/12]-int(n))/365.25) {
			dates = append(dates, CommonDay{Day: dateAt(i).String(), Rows: int(n)})
		}
	}
	most := func(list []CommonDay) []CommonDay {
		slices.SortStableFunc(list, func(a, b CommonDay) int { return cmp.Compare(b.Rows, a.Rows) })
		return list[:min(len(list), mostListed)]
	}
	return most(days), most(dates)
}

// years are the births by steps of five years, without the empty ends.
func (c *counts) years() (out []Bar) {
	const step = 5
	var by [(lastYear-firstYear)/step + 1]int
	for i, n := range c.dates {
		by[i/31/12/step] += int(n)
	}
	return bars(by[:], func(i int) string { return strconv.Itoa(firstYear + i*step) })
}

func (c *counts) nameLengths(of int) []Bar {
	return bars(c.lengths[of][:], func(i int) string {
		if i == longestName {
			return strconv.Itoa(i) + "+"
		}
		return strconv.Itoa(i)
	})
}

// bars names counts and leaves empty ones at both ends out.
func bars(n []int, name func(int) string) []Bar {
	out := []Bar{}
	first := slices.IndexFunc(n, func(n int) bool { return n > 0 })
	if first < 0 {
		return out
	}
	last := first
	for i := first; i < len(n); i++ {
		if n[i] > 0 {
			last = i
		}
	}
	for i := first; i <= last; i++ {
		out = append(out, Bar{Name: name(i), Rows: n[i]})
	}
	return out
}
