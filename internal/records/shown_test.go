package records_test

import (
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

var benedicta = waypost.Person{Family: "Okonkwo", Given: "Benedicta", Born: waypost.Date{Year: 1970, Month: 2, Day: 3}, Sex: "F", SSN5: "48213"}

// released has the file believe that records are on their way to another state.
func (r *rig) released() map[string]records.Away {
	away := make(map[string]records.Away)
	r.file.HoldBack(func(_ *store.Tx, id string) (records.Away, error) { return away[id], nil })
	return away
}

func newRotating(t *testing.T) *rig {
	t.Helper()
	r := newRigIn(t, rpctest.New(t, rpctest.Ample, "CA", "AZ"))
	r.x.Advance(time.Minute)
	return r
}

// A record that is released while its tokens are made is left out: of what its release
// does not tell the new state, the hub is shown nothing.
func TestReleasedMeanwhile(t *testing.T) {
	r := newRotating(t)
	ada := benedicta
	ada.Given = "Ada"
	r.load(0, licence("A", ada), licence("B", benedicta))
	away := r.released()
	r.begin()
	r.evaluating = func() { away["A"] = records.Released }
	before := len(r.hub.shown)
	if n, _, err := r.file.Republish(t.Context(), "loader"); n != 1 || err != nil {
		t.Fatalf("%d are published once more, %v", n, err)
	}
	if all, why := r.said("abandoned"), r.said("abandoned "+string(waypost.Unavailable)); all == 0 || why != all {
		t.Errorf("of %d abandoned publications %d say in the ledger what it was", all, why)
	}
	for id, newest := range map[string]uint32{"A": 1, "B": 2} {
		h := r.pointers(id)[0].Handle
		shown := false
		for _, s := range r.hub.shown[before:] {
			shown = shown || s.handle == h
		}
		var name records.PassedName
		r.read(func(tx *store.Tx) (err error) {
			name, err = r.file.NameTokens(tx, h)
			return err
		})
		if shown != (newest == 2) || name.Newest() != newest || name.Reached != newest {
			t.Errorf("%s: shown to the hub %t; its names are up to %d, reached %d", id, shown, name.Newest(), name.Reached)
		}
	}
}

// The hub is shown what takes the place of a released pointer, and may keep back that
// the pointer has gone: of the SSN that shows it nothing under the key under which the
// new state publishes the pointer as its own.
func TestChangedWhileReleased(t *testing.T) {
	for _, gone := range []records.Away{records.Here, records.Unanswered, records.Released} {
		r := newRotating(t)
		r.load(0, licence("A", benedicta))
		r.released()["A"] = gone
		r.begin()
		after := benedicta
		after.Given = "Bernadette"
		if _, err := r.file.Change(t.Context(), "clerk", licence("A", after), false); err != nil {
			t.Fatal(err)
		}
		last := r.hub.shown[len(r.hub.shown)-1]
		slots := matchkey.Index(after, make([]byte, 32))
		for epoch := range uint32(2) {
			n := 0
			for _, slot := range slots[matchkey.NameSlots:] {
				if last.tokens[r.tokenOf(epoch+1, slot.Key)] {
					n++
				}
			}
			want := matchkey.SSNSlots
			if gone != records.Here && epoch+1 == 2 {
				want = 0
			}
			if n != want {
				t.Errorf("released %d: under key %d the hub is shown %d tokens of the SSN, want %d", gone, epoch+1, n, want)
			}
		}
	}
}

// A hub that says without a receipt that it has done before what it was asked is
// believed for a night: the ledger says so, and what its signed comparison does not
// bear out is published anew.
func TestDeniedIsNoted(t *testing.T) {
	r := newRotating(t)
	w := &watcher{hub: r.hub, always: denies}
	r.door = w
	r.restart()
	r.load(0, licence("A", benedicta))
	r.begin()
	if n, _, err := r.file.Republish(t.Context(), "loader"); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if n := r.said("abandoned already_exists"); n != 1 {
		t.Errorf("the ledger says so %d times", n)
	}
	if found, _ := r.answers(2, benedicta); found != 0 {
		t.Fatal("the hub has done it")
	}
	if c, err := r.file.Compare(t.Context(), "clerk"); err != nil || c.Missing != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	r.settle()
	if found, agreed := r.answers(2, benedicta); found != 1 || agreed == 0 {
		t.Errorf("under the next key the record is found %d times, agreeing in %b", found, agreed)
	}
}

// Nobody is told that a record is somebody else's because it is not known here under
// the key of the question.
func TestWeighUnderUnknownKey(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("A", benedicta))
	h, tags := r.pointers("A")[0].Handle, make([]byte, waypost.CheckElements*len(waypost.Tag{}))
	if _, err := r.file.Weigh(t.Context(), h, waypost.TicketID{1}, 1, tags); err != nil {
		t.Error(err)
	}
	if _, err := r.file.Weigh(t.Context(), h, waypost.TicketID{1}, 2, tags); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("under a key that is not known here: %v", err)
	}
	if _, err := r.file.Find(t.Context(), h); err != nil {
		t.Error(err)
	}
}

