package policy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"io"
	"slices"

	"github.com/waypost/waypost"
)

// Limits on a table from outside.
const (
	maxBytes = 1 << 20
	maxRules = 1000
	maxCases = 10000
)

// field is the name of something that a table can let travel. The outcome is not
// one: an answer without it would be no answer.
type field string

const (
	status      field = "status"
	cardKind    field = "card_kind"
	termination field = "termination_required"
	history     field = "history"
	portrait    field = "portrait"
)

var allFields = []field{status, cardKind, termination, history, portrait}

// fieldsOf lists what there is to be told in each kind of transaction.
var fieldsOf = map[waypost.Kind][]field{
	waypost.KindCheck:    {status, cardKind, termination},
	waypost.KindStatus:   {status},
	waypost.KindHistory:  {history},
	waypost.KindPortrait: {portrait},
}

// Table is a disclosure table whose own cases hold. It never changes after it
// was loaded, so any number of goroutines may use it.
type Table struct {
	rules   []rule
	version string
}

//go:embed default.json
var defaultTable []byte

// Default returns the table that is embedded in the program.
func Default() *Table {
	t, err := Load(bytes.NewReader(defaultTable))
	if err != nil {
		panic("policy: the embedded table: " + err.Error()) // the package's tests load it
	}
	return t
}

// Load reads a table of at most 1 MiB and runs its cases. Unknown, repeated or
// oddly spelled names are errors, so that a misspelt "never" cannot be lost.
// Errors have the code InvalidArgument and name the rule or the case.
func Load(r io.Reader) (*Table, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, waypost.Errorf(waypost.Internal, "the disclosure table cannot be read").WithCause(err)
	}
	if len(data) > maxBytes {
		return nil, waypost.Errorf(waypost.InvalidArgument, "the disclosure table is larger than %d bytes", maxBytes)
	}
	f, err := decode(data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	t := &Table{rules: f.Rules, version: hex.EncodeToString(sum[:])}
	if err := t.run(f.Cases); err != nil {
		return nil, err
	}
	return t, nil
}

// Version is the SHA-256 of the table's bytes in lower-case hexadecimal, the
// same that sha256sum prints for the file. Every disclosure is recorded with it.
func (t *Table) Version() string { return t.version }

// Apply returns what of the full disclosure may travel to the recipient in
// this kind of transaction for this purpose. The outcome always does. With
// any outcome but match or possible, and wherever no rule allows more, it is
// all that does.
func (t *Table) Apply(kind waypost.Kind, purpose waypost.Purpose, recipient waypost.Jurisdiction, full waypost.Disclosure) waypost.Disclosure {
	told := waypost.Disclosure{Outcome: full.Outcome}
	if full.Outcome != waypost.Match && full.Outcome != waypost.Possible {
		return told
	}
	allowed := t.allowed(question{kind, purpose, recipient, full.Outcome})
	if allowed[status] {
		told.Status = full.Status
	}
	if allowed[cardKind] {
		told.CardKind = full.CardKind
	}
	if allowed[termination] {
		told.TerminationRequired = full.TerminationRequired
	}
	return told
}

// Allows reports whether a question of a kind that asks for one thing (status,
// history, portrait) may be answered to the recipient for this purpose. The outcome
// is that of the check which the question follows. With any but match or possible
// nothing is allowed.
func (t *Table) Allows(kind waypost.Kind, purpose waypost.Purpose, recipient waypost.Jurisdiction, outcome waypost.Outcome) bool {
	fields := fieldsOf[kind]
	if len(fields) != 1 || outcome != waypost.Match && outcome != waypost.Possible {
		return false
	}
	return t.allowed(question{kind, purpose, recipient, outcome})[fields[0]]
}

// allowed collects what the rules allow and then takes away what any of them
// forbids.
func (t *Table) allowed(q question) map[field]bool {
	allowed := make(map[field]bool, len(allFields))
	var never []field
	for _, r := range t.rules {
		if !r.applies(q) {
			continue
		}
		for _, f := range r.Fields {
			allowed[f] = true
		}
		never = append(never, r.Never...)
	}
	for _, f := range never {
		delete(allowed, f)
	}
	return allowed
}

// run plays every case and reports the first that does not hold, then the
// first rule that no case reached.
func (t *Table) run(cases []given) error {
	exercised := make([]bool, len(t.rules))
	for _, c := range cases {
		if got := t.travels(c.Given); !slices.Equal(got, c.Then) {
			return waypost.Errorf(waypost.InvalidArgument,
				"the disclosure table fails its case %q: %v would travel, the case says %v", c.Name, got, c.Then)
		}
		for i, r := range t.rules {
			exercised[i] = exercised[i] || r.applies(c.Given)
		}
	}
	if i := slices.Index(exercised, false); i >= 0 {
		return waypost.Errorf(waypost.InvalidArgument, "no case of the disclosure table exercises rule %d", i+1)
	}
	return nil
}

// travels lists, in order, the fields that Apply lets through of a disclosure with
// everything in it, or the one that Allows does.
func (t *Table) travels(q question) []field {
	if q.Kind != waypost.KindCheck {
		if t.Allows(q.Kind, q.Purpose, q.Recipient, q.Outcome) {
			return fieldsOf[q.Kind]
		}
		return []field{}
	}
	got := t.Apply(q.Kind, q.Purpose, q.Recipient, waypost.Disclosure{
		Outcome: q.Outcome, Status: waypost.Valid, CardKind: waypost.Licence, TerminationRequired: true,
	})
	fields := []field{}
	if got.Status != "" {
		fields = append(fields, status)
	}
	if got.CardKind != "" {
		fields = append(fields, cardKind)
	}
	if got.TerminationRequired {
		fields = append(fields, termination)
	}
	return fields
}
