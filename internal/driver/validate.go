package driver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/store"
)

// Problem is one thing that is wrong with an item. It never repeats what the item
// says.
type Problem struct {
	Field string `json:"field"` // as in the Item message
	Code  string `json:"code"`
	Words string `json:"words"`
}

// The codes of problems.
const (
	Malformed  = "malformed"   // cannot be read
	Missing    = "missing"     // the type needs the field
	Unknown    = "unknown"     // not in the list, or not in the record
	NotAllowed = "not_allowed" // the type, or the code, has no such field
	Order      = "order"       // a date before the one that it follows
	Future     = "future"      // a date that has not come
	Range      = "range"       // a number that cannot be, or not with this code
	Conflict   = "conflict"    // there is such an item with other content
	Full       = "full"        // the record can have no more items
)

// fieldsOf says which fields an item of each type has beyond type, reporter,
// reference, and the flags that any type may have; those with a mark it needs.
var fieldsOf = map[Type]string{
	Conviction:  "code! occurred! convicted! detail speed limit bac severity linked",
	Withdrawal:  "code! effective! basis! extent! eligible detail occurred convicted bac linked",
	Clearance:   "linked! effective! detail",
	Accident:    "occurred! severity! detail linked",
	Permit:      "effective! detail! eligible",
	Endorsement: "effective! detail! eligible",
	Restriction: "effective! detail! eligible linked",
	Linkage:     "linked_state! linked_number! detail",
	Negate:      "linked! detail!",
}

// ahead is how far in the future an item may say that something takes effect:
// states give notice of a withdrawal.
const ahead = 366 * 24 * time.Hour

// Validate returns everything that is wrong with an item by itself, in the order
// of the fields, or nothing. What depends on the record, its state of record adds.
func Validate(i Item, now time.Time) []Problem {
	v := validation{item: i, tomorrow: dateOf(now.Add(24 * time.Hour))}
	if i.Reporter == "" {
		v.add("reporter", Missing, "the item says no state that reports it")
	}
	if i.Reference == "" {
		v.add("reference", Missing, "the item has no reference of its reporter, such as a docket number")
	}
	fields, ok := fieldsOf[i.Type]
	if !ok {
		v.add("type", Unknown, "the type is none of %s", joined(Types))
		return v.problems
	}
	v.fields(strings.Fields(fields))
	v.words()
	v.dates(now)
	v.numbers()
	v.code()
	return v.problems
}

type validation struct {
	item     Item
	tomorrow string // in the last time zone of the states
	problems []Problem
}

func (v *validation) add(field, code, words string, args ...any) {
	v.problems = append(v.problems, Problem{field, code, fmt.Sprintf(words, args...)})
}

// fields compares what is there with what the type has.
func (v *validation) fields(allowed []string) {
	i := v.item
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"code", i.Code != ""}, {"detail", i.Detail != ""}, {"occurred", !i.Occurred.IsZero()}, {"convicted", !i.Convicted.IsZero()},
		{"effective", !i.Effective.IsZero()}, {"eligible", !i.Eligible.IsZero()}, {"speed", i.Speed != 0}, {"limit", i.Limit != 0},
		{"bac", i.BAC != 0}, {"basis", i.Basis != ""}, {"extent", i.Extent != ""}, {"severity", i.Severity != ""},
		{"linked", i.Linked != ItemID{}}, {"linked_state", i.LinkedState != ""}, {"linked_number", i.LinkedNumber != ""},
	} {
		switch {
		case f.given && !slices.Contains(allowed, f.name) && !slices.Contains(allowed, f.name+"!"):
			v.add(f.name, NotAllowed, "an item of type %s has no %s", i.Type, f.name)
		case !f.given && slices.Contains(allowed, f.name+"!"):
			v.add(f.name, Missing, "an item of type %s needs %s", i.Type, f.name)
		}
	}
}

// words checks the closed lists.
func (v *validation) words() {
	for _, w := range []struct {
		name, given string
		list        []string
	}{
		{"basis", v.item.Basis, Bases}, {"extent", v.item.Extent, Extents}, {"severity", v.item.Severity, Severities},
	} {
		if w.given != "" && !slices.Contains(w.list, w.given) {
			v.add(w.name, Unknown, "%s is none of %s", w.name, joined(w.list))
		}
	}
}

func (v *validation) dates(now time.Time) {
	i := v.item
	for _, d := range []struct {
		name string
		date waypost.Date
	}{{"occurred", i.Occurred}, {"convicted", i.Convicted}} {
		if d.date.String() > v.tomorrow {
			v.add(d.name, Future, "the date of %s has not come", d.name)
		}
	}
	switch {
	case i.Type == Clearance && i.Effective.String() > v.tomorrow:
		v.add("effective", Future, "a clearance is reported when it has taken effect")
	case i.Effective.String() > dateOf(now.Add(ahead)):
		v.add("effective", Future, "the date of effect is more than a year ahead")
	}
	for _, o := range []struct {
		field         string
		earlier, late waypost.Date
		words         string
	}{
		{"convicted", i.Occurred, i.Convicted, "nobody is convicted before the violation"},
		{"effective", i.Occurred, i.Effective, "nothing takes effect before what it is for"},
		{"eligible", i.Effective, i.Eligible, "it ends before it begins"},
	} {
		if !o.earlier.IsZero() && !o.late.IsZero() && o.late.String() < o.earlier.String() {
			v.add(o.field, Order, "%s", o.words)
		}
	}
}

