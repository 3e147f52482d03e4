package hub_test

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost"
)

// meanwhile does something in the middle of the next search: when it has looked
// up what there is, and writes the first notice.
func (r *rig) meanwhile(do func()) { r.lookingAgain(2, do) } // the first look is at the ticket's window

// lookingAgain does something when the hub looks at its clock for the n-th time.
func (r *rig) lookingAgain(n int, do func()) {
	looks := 0
	f := func() {
		if looks++; looks == n {
			r.looking.Store(nil)
			do()
		}
	}
	r.looking.Store(&f)
}

// What a search returns was so when it was committed: a pointer that is passed,
// superseded or withdrawn while it runs is asked for where it is, or not at all.
func TestSearchMeanwhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		do     func(r *rig)
		owner  waypost.Jurisdiction
		handle []byte
	}{
		{"nothing", func(*rig) {}, "CA", handle(1)},
		{"passed", func(r *rig) { r.maintained(r.releasing("CA", "NV", 1)) }, "NV", newHandle(1)},
		{"passed to who asks", func(r *rig) { r.maintained(r.releasing("CA", "AZ", 1)) }, "", nil},
		{"withdrawn", func(r *rig) { r.maintained(r.ask("CA", withdrawal(1))) }, "", nil},
		{"left", func(r *rig) { r.maintained(r.ask("CA", departure())) }, "", nil},
		{"superseded", func(r *rig) {
			_, err := r.tryPublish(r.changing(1), inPlaceOf(1, person(2, token(1))))
			must(r.t, err)
		}, "CA", handle(2)},
	} {
		r := newRig(t)
		r.publish("CA", person(1, token(1)))
		p := r.check("AZ")
		r.meanwhile(func() { c.do(r) })
		list := r.first(p, token(1)).List
		if r.looking.Load() != nil {
			t.Fatalf("%s: nothing was done meanwhile", c.name)
		}
		if c.owner == "" {
			if len(list) != 0 {
				t.Errorf("%s: %v", c.name, list)
			}
		} else if len(list) != 1 || list[0].Owner != c.owner {
			t.Errorf("%s: %v, want one of %s", c.name, list, c.owner)
		}
		for _, s := range states {
			notices := r.notices(s)
			if s == c.owner && (len(notices) != 1 || !bytes.Equal(notices[0].Handle, c.handle)) || s != c.owner && len(notices) != 0 {
				t.Errorf("%s: %s was notified of %v", c.name, s, notices)
			}
		}
		if kinds := r.kinds(); kinds["search_first"] != 1 || kinds["deliver"] != len(list) {
			t.Errorf("%s: the journal counts %v", c.name, kinds)
		}
	}
}

// A pointer that is passed between the parts of a search is returned again, as
// the new owner's, under another reference. Otherwise it is returned once.
func TestPassedBetweenParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)))
	p := r.check("AZ")
	first := r.first(p, token(1), token(2))
	if len(first.List) != 2 {
		t.Fatalf("%d candidates", len(first.List))
	}
	r.maintained(r.releasing("CA", "NV", 1))
	second := r.found(p, 2, padded(waypost.SSNElements, token(1), token(2)))
	if len(second.List) != 1 || second.List[0].Owner != "NV" || referencesOf(first)[second.List[0].Reference] != "" {
		t.Errorf("part two: %v after %v", second.List, first.List)
	}
	if n := r.notices("NV"); len(n) != 1 || !bytes.Equal(n[0].Handle, newHandle(1)) {
		t.Errorf("Nevada was notified of %v", n)
	}
}

// An index that never stands still is said to be one; nothing is counted.
func TestSearchNeverStill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 8 {
		r.publish("CA", person(i, token(1)))
	}
	p, n := r.check("AZ"), 0
	var withdrawOne func()
	withdrawOne = func() {
		r.maintained(r.ask("CA", withdrawal(n)))
		n++
		r.lookingAgain(2*(9-n), withdrawOne) // two looks for each notice, and then the search begins anew
	}
	r.meanwhile(withdrawOne)
	_, err := r.search(p, 1, padded(waypost.NameElements, token(1)))
	r.looking.Store(nil)
	refused(t, "never still", err, waypost.Unavailable, "are changing: ask again")
	if kinds := r.kinds(); kinds["search_first"] != 0 || len(r.notices("CA")) != 0 {
		t.Errorf("the journal counts %v", kinds)
	}
	r.finds("afterwards", "AZ", 8-n, token(1))
}
