package records_test

import (
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// A former state draws the handles of its releases. With one that is known here by
// another of its releases, or by this state's own pointer, it gets nowhere: no record
// gets another's pointer, and no other pointer is forgotten.
func TestHandleDrawnTwice(t *testing.T) {
	r := newRig(t)
	own := waypost.Person{Family: "Rossi", Given: "Ines", Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}}
	r.takeIn("R-2", own, "")
	release := func(change, handle byte) waypost.Release {
		return waypost.Release{Change: [16]byte{change}, From: "AZ", To: "CA", Passings: []waypost.Passing{{Old: waypost.Handle{change}, New: waypost.Handle{handle}}}}
	}
	named := func(handle byte) []records.PassedName {
		who := own
		who.SSN5 = ""
		n := records.PassedName{Handle: waypost.Handle{handle}, Version: 1, Epoch: 1, Reached: 1, Name: who}
		for i := range 6 {
			n.Tokens = append(n.Tokens, make([]byte, 32))
			n.Tokens[i][0] = handle
		}
		return []records.PassedName{n}
	}
	expect := func(id string, change, handle byte) error {
		return r.db.Write(t.Context(), func(tx *store.Tx) error {
			return r.file.Expect(tx, id, release(change, handle), named(handle), waypost.TicketID{})
		})
	}
	passedIn := func(id string) (passed bool) {
		if err := r.db.Read(t.Context(), func(tx *store.Tx) (err error) {
			passed, err = r.file.PassedIn(tx, id)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return passed
	}
	r.load(0, licence("R-1", own))
	if passedIn("R-1") || !passedIn("R-2") {
		t.Error("which record has come from another state is not known")
	}
	standing := func(handle byte) (p records.Pointer) {
		if err := r.db.Read(t.Context(), func(tx *store.Tx) (err error) {
			p, err = r.file.ByHandle(tx, waypost.Handle{handle})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for range 2 { // again changes nothing
		if err := expect("R-3", 8, 9); err != nil {
			t.Fatal(err)
		}
	}
	for name, bad := range map[string]struct {
		record         string
		change, handle byte
	}{
		"of another release":                        {"R-4", 10, 9},
		"of another release for the same record":    {"R-3", 10, 9},
		"of the same change for another record":     {"R-4", 8, 9},
		"of a pointer that has come":                {"R-4", 10, 2},
		"of a pointer that has come, to its record": {"R-2", 10, 2},
	} {
		if err := expect(bad.record, bad.change, bad.handle); waypost.CodeOf(err) != waypost.AlreadyExists {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.db.Write(t.Context(), func(tx *store.Tx) error { return r.file.Unexpect(tx, release(10, 9)) }); err != nil {
		t.Fatal(err)
	}
	if p := standing(9); p.Record != "R-3" || p.State != records.Coming {
		t.Errorf("the pointer that is expected is %+v", p)
	}
	if p := standing(2); p.Record != "R-2" || p.State != records.Live {
		t.Errorf("the pointer that has come is %+v", p)
	}
	gone := waypost.Handle{9}
	found := func() (rows int) {
		r.read(func(tx *store.Tx) error {
			return tx.Row(`SELECT count(*) FROM pointer_token WHERE handle = $1`, gone[:]).Scan(&rows)
		})
		return rows
	}
	if found() == 0 {
		t.Error("a pointer that is expected is found by nothing")
	}
	if err := r.db.Write(t.Context(), func(tx *store.Tx) error { return r.file.Unexpect(tx, release(8, 9)) }); err != nil {
		t.Fatal(err)
	}
	if n := found(); n != 0 {
		t.Errorf("once it is given up, it is found by %d rows", n)
	}
	if err := expect("R-4", 10, 9); err != nil {
		t.Errorf("once it is given up: %v", err)
	}
}