// What can be measured: nobody is alive with more alcohol, or drives faster.
const (
	mostBAC   = 600
	mostSpeed = 250
)

func (v *validation) numbers() {
	i := v.item
	if i.BAC > mostBAC {
		v.add("bac", Range, "the blood alcohol is above .%d", mostBAC)
	}
	if i.Speed > mostSpeed || i.Limit > mostSpeed {
		v.add("speed", Range, "a speed is above %d mph", mostSpeed)
	}
	if (i.Speed == 0) != (i.Limit == 0) {
		v.add("speed", Missing, "speed and limit go together")
	}
}

// code checks what the code demands.
func (v *validation) code() {
	i := v.item
	if i.Code == "" || i.Type != Conviction && i.Type != Withdrawal {
		return
	}
	c, ok := CodeOf(i.Code)
	if !ok {
		v.add("code", Unknown, "the code is not in the table: see waypost driver codes")
		return
	}
	if i.Type == Conviction && !c.Conviction || i.Type == Withdrawal && !c.Withdrawal {
		v.add("code", NotAllowed, "%s is no code of a %s", c.Code, i.Type)
	}
	v.demands(c)
}

func (v *validation) demands(c Code) {
	i := v.item
	speeds := i.Speed != 0 && i.Limit != 0
	switch {
	case c.SpeedNeeded && !speeds && i.Type == Conviction:
		v.add("speed", Missing, "%s needs the speed and the limit", c.Code)
	case speeds && c.OverTo == 0:
		v.add("speed", NotAllowed, "%s is no code of speeding", c.Code)
	case speeds && (i.Speed < i.Limit+c.OverFrom || i.Speed-i.Limit > c.OverTo):
		v.add("speed", Range, "the speed is not what %s says", c.Code)
	}
	switch {
	case c.BACNeeded && i.BAC == 0:
		v.add("bac", Missing, "%s needs the blood alcohol", c.Code)
	case i.BAC != 0 && i.BAC < c.LeastBAC:
		v.add("bac", Range, "the blood alcohol is below what %s says", c.Code)
	}
	switch {
	case i.Severity != "" && !c.Crash:
		v.add("severity", NotAllowed, "%s is no code of a crash", c.Code)
	case i.Severity != "" && c.Severity != "" && i.Severity != c.Severity:
		v.add("severity", Range, "the severity is not what %s says", c.Code)
	}
	if c.CommercialCar && !i.CommercialVehicle {
		v.add("commercial_vehicle", Missing, "%s is a code of commercial vehicles", c.Code)
	}
}

// problems returns what is wrong with a new item for a record. Where a former state
// of record passes it on, what it refers to may still be on its way.
func (Book) problems(tx *store.Tx, record string, i Item, passedOn bool) ([]Problem, error) {
	have, err := itemOf(tx, record, i.ID)
	switch {
	case err == nil && have == i:
		return nil, nil
	case err == nil:
		return []Problem{{"reference", Conflict, "an item of this reference is there with other content: negate it, and report under another"}}, nil
	case waypost.CodeOf(err) != waypost.NotFound:
		return nil, err
	}
	var n int
	if err := tx.Row(`SELECT count(*) FROM driver_item WHERE record = $1`, record).Scan(&n); err != nil {
		return nil, err
	}
	if n >= MaxItems {
		return []Problem{{"item", Full, "the record has as many items as it can have: its state must make room"}}, nil
	}
	if i.Type != Negate && i.Type != Clearance {
		return nil, nil
	}
	target, err := itemOf(tx, record, i.Linked)
	switch {
	case waypost.CodeOf(err) == waypost.NotFound && passedOn:
		return nil, nil
	case waypost.CodeOf(err) == waypost.NotFound:
		return []Problem{{"linked", Unknown, "the record has no item of this id: is the reference right, and was it accepted?"}}, nil
	case err != nil:
		return nil, err
	case target.Reporter != i.Reporter:
		return []Problem{{"linked", NotAllowed, "only the state that has reported an item can end or cancel it"}}, nil
	case i.Type == Clearance && target.Type != Withdrawal, i.Type == Negate && target.Type == Negate:
		return []Problem{{"linked", NotAllowed, fmt.Sprintf("an item of type %s cannot be the subject of a %s", target.Type, i.Type)}}, nil
	}
	return nil, nil
}

// problemsToProto is problems as they travel.
func problemsToProto(problems []Problem) []*waypostv1.Problem {
	all := make([]*waypostv1.Problem, len(problems))
	for n, p := range problems {
		all[n] = &waypostv1.Problem{Field: p.Field, Code: p.Code, Words: p.Words}
	}
	return all
}

func dateOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func joined[S ~string](words []S) string {
	texts := make([]string, len(words))
	for n, w := range words {
		texts[n] = string(w)
	}
	return strings.Join(texts, ", ")
}
