package records_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

var ludmila = waypost.Person{Family: "Ferrante", Given: "Ludmila", Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}, SSN5: "48213"}

func renamed(family string) waypost.Person {
	p := ludmila
	p.Family = family
	return p
}

// weigh asks another state's question about a person at every pointer that is live
// at the hub, and returns what agrees.
func (r *rig) weigh(who waypost.Person) (agreed uint32, goesOn bool) {
	r.t.Helper()
	question := waypost.TicketID{4, 2}
	var tags []byte
	q := matchkey.NewQuery(who, make([]byte, 32))
	for _, key := range q.Keys {
		tag := waypost.NewTag(r.token(key), question)
		tags = append(tags, tag[:]...)
	}
	for handle, p := range r.hub.pointers {
		if !p.live {
			continue
		}
		found, err := r.file.Weigh(r.t.Context(), handle, question, 1, tags)
		if err != nil {
			r.t.Fatal(err)
		}
		agreed |= found.Agreed
		goesOn = goesOn || found.Continue()
	}
	return agreed, goesOn
}

// TestChange: a record is found by what it is changed to, by its former name where
// that is kept, and not by an error that was corrected; kind and status change
// nothing in the index.
func TestChange(t *testing.T) {
	for name, c := range map[string]struct {
		to    func(*waypost.Record)
		keep  bool
		index bool
		live  int  // pointers
		old   bool // it is found by the name as it was
	}{
		"a marriage":       {to: func(r *waypost.Record) { r.Family = "Abernathy" }, keep: true, index: true, live: 2, old: true},
		"somebody else":    {to: func(r *waypost.Record) { r.Family, r.Given, r.Born.Day = "Abernathy", "Zoe", 3 }, index: true, live: 1},
		"another date":     {to: func(r *waypost.Record) { r.Born.Day = 3 }, index: true, live: 1, old: true}, // by SSN and names
		"another SSN":      {to: func(r *waypost.Record) { r.SSN5 = "70001" }, index: true, live: 1, old: true},
		"a first SSN lost": {to: func(r *waypost.Record) { r.SSN5 = "" }, index: true, live: 1, old: true},
		"a middle name":    {to: func(r *waypost.Record) { r.Middle = "Ann" }, live: 1, old: true},
		"suspended":        {to: func(r *waypost.Record) { r.Status, r.Kind, r.RealID = waypost.Suspended, waypost.Commercial, true }, live: 1, old: true},
		"unlicensed":       {to: func(r *waypost.Record) { r.Kind, r.CardNumber = waypost.Unlicensed, "" }, live: 1, old: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			before := licence("CA-1", ludmila)
			r.load(0, before)
			after := before
			c.to(&after)
			changed, err := r.file.Change(t.Context(), "clerk", after, c.keep)
			if err != nil || !changed.Published || changed.Index != c.index {
				t.Fatal(changed, err)
			}
			if n := r.hub.live(func(*stands) bool { return true }); n != c.live {
				t.Errorf("%d pointers are live, want %d", n, c.live)
			}
			if _, goesOn := r.weigh(after.Person); !goesOn {
				t.Error("it is not found by what it is now")
			}
			if _, goesOn := r.weigh(before.Person); goesOn != c.old {
				t.Errorf("found by what it was: %v", goesOn)
			}
			stored, err := r.file.Record(t.Context(), "CA-1")
			if err != nil || stored != after {
				t.Errorf("the state system has %v, %v", stored, err)
			}
		})
	}
}

// TestCutOff plays a change with a name kept, and a withdrawal, with a crash at
// every commit and with the hub lost before and after each call. In the end record
// and index are as they were wanted, or nothing was.
func TestCutOff(t *testing.T) {
	crash := errors.New("a crash")
	for _, lost := range []string{"commit", "hub before", "hub after"} {
		for n := 1; ; n++ {
			r := newRig(t)
			r.load(0, licence("CA-1", ludmila))
			points := 0
			switch lost {
			case "commit":
				r.crash = func(point string) error {
					if point == "begin" {
						return nil
					}
					if points++; points == n {
						return crash
					}
					return nil
				}
			case "hub before":
				r.hub.down = waypost.Errorf(waypost.Unavailable, "down")
			default:
				r.hub.cut = waypost.Errorf(waypost.Unavailable, "cut off")
			}
			_, changeErr := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Abernathy")), true)
			r.crash, r.hub.down, r.hub.cut = nil, nil, nil
			r.restart()
			r.settle()
			name := fmt.Sprintf("%s %d (%v)", lost, n, changeErr)
			stored, err := r.file.Record(context.Background(), "CA-1")
			if err != nil {
				t.Fatal(err)
			}
			r.same(name)
			if live := r.hub.live(func(*stands) bool { return true }); (stored.Family == "Abernathy") != (live == 2) {
				t.Errorf("%s: the record is of %s and %d pointers are live", name, stored.Family, live)
			}
			if stored.Family != "Abernathy" && changeErr == nil {
				t.Errorf("%s: a change that was confirmed is lost", name)
			}
			if lost != "commit" || points < n {
				break
			}
		}
	}
}

