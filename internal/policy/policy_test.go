package policy

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

var everything = waypost.Disclosure{
	Outcome: waypost.Match, Status: waypost.Suspended, CardKind: waypost.IDCard, TerminationRequired: true,
}

func TestDefaultDisclosures(t *testing.T) {
	table := Default()
	if want := fmt.Sprintf("%x", sha256.Sum256(defaultTable)); table.Version() != want {
		t.Errorf("version %s, want the SHA-256 of the file, %s", table.Version(), want)
	}
	tests := []struct {
		purpose waypost.Purpose
		outcome waypost.Outcome
		want    waypost.Disclosure
	}{
		{waypost.IssueRealID, waypost.Match, everything},
		{waypost.DuplicateResolution, waypost.Match, waypost.Disclosure{Outcome: waypost.Match, Status: waypost.Suspended, CardKind: waypost.IDCard}},
		{waypost.PostConviction, waypost.Match, waypost.Disclosure{Outcome: waypost.Match}},
		{waypost.IssueRealID, waypost.Possible, waypost.Disclosure{Outcome: waypost.Possible}},
		{waypost.IssueRealID, waypost.NoMatch, waypost.Disclosure{Outcome: waypost.NoMatch}},
		{waypost.DriverHistory, waypost.Match, waypost.Disclosure{Outcome: waypost.Match}}, // not a check's purpose
		{"law_enforcement", waypost.Match, waypost.Disclosure{Outcome: waypost.Match}},
	}
	for _, test := range tests {
		full := everything
		full.Outcome = test.outcome
		got := table.Apply(waypost.KindCheck, test.purpose, "AZ", full)
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s, %s (-want +got):\n%s", test.purpose, test.outcome, d)
		}
	}
	if got := table.Apply(waypost.KindPublish, waypost.MaintainPointer, "AZ", everything); got != (waypost.Disclosure{Outcome: waypost.Match}) {
		t.Errorf("publishing is never a search, yet %+v would travel", got)
	}
}

// What follows a check is told for its purposes only, and of a match only where no
// person must look first.
func TestDefaultAllows(t *testing.T) {
	table := Default()
	tests := []struct {
		kind    waypost.Kind
		purpose waypost.Purpose
		outcome waypost.Outcome
		want    bool
	}{
		{waypost.KindStatus, waypost.Renew, waypost.Match, true},
		{waypost.KindStatus, waypost.Renew, waypost.Possible, false},
		{waypost.KindStatus, waypost.PostConviction, waypost.Match, false},
		{waypost.KindHistory, waypost.ChangeSOR, waypost.Match, true},
		{waypost.KindHistory, waypost.IssueLicence, waypost.Match, true},
		{waypost.KindHistory, waypost.IssueLicence, waypost.Possible, false},
		{waypost.KindHistory, waypost.IssueID, waypost.Match, false},
		{waypost.KindPortrait, waypost.ResolvePossibleMatch, waypost.Possible, true},
		{waypost.KindPortrait, waypost.DuplicateResolution, waypost.Match, true},
		{waypost.KindPortrait, waypost.DuplicateResolution, waypost.NoMatch, false},
		{waypost.KindPortrait, waypost.DuplicateResolution, waypost.Pending, false},
		{waypost.KindPortrait, waypost.IssueLicence, waypost.Match, false},
		{waypost.KindVerifyCard, waypost.AcceptAsID, waypost.Match, false}, // one bit, and no table
		{waypost.KindCheck, waypost.Renew, waypost.Match, false},           // more than one thing
	}
	for _, test := range tests {
		if got := table.Allows(test.kind, test.purpose, "AZ", test.outcome); got != test.want {
			t.Errorf("%s for %s after %s: %v", test.kind, test.purpose, test.outcome, got)
		}
	}
}

