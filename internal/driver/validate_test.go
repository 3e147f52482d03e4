package driver

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
)

// noon of a day in 2026.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func date(t *testing.T, text string) waypost.Date {
	t.Helper()
	d, err := waypost.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// item is a valid item of the type, reported by Nevada.
func item(t *testing.T, kind Type, reference string) Item {
	t.Helper()
	i := Item{Type: kind, Reporter: "NV", Reference: reference}
	switch kind {
	case Conviction:
		i.Code, i.Occurred, i.Convicted = "S92", date(t, "2026-10-01"), date(t, "2026-11-02")
		i.Speed, i.Limit = 88, 65
	case Withdrawal:
		i.Code, i.Effective, i.Eligible = "A98", date(t, "2026-11-10"), date(t, "2027-05-10")
		i.Basis, i.Extent = "administrative", "all"
	case Clearance:
		i.Effective, i.Linked = date(t, "2026-11-20"), IDOf(Withdrawal, "NV", "W-1")
	case Accident:
		i.Occurred, i.Severity = date(t, "2026-10-01"), "injury"
	case Permit:
		i.Effective, i.Detail = date(t, "2026-10-01"), "instruction"
	case Endorsement:
		i.Effective, i.Detail = date(t, "2026-10-01"), "H"
	case Restriction:
		i.Effective, i.Detail = date(t, "2026-10-01"), "B"
	case Linkage:
		i.LinkedState, i.LinkedNumber = "UT", "U123"
	case Negate:
		i.Linked, i.Detail = IDOf(Conviction, "NV", "C-1"), "wrong driver"
	}
	i.ID = IDOf(i.Type, i.Reporter, i.Reference)
	return i
}

