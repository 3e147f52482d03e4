package waypost_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

func TestDateRoundTrip(t *testing.T) {
	first := time.Date(1850, 1, 1, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		day := first.AddDate(0, 0, rapid.IntRange(0, 128_000).Draw(t, "days"))
		for _, layout := range []string{"2006-01-02", "20060102"} {
			d, err := waypost.ParseDate(day.Format(layout))
			if err != nil || d.String() != day.Format("2006-01-02") || d.IsZero() {
				t.Fatalf("%s gives %v, %v", day.Format(layout), d, err)
			}
		}
	})
}

func TestDateRefused(t *testing.T) {
	for _, s := range []string{
		"", "2023-02-29", "1900-02-29", "20230229", "2023-13-01", "2023-00-10", "2023-01-00", "2023-04-31", "1849-12-31", "2201-01-01",
		"0000-00-00", "00000000", "2023-1-2", "2023/01/02", " 2023-01-02", "2023-01-02 ", "2023-01-02T00:00:00Z", "+2023-01-02", "2023-01-0２", "12121999", "99999999", "1-1-1999",
	} {
		d, err := waypost.ParseDate(s)
		if waypost.CodeOf(err) != waypost.InvalidArgument || !d.IsZero() {
			t.Errorf("%q gives %v, %v", s, d, err)
		}
		if err != nil && s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error repeats %q", s)
		}
	}
	if (waypost.Date{}).String() != "" {
		t.Error("an unknown date has a text")
	}
}

func TestParseJurisdiction(t *testing.T) {
	for in, want := range map[string]waypost.Jurisdiction{
		"CA": "CA", " nv\t": "NV", "aZ": "AZ",
		"": "", "C": "", "CAL": "", "C1": "", "C ": "", "ſſ": "", "ıı": "", "ß": "", "é": "", "ＣＡ": "", "C\x00": "",
	} {
		got, err := waypost.ParseJurisdiction(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
}

func TestParseSex(t *testing.T) {
	for in, want := range map[string]waypost.Sex{"": "", "m": "M", "1": "M", " F ": "F", "2": "F", "x": "X", "9": "X"} {
		if got, err := waypost.ParseSex(in); got != want || err != nil {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"0", "3", "male", "MF", "-"} {
		if got, err := waypost.ParseSex(in); waypost.CodeOf(err) != waypost.InvalidArgument || got != "" {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
}

func TestPersonValidate(t *testing.T) {
	good := waypost.Person{Family: "Zyxwvut", Given: "Qponmlk", Born: waypost.Date{Year: 1977, Month: 6, Day: 5}, SSN5: "48213"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*waypost.Person)
		words  string // "" where it is good
	}{
		"one name":         {func(p *waypost.Person) { p.Given = "" }, ""},
		"no SSN":           {func(p *waypost.Person) { p.SSN5 = "" }, ""},
		"placeholder":      {func(p *waypost.Person) { p.SSN5 = "99999" }, ""},
		"200 bytes":        {func(p *waypost.Person) { p.Family = strings.Repeat("z", 200) }, ""},
		"201 bytes":        {func(p *waypost.Person) { p.Family = strings.Repeat("z", 201) }, "family name"},
		"long given name":  {func(p *waypost.Person) { p.Given = strings.Repeat("z", 201) }, "given name"},
		"long middle name": {func(p *waypost.Person) { p.Middle = strings.Repeat("z", 201) }, "middle name"},
		"long suffix":      {func(p *waypost.Person) { p.Suffix = strings.Repeat("z", 201) }, "suffix"},
		"no name":          {func(p *waypost.Person) { p.Family, p.Given = " ", "" }, "a family name or a given name"},
		"no date":          {func(p *waypost.Person) { p.Born = waypost.Date{} }, "date of birth"},
		"four digits":      {func(p *waypost.Person) { p.SSN5 = "4821" }, "five digits"},
		"letters":          {func(p *waypost.Person) { p.SSN5 = "4821x" }, "five digits"},
		"other digits":     {func(p *waypost.Person) { p.SSN5 = "48２1" }, "five digits"},
	} {
		p := good
		c.change(&p)
		err := p.Validate()
		if c.words == "" && err != nil || c.words != "" && (waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: %v", name, err)
		}
		for _, secret := range []string{"Zyxwvut", "Qponmlk", "zzz", "4821", "1977"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error repeats the record: %v", name, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("row 7 of the people")
	err := waypost.Errorf(waypost.Unavailable, "no answer from %s", "NV").WithCause(cause)
	wrapped := errors.Join(errors.New("context"), err)
	if waypost.CodeOf(wrapped) != waypost.Unavailable || !errors.Is(wrapped, cause) {
		t.Errorf("code %s", waypost.CodeOf(wrapped))
	}
	if err.Error() != "no answer from NV" {
		t.Errorf("the public message is %q", err)
	}
	if waypost.CodeOf(nil) != "" || waypost.CodeOf(cause) != waypost.Internal {
		t.Error("no error has no code, any other is internal")
	}
}

func TestBest(t *testing.T) {
	answer := func(outcomes ...waypost.Outcome) waypost.Answer {
		var a waypost.Answer
		for _, o := range outcomes {
			a.Candidates = append(a.Candidates, waypost.CandidateAnswer{Disclosure: waypost.Disclosure{Outcome: o}})
		}
		return a
	}
	for _, c := range []struct {
		a    waypost.Answer
		want waypost.Outcome
	}{
		{answer(), waypost.NoMatch}, {answer(waypost.NoMatch, waypost.Pending), waypost.Pending},
		{answer(waypost.Possible, waypost.Pending), waypost.Possible}, {answer(waypost.Possible, waypost.Match, waypost.NoMatch), waypost.Match},
	} {
		if got := c.a.Best(); got != c.want {
			t.Errorf("%v: %s, want %s", c.a.Candidates, got, c.want)
		}
	}
}