// Never wins over what follows a check, too, and a field is told in its own kind only.
func TestNeverAPortrait(t *testing.T) {
	all := `{"kind":"portrait","purposes":["*"],"recipients":["*"],"outcomes":["match","possible"],"fields":["portrait"]}`
	never := `{"kind":"portrait","purposes":["*"],"recipients":["TX"],"outcomes":["match","possible"],"never":["portrait"]}`
	given := `{"name":"%s","given":{"kind":"portrait","purpose":"duplicate_resolution","recipient":"%s","outcome":"match"},"then":[%s]}`
	cases := fmt.Sprintf(given, "a", "TX", "") + "," + fmt.Sprintf(given, "b", "AZ", `"portrait"`)
	for _, rules := range []string{all + "," + never, never + "," + all} {
		tab, err := Load(strings.NewReader(table(rules, cases)))
		if err != nil {
			t.Fatal(err)
		}
		if tab.Allows(waypost.KindPortrait, waypost.ResolvePossibleMatch, "TX", waypost.Possible) ||
			!tab.Allows(waypost.KindPortrait, waypost.ResolvePossibleMatch, "AZ", waypost.Possible) {
			t.Error("never has not won")
		}
	}
	if _, err := Load(strings.NewReader(table(strings.Replace(all, `["portrait"]`, `["status"]`, 1), ""))); err == nil {
		t.Error("a portrait tells a status")
	}
}

// table wraps rules and cases for the tests of Load.
func table(rules, cases string) string {
	return `{"rules":[` + rules + `],"cases":[` + cases + `]}`
}

const (
	allow  = `{"kind":"check","purposes":["*"],"recipients":["*"],"outcomes":["match"],"fields":["status","card_kind"]}`
	forbid = `{"kind":"check","purposes":["*"],"recipients":["TX"],"outcomes":["match"],"never":["status"]}`
	toTX   = `{"name":"to TX","given":{"kind":"check","purpose":"renew","recipient":"TX","outcome":"match"},"then":["card_kind"]}`
	toAZ   = `{"name":"to AZ","given":{"kind":"check","purpose":"renew","recipient":"AZ","outcome":"match"},"then":["card_kind","status"]}`
)

func TestNeverWinsInEitherOrder(t *testing.T) {
	for _, rules := range []string{allow + "," + forbid, forbid + "," + allow} {
		tab, err := Load(strings.NewReader(table(rules, toTX+","+toAZ)))
		if err != nil {
			t.Fatal(err)
		}
		if got := tab.Apply(waypost.KindCheck, waypost.IssueID, "TX", everything); got.Status != "" || got.CardKind == "" {
			t.Errorf("TX was told %+v", got)
		}
		if got := tab.Apply(waypost.KindCheck, waypost.IssueID, "NV", everything); got.Status == "" {
			t.Errorf("NV was told %+v", got)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing", ``, "not a table in JSON"},
		{"trailing bytes", table(allow, toAZ) + "{}", "something follows"},
		{"an unknown name", `{"rule":[]}`, "unknown field"},
		{"a misspelt never", table(strings.Replace(forbid, `"never"`, `"nevr"`, 1), toTX), "unknown field"},
		{"a capital Never", table(strings.Replace(forbid, `"never"`, `"Never"`, 1), toTX), "lower case"},
		{"never twice", table(strings.Replace(forbid, `"never"`, `"never":["card_kind"],"never"`, 1), toTX), "stands twice"},
		{"card class", table(strings.Replace(allow, "card_kind", "card_class", 1), toAZ), "not a field that can travel"},
		{"REAL ID", table(strings.Replace(allow, "card_kind", "real_id", 1), toAZ), "not a field that can travel"},
		{"disclosure on no_match", table(strings.Replace(allow, `["match"]`, `["match","no_match"]`, 1), toAZ), "discloses nothing"},
		{"a police purpose", table(strings.Replace(allow, `["*"]`, `["law_enforcement"]`, 1), toAZ), "does not go with"},
		{"a long recipient", table(strings.Replace(forbid, `"TX"`, `"Texas"`, 1), toTX), "two capital letters"},
		{"an idle rule", table(strings.Replace(forbid, `"never":["status"]`, `"never":[]`, 1), toTX), "neither allows nor forbids"},
		{"a case that fails", table(allow+","+forbid, toAZ+","+strings.Replace(toTX, `["card_kind"]`, `["status"]`, 1)), `fails its case "to TX": [card_kind] would travel`},
		{"a rule without a case", table(allow+","+forbid, toAZ), "no case of the disclosure table exercises rule 2"},
		{"a case without an answer", table(allow, strings.Replace(toAZ, `,"then":["card_kind","status"]`, "", 1)), "does not say what travels"},
		{"too long", strings.Repeat(" ", maxBytes) + table(allow, toAZ), "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(strings.NewReader(test.in))
			if waypost.CodeOf(err) != waypost.InvalidArgument || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want invalid_argument with %q", err, test.want)
			}
		})
	}
}