// ofSSN counts the tokens that the hub was shown last of somebody's SSN, under a key.
func (r *rig) ofSSN(who waypost.Person, epoch uint32) (n int) {
	r.t.Helper()
	query := r.query(who, waypost.TicketID{})
	for _, at := range query.Index[matchkey.NameSlots:] {
		if r.hub.shown[len(r.hub.shown)-1].tokens[r.tokenOf(epoch, query.Keys[at])] {
			n++
		}
	}
	return n
}

// A record whose release was not answered does not hold up a rotation: it is published
// once more, and the hub is shown nothing of the SSN under the next key, which the state
// that it was for may be publishing under, until it is known where the record is. A
// release that can be used, or that has lapsed while the tokens were made, holds it back.
func TestLapsedOnceMore(t *testing.T) {
	for _, ssn5 := range []string{"48213", ""} {
		r := newRotating(t)
		who := benedicta
		who.SSN5 = ssn5
		r.load(0, licence("A", who))
		away := r.released()
		r.begin()
		again := func(want int) {
			t.Helper()
			if n, over, err := r.file.Republish(t.Context(), "loader"); n != want || !over || err != nil {
				t.Fatalf("%d are published once more, over %t, %v", n, over, err)
			}
		}
		change := func(given string) {
			t.Helper()
			who.Given = given
			if c, err := r.file.Change(t.Context(), "clerk", licence("A", who), false); !c.Published || err != nil {
				t.Fatalf("%+v, %v", c, err)
			}
		}
		away["A"] = records.Released
		again(0)
		away["A"] = records.Here
		r.evaluating = func() { away["A"] = records.Unanswered }
		again(0)
		r.evaluating = nil
		if len(r.hub.shown) != 1 {
			t.Fatalf("the hub was shown %d pointers", len(r.hub.shown))
		}
		again(1)
		if n := r.ofSSN(who, 2); n != 0 {
			t.Errorf("SSN %q: published once more, the hub is shown %d tokens of it", ssn5, n)
		}
		if found, agreed := r.answers(2, who); found != 1 || agreed == 0 {
			t.Errorf("SSN %q: by name it is found %d times, agreeing in %b", ssn5, found, agreed)
		}
		change("Bernadette")
		if under, next := r.ofSSN(who, 1), r.ofSSN(who, 2); under != matchkey.SSNSlots || next != 0 {
			t.Errorf("SSN %q: changed, the hub is shown %d and %d tokens of it", ssn5, under, next)
		}
		away["A"] = records.Here
		change("Benita")
		if under, next := r.ofSSN(who, 1), r.ofSSN(who, 2); under != matchkey.SSNSlots || next != matchkey.SSNSlots {
			t.Errorf("SSN %q: changed once it is known to be here, the hub is shown %d and %d tokens of it", ssn5, under, next)
		}
	}
}
