package driver

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// questionOfReport is a report by Nevada.
func (r *rig) questionOfReport(to waypost.Jurisdiction, body []byte) errand.Question {
	if r.states["NV"] == nil {
		r.states["NV"] = &office{rig: r, state: "NV", key: r.states[to].key}
	}
	return r.questionOf(&post{from: "NV", mine: errand.Errand{ID: errand.NewID(), Kind: waypost.KindReport, Purpose: waypost.DriverHistory,
		Class: waypost.Attended, To: to, Body: body}})
}

func TestTimeliness(t *testing.T) {
	r := newRig(t, "NV", "CA", "AZ")
	rec := jane(t, "CA-1", "D111")
	r.states["CA"].add(rec)
	for _, c := range []struct{ reference, convicted string }{
		{"C-1", "2026-11-23"}, {"C-2", "2026-11-13"}, {"C-3", "2026-11-12"}, {"C-4", "2026-10-23"}, {"C-5", "2026-10-22"}, {"C-5", "2026-10-22"},
	} {
		i := item(t, Conviction, c.reference)
		i.Convicted = date(t, c.convicted)
		if s := r.report("NV", i, shows(rec, "CA")); s.Word != Accepted {
			t.Fatal(s)
		}
	}
	bad := item(t, Negate, "N-1")
	bad.Linked = IDOf(Conviction, "NV", "typo")
	r.report("NV", bad, shows(rec, "CA"))
	// What is forwarded counts where it came first, and once.
	r.move("CA", "AZ", "CA-1", "AZ-1", nil)
	r.report("NV", item(t, Withdrawal, "W-1"), shows(rec, "CA"))

	got, err := (Door{r.states["CA"].desk}).Timeliness(context.Background(), &waypostv1.TimelinessRequest{})
	if err != nil || len(got.Rows) != 2 || len(got.Rejected) != 1 {
		t.Fatal(err, got)
	}
	c, w := got.Rows[0], got.Rows[1]
	if c.Reporter != "NV" || c.Type != string(Conviction) || c.Month != "2026-11" || c.Items != 5 || c.Within_10 != 2 || c.Within_31 != 4 ||
		c.Worst != 32 || c.Median != "11 to 31 days" {
		t.Errorf("convictions: %v", c)
	}
	if w.Type != string(Withdrawal) || w.Items != 1 || w.Worst != 13 || w.Within_10 != 0 || w.Within_31 != 1 {
		t.Errorf("withdrawals: %v", w)
	}
	if j := got.Rejected[0]; j.Reporter != "NV" || j.Field != "linked" || j.Code != Unknown || j.Times != 1 {
		t.Errorf("rejected: %v", j)
	}
	if az, err := (Door{r.states["AZ"].desk}).Timeliness(context.Background(), &waypostv1.TimelinessRequest{}); err != nil || len(az.Rows) != 0 {
		t.Errorf("where it was forwarded to: %v %v", az, err)
	}
	if old, err := (Door{r.states["CA"].desk}).Timeliness(context.Background(), &waypostv1.TimelinessRequest{To: "2026-10"}); err != nil || len(old.Rows) != 0 {
		t.Errorf("until October: %v %v", old, err)
	}
	if _, err := (Door{r.states["CA"].desk}).Timeliness(context.Background(), &waypostv1.TimelinessRequest{From: "October"}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("a month that is none: %v", err)
	}
}

func TestPurge(t *testing.T) {
	r := newRig(t, "CA")
	ca := r.states["CA"]
	dated := func(i Item, of func(i *Item)) Item {
		of(&i)
		i.ID = IDOf(i.Type, i.Reporter, i.Reference)
		return i
	}
	major := dated(item(t, Conviction, "major"), func(i *Item) { i.Code, i.Speed, i.Limit = "A08", 0, 0 })
	minor := dated(item(t, Conviction, "minor"), func(i *Item) { i.Code, i.Speed, i.Limit = "F04", 0, 0 })
	negated := item(t, Conviction, "C-1")
	open := dated(item(t, Withdrawal, "open"), func(i *Item) { i.Code = "D53" })
	ended := dated(item(t, Withdrawal, "W-1"), func(i *Item) { i.Code = "D53" })
	for _, record := range []string{"CA-1", "CA-2"} {
		r.must(ca.write(func(tx *store.Tx) error {
			for _, i := range []Item{major, minor, negated, item(t, Negate, "N-1"), open, ended, item(t, Clearance, "X-1"), item(t, Accident, "A-1"),
				item(t, Permit, "endless"), item(t, Linkage, "L-1")} {
				if _, err := ca.desk.Book.Add(tx, record, Arrival{Item: i, From: "NV", At: r.now}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, c := range []struct {
		years int
		gone  []Purged
		left  []string
	}{
		{0, nil, []string{"major", "minor", "C-1", "N-1", "open", "W-1", "X-1", "A-1", "endless", "L-1"}},
		{1, []Purged{{Conviction, "negated: 1 year", 2}, {Negate, "negated: 1 year", 2}}, []string{"major", "minor", "open", "W-1", "X-1", "A-1", "endless", "L-1"}},
		{3, []Purged{{Clearance, "other: 3 years", 2}, {Conviction, "other: 3 years", 2}, {Withdrawal, "other: 3 years", 2}}, []string{"major", "open", "A-1", "endless", "L-1"}},
		{5, []Purged{{Accident, "accident: 5 years", 2}}, []string{"major", "open", "endless", "L-1"}},
		{54, nil, []string{"major", "open", "endless", "L-1"}},
		{55, []Purged{{Conviction, "major: 55 years", 2}}, []string{"open", "endless", "L-1"}},
	} {
		r.now = noon.AddDate(c.years, 0, 1)
		before := ca.book("CA-1")
		for _, preview := range []bool{true, false} {
			gone, err := ca.desk.Purge(context.Background(), preview)
			if err != nil || !slices.Equal(gone, c.gone) {
				t.Errorf("after %d years, preview %v: %v %v", c.years, preview, gone, err)
			}
			if preview && !slices.Equal(ca.book("CA-1"), before) {
				t.Errorf("after %d years a preview has removed something", c.years)
			}
		}
		if !slices.Equal(ca.book("CA-1"), c.left) || !slices.Equal(ca.book("CA-2"), c.left) {
			t.Errorf("after %d years there is left %q", c.years, ca.book("CA-1"))
		}
	}
}

func TestRetention(t *testing.T) {
	short := DefaultRetention
	short.Serious = 2
	if _, err := New(Deps{Keep: short, Now: time.Now}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("serious violations kept for two years: %v", err)
	}
}
