package statefile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/matchkey"
)

func mustLayout(t *testing.T, text string) *Layout {
	t.Helper()
	l, err := ParseLayout([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const fixedLayout = `{
	"format": "fixed", "encoding": "latin-1", "skip_lines": 1, "date": "MMDDYYYY",
	"fields": [
		{"name": "card_number", "from": 1, "to": 8},
		{"name": "family", "from": 9, "to": 18},
		{"name": "given", "from": 19, "to": 28},
		{"name": "dob", "from": 29, "to": 36},
		{"name": "sex", "from": 37, "to": 37, "values": {"1": "M", "2": "F", "U": ""}},
		{"name": "card_kind", "from": 38, "to": 38, "values": {"D": "licence", "I": "id", "C": "commercial"}},
		{"name": "status", "from": 39, "to": 39, "values": {"A": "valid", "S": "suspended"}},
		{"name": "ssn5", "from": 40, "to": 48, "last": 5}
	]}`

func TestFixedWidth(t *testing.T) {
	good, bad, err := readAs(mustLayout(t, fixedLayout), "HEADER 2026-01-01 OF THE STATE\n"+
		"D0000001MU\xd1OZ     JOS\xc9      031719841DA123456789\r\n"+
		"D0000002ACHTERBERGDESMOND   10141990UIS999999999\n"+
		"D0000003LIND      EVA       05232001\n"+
		"D0000004LIND      EVA       132320012DA\n"+
		"D0000005LIND      EVA       052320012DX\n")
	if err != nil {
		t.Fatal(err)
	}
	one := waypost.Record{ID: "D0000001", CardNumber: "D0000001", Kind: waypost.Licence, Status: waypost.Valid,
		Person: waypost.Person{Family: "MUÑOZ", Given: "JOSÉ", Born: waypost.Date{Year: 1984, Month: 3, Day: 17}, Sex: "M", SSN5: "56789"}}
	two := waypost.Record{ID: "D0000002", CardNumber: "D0000002", Kind: waypost.IDCard, Status: waypost.Suspended,
		Person: waypost.Person{Family: "ACHTERBERG", Given: "DESMOND", Born: waypost.Date{Year: 1990, Month: 10, Day: 14}}}
	three := waypost.Record{ID: "D0000003", CardNumber: "D0000003", Kind: waypost.Licence, Status: waypost.Valid,
		Person: waypost.Person{Family: "LIND", Given: "EVA", Born: waypost.Date{Year: 2001, Month: 5, Day: 23}}}
	if d := cmp.Diff(map[int]waypost.Record{2: one, 3: two, 4: three}, good); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for line, want := range map[int]string{5: "dob (characters 29 to 36): must be a date", 6: "status (characters 39 to 39): must be one of"} {
		if !strings.Contains(bad[line], want) {
			t.Errorf("line %d: %q, want %q", line, bad[line], want)
		}
	}
	if len(bad) != 2 {
		t.Errorf("%v", bad)
	}
}

// TestFixedWidthCountsCharacters: in UTF-8 a position is a character, however
// many bytes it has; a line of another length than the layout's is refused.
func TestFixedWidthCountsCharacters(t *testing.T) {
	l := mustLayout(t, `{"format":"fixed","length":24,"date":"YYYYMMDD","fields":[
		{"name":"id","from":1,"to":4},{"name":"family","from":5,"to":14},{"name":"dob","from":15,"to":22}]}`)
	good, bad, err := readAs(l, "A001MUÑOZ ÅSE 19840317xx\nA002LIND      19840317x\n")
	if err != nil || good[1].Family != "MUÑOZ ÅSE" || good[1].Born.Day != 17 {
		t.Errorf("%v %v %v", good, bad, err)
	}
	if !strings.Contains(bad[2], "has 23 characters and the layout says 24") {
		t.Errorf("%q", bad[2])
	}
}

func TestCSVWithLayout(t *testing.T) {
	l := mustLayout(t, `{"format":"csv","separator":";","encoding":"windows-1252","skip_lines":2,"fields":[
		{"name":"id","column":"Kundennr"},{"name":"family","column":"LAST_NM"},{"name":"dob","column":"Birth","date":"D-MON-YYYY"},
		{"name":"ssn5","column":"SSN","last":5,"values":{"12345":""}}]}`)
	good, bad, err := readAs(l, "made by X\n\nLAST_NM;Birth;SSN;kundennr;OTHER\n"+
		"\"O\x92Brien; Pat\";7-MAR-1984;123-45-6789;A1;x\nLind;17-Mar-1984;12345;A2;x\nLind;30-FEB-1984;;A3;x\n")
	if err != nil || good[4].Family != "O’Brien; Pat" || good[4].SSN5 != "56789" || good[4].Born.Day != 7 || good[5].SSN5 != "" || good[5].Born.Day != 17 {
		t.Errorf("%v %v %v", good, bad, err)
	}
	if want := "dob (column Birth): must be a date"; !strings.Contains(bad[6], want) {
		t.Errorf("%q, want %q", bad[6], want)
	}
	if _, _, err := readAs(l, "\n\nLAST_NM;Birth;SSN\n"); err == nil || !strings.Contains(err.Error(), "does not name the column Kundennr, from which the layout takes id") {
		t.Errorf("error %v", err)
	}
	numbered := mustLayout(t, `{"format":"csv","no_header":true,"fields":[
		{"name":"id","column":"3"},{"name":"given","column":"1"},{"name":"dob","column":"2"}]}`)
	good, bad, err = readAs(numbered, "EVA,1984-03-17,A1\nEVA,1984-03-17\n")
	if err != nil || good[1].Given != "EVA" || good[1].ID != "A1" || !strings.Contains(bad[2], "id is in column 3") {
		t.Errorf("%v %v %v", good, bad, err)
	}
}

func TestLayoutRefused(t *testing.T) {
	const fields = `{"name":"id","column":"A"},{"name":"family","column":"B"}`
	tests := []struct{ layout, want string }{
		{`{`, "not what a layout should be"},
		{`{"format":"csv","fields":[],"colour":1}`, `unknown field "colour"`},
		{`{"format":"csv","fields":[` + fields + `,{"name":"dob","column":"C"}]} {}`, "goes on after its end"},
		{`{"format":"xml"}`, "format is csv or fixed"},
		{`{"format":"csv","encoding":"ebcdic"}`, "encoding is utf-8"},
		{`{"format":"csv","separator":"x"}`, "separator is"},
		{`{"format":"csv","skip_lines":-1}`, "skip_lines"},
		{`{"format":"csv","length":4}`, "length is for fixed-width"},
		{`{"format":"fixed","length":9999}`, "length is a number"},
		{`{"format":"fixed","no_header":true}`, "no_header are for CSV"},
		{`{"format":"csv","fields":[` + fields + `]}`, "where to find dob"},
		{`{"format":"csv","fields":[{"name":"id","column":"A"},{"name":"dob","column":"B"}]}`, "where to find family or given"},
		{`{"format":"csv","fields":[{"name":"family","column":"A"},{"name":"dob","column":"B"}]}`, "where to find id or card_number"},
		{`{"format":"csv","fields":[{"name":"eyes","column":"A"}]}`, "field that does not exist"},
		{`{"format":"csv","fields":[` + fields + `,{"name":"id","column":"C"}]}`, "has id twice"},
		{`{"format":"csv","fields":[{"name":"id","from":1,"to":2}]}`, "a field has a column"},
		{`{"format":"csv","no_header":true,"fields":[{"name":"id","column":"0"}]}`, "a number from 1"},
		{`{"format":"fixed","fields":[{"name":"id","column":"A"}]}`, "has from and to"},
		{`{"format":"fixed","fields":[{"name":"id","from":3,"to":2}]}`, "has from and to"},
		{`{"format":"fixed","length":5,"fields":[{"name":"id","from":3,"to":6}]}`, "ends after the length"},
		{`{"format":"csv","fields":[{"name":"dob","column":"A","date":"DD/MM/YY"}]}`, "date is made of"},
		{`{"format":"csv","fields":[{"name":"dob","column":"A","date":"YYYY-MM-MM"}]}`, "date is made of"},
		{`{"format":"csv","date":"YYYY","fields":[{"name":"dob","column":"A"}]}`, "date is made of"},
		{`{"format":"csv","fields":[{"name":"sex","column":"A","date":"YYYY-MM-DD"}]}`, "only dob and status_since have a date"},
		{`{"format":"csv","fields":[{"name":"sex","column":"A","values":{"1":"male"}}]}`, "stands for something else"},
		{`{"format":"csv","fields":[{"name":"sex","column":"A","values":{"1":"M"," 1":"F"}}]}`, "one value twice"},
		{`{"format":"csv","fields":[{"name":"ssn5","column":"A","values":{"1":"12346"}}]}`, "ssn5: a value can stand for"},
		{`{"format":"csv","fields":[{"name":"family","column":"A","values":{"1":"X"}}]}`, "have values"},
		{`{"format":"csv","fields":[{"name":"ssn5","column":"A","last":4}]}`, "may have last"},
		{strings.Repeat(" ", maxLayoutBytes+1), "longer than"},
	}
	for _, test := range tests {
		if _, err := ParseLayout([]byte(test.layout)); waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.90s: %v, want %q", test.layout, err, test.want)
		}
	}
}

// TestPlaceholderIsAbsent: however a file writes that there is no SSN, the row is
// taken, and the record has none.
func TestPlaceholderIsAbsent(t *testing.T) {
	written := []string{"", "99999", "00000", "33333", "70000", "999999999", "999-99-9999", "NONE", "N/A", "-", "0", "XXXXX"}
	var in strings.Builder
	in.WriteString("id,family,given,dob,ssn5\n")
	for _, ssn := range written {
		in.WriteString("A" + ssn + ",LIND,EVA,1980-02-03," + ssn + "\n")
	}
	good, bad, err := read(in.String())
	if err != nil || len(bad) != 0 || len(good) != len(written) {
		t.Fatalf("%v %v", bad, err)
	}
	for line, rec := range good {
		if rec.SSN5 != "" || matchkey.Normalize(rec.Person).SSN5 != "" {
			t.Errorf("%q is taken for an SSN", written[line-2])
		}
	}
}

// FuzzLayout: a layout from outside is refused or reads any file as Read
// promises.
func FuzzLayout(f *testing.F) {
	f.Add(fixedLayout, "H\nD0000001MU\xd1OZ     JOS\xc9      031719841DA123456789\r\n")
	f.Add(`{"format":"csv","separator":"|","fields":[{"name":"id","column":"a"},{"name":"given","column":"b"},{"name":"dob","column":"c","date":"D.M.YYYY"}]}`, "a|b|c\n1|\"x\"|3.4.1980\n")
	f.Add(`{"format":"csv","no_header":true,"fields":[{"name":"card_number","column":"3"},{"name":"given","column":"1"},{"name":"dob","column":"2"}]}`, "EVA,1984-03-17,A1\n")
	f.Fuzz(func(t *testing.T, layout, in string) {
		l, err := ParseLayout([]byte(layout))
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		holds(t, l, in)
	})
}
