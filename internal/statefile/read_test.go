package statefile

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

// read returns what Read says about each line of the input.
func read(in string) (good map[int]waypost.Record, bad map[int]string, err error) {
	return readAs(nil, in)
}

func readAs(layout *Layout, in string) (good map[int]waypost.Record, bad map[int]string, err error) {
	good, bad = map[int]waypost.Record{}, map[int]string{}
	err = Read(strings.NewReader(in), layout, func(row Row) error {
		if row.Err != nil {
			bad[row.Line] = row.Err.Error()
		} else {
			good[row.Line] = row.Record
		}
		return nil
	})
	return good, bad, err
}

func TestReadTolerates(t *testing.T) {
	good, bad, err := read("\xef\xbb\xbfDOB, Family ,given,eye_colour,ssn5,card_number,SEX\r\n" +
		"19840317,Achterberg,\"Desmond \"\"Des\"\"\",brown,00042,X1,1\r\n" +
		"\r\n" +
		"1990-10-14,\"Vanderhoof, jr\",,,,X2,\n" +
		"2001-05-23,,Rosalind,,99999,X3,x") // no line end
	if err != nil || len(bad) != 0 {
		t.Fatal(err, bad)
	}
	card := waypost.Record{Kind: waypost.Licence, Status: waypost.Valid}
	one, two, three := card, card, card
	one.ID, one.CardNumber = "X1", "X1"
	one.Person = waypost.Person{Family: "Achterberg", Given: `Desmond "Des"`, Born: waypost.Date{Year: 1984, Month: 3, Day: 17}, Sex: "M", SSN5: "00042"}
	two.ID, two.CardNumber = "X2", "X2"
	two.Person = waypost.Person{Family: "Vanderhoof, jr", Born: waypost.Date{Year: 1990, Month: 10, Day: 14}}
	three.ID, three.CardNumber = "X3", "X3"
	three.Person = waypost.Person{Given: "Rosalind", Born: waypost.Date{Year: 2001, Month: 5, Day: 23}, Sex: "X"}
	if d := cmp.Diff(map[int]waypost.Record{2: one, 4: two, 5: three}, good); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestReadReportsBadRows: each bad row costs itself, is named by its line, and
// its reason repeats nothing of what stands in it.
func TestReadReportsBadRows(t *testing.T) {
	const head = "id,family,given,dob,sex,ssn5,card_kind,status,real_id\n"
	const fine = "A1,Zweifel,Anna,1980-02-03,F,12346,id,expired,yes\n"
	tests := []struct{ row, want string }{
		{"A2,Zweifel,Anna,1981-02-29,F,12346,id,valid,yes", "dob: a date is"},
		{"A2,Zweifel,Anna,,F,12346,id,valid,yes", "a date of birth is needed"},
		{"A2,,,1980-02-03,F,12346,id,valid,yes", "a family name or a given name is needed"},
		{"A2,Zweifel,Anna,1980-02-03,Q,12346,id,valid,yes", "sex: sex is"},
		{"A2,Zweifel,Anna,1980-02-03,F,1234,id,valid,yes", "five digits"},
		{"A2,Zweifel,Anna,1980-02-03,F,078051120,id,valid,yes", "five digits"},
		{"A2,Zweifel,Anna,1980-02-03,F,12346,boat,valid,yes", "card_kind: must be one of"},
		{"A2,Zweifel,Anna,1980-02-03,F,12346,id,lost,yes", "status: must be one of"},
		{"A2,Zweifel,Anna,1980-02-03,F,12346,id,valid,maybe", "real_id: must be true or false"},
		{",Zweifel,Anna,1980-02-03,F,12346,id,valid,yes", "id and card_number are both empty"},
		{"A2,Zweifel,Anna,1980-02-03", "has 4 fields and the first line 9"},
		{"A2,\"Zweifel,Anna,1980-02-03,F,12346,id,valid,yes", "field 2 opens a quote"},
		{"A2,\"Zweifel\"x,Anna,1980-02-03,F,12346,id,valid,yes", "field 2 goes on"},
		{"A2,Zwei\"fel,Anna,1980-02-03,F,12346,id,valid,yes", "field 2 has a quote in it"},
		{"A2,Zwei\xfffel,Anna,1980-02-03,F,12346,id,valid,yes", "not UTF-8"},
		{"A2,Zwei\u202efel,Anna,1980-02-03,F,12346,id,valid,yes", "family: there is a character in it that cannot be printed"},
		{"A2,Zwei\x00fel,Anna,1980-02-03,F,12346,id,valid,yes", "family: there is a control character"},
		{"A2," + strings.Repeat("Z", 201) + ",Anna,1980-02-03,F,12346,id,valid,yes", "family name is longer"},
		{strings.Repeat("A", 65) + ",Zweifel,Anna,1980-02-03,F,12346,id,valid,yes", "id: longer than"},
		{"A2," + strings.Repeat("Z", 3*maxLineBytes) + ",Anna,1980-02-03,F,12346,id,valid,yes", "line is longer"},
	}
	for _, test := range tests {
		good, bad, err := read(head + fine + test.row + "\n" + fine)
		if err != nil || len(good) != 2 || len(bad) != 1 || good[4].ID != "A1" || good[2].Kind != waypost.IDCard {
			t.Fatalf("%.60q: %d good, bad %v, error %v", test.row, len(good), bad, err)
		}
		if !strings.Contains(bad[3], test.want) {
			t.Errorf("%.60q: %q, want %q", test.row, bad[3], test.want)
		}
		for _, secret := range []string{"Zwei", "Anna", "1980", "12346", "078051120", "A2"} {
			if strings.Contains(bad[3], secret) {
				t.Errorf("the reason %q repeats %q", bad[3], secret)
			}
		}
	}
}

func TestStatusSince(t *testing.T) {
	good, bad, err := read("id,given,dob,status,status_since,card_kind\nA,EVA,1980-02-03,expired,2019-05-06,unlicensed\nB,EVA,1980-02-03,expired,0000-00-00,\nC,EVA,1980-02-03,expired,1899-01-01,\n")
	if err != nil || !good[2].Since.Equal(time.Date(2019, 5, 6, 0, 0, 0, 0, time.UTC)) || good[2].Kind != waypost.Unlicensed || !good[3].Since.IsZero() {
		t.Errorf("%v %v %v", good, bad, err)
	}
	if len(bad) != 1 || !strings.Contains(bad[4], "status_since: must be a date from 1900 on") {
		t.Errorf("%v", bad)
	}
}

func TestReadRefusesAHeader(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "the file is empty",
		"id,family,given\nA,B,C\n":            "among them dob",
		"id,dob\n":                            "among them family or given",
		"family,dob\n":                        "among them id or card_number",
		"id,family,dob,dob\n":                 "dob stands twice",
		"id,\"family,dob\n":                   "opens a quote",
		strings.Repeat("a,", maxColumns) + "": "more than",
		strings.Repeat("a,", maxLineBytes):    "line is longer",
	} {
		if _, _, err := read(in); waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", in, err, want)
		}
	}
	enough := errors.New("enough")
	if err := Read(strings.NewReader("id,family,dob\nA,B,C\n"), nil, func(Row) error { return enough }); err != enough {
		t.Errorf("error %v", err)
	}
	if err := Read(failing{}, nil, nil); waypost.CodeOf(err) != waypost.Internal || !errors.Is(err, errDisk) {
		t.Errorf("error %v", err)
	}
}

