package duplicate

import (
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// TestFrequent: who is asked about by several states in a week, or often in a
// month, is on the worklist until somebody has looked.
func TestFrequent(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t, Config{})
	n := byte(0)
	asked := func(record string, asking waypost.Jurisdiction, ago time.Duration, purpose waypost.Purpose) waypost.TicketID {
		n++
		i := records.Inquiry{Record: record, Asking: asking, Ticket: waypost.TicketID{9, n}, Purpose: purpose, At: w.now.Add(-ago)}
		w.ca.inquired = append(w.ca.inquired, i)
		return i.Ticket
	}
	asked("CA-1-often", "AZ", 20*day, waypost.Renew)
	asked("CA-1-often", "AZ", 10*day, waypost.Renew)
	asked("CA-1-often", "AZ", day, waypost.IssueID)
	asked("CA-2-states", "AZ", 3*day, waypost.IssueID)
	asked("CA-2-states", "NV", day, waypost.IssueID)
	asked("CA-3-long-ago", "AZ", 27*day, waypost.IssueID)
	asked("CA-3-long-ago", "NV", day, waypost.IssueID)
	asked("CA-4-campaigns", "AZ", 3*day, waypost.DuplicateResolution)
	asked("CA-4-campaigns", "NV", day, waypost.DuplicateResolution)
	asked("CA-5-case", "AZ", 3*day, waypost.IssueID)
	ofCase := asked("CA-5-case", "NV", day, waypost.IssueID)
	asked("CA-6-moves", "AZ", 3*day, waypost.IssueID)
	asked("CA-6-moves", "NV", day, waypost.IssueID)
	w.ca.people["CA-7-protected"] = waypost.Record{ID: "CA-7-protected", Protected: true}
	asked("CA-7-protected", "AZ", 3*day, waypost.IssueID)
	asked("CA-7-protected", "NV", day, waypost.IssueID)
	if err := w.ca.DB.Write(t.Context(), func(tx *store.Tx) error {
		_, err := w.ca.insert(tx, pair{id: newID(), other: "NV", check: ofCase, record: "CA-5-case", opened: 1})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w.ca.deps.Moving = func(_ *store.Tx, record string, to waypost.Jurisdiction) (bool, error) {
		return record == "CA-6-moves" && to == "NV", nil
	}
	w.ca.restart()
	look := func(operator string, want ...string) {
		t.Helper()
		w.now = w.now.Add(lookEvery)
		if err := w.ca.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		d, ctx := w.ca.doorFor(operator)
		res, err := d.Frequent(ctx, &waypostv1.FrequentRequest{})
		if err != nil || len(res.Records) != len(want) {
			t.Fatalf("%v %v, want %q", res, err, want)
		}
		for i, f := range res.Records {
			if f.Record != want[i] || len(f.Inquiries) < 2 {
				t.Errorf("%v, want %s", f, want[i])
			}
		}
	}
	look("unit", "CA-1-often", "CA-2-states", "CA-7-protected")
	look("clerk", "CA-1-often", "CA-2-states")
	d, ctx := w.ca.door()
	if _, err := d.Frequent(ctx, &waypostv1.FrequentRequest{Acknowledge: "CA-2-states"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Frequent(ctx, &waypostv1.FrequentRequest{Acknowledge: "CA-2-states"}); waypost.CodeOf(err) != waypost.NotFound {
		t.Error(err)
	}
	look("clerk", "CA-1-often")
	items, err := w.ca.Worklist(t.Context())
	if err != nil || len(items) != 2 || items[1].Type != "frequent" || items[1].Count != 2 {
		t.Errorf("%v %v", items, err)
	}
	asked("CA-2-states", "AZ", -day, waypost.IssueID)
	asked("CA-2-states", "OR", -day, waypost.IssueID)
	w.now = w.now.Add(day)
	look("clerk", "CA-1-often", "CA-2-states")
}