func TestValidate(t *testing.T) {
	for _, kind := range Types {
		if problems := Validate(item(t, kind, "R-1"), noon); len(problems) > 0 {
			t.Errorf("a %s is valid, but: %v", kind, problems)
		}
	}
	for _, c := range []struct {
		given string
		kind  Type
		but   func(i *Item)
		then  string // fields and codes of all problems
	}{
		{"a type from elsewhere", Conviction, func(i *Item) { i.Type = "parking" }, "type unknown"},
		{"nothing", Conviction, func(i *Item) { *i = Item{Type: Conviction} },
			"reporter missing, reference missing, code missing, occurred missing, convicted missing"},
		{"a code that is in no list", Conviction, func(i *Item) { i.Code = "Z99" }, "code unknown"},
		{"a code of withdrawals", Conviction, func(i *Item) { i.Code, i.Speed, i.Limit = "W01", 0, 0 }, "code not_allowed"},
		{"a code of either as a reason", Withdrawal, func(i *Item) { i.Code = "D53" }, ""},
		{"speeding without the speeds that it needs", Conviction, func(i *Item) { i.Speed, i.Limit = 0, 0 }, "speed missing"},
		{"a speed without a limit", Conviction, func(i *Item) { i.Limit = 0 }, "speed missing, speed missing"},
		{"no speeding at all", Conviction, func(i *Item) { i.Speed = 60 }, "speed range"},
		{"a band that is not that of the speed", Conviction, func(i *Item) { i.Code = "S06" }, "speed range"},
		{"the band of the speed", Conviction, func(i *Item) { i.Code = "S21" }, ""},
		{"a band without the speeds, which are optional", Conviction, func(i *Item) { i.Code, i.Speed, i.Limit = "S21", 0, 0 }, ""},
		{"a speed where nobody sped", Conviction, func(i *Item) { i.Code = "A20" }, "speed not_allowed"},
		{"a speed of 300 mph", Conviction, func(i *Item) { i.Speed = 300 }, "speed range"},
		{"a level that the code needs", Conviction, func(i *Item) { i.Code, i.Speed, i.Limit = "A11", 0, 0 }, "bac missing"},
		{"a level below the code's", Withdrawal, func(i *Item) { i.BAC = 79 }, "bac range"},
		{"the code's level", Withdrawal, func(i *Item) { i.BAC = 80 }, ""},
		{"a level nobody survives", Withdrawal, func(i *Item) { i.BAC = 900 }, "bac range"},
		{"a severity other than the code's", Conviction, func(i *Item) { i.Code, i.Speed, i.Limit, i.Severity = "B02", 0, 0, "injury" }, "severity range"},
		{"the code's severity", Conviction, func(i *Item) { i.Code, i.Speed, i.Limit, i.Severity = "B02", 0, 0, "fatal" }, ""},
		{"a severity without a crash", Conviction, func(i *Item) { i.Severity = "fatal" }, "severity not_allowed"},
		{"a code of commercial vehicles with a car", Conviction, func(i *Item) { i.Code, i.Speed, i.Limit = "B56", 0, 0 }, "commercial_vehicle missing"},
		{"convicted before the violation", Conviction, func(i *Item) { i.Convicted = date(t, "2026-09-30") }, "convicted order"},
		{"convicted today where it is tomorrow already", Conviction, func(i *Item) { i.Convicted = date(t, "2026-11-24") }, ""},
		{"convicted in two days", Conviction, func(i *Item) { i.Convicted = date(t, "2026-11-25") }, "convicted future"},
		{"withdrawn from next month", Withdrawal, func(i *Item) { i.Effective = date(t, "2026-12-24") }, ""},
		{"withdrawn from 2028", Withdrawal, func(i *Item) { i.Effective, i.Eligible = date(t, "2028-01-01"), waypost.Date{} }, "effective future"},
		{"back before it was taken", Withdrawal, func(i *Item) { i.Eligible = date(t, "2026-11-01") }, "eligible order"},
		{"a basis and an extent of its own", Withdrawal, func(i *Item) { i.Basis, i.Extent = "mood", "half" }, "basis unknown, extent unknown"},
		{"cleared next month", Clearance, func(i *Item) { i.Effective = date(t, "2026-12-24") }, "effective future"},
		{"a clearance of nothing", Clearance, func(i *Item) { i.Linked = ItemID{} }, "linked missing"},
		{"a negate without a reason", Negate, func(i *Item) { i.Detail = "" }, "detail missing"},
		{"fields of another type", Accident, func(i *Item) { i.Code, i.Basis, i.LinkedNumber = "S92", "court", "U1" },
			"code not_allowed, basis not_allowed, linked_number not_allowed"},
	} {
		i := item(t, c.kind, "R-1")
		c.but(&i)
		var got []string
		for _, p := range Validate(i, noon) {
			got = append(got, p.Field+" "+p.Code)
			if p.Words == "" || strings.Contains(p.Words, "%!") {
				t.Errorf("given %s: the words are %q", c.given, p.Words)
			}
		}
		if then := strings.Join(got, ", "); then != c.then {
			t.Errorf("given %s: problems are %q, want %q", c.given, then, c.then)
		}
	}
}

func TestCodes(t *testing.T) {
	all := Codes()
	if !slices.IsSortedFunc(all, func(a, b Code) int { return strings.Compare(a.Code, b.Code) }) {
		t.Error("the codes are not in order")
	}
	appendix := 0
	for n, c := range all {
		if len(c.Code) != 3 || c.Words == "" || !c.Conviction && !c.Withdrawal {
			t.Errorf("%+v is no code", c)
		}
		if n > 0 && all[n-1].Code == c.Code {
			t.Errorf("%s is there twice", c.Code)
		}
		if !slices.Contains([]Class{Major, Serious, Railroad, Service, Other}, c.Class) {
			t.Errorf("%s is of class %q", c.Code, c.Class)
		}
		if c.Appendix {
			appendix++
		}
	}
	if len(all) != 256 || appendix != 121 {
		t.Errorf("%d codes, %d of them in the appendix", len(all), appendix)
	}
	for _, line := range []string{"", "A04 N CW major", "A04 N CW major bac:x words", "A04 N CW major rain words", "S01 N CW other over:1-x words"} {
		if _, err := parseCode(line); err == nil {
			t.Errorf("the line %q was read", line)
		}
	}
}
