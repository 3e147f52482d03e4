package records_test

import (
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// query is that of a check of this state.
func (r *rig) query(who waypost.Person, cites waypost.TicketID) matchkey.Query {
	r.t.Helper()
	digits := r.digits(who, cites)
	if who.SSN5 == "" {
		who.SSN5 = digits
	}
	return matchkey.NewQuery(who, records.DecoySecret(r.secret))
}

// asks is what a hub that remembers all sees of a check: which of its tokens are those of
// which pointers, by part.
func (r *rig) asks(who waypost.Person, cites waypost.TicketID) (saw string) {
	r.t.Helper()
	query := r.query(who, cites)
	for i, s := range r.hub.shown {
		var parts [2]int
		for k, key := range query.Keys {
			if s.tokens[r.token(key)] {
				parts[min(k/waypost.NameElements, 1)]++
			}
		}
		if parts != [2]int{} {
			saw += fmt.Sprintf(", %d and %d of %d", parts[0], parts[1], i)
		}
	}
	return saw + "\n"
}

// TestAlikeAsked: what the state's own checks about one of its people meet in the index,
// as it is and as it was, is the same with and without an SSN: after changes of name and
// date that share parts, with a typing error at the counter, after a record was withdrawn
// and loaded again, and while it is somebody else's.
func TestAlikeAsked(t *testing.T) {
	met := 0
	for seed := range lives {
		var saw []string
		for _, ssn5 := range []string{"48213", ""} {
			r := newRig(t)
			saw = append(saw, r.asked(mrand.New(mrand.NewPCG(seed, 44)), ssn5))
		}
		if saw[0] != saw[1] {
			t.Errorf("life %d: with an SSN the hub sees\n%s\nand without\n%s", seed, saw[0], saw[1])
		}
		met += len(saw[0])
	}
	if met < int(lives)*200 {
		t.Errorf("all that was seen is %d bytes", met)
	}
}

// asked plays a life with checks.
func (r *rig) asked(rnd *mrand.Rand, ssn5 string) (saw string) {
	r.t.Helper()
	life := makeLife(rnd)
	who := life[0].person
	who.SSN5 = ssn5
	if rnd.IntN(2) == 0 {
		r.load(0, licence("CA-1", who))
	} else {
		saw += r.correctedAndIssued(who)
	}
	for _, s := range life[1:] {
		who = s.person
		who.SSN5 = ssn5
		if _, err := r.file.Change(r.t.Context(), "clerk", licence("CA-1", who), s.keep); err != nil {
			r.t.Fatal(err)
		}
		typo := who
		typo.Given += "a"
		saw += r.asks(who, waypost.TicketID{}) + r.asks(typo, waypost.TicketID{})
		if rnd.IntN(4) == 0 {
			if _, err := r.file.Withdraw(r.t.Context(), "clerk", "CA-1"); err != nil {
				r.t.Fatal(err)
			}
			r.settle()
			saw += r.asks(who, waypost.TicketID{})
			r.load(0, licence("CA-1", who))
		}
	}
	return saw + r.asks(who, waypost.TicketID{}) + r.hub.transcript()
}

// correctedAndIssued issues a card on a check that corrects another, in which the name was
// another one by mistake.
func (r *rig) correctedAndIssued(who waypost.Person) (saw string) {
	r.t.Helper()
	wrong := who
	wrong.Family, wrong.Given = "Abernathy", "Tom"
	first := r.checked(wrong)
	before := r.query(wrong, waypost.TicketID{})
	check := r.checkedAgain(who, first)
	after := r.query(who, first)
	same := 0
	for _, a := range before.Keys {
		for _, b := range after.Keys {
			if string(a) == string(b) {
				same++
			}
		}
	}
	published, err := r.file.Issue(r.t.Context(), "clerk", records.Issuing{Ticket: check, Record: licence("CA-1", who)})
	if err != nil || !published {
		r.t.Fatal(published, err)
	}
	return fmt.Sprintf("corrected: %d are the same", same) + r.asks(wrong, waypost.TicketID{}) + r.asks(who, waypost.TicketID{})
}

// TestNamesakes: two people of one name and date who have no SSN share the six tokens of
// their names, as two who have one do, however they come; and each keeps what it has.
func TestNamesakes(t *testing.T) {
	for _, ssns := range [][2]string{{"48213", "71934"}, {"", ""}} {
		r := newRig(t)
		one, other := ludmila, ludmila
		one.SSN5, other.SSN5 = ssns[0], ssns[1]
		r.load(0, licence("A", one), licence("B", other))
		if n := meet(r.hub.shown[1].tokens, r.hub.shown[0].tokens); n != matchkey.NameSlots {
			t.Errorf("SSNs %q: they share %d tokens", ssns, n)
		}
		for _, id := range []string{"A", "B"} {
			if _, err := r.file.Withdraw(t.Context(), "clerk", id); err != nil {
				t.Fatal(err)
			}
		}
		r.settle()
		r.load(0, licence("B", other), licence("A", one))
		again := r.hub.shown[len(r.hub.shown)-2:]
		if meet(again[0].tokens, r.hub.shown[1].tokens) != matchkey.Slots || meet(again[1].tokens, r.hub.shown[0].tokens) != matchkey.Slots {
			t.Errorf("SSNs %q: what is loaded again is not what it was", ssns)
		}
	}
}

// TestDigitsAtRest: every row has digits, with or without an SSN, and not as they are.
func TestDigitsAtRest(t *testing.T) {
	r := newRig(t)
	without := renamed("Abernathy")
	without.SSN5 = ""
	r.load(0, licence("A", ludmila), licence("B", without))
	r.read(func(tx *store.Tx) error {
		return tx.Query(`SELECT record, digits FROM pointer`, nil, func(scan func(dest ...any) error) error {
			var id string
			var digits uint32
			err := scan(&id, &digits)
			if digits < 100_000 { // one in 43,000, were it chance
				t.Errorf("%s has %d", id, digits)
			}
			return err
		})
	})
}
