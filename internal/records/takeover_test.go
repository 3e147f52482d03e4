package records_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// What clerks of this state did to a record between its arrival and the moment in
// which the state system was told stays, also where it could not be stored yet.
func TestTakeOver(t *testing.T) {
	t.Run("protected", func(t *testing.T) {
		r := newRig(t)
		r.takeIn("CA-1", ludmila, ludmila.SSN5)
		wanted := licence("CA-1", ludmila)
		wanted.Status, wanted.Protected = waypost.Closed, true // as it was prepared
		raw, err := proto.Marshal(records.ToProto(wanted))
		if err != nil {
			t.Fatal(err)
		}
		r.exec(`INSERT INTO record_change (record, wanted, at) VALUES ('CA-1', $1, 0)`, raw)
		for range 2 {
			if err := r.file.TakeOver(t.Context(), "clerk", licence("CA-1", ludmila)); err != nil {
				t.Fatal(err)
			}
			r.settle()
		}
		if have, err := r.file.Record(t.Context(), "CA-1"); err != nil || have.Status != waypost.Valid || !have.Protected {
			t.Errorf("the state system has %s, protected %v, %v", have.Status, have.Protected, err)
		}
	})
	t.Run("changed", func(t *testing.T) {
		r := newRig(t)
		r.takeIn("CA-1", ludmila, ludmila.SSN5)
		if _, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Moretti")), true); err != nil {
			t.Fatal(err)
		}
		if err := r.file.TakeOver(t.Context(), "clerk", licence("CA-1", ludmila)); err != nil {
			t.Fatal(err)
		}
		if have, err := r.file.Record(t.Context(), "CA-1"); err != nil || have.Family != "Moretti" || have.Status != waypost.Valid {
			t.Errorf("the state system has %s, %s, %v", have.Family, have.Status, err)
		}
	})
}

// The former state may have changed the name after the check on which the record
// moves: it is found by the name on its card all the same, with an SSN and without.
func TestTakeOverUnderAnotherName(t *testing.T) {
	for _, ssn5 := range []string{"", "48213"} {
		r := newRig(t)
		since := ludmila
		since.Family = "Moretti"
		r.takeIn("CA-1", since, ssn5)
		onCard := ludmila
		onCard.SSN5 = ssn5
		for range 2 {
			if err := r.file.TakeOver(t.Context(), "clerk", licence("CA-1", onCard)); err != nil {
				t.Fatal(err)
			}
			r.settle()
		}
		if n := len(r.pointers("CA-1")); n != 2 || r.anyLive() != 2 {
			t.Fatalf("SSN %q: the record has %d pointers, and %d are live", ssn5, n, r.anyLive())
		}
		for _, name := range []string{"Ferrante", "Moretti"} {
			who := renamed(name)
			who.SSN5 = ""
			if _, goesOn := r.weigh(who); !goesOn {
				t.Errorf("SSN %q: nobody finds the record by the name %s", ssn5, name)
			}
		}
		mains := 0
		for _, p := range r.pointers("CA-1") {
			if !p.Alias {
				mains++
			}
		}
		if mains != 1 {
			t.Errorf("SSN %q: the record has %d main pointers", ssn5, mains)
		}
	}
}

// A record has one main pointer, whatever comes to it: with two, no state could ever
// become its state of record again.
func TestOneMainPointer(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", renamed("Moretti")))
	r.takeIn("CA-1", ludmila, ludmila.SSN5)
	mains := 0
	for _, p := range r.pointers("CA-1") {
		if !p.Alias && p.State == records.Live {
			mains++
		}
	}
	if mains != 1 || len(r.pointers("CA-1")) != 2 {
		t.Errorf("the record has %d main pointers: %v", mains, r.pointers("CA-1"))
	}
}

// A card is not issued on a pointer of its own while the record is on its way here.
func TestIssueWhileItComes(t *testing.T) {
	r := newRig(t)
	check := r.checked(ludmila)
	name := records.PassedName{Handle: waypost.Handle{2}, Version: 1, Epoch: 1, Reached: 1, Name: ludmila, Tokens: make([][]byte, 6)}
	for i := range name.Tokens {
		name.Tokens[i] = make([]byte, 32)
	}
	release := waypost.Release{Change: [16]byte{7}, From: "AZ", To: "CA", Passings: []waypost.Passing{{Old: waypost.Handle{1}, New: waypost.Handle{2}}}}
	if err := r.db.Write(t.Context(), func(tx *store.Tx) error {
		return r.file.Expect(tx, "CA-1", release, []records.PassedName{name}, check)
	}); err != nil {
		t.Fatal(err)
	}
	_, err := r.file.Issue(t.Context(), "clerk", records.Issuing{Ticket: check, Record: licence("CA-1", ludmila)})
	if waypost.CodeOf(err) != waypost.Unavailable || r.anyLive() != 0 {
		t.Errorf("issued: %v, %d pointers are live", err, r.anyLive())
	}
}
