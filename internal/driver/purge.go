package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/store"
)

// Retention is for how many years items are kept, beyond what they are about: the
// conviction, the end of a withdrawal, the crash, the end of a permit.
type Retention struct {
	Major    int `json:"major"`
	Serious  int `json:"serious"`
	Railroad int `json:"railroad"`
	Service  int `json:"service"`
	Other    int `json:"other"`
	Accident int `json:"accident"`
	Negated  int `json:"negated"` // from when it was cancelled
}

// DefaultRetention keeps items for as long as 49 CFR 383.51 counts them against a
// commercial driver, and a year more: for life after a major offense (55 years
// here), three years for serious violations and railroad crossings, ten for
// out-of-service orders. What no federal rule counts is configuration: three years,
// five for a crash, one for what was cancelled.
var DefaultRetention = Retention{Major: 55, Serious: 4, Railroad: 4, Service: 11, Other: 3, Accident: 5, Negated: 1}

// check refuses times that are shorter than what is counted, which would hide it.
func (k Retention) check() error {
	for _, f := range []struct {
		name         string
		years, least int
	}{
		{"major", k.Major, 10}, {"serious", k.Serious, 3}, {"railroad", k.Railroad, 3}, {"service", k.Service, 10},
		{"other", k.Other, 1}, {"accident", k.Accident, 1}, {"negated", k.Negated, 1},
	} {
		if f.years < f.least || f.years > 100 {
			return waypost.Errorf(waypost.InvalidArgument, "driver history: the retention %q is %d years; it must lie between %d and 100", f.name, f.years, f.least)
		}
	}
	return nil
}

func (k Retention) of(code string) (int, string) {
	c, _ := CodeOf(code)
	switch c.Class {
	case Major:
		return k.Major, "major"
	case Serious:
		return k.Serious, "serious"
	case Railroad:
		return k.Railroad, "railroad"
	case Service:
		return k.Service, "service"
	}
	return k.Other, "other"
}

// Purged counts the items of one type that one rule lets go.
type Purged struct {
	Type  Type   `json:"type"`
	Rule  string `json:"rule"`
	Items int    `json:"items"`
}

// purgeBatch is how many records are looked at in one transaction.
const purgeBatch = 100

// Purge removes the items whose retention is over, or with preview only counts
// them. A withdrawal that was never cleared stays, and so does what has no end.
func (d *Desk) Purge(ctx context.Context, preview bool) ([]Purged, error) {
	counts := make(map[Purged]int)
	after := ""
	for {
		var next []string
		sweep := func(tx *store.Tx) (err error) {
			next, err = d.purgeSome(tx, after, preview, counts)
			return err
		}
		run := d.DB.Write
		if preview {
			run = d.DB.Read
		}
		if err := run(ctx, sweep); err != nil {
			return nil, err
		}
		if len(next) == 0 {
			break
		}
		after = next[len(next)-1]
	}
	var all []Purged
	for p, n := range counts {
		p.Items = n
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Purged) int {
		return strings.Compare(string(a.Type)+" "+a.Rule, string(b.Type)+" "+b.Rule)
	})
	return all, nil
}

// purgeSome looks at the records that follow one in order, and returns which.
func (d *Desk) purgeSome(tx *store.Tx, after string, preview bool, counts map[Purged]int) (ids []string, err error) {
	if err := tx.Query(`SELECT DISTINCT record FROM driver_item WHERE record > $1 ORDER BY record LIMIT $2`, []any{after, purgeBatch},
		func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		}); err != nil {
		return nil, err
	}
	for _, id := range ids {
		entries, err := d.Book.Of(tx, id)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			rule, over := d.over(e, entries)
			if !over {
				continue
			}
			counts[Purged{Type: e.Type, Rule: rule}]++
			if preview {
				continue
			}
			if _, err := tx.Exec(`DELETE FROM driver_item WHERE record = $1 AND id = $2`, id, e.ID); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}

// over says whether the retention of an entry is over, and by which rule. An item
// and what ends or cancels it go together.
func (d *Desk) over(e Entry, all []Entry) (rule string, over bool) {
	find := func(id ItemID) (Entry, bool) {
		i := slices.IndexFunc(all, func(e Entry) bool { return e.ID == id })
		if i < 0 {
			return Entry{}, false
		}
		return all[i], true
	}
	if e.Type == Negate || e.Type == Clearance && e.NegatedBy == (ItemID{}) {
		target, ok := find(e.Linked)
		switch {
		case !ok || target.NegatedBy != e.ID && target.EndedBy != e.ID:
			return d.past(e.At, d.Keep.Negated, "without effect")
		default:
			return d.over(target, all)
		}
	}
	if by, ok := find(e.NegatedBy); ok {
		return d.past(by.At, d.Keep.Negated, "negated")
	}
	years, class := d.Keep.of(e.Code)
	switch e.Type {
	case Conviction:
		return d.past(timeOf(e.Convicted), years, class)
	case Withdrawal:
		end, ok := find(e.EndedBy)
		if !ok {
			return "", false
		}
		return d.past(timeOf(end.Effective), years, class)
	case Accident:
		return d.past(timeOf(e.Occurred), d.Keep.Accident, "accident")
	case Permit, Endorsement, Restriction:
		return d.past(timeOf(e.Eligible), d.Keep.Other, "ended")
	}
	return "", false
}

// past says whether so many years after a time have gone by. What has no time has
// no end.
func (d *Desk) past(from time.Time, years int, rule string) (string, bool) {
	unit := "years"
	if years == 1 {
		unit = "year"
	}
	return fmt.Sprintf("%s: %d %s", rule, years, unit), !from.IsZero() && d.Now().After(from.AddDate(years, 0, 0))
}

func timeOf(d waypost.Date) time.Time {
	if d.IsZero() {
		return time.Time{}
	}
	return time.Date(d.Year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC)
}
