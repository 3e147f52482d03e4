package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/waypost/waypost"
)

// file is the table as written.
type file struct {
	Rules []rule  `json:"rules"`
	Cases []given `json:"cases"`
}

// rule lets fields travel, or forbids them, where all of kind, purposes,
// recipients and outcomes apply. "*" stands for every purpose or recipient.
type rule struct {
	Why        string            `json:"why"` // for the reader; not used
	Kind       waypost.Kind      `json:"kind"`
	Purposes   []string          `json:"purposes"`
	Recipients []string          `json:"recipients"`
	Outcomes   []waypost.Outcome `json:"outcomes"`
	Fields     []field           `json:"fields"`
	Never      []field           `json:"never"`
}

// question is what a rule is matched against.
type question struct {
	Kind      waypost.Kind         `json:"kind"`
	Purpose   waypost.Purpose      `json:"purpose"`
	Recipient waypost.Jurisdiction `json:"recipient"`
	Outcome   waypost.Outcome      `json:"outcome"`
}

// given is one case: given the question, then exactly these fields travel.
type given struct {
	Name  string   `json:"name"`
	Given question `json:"given"`
	Then  []field  `json:"then"`
}

func (r rule) applies(q question) bool {
	return r.Kind == q.Kind && has(r.Purposes, string(q.Purpose)) &&
		has(r.Recipients, string(q.Recipient)) && slices.Contains(r.Outcomes, q.Outcome)
}

func has(list []string, s string) bool {
	return slices.Contains(list, s) || slices.Contains(list, "*")
}

// decode parses and validates a table without running its cases.
func decode(data []byte) (file, error) {
	var f file
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return file{}, invalid("it is not a table in JSON: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return file{}, invalid("something follows the table")
	}
	if err := exactNames(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return file{}, err
	}
	if len(f.Rules) > maxRules || len(f.Cases) > maxCases {
		return file{}, invalid("it has more than %d rules or %d cases", maxRules, maxCases)
	}
	for i, r := range f.Rules {
		if err := r.validate(); err != nil {
			return file{}, invalid("rule %d: %v", i+1, err)
		}
	}
	for i := range f.Cases {
		if err := f.Cases[i].validate(); err != nil {
			return file{}, invalid("case %d, %q: %v", i+1, f.Cases[i].Name, err)
		}
	}
	return f, nil
}

func invalid(format string, args ...any) error {
	return waypost.Errorf(waypost.InvalidArgument, "the disclosure table does not load: "+format, args...)
}

// exactNames refuses a name that stands twice in one object or is not spelled
// in lower case. encoding/json would let the last one win and accept "Never"
// for "never": either could make a prohibition disappear. The input is known
// to be valid JSON.
func exactNames(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return invalid("%v", err)
	}
	open, nested := t.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return invalid("%v", err)
			}
			name := fmt.Sprint(key)
			if seen[name] {
				return invalid("the name %q stands twice in one object", name)
			}
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
				return invalid("the name %q is not spelled in lower case", name)
			}
			seen[name] = true
		}
		if err := exactNames(d); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing delimiter
	return err
}

func (r rule) validate() error {
	if len(r.Purposes) == 0 || len(r.Recipients) == 0 || len(r.Outcomes) == 0 {
		return fmt.Errorf("purposes, recipients and outcomes are all needed")
	}
	if len(r.Fields)+len(r.Never) == 0 {
		return fmt.Errorf("it neither allows nor forbids anything")
	}
	if !transacts(r.Kind) {
		return fmt.Errorf("there is no disclosure in a transaction of kind %q", r.Kind)
	}
	for _, p := range r.Purposes {
		if p != "*" && !r.Kind.Allows(waypost.Purpose(p)) {
			return fmt.Errorf("the purpose %q does not go with kind %q", p, r.Kind)
		}
	}
	for _, s := range r.Recipients {
		if s != "*" && !isJurisdiction(s) {
			return fmt.Errorf("the recipient %q is not two capital letters", s)
		}
	}
	for _, o := range r.Outcomes {
		if o != waypost.Match && o != waypost.Possible {
			return fmt.Errorf("the outcome %q discloses nothing beside itself", o)
		}
	}
	return knownFields(r.Kind, append(slices.Clone(r.Fields), r.Never...))
}

func (c *given) validate() error {
	q := c.Given
	switch {
	case strings.TrimSpace(c.Name) == "":
		return fmt.Errorf("a case needs a name")
	case !transacts(q.Kind) || !q.Kind.Allows(q.Purpose):
		return fmt.Errorf("the purpose %q does not go with kind %q", q.Purpose, q.Kind)
	case !isJurisdiction(string(q.Recipient)):
		return fmt.Errorf("the recipient %q is not two capital letters", q.Recipient)
	case !slices.Contains([]waypost.Outcome{waypost.NoMatch, waypost.Possible, waypost.Match, waypost.Pending}, q.Outcome):
		return fmt.Errorf("there is no outcome %q", q.Outcome)
	case c.Then == nil:
		return fmt.Errorf(`it does not say what travels; "then": [] is nothing but the outcome`)
	}
	if err := knownFields(q.Kind, c.Then); err != nil {
		return err
	}
	slices.SortFunc(c.Then, func(a, b field) int { return slices.Index(allFields, a) - slices.Index(allFields, b) })
	c.Then = slices.Compact(c.Then)
	return nil
}

// transacts reports whether transactions of this kind end in a disclosure.
func transacts(k waypost.Kind) bool { return len(fieldsOf[k]) > 0 }

func isJurisdiction(s string) bool {
	j, err := waypost.ParseJurisdiction(s)
	return err == nil && string(j) == s
}

func knownFields(kind waypost.Kind, fields []field) error {
	for _, f := range fields {
		if !slices.Contains(fieldsOf[kind], f) {
			return fmt.Errorf("%q is not a field that can travel in a %s; there are only %v", f, kind, fieldsOf[kind])
		}
	}
	return nil
}
