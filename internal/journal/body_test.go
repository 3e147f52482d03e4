package journal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
