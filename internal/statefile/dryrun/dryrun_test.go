package dryrun

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

var today = waypost.Date{Year: 2026, Month: 6, Day: 1}

const columns = "id,family,given,dob,ssn5,card_kind\n"

// checked is everything that a dry run says.
type checked struct {
	report *Report
	lines  []string
	pairs  string
	page   string
	text   string
	json   string
}

func run(t *testing.T, in string) checked {
	t.Helper()
	var out checked
	var pairs, page, text bytes.Buffer
	var err error
	dir := t.TempDir()
	out.report, err = Check(t.Context(), strings.NewReader(in), nil, Options{Today: today, Dir: dir, Pairs: &pairs,
		Line: func(line int, rejected bool, reason string) error {
			out.lines = append(out.lines, fmt.Sprint(line, " ", rejected, " ", reason))
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	slices.Sort(out.lines)
	if err := out.report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := out.report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(out.report)
	if err != nil {
		t.Fatal(err)
	}
	out.pairs, out.page, out.text, out.json = pairs.String(), page.String(), text.String(), string(raw)
	return out
}

// crowdOf are n people whom nothing connects.
func crowdOf(n int) string {
	var b strings.Builder
	letter := func(i int) string { return string(rune('A' + i%26)) }
	for i := range n {
		fmt.Fprintf(&b, "C%05d,QU%sX%sV%s,ZE%sK%sW%s,%04d-%02d-%02d,%05d,id\n", i, letter(i), letter(i/26), letter(i/7),
			letter(i/3), letter(i), letter(i/26), 1930+i*7%75, 1+i%12, 2+i*11%27, 20001+i*37%9000)
	}
	return b.String()
}

func TestCheckFindsWhatToClean(t *testing.T) {
	var in strings.Builder
	in.WriteString(columns + crowdOf(300))
	for i := range 40 {
		fmt.Fprintf(&in, "P%02d,PLACEHOLDER%s,JANE,19%02d-01-01,99999,licence\n", i, strings.Repeat("X", i%9)+string(rune('A'+i%26)), 50+i)
		fmt.Fprintf(&in, "Q%02d,SEQUENCE%s,JOHN,19%02d-06-0%d,12345,licence\n", i, strings.Repeat("Y", i%7)+string(rune('A'+i%26)), 50+i, 2+i%7)
		fmt.Fprintf(&in, "R%02d,UNIXTIME%s,ANN,1900-01-01,,id\n", i, strings.Repeat("Z", i%5)+string(rune('A'+i%26)))
	}
	first := 2 + 300 + 120 // the line of the next row
	for _, row := range []string{
		"S1,VANDERHOOF,WILHELMINA,1984-03-17,31415,licence",
		"S2,VANDERHOOF,WILLHELMINA,1984-03-17,,licence",
		"S2,VANDERHOOF,WILLHELMINA,1984-03-17,,licence",
		"S4,EARLY,BIRD,2027-01-05,,licence",
		"S5,YOUNG,DRIVER,2016-01-05,,licence",
		"S6,YOUNG,HOLDER,2016-01-05,,id",
		"S7,METHUSELAH,M,1890-05-05,,id",
		"S8,,CHER,1946-05-20,,id",
		"S9,FNU,MADONNA,1958-08-16,,id",
		"SA,MUÃ‘OZ,EVA,1958-08-17,,id",
		"SB,MU\ufffdOZ,EVA,1958-08-18,,id",
		"SC,SM1TH,EVA,1958-08-19,,id",
		"SD,SMITH*,EVA,1958-08-20,,id",
		"SE,LIND,EVA,1958-02-30,,id",
		"SF,LIND,EVA,1958-08-21",
	} {
		in.WriteString(row + "\n")
	}
	got := run(t, in.String())
	r := got.report
	if r.Rows != 435 || r.Usable != 433 {
		t.Errorf("%d rows, %d usable", r.Rows, r.Usable)
	}
	wantLines := []string{
		fmt.Sprint(first+2, " false id: an earlier row has it: of rows with one id that differ in name, date of birth or SSN only one is loaded"),
		fmt.Sprint(first+3, " false dob: the date lies in the future"),
		fmt.Sprint(first+4, " false dob: too young for anything but an ID card"),
		fmt.Sprint(first+6, " false dob: older than anybody alive"),
		fmt.Sprint(first+7, " false family: there is none"),
		fmt.Sprint(first+8, " false family: it says that there is none, or has no letter that can be compared"),
		fmt.Sprint(first+9, " false family: accents look broken: is the file's encoding what the layout says?"),
		fmt.Sprint(first+10, " false family: there is a character that was lost before: it shows as U+FFFD"),
		fmt.Sprint(first+11, " false family: there is a digit in it"),
		fmt.Sprint(first+12, " false family: there is a character in it that no name has"),
		fmt.Sprint(first+13, " true dob: a date is YYYY-MM-DD and must exist in the calendar"),
		fmt.Sprint(first+14, " true the row has 4 fields and the first line 6"),
	}
	// The forty born on 1 January 1900 are as old, and counted without a line.
	if !slices.Contains(r.Remarks, Count{"dob: older than anybody alive", 41}) {
		t.Errorf("remarks %v", r.Remarks)
	}
	if d := cmp.Diff(wantLines, got.lines); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Placeholder{{"12345", 40, false}, {"99999", 40, true}}, r.Placeholders); d != "" {
		t.Errorf("placeholders (-want +got):\n%s", d)
	}
	if len(r.CommonDays) != 1 || r.CommonDays[0].Day != "01-01" || len(r.CommonDates) != 1 || r.CommonDates[0] != (CommonDay{"1900-01-01", 40}) {
		t.Errorf("common days %v, dates %v", r.CommonDays, r.CommonDates)
	}
	if want := fmt.Sprintf("a,b,line_a,line_b\nS1,S2,%d,%d\nS1,S2,%d,%d\n", first, first+1, first, first+2); r.Pairs != 2 || got.pairs != want {
		t.Errorf("%d pairs:\n%swant\n%s", r.Pairs, got.pairs, want)
	}
	if r.RepeatedIDs != 1 || r.RepeatedCards != 0 || r.Crowds != 0 {
		t.Errorf("%d repeated ids, %d cards, %d crowds", r.RepeatedIDs, r.RepeatedCards, r.Crowds)
	}
	for _, secret := range []string{"VANDERHOOF", "WILHELMINA", "S1,", "MADONNA", "1984-03", "31415"} {
		if strings.Contains(got.page+got.text+got.json+strings.Join(got.lines, "\n"), secret) {
			t.Errorf("the report repeats %q", secret)
		}
	}
	for _, want := range []string{"433 can be loaded", "99999  in about 40 rows", `"values" that makes them ""`, "1900-01-01  40 rows", "2 pairs of records"} {
		if !strings.Contains(got.text, want) || !strings.Contains(strings.ReplaceAll(got.page, "&#34;", `"`), want) {
			t.Errorf("the report lacks %q:\n%s", want, got.text)
		}
	}
	if strings.Contains(got.page, "<script") || strings.Contains(got.page, "://") || strings.Contains(got.page, "src=") || strings.Contains(got.page, "href=") {
		t.Error("the page needs something from elsewhere")
	}
}

// TestNobodyIsShownToHaveNoSSN: whether one person has an SSN, none, or a
// placeholder changes nothing in anything that a dry run says, also where another
// record of that person has one and where eleven others have placeholders.
func TestNobodyIsShownToHaveNoSSN(t *testing.T) {
	for _, others := range []int{0, 15} {
		var base strings.Builder
		base.WriteString(columns + crowdOf(250))
		for i := range others {
			fmt.Fprintf(&base, "P%02d,QUITTER%c,JANE,19%02d-03-11,99999,licence\n", i, 'A'+i, 50+i)
		}
		base.WriteString("X1,ACHTERBERG,DESMOND,1984-03-17,52096,licence\n")
		var want checked
		for i, ssn := range []string{"52096", "", "NONE", "999999999", "31415"} {
			got := run(t, base.String()+"X2,ACHTERBERG,DESMOND,1984-03-17,"+ssn+",licence\nX3,THISTLEWOOD,ARAMINTA,1979-01-01,"+ssn+",id\n")
			if got.report.Pairs != 1 {
				t.Fatalf("%d pairs", got.report.Pairs)
			}
			if i == 0 {
				want = got
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(checked{})); d != "" {
				t.Errorf("with %d others, %q in place of an SSN shows:\n%s", others, ssn, d)
			}
		}
	}
	// A placeholder in five digits is counted, from eleven on, in two digits.
	if round(10) != 10 || round(1234) != 1200 || round(99) != 99 || round(100) != 100 || round(987654) != 980000 {
		t.Error("numbers are not rounded")
	}
}

// TestPlaceholdersFromElevenOn: fewer people than eleven are no number.
func TestPlaceholdersFromElevenOn(t *testing.T) {
	for _, test := range []struct{ rows, want int }{{10, 0}, {11, 1}} {
		in := columns
		for i := range test.rows {
			in += fmt.Sprintf("P%02d,QUITTER%c,JANE,19%02d-03-11,99999,licence\n", i, 'A'+i, 50+i)
		}
		if got := run(t, in); len(got.report.Placeholders) != test.want || strings.Contains(got.page+got.text+got.json, "99999") != (test.want > 0) {
			t.Errorf("%d rows: %v", test.rows, got.report.Placeholders)
		}
	}
}

// TestCrowdIsNoPair: a name and date on many records make one remark, not
// thousands of pairs.
func TestCrowdIsNoPair(t *testing.T) {
	in := columns
	for i := range 100 {
		in += fmt.Sprintf("P%03d,ZWEIFELQVIST,ARAMINTA,1961-03-11,,licence\n", i)
	}
	r := run(t, in).report
	if r.Crowds == 0 || r.Pairs > crowd*(crowd-1)/2 {
		t.Errorf("%d crowds, %d pairs", r.Crowds, r.Pairs)
	}
}

func TestCheckRefuses(t *testing.T) {
	_, err := Check(t.Context(), strings.NewReader("x,y\n"), nil, Options{Today: today, Dir: t.TempDir()})
	if waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("error %v", err)
	}
	full := fmt.Errorf("the disk is full")
	_, err = Check(t.Context(), strings.NewReader(columns+"A,B\n"), nil, Options{Today: today, Dir: t.TempDir(),
		Line: func(int, bool, string) error { return full }})
	if !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	empty, err := Check(t.Context(), strings.NewReader(columns), nil, Options{Today: today, Dir: t.TempDir()})
	if err != nil || empty.Rows != 0 {
		t.Errorf("%+v, %v", empty, err)
	}
	var text bytes.Buffer
	if err := empty.WriteText(&text); err != nil || text.String() != "0 rows: 0 can be loaded, 0 cannot\n" {
		t.Errorf("%q, %v", text.String(), err)
	}
}

// TestSorter: with any number of runs, entries come back in order, none lost.
func TestSorter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSorter(os.TempDir())
		s.size = rapid.IntRange(1, 50).Draw(t, "size")
		defer func() {
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
		}()
		var want []entry
		for range rapid.IntRange(0, 200).Draw(t, "entries") {
			e := entry{rapid.Uint64Range(0, 9).Draw(t, "key"), rapid.Uint64().Draw(t, "rest")}
			want = append(want, e)
			if err := s.add(e); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, compareEntries)
		var got []entry
		if err := s.each(func(e entry) error { got = append(got, e); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(want, got) {
			t.Fatalf("want %v, got %v", want, got)
		}
	})
}

func TestIDFile(t *testing.T) {
	f, err := newIDFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	want := map[int]string{2: "A-1", 3: strings.Repeat("x", 64), 9: "é"}
	for _, line := range []int{2, 3, 9} {
		if err := f.put(line, want[line]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.flush(); err != nil {
		t.Fatal(err)
	}
	for line, id := range want {
		if got, err := f.get(line); err != nil || got != id {
			t.Errorf("line %d: %q, %v", line, got, err)
		}
	}
	if _, err := f.get(10); err == nil {
		t.Error("a line that is not there has an id")
	}
}

// TestPairsAreCSV: an id may be anything that can be printed.
func TestPairsAreCSV(t *testing.T) {
	in := "id,family,given,dob\n\"A,\"\"1\",ZWEIFELQVIST,ARAMINTA,1961-03-11\nB;1,ZWEIFELQVIST,ARAMINTA,1961-03-11\n"
	rows, err := csv.NewReader(strings.NewReader(run(t, in).pairs)).ReadAll()
	if err != nil || !cmp.Equal(rows, [][]string{{"a", "b", "line_a", "line_b"}, {`A,"1`, "B;1", "2", "3"}}) {
		t.Errorf("%v, %v", rows, err)
	}
}