// same compares with the hub, and finds nothing to mend.
func (r *rig) same(when string) {
	r.t.Helper()
	c, err := r.file.Compare(r.t.Context(), "clerk")
	if err != nil || c.Missing != 0 || c.Withdrawn != 0 {
		r.t.Errorf("%s: compared with the hub: %+v, %v", when, c, err)
	}
}

func TestWithdraw(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila), licence("CA-2", renamed("Abernathy")))
	if _, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Moretti")), true); err != nil {
		t.Fatal(err)
	}
	if n, err := r.file.Withdraw(t.Context(), "clerk", "CA-1"); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	r.hub.down = waypost.Errorf(waypost.Unavailable, "down")
	if err := r.file.Step(t.Context()); err == nil {
		t.Error("it is withdrawn at a hub that is down")
	}
	r.hub.down = nil
	r.restart()
	r.settle()
	if n := r.hub.live(func(*stands) bool { return true }); n != 1 || len(r.pointers("CA-1")) != 0 {
		t.Errorf("%d pointers are live, the file says %v", n, r.pointers("CA-1"))
	}
	if _, err := r.file.Withdraw(t.Context(), "clerk", "CA-1"); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("withdrawn again: %v", err)
	}
	r.load(0, licence("CA-1", renamed("Moretti"))) // it comes back, under another handle
	r.same("afterwards")
}

// TestCompare: what the hub has lost is published anew, what it has too many is
// withdrawn, and the night does so by itself.
func TestCompare(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		who := ludmila
		who.Born.Year += i
		r.load(0, licence(fmt.Sprintf("CA-%d", i), who))
	}
	r.same("after the load")
	var lost, damaged *stands
	for _, p := range r.hub.pointers {
		if lost == nil {
			lost = p
		} else {
			damaged = p
		}
	}
	lost.live = false
	damaged.receipt[0] ^= 1
	r.hub.pointers[waypost.Handle{99}] = &stands{live: true}
	c, err := r.file.Compare(t.Context(), "clerk")
	if err != nil || c.Missing != 2 || c.Withdrawn != 1 || c.Pointers != 5 {
		t.Fatal(c, err)
	}
	r.settle()
	r.same("after it is mended")
	if n := r.hub.live(func(*stands) bool { return true }); n != 5 {
		t.Errorf("%d pointers are live", n)
	}
	for _, p := range r.hub.pointers {
		p.live = false
		break
	}
	before, _, _ := r.file.LastComparison(t.Context())
	for range 24 {
		r.settle() // ten hours each
		if r.now.Sub(before.At) > 48*time.Hour {
			break
		}
	}
	after, found, err := r.file.LastComparison(t.Context())
	if err != nil || !found || !after.At.After(before.At) {
		t.Errorf("no night has compared: %v, %v", after, err)
	}
	r.same("after the nights")
}

func TestGenerations(t *testing.T) {
	r := newRig(t)
	r.load(1, licence("CA-1", ludmila))
	r.load(2, licence("CA-2", renamed("Moretti")))
	if _, err := r.file.Activate(t.Context(), "loader", 3, false); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("activating what was not loaded: %v", err)
	}
	for range 2 {
		if n, err := r.file.Activate(t.Context(), "loader", 1, false); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if n, err := r.file.Activate(t.Context(), "loader", 2, true); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := r.file.Activate(t.Context(), "loader", 1, true); err == nil {
		t.Error("a generation that is active was rolled back")
	}
	if _, _, err := r.file.Load(t.Context(), "loader", 2, []waypost.Record{licence("CA-3", renamed("Abernathy"))}); err == nil {
		t.Error("a generation that was rolled back takes records")
	}
	all, err := r.file.Generations(t.Context())
	if err != nil || len(all) != 2 || all[0] != (records.Generation{Number: 1, State: "active", Live: 1}) || all[1].State != "rolled back" || all[1].Live != 0 {
		t.Errorf("%v, %v", all, err)
	}
	// What comes after an activation is visible at once.
	if _, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Abernathy")), true); err != nil {
		t.Fatal(err)
	}
	if n := r.hub.live(func(s *stands) bool { return s.generation == 0 }); n != 2 {
		t.Errorf("%d pointers are visible at once, want 2", n)
	}
}

func TestLeave(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila))
	r.load(1, licence("CA-2", renamed("Moretti")))
	if err := r.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE pointer SET state = $1 WHERE record = 'CA-2'`, int(records.Coming))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.file.Leave(t.Context(), "director"); waypost.CodeOf(err) != waypost.InvalidArgument || r.said("leave") != 0 {
		t.Errorf("while a record is on its way here: %v", err)
	}
	if err := r.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE pointer SET state = $1 WHERE record = 'CA-2'`, int(records.Live))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n, receipt, err := r.file.Leave(t.Context(), "director")
	if err != nil || n != 2 || len(r.pointers("CA-1"))+len(r.pointers("CA-2")) != 0 {
		t.Fatal(n, err)
	}
	if signed, err := waypost.ParseReceipt(receipt); err != nil || signed.Action != waypost.ActionCompare {
		t.Errorf("the receipt is of %s, %v", signed.Action, err)
	}
	if n := r.said("published"); n != 4 { // two loads, leave, compare
		t.Errorf("the ledger says published %d times", n)
	}
	r.load(0, licence("CA-1", ludmila)) // and comes back
}

