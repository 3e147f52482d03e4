package journal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

func TestBody(t *testing.T) {
	body, err := Body(Field{"soi", "CA"}, Field{"purpose", `a "b" \ <c> & é`}, Field{"n", ""})
	must(t, err)
	if want := `{"n":"","purpose":"a \"b\" \\ <c> & é","soi":"CA"}`; string(body) != want {
		t.Errorf("got %s, want %s", body, want)
	}
	if body, err := Body(); err != nil || string(body) != "{}" {
		t.Errorf("no fields: %s, %v", body, err)
	}
	for name, fields := range map[string][]Field{
		"twice":       {{"soi", "CA"}, {"soi", "NV"}},
		"no name":     {{"", "x"}},
		"upper case":  {{"SOI", "x"}},
		"long name":   {{strings.Repeat("a", 33), "x"}},
		"control":     {{"a", "x\n"}},
		"separator":   {{"a", "x\u2028"}},
		"not UTF-8":   {{"a", "x\xff"}},
		"over 64 KiB": {{"a", strings.Repeat("x", MaxBody)}},
	} {
		if _, err := Body(fields...); err == nil {
			t.Errorf("%s was taken", name)
		} else if strings.Contains(err.Error(), "xx") {
			t.Errorf("%s: the value is in %q", name, err)
		}
	}
}

func TestBodyRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z0-9_]{1,8}`), func(s string) string { return s }).Draw(r, "names")
		var fields []Field
		want := map[string]string{}
		for _, n := range names {
			f := Field{n, rapid.StringOf(rapid.Rune().Filter(func(c rune) bool { return isPrintable(string(c)) })).Draw(r, "value")}
			fields = append(fields, f)
			want[f.Name] = f.Value
		}
		body, err := Body(fields...)
		if err != nil {
			r.Fatal(err)
		}
		got, err := ParseBody(body)
		if err != nil || !cmp.Equal(got, want) {
			r.Fatalf("%s: %v %v", body, got, err)
		}
	})
}

var foreign = []string{
	``, `null`, `[]`, `"a"`, `{"a":1}`, `{"a":null}`, `{"a":"b","a":"b"}`, `{"b":"","a":""}`, `{"a": "b"}`, `{"a":"b"} `,
	`{"A":"b"}`, `{"a":"\u0062"}`, `{"a":"\n"}`, `{"a":"<"}x`, `{"":"b"}`, `{"a":{"b":"c"}}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`,
}

func TestParseBodyRefuses(t *testing.T) {
	for _, b := range append(foreign, `{"a":"`+strings.Repeat("x", MaxBody)+`"}`) {
		if got, err := ParseBody([]byte(b)); err == nil {
			t.Errorf("%.40q parsed as %v", b, got)
		}
	}
}

func FuzzParseBody(f *testing.F) {
	for _, b := range append(foreign, `{}`, `{"a":"b"}`, `{"a":"é <&> \" \\","b":""}`) {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseBody(b)
		if err != nil {
			return
		}
		var fields []Field
		for n, v := range got {
			fields = append(fields, Field{n, v})
		}
		again, err := Body(fields...)
		if err != nil || string(again) != string(b) {
			t.Errorf("%q became %q: %v", b, again, err)
		}
	})
}

func TestTicketFields(t *testing.T) {
	ticket := waypost.Ticket{
		Kind: waypost.KindPublish, RosterVersion: 3, Epoch: 2, Environment: "test", SOI: "CA", Class: waypost.Attended,
		Purpose: "issue_real_id", IssuedAt: time.Date(2026, 1, 1, 4, 5, 59, 9, time.FixedZone("", -8*3600)), Elements: 32,
		Tau: [32]byte{0xaa}, Nonce: [16]byte{0xbb},
	}
	body, err := Body(TicketFields(ticket)...)
	must(t, err)
	got, err := ParseBody(body)
	must(t, err)
	zero := strings.Repeat("0", 64)
	want := map[string]string{
		"kind": string(waypost.KindPublish), "roster": "3", "epoch": "2", "environment": "test", "soi": "CA", "class": "attended",
		"purpose": "issue_real_id", "minute": "2026-01-01T12:05Z", "elements": "32", "operator": zero, "case": zero,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	ticket.Cites = waypost.TicketID{1}
	if got := TicketFields(ticket); got[len(got)-1] != (Field{"cites", "01" + zero[2:]}) {
		t.Errorf("%v", got[len(got)-1])
	}
}
