package driver

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// inOrder sorts a history by the dates of its items; what has none stands where it
// arrived.
func inOrder(entries []Entry) []Entry {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return cmp.Compare(dayOf(a), dayOf(b)) })
	return sorted
}

func dayOf(e Entry) string {
	for _, d := range []waypost.Date{e.Occurred, e.Convicted, e.Effective} {
		if !d.IsZero() {
			return d.String()
		}
	}
	return dateOf(e.At)
}

// shown is what of a sorted history is shown at a glance: everything, but no more
// than the newest convictions and withdrawals.
func shown(sorted []Entry) (kept []Entry, more bool) {
	room := map[Type]int{Conviction: ShownConvictions, Withdrawal: ShownWithdrawals}
	for _, e := range slices.Backward(sorted) {
		left, limited := room[e.Type]
		if limited && left == 0 {
			more = true
			continue
		}
		room[e.Type] = left - 1
		kept = append(kept, e)
	}
	slices.Reverse(kept)
	return kept, more
}

// historyToProto is a history as the counter is shown it.
func historyToProto(record string, entries []Entry, more bool) *waypostv1.DriverHistory {
	h := &waypostv1.DriverHistory{Record: record, More: more, ProposedStatus: string(ProposedStatus(entries))}
	for _, e := range entries {
		m := &waypostv1.DriverEntry{Item: e.Proto(), From: string(e.From), Arrived: e.At.Unix(), Disputed: string(e.Disputed), Words: e.Words()}
		if e.NegatedBy != (ItemID{}) {
			m.NegatedBy = e.NegatedBy[:]
		}
		if e.EndedBy != (ItemID{}) {
			m.EndedBy = e.EndedBy[:]
		}
		h.Entries = append(h.Entries, m)
	}
	return h
}

// ProposedStatus is what the history says about the standing of its record:
// suspended or disqualified where a withdrawal is neither cancelled nor ended, else
// nothing. The state's own system decides.
func ProposedStatus(entries []Entry) waypost.Status {
	var status waypost.Status
	for _, e := range entries {
		if e.Type != Withdrawal || e.NegatedBy != (ItemID{}) || e.EndedBy != (ItemID{}) {
			continue
		}
		if e.Extent != "commercial" {
			return waypost.Suspended
		}
		status = waypost.Disqualified
	}
	return status
}

// Words says in a line what an item is about.
func (i Item) Words() string {
	var parts []string
	if c, ok := CodeOf(i.Code); ok {
		parts = append(parts, c.Code+" "+c.Words)
	} else if i.Code != "" {
		parts = append(parts, i.Code)
	}
	for _, p := range []struct {
		say  bool
		what string
	}{
		{i.Detail != "", i.Detail}, {i.Speed != 0, fmt.Sprintf("%d mph where %d were allowed", i.Speed, i.Limit)},
		{i.BAC != 0, fmt.Sprintf("blood alcohol .%03d", i.BAC)}, {i.Severity != "", "crash: " + i.Severity},
		{i.Basis != "", "basis: " + i.Basis}, {i.Extent != "", "extent: " + i.Extent},
		{i.CommercialVehicle, "commercial vehicle"}, {i.HazardousMaterial, "hazardous material"}, {i.CommercialHolder, "commercial licence"},
		{i.LinkedNumber != "", fmt.Sprintf("record %s of %s", i.LinkedNumber, i.LinkedState)},
	} {
		if p.say {
			parts = append(parts, p.what)
		}
	}
	return strings.Join(parts, "; ")
}

// history is a driver's whole history as text, for the driver: everything that is
// kept, in the order of dates, with who has reported it and when it came.
func history(record waypost.Record, state waypost.Jurisdiction, entries []Entry, now time.Time) string {
	var b strings.Builder
	name := strings.Join(slices.DeleteFunc([]string{record.Given, record.Middle, record.Family, record.Suffix}, func(s string) bool { return s == "" }), " ")
	fmt.Fprintf(&b, "DRIVER HISTORY kept by %s on %s\nRecord %s   %s   born %s\n", state, dateOf(now), record.ID, name, record.Born)
	references := make(map[ItemID]string, len(entries))
	for _, e := range entries {
		references[e.ID] = fmt.Sprintf("%s of %s, reference %s", e.Type, e.Reporter, e.Reference)
	}
	elsewhere := 0
	for n, e := range inOrder(entries) {
		if e.Reporter != state {
			elsewhere++
		}
		fmt.Fprintf(&b, "\n%d. %s  %s\n", n+1, dayOf(e), strings.ToUpper(string(e.Type)))
		for _, line := range lines(e, references) {
			fmt.Fprintf(&b, "   %s\n", line)
		}
	}
	fmt.Fprintf(&b, "\n%d items, %d of them reported by other states. If something is wrong, ask the state that has reported it; it can cancel an item.\n", len(entries), elsewhere)
	return b.String()
}

// lines are what is printed of one entry.
func lines(e Entry, references map[ItemID]string) (all []string) {
	add := func(say bool, format string, args ...any) {
		if say {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(e.Words() != "", "%s", e.Words())
	add(!e.Occurred.IsZero(), "occurred %s", e.Occurred)
	add(!e.Convicted.IsZero(), "convicted %s", e.Convicted)
	add(!e.Effective.IsZero(), "effective %s", e.Effective)
	add(!e.Eligible.IsZero(), "until or eligible from %s", e.Eligible)
	add(e.Linked != ItemID{} && references[e.Linked] != "", "about: %s", references[e.Linked])
	add(true, "reported by %s, reference %s; arrived %s", e.Reporter, e.Reference, dateOf(e.At))
	add(e.From != e.Reporter, "passed on by %s", e.From)
	add(e.EndedBy != ItemID{}, "ENDED by: %s", references[e.EndedBy])
	add(e.NegatedBy != ItemID{}, "CANCELLED by: %s", references[e.NegatedBy])
	add(e.Disputed != "", "%s has this item with other content", e.Disputed)
	return all
}
