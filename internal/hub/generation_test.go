package hub_test

import (
	"testing"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// in puts the records into a generation.
func in(generation uint32, records ...*waypostv1.PublishedRecord) []*waypostv1.PublishedRecord {
	for _, r := range records {
		r.Generation = generation
	}
	return records
}

// A load is seen by nobody until it is activated with the right count, and then
// by everybody at once, for good.
func TestActivate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(0, token(0)))
	r.publish("CA", in(1, person(1, token(0)), person(2, token(0)))...)
	r.publish("NV", in(1, person(1, token(0)))...)
	r.finds("dark", "AZ", 1, token(0))
	for _, n := range []uint64{0, 1, 3} {
		_, err := r.tryMaintain(r.ask("CA", activation(1, n, false)))
		refused(t, "a wrong count", err, waypost.InvalidArgument, "generation 1 has 2 live pointers here")
	}
	if n := r.kinds()["activate"]; n != 0 {
		t.Errorf("%d entries for refusals", n)
	}
	u := r.ask("CA", activation(1, 2, false))
	first, err := r.tryMaintain(u)
	must(t, err)
	r.finds("active", "AZ", 3, token(0)) // and not Nevada's of the same number
	r.restart()
	again, err := r.tryMaintain(u)
	must(t, err)
	sameBytes(t, "answer", again.Answer, first.Answer)
	sameBytes(t, "receipt", again.Receipt, first.Receipt)
	if len(first.Answer) != 0 {
		t.Errorf("the answer says %x", first.Answer)
	}
	r.activate("CA", 1, 77) // it is active: nothing to do, whatever the count
	_, err = r.tryMaintain(r.ask("CA", activation(1, 2, true)))
	refused(t, "back", err, waypost.InvalidArgument, "cannot be rolled back any more")
	_, err = r.tryPublish(r.permit("CA", waypost.KindPublish, 10), in(1, person(3))...)
	refused(t, "one more", err, waypost.InvalidArgument, "generation 1 is active: what comes now is published as generation 0")
	r.publish("CA", in(1, person(1, token(0)))...) // one that is there stays as it is
	_, err = r.tryMaintain(r.ask("CA", activation(0, 1, false)))
	refused(t, "generation 0", err, waypost.InvalidArgument, "visible from the beginning")
	r.finds("after all", "AZ", 3, token(0))
	r.activate("AZ", 5, 0) // nothing is nothing
}

// A load that is rolled back is gone; loaded again, under a new number, the same
// handles count in that one.
func TestRollBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.permit("CA", waypost.KindPublish, 20)
	records := in(1, person(1, token(0)), person(2, token(0)))
	_, err := r.tryPublish(p, records...)
	must(t, err)
	for range 2 {
		r.maintained(r.ask("CA", activation(1, 0, true)))
	}
	_, err = r.tryMaintain(r.ask("CA", activation(1, 2, false)))
	refused(t, "activated then", err, waypost.InvalidArgument, "was rolled back: load under a number that is new")
	_, err = r.tryPublish(r.permit("CA", waypost.KindPublish, 10), in(1, person(3))...)
	refused(t, "loaded on", err, waypost.InvalidArgument, "was rolled back: load under a number that is new")
	_, err = r.tryPublish(p, records...) // the answer of before is still its answer
	must(t, err)
	if sum := r.maintained(r.ask("CA", comparison(&waypostv1.Comparison{Count: 1}))); sum.Buckets[0].Pointers != 0 {
		t.Errorf("%d pointers are compared of a generation that was rolled back", sum.Buckets[0].Pointers)
	}
	r.publish("CA", in(2, person(1, token(0), token(5)), person(4, token(0)))...)
	r.finds("dark again", "AZ", 0, token(0))
	r.activate("CA", 2, 2)
	r.finds("active", "AZ", 2, token(0))
	r.finds("by what was new", "AZ", 1, token(5))
	_, err = r.tryMaintain(r.ask("CA", activation(1, 2, false)))
	refused(t, "the old one", err, waypost.InvalidArgument, "was rolled back")
	r.countersAgree()
}

// countersAgree compares what is counted of each generation with what is there.
func (r *rig) countersAgree() {
	r.t.Helper()
	if n := r.count(`SELECT count(*) FROM generation g WHERE g.pointers != (SELECT count(*) FROM pointer p WHERE p.owner = g.owner AND p.generation = g.number AND p.state = 1)`); n != 0 {
		r.t.Errorf("%d generations have another number of pointers than is counted", n)
	}
	if n := r.count(`SELECT count(*) FROM pointer p WHERE p.state = 1 AND NOT EXISTS (SELECT 1 FROM generation g WHERE g.owner = p.owner AND g.number = p.generation)`); n != 0 {
		r.t.Errorf("%d live pointers are of a generation that is not there", n)
	}
}