var errDisk = errors.New("the disk is gone")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// TestSplitAgreesWithTheStandardLibrary: on what encoding/csv writes, split
// reads the same fields.
func TestSplitAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(rapid.StringMatching(`[A-Za-zé ,"';|\\-]{0,12}`), 2, 8).Draw(t, "fields")
		var b strings.Builder
		w := csv.NewWriter(&b)
		if err := w.Write(fields); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		got, err := split(strings.TrimSuffix(b.String(), "\n"), ',')
		if err != nil || !cmp.Equal(fields, got) {
			t.Fatalf("%q: %q, %v", fields, got, err)
		}
	})
}

// FuzzRead: no input panics; every row is either a record that holds to its
// limits or a reason; line numbers only rise.
func FuzzRead(f *testing.F) {
	f.Add("id,family,given,dob,ssn5\nA,B,C,1980-01-02,12346\n\nA,\"B\"\"\",C,19800102,\n")
	f.Add("card_number,dob,given\r\n1,2000-01-01,X\r\n\"")
	f.Add("id,dob,family\n" + strings.Repeat("x", maxLineBytes+3))
	f.Fuzz(func(t *testing.T, in string) { holds(t, nil, in) })
}

// holds checks what Read promises of any input.
func holds(t *testing.T, layout *Layout, in string) {
	t.Helper()
	last := 0
	err := Read(strings.NewReader(in), layout, func(row Row) error {
		if row.Line <= last {
			t.Fatalf("line %d after %d", row.Line, last)
		}
		last = row.Line
		rec := row.Record
		if row.Err != nil {
			if rec != (waypost.Record{}) || row.SSN5 != "" || waypost.CodeOf(row.Err) != waypost.InvalidArgument {
				t.Fatalf("a bad row with a record, or the error %v", row.Err)
			}
			return nil
		}
		if rec.ID == "" || len(rec.ID) > maxIDBytes || len(rec.CardNumber) > maxCardNumberBytes || rec.Validate() != nil || rec.Kind == "" || rec.Status == "" {
			t.Fatal("a record that does not hold")
		}
		if rec.SSN5 != matchkey.SSN5(row.SSN5) {
			t.Fatal("a placeholder is taken for an SSN")
		}
		for _, text := range []string{rec.ID, rec.Family, rec.Given, rec.Middle, rec.Suffix, rec.CardNumber} {
			for _, r := range text {
				if !unicode.IsPrint(r) {
					t.Fatalf("%q is let through", r)
				}
			}
		}
		return nil
	})
	if err != nil && waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Fatal(err)
	}
}
