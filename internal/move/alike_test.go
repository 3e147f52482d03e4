package move_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost"
)

// said is what can be seen of a message, by the hub and by who opens it.
type said struct {
	From, To, Type string
	Size, Body     int
}

// A person without an SSN moves like one with: the same messages in the same
// order, of the same sizes, outside and inside, and the same calls to the hub.
func TestMoveAlike(t *testing.T) {
	story := func(ssn string) (all []said, calls []int) {
		w := newWorld(t, "AZ", "CA")
		az, ca := w.state("AZ"), w.state("CA")
		who := person()
		who.SSN5 = ssn
		h := ca.hold(who)
		ca.item("CA-1", 1)
		check, reference := az.check(ca, "CA-1", h)
		w.listen = func(m said) { all = append(all, m) }
		w.hub.calls = func(size int) { calls = append(calls, size) }
		m, err := az.start(check, reference, "AZ-7")
		must(t, err)
		w.settle()
		if az.get(m).State != "done" || az.system.people["AZ-7"].SSN5 != ssn {
			t.Fatal(az.get(m))
		}
		return all, calls
	}
	with, callsWith := story("12345")
	without, callsWithout := story("")
	if d := cmp.Diff(with, without); d != "" || len(with) != 3 {
		t.Errorf("%d messages: %s", len(with), d)
	}
	if d := cmp.Diff(callsWith, callsWithout); d != "" || len(callsWith) != 1 {
		t.Error(d)
	}
	for _, m := range with {
		if m.Type == waypost.MessageReply && m.Size != 256<<10 {
			t.Errorf("a reply shows its size: %d", m.Size)
		}
	}
}