// TestApplyNeverAdds: whatever is asked, a disclosure loses parts and never
// gains any, and all but match and possible is the outcome alone.
func TestApplyNeverAdds(t *testing.T) {
	tab := Default()
	rapid.Check(t, func(t *rapid.T) {
		full := waypost.Disclosure{
			Outcome:             rapid.SampledFrom([]waypost.Outcome{waypost.NoMatch, waypost.Possible, waypost.Match, waypost.Pending, "?", ""}).Draw(t, "outcome"),
			Status:              rapid.SampledFrom([]waypost.Status{"", waypost.Valid, waypost.Closed}).Draw(t, "status"),
			CardKind:            rapid.SampledFrom([]waypost.CardKind{"", waypost.Licence, waypost.IDCard}).Draw(t, "card kind"),
			TerminationRequired: rapid.Bool().Draw(t, "termination"),
		}
		purpose := waypost.Purpose(rapid.SampledFrom([]string{"issue_real_id", "renew", "duplicate_resolution", "post_conviction", "x", "*"}).Draw(t, "purpose"))
		got := tab.Apply(waypost.KindCheck, purpose, waypost.Jurisdiction(rapid.StringMatching("[A-Z]{2}").Draw(t, "recipient")), full)
		if got.Outcome != full.Outcome ||
			!slices.Contains([]waypost.Status{"", full.Status}, got.Status) ||
			!slices.Contains([]waypost.CardKind{"", full.CardKind}, got.CardKind) ||
			got.TerminationRequired && !full.TerminationRequired {
			t.Fatalf("%+v became %+v", full, got)
		}
		if full.Outcome != waypost.Match && got != (waypost.Disclosure{Outcome: full.Outcome}) {
			t.Fatalf("%s carried %+v", full.Outcome, got)
		}
	})
}

func TestTerminationRequired(t *testing.T) {
	tests := []struct {
		purpose waypost.Purpose
		kind    waypost.CardKind
		status  waypost.Status
		realID  bool
		want    bool
	}{
		{waypost.IssueLicence, waypost.Licence, waypost.Valid, false, true},
		{waypost.IssueRealID, waypost.Licence, waypost.Valid, false, true},
		{waypost.IssueRealID, waypost.Commercial, waypost.Disqualified, false, true},
		{waypost.Renew, waypost.Permit, waypost.Valid, false, true},
		{waypost.IssueLicence, waypost.Licence, waypost.Suspended, true, true},
		{waypost.IssueRealID, waypost.IDCard, waypost.Valid, true, true},
		{waypost.IssueRealID, waypost.IDCard, waypost.Valid, false, false},
		{waypost.IssueID, waypost.IDCard, waypost.Valid, true, false},
		{waypost.IssueLicence, waypost.IDCard, waypost.Valid, true, false},
		{waypost.IssueRealID, waypost.Licence, waypost.Surrendered, true, false},
		{waypost.IssueRealID, waypost.Licence, waypost.ExpiredCard, true, false},
		{waypost.IssueRealID, waypost.Licence, waypost.Revoked, true, false},
		{waypost.IssueRealID, waypost.IDCard, waypost.Closed, true, false},
		{waypost.DuplicateResolution, waypost.Licence, waypost.Valid, true, false},
		{waypost.PostConviction, waypost.Licence, waypost.Valid, true, false},
	}
	for _, test := range tests {
		if got := TerminationRequired(test.purpose, test.kind, test.status, test.realID); got != test.want {
			t.Errorf("%s, %s %s, REAL ID %v: %v", test.purpose, test.status, test.kind, test.realID, got)
		}
	}
}

// FuzzLoad: no input makes Load panic, and a table that loads still answers
// a no_match with one bit.
func FuzzLoad(f *testing.F) {
	f.Add(string(defaultTable))
	f.Add(table(allow+","+forbid, toTX+","+toAZ))
	f.Add(`{"rules":[],"cases":[]}`)
	f.Add(`[[[{"a":1}]]]`)
	f.Fuzz(func(t *testing.T, in string) {
		tab, err := Load(strings.NewReader(in))
		if err != nil {
			if tab != nil || waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatalf("table %v with error %v", tab, err)
			}
			return
		}
		no := everything
		no.Outcome = waypost.NoMatch
		if got := tab.Apply(waypost.KindCheck, waypost.Renew, "TX", no); got != (waypost.Disclosure{Outcome: waypost.NoMatch}) {
			t.Fatalf("no_match carried %+v", got)
		}
	})
}