func TestPurge(t *testing.T) {
	r := newRig(t)
	ago := func(years int) time.Time { return r.now.AddDate(-years, 0, -1).Truncate(24 * time.Hour) }
	for i, c := range []struct {
		status waypost.Status
		since  time.Time
	}{
		{waypost.Closed, ago(3)}, {waypost.Closed, ago(2)}, {waypost.Closed, time.Time{}}, {waypost.ExpiredCard, ago(10)}, {waypost.ExpiredCard, ago(9)},
		{waypost.Revoked, ago(40)}, {waypost.Valid, ago(60)},
	} {
		who := ludmila
		who.Born.Year += i
		record := licence(fmt.Sprintf("CA-%d", i), who)
		record.Status, record.Since = c.status, c.since
		r.load(0, record)
	}
	for _, preview := range []bool{true, false} {
		found, err := r.file.Purge(t.Context(), "clerk", preview)
		if err != nil || strings.Join(found.IDs, " ") != "CA-0 CA-3" || found.UnknownSince != 1 ||
			fmt.Sprint(found.Counts) != "[{closed 3 1} {expired 10 1}]" {
			t.Errorf("%+v, %v", found, err)
		}
	}
	r.settle()
	if n := r.hub.live(func(*stands) bool { return true }); n != 5 {
		t.Errorf("%d pointers are live, want 5", n)
	}
	if _, err := r.file.Record(t.Context(), "CA-0"); err != nil {
		t.Errorf("the state system has lost it: %v", err)
	}
}

func TestSetters(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila))
	since := r.now.AddDate(0, -1, 0).Truncate(24 * time.Hour)
	for name, err := range map[string]error{
		"a status that is none":     r.file.SetStatus(t.Context(), "CA-1", "lost", since),
		"a status from tomorrow on": r.file.SetStatus(t.Context(), "CA-1", waypost.Closed, r.now.AddDate(0, 0, 1)),
		"nobody's status":           r.file.SetStatus(t.Context(), "CA-2", waypost.Closed, since),
		"nobody's protection":       r.file.SetProtected(t.Context(), "CA-2", true),
		"a portrait that is none":   r.people.SetPortrait(t.Context(), "CA-1", []byte("GIF89a")),
		"nobody's portrait":         r.people.SetPortrait(t.Context(), "CA-2", []byte{0xff, 0xd8, 0xff}),
	} {
		if err == nil {
			t.Errorf("%s was set", name)
		}
	}
	if err := errors.Join(r.file.SetProtected(t.Context(), "CA-1", true), r.file.SetStatus(t.Context(), "CA-1", waypost.Closed, since),
		r.people.SetPortrait(t.Context(), "CA-1", []byte{0xff, 0xd8, 0xff})); err != nil {
		t.Fatal(err)
	}
	got, err := r.file.Record(t.Context(), "CA-1")
	if err != nil || !got.Protected || got.Status != waypost.Closed || !got.Since.Equal(since) {
		t.Errorf("%v, %v", got, err)
	}
	if jpeg, err := r.people.Portrait(t.Context(), "CA-1"); err != nil || len(jpeg) != 3 {
		t.Errorf("%v, %v", jpeg, err)
	}
	if id, err := r.people.ByCard(t.Context(), "DCA-1"); id != "CA-1" || err != nil {
		t.Error(id, err)
	}
}

// TestPassed: a record whose pointers went to another state answers for them no
// more in its own search, and cannot be loaded, changed or withdrawn.
func TestPassed(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila))
	p := r.pointers("CA-1")[0]
	for range 2 {
		if err := r.db.Write(t.Context(), func(tx *store.Tx) error {
			return r.file.MoveOut(tx, "CA-1", "AZ", []waypost.Passing{{Old: p.Handle, New: waypost.Handle{5}}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	if p := r.pointers("CA-1"); len(p) != 1 || p[0].State != records.Moved || p[0].MovedTo != "AZ" || p[0].NewHandle != (waypost.Handle{5}) {
		t.Errorf("the file says %v", p)
	}
	_, rejected, err := r.file.Load(t.Context(), "loader", 0, []waypost.Record{licence("CA-1", ludmila)})
	if err != nil || len(rejected) != 1 || !strings.Contains(rejected[0].Reason, "another state is the state of record") {
		t.Errorf("loaded again: %v, %v", rejected, err)
	}
	if _, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Moretti")), true); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("changed: %v", err)
	}
	if _, err := r.file.Withdraw(t.Context(), "clerk", "CA-1"); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("withdrawn: %v", err)
	}
	var tokens []waypost.Token
	q := matchkey.NewQuery(ludmila, records.DecoySecret([32]byte{1, 2, 3}))
	for _, key := range q.Keys {
		tokens = append(tokens, r.token(key))
	}
	if own, err := r.file.Own(t.Context(), 1, ludmila, tokens); err != nil || len(own) != 0 {
		t.Errorf("the state's own search finds %v, %v", own, err)
	}
}
