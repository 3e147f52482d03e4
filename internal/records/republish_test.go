package records_test

import (
	"errors"
	mrand "math/rand/v2"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/matchkey"
)

// begin serves a second key, which everybody knows a minute later.
func (r *rig) begin() *rpctest.Rotation {
	r.t.Helper()
	x := r.x.Announce()
	x.Begin(1000)
	x.Advance(time.Minute)
	return x
}

// onceMore publishes once more until a pass finds nothing left out.
func (r *rig) onceMore() {
	r.t.Helper()
	for range 50 {
		if _, over, err := r.file.Republish(r.t.Context(), "loader"); err != nil {
			r.t.Fatal(err)
		} else if !over {
			continue
		}
		if now, err := r.file.Rotation(r.t.Context()); err != nil {
			r.t.Fatal(err)
		} else if now.Done == now.Live {
			return
		}
	}
	r.t.Fatal("the pointers are not under the next key after many passes")
}

// answers asks another state's question of an epoch about a person: how many pointers
// the hub finds, and what agrees with them here.
func (r *rig) answers(epoch uint32, who waypost.Person) (found int, agreed uint32) {
	r.t.Helper()
	question := waypost.TicketID{4, byte(epoch)}
	asked := make(map[waypost.Token]bool)
	var tags []byte
	for _, key := range matchkey.NewQuery(who, make([]byte, 32)).Keys {
		token := r.tokenOf(epoch, key)
		tag := waypost.NewTag(token, question)
		asked[token], tags = true, append(tags, tag[:]...)
	}
	for handle, p := range r.hub.pointers {
		if !p.live || p.epoch < epoch || !p.hit(asked) {
			continue
		}
		found++
		f, err := r.file.Weigh(r.t.Context(), handle, question, epoch, tags)
		if err != nil {
			r.t.Fatal(err)
		}
		agreed |= f.Agreed
	}
	return found, agreed
}

// hit reports whether the pointer has a label of one of the tokens.
func (s *stands) hit(asked map[waypost.Token]bool) bool {
	for token := range s.tokens {
		if asked[token] {
			return true
		}
	}
	return s.before != nil && s.before.hit(asked)
}

// Through a rotation every record is found and answers alike under either key, what
// another state has made becomes this state's own, and a crash anywhere doubles
// nothing.
func TestRepublish(t *testing.T) {
	r := newRigIn(t, rpctest.New(t, rpctest.Ample, "CA", "AZ"))
	who := func(given, ssn5 string) waypost.Person {
		return waypost.Person{Family: "Okonkwo", Given: given, Born: waypost.Date{Year: 1970, Month: 2, Day: 3}, Sex: "F", SSN5: ssn5}
	}
	ada, ben, cy := who("Ada", "48213"), who("Benedicta", ""), who("Cyrilla", "30517")
	r.load(0, licence("A", ada), licence("B", ben))
	married := ada
	married.Family = "Kowalczyk"
	if _, err := r.file.Change(t.Context(), "clerk", licence("A", married), true); err != nil {
		t.Fatal(err)
	}
	r.takeIn("C", who("Cyrilla", ""), "") // Arizona knew no SSN, this state does
	if err := r.people.Put(t.Context(), []waypost.Record{licence("C", cy)}); err != nil {
		t.Fatal(err)
	}
	r.x.Advance(time.Minute)
	x := r.begin()
	r.load(0, licence("D", who("Dorothea", "11223")))
	if now, err := r.file.Rotation(t.Context()); err != nil || now != (records.Rotation{Epoch: 2, Live: 5, Done: 1}) {
		t.Fatalf("%+v, %v", now, err)
	}
	if _, err := r.file.Compare(t.Context(), "clerk"); err != nil {
		t.Fatal(err)
	}

	// The hub does it, and the answer is lost, with the process.
	r.hub.cut = errors.New("cut off")
	if _, _, err := r.file.Republish(t.Context(), "loader"); err == nil {
		t.Fatal("it was not cut off")
	}
	r.hub.cut = nil
	r.restart()
	r.onceMore()
	if n, over, err := r.file.Republish(t.Context(), "loader"); n != 0 || !over || err != nil {
		t.Errorf("again %d are published: %v", n, err)
	}
	if c, err := r.file.Compare(t.Context(), "clerk"); err != nil || c.Missing != 0 || c.Withdrawn != 0 {
		t.Errorf("owner and hub differ: %+v, %v", c, err)
	}
	for epoch := range uint32(2) {
		for _, p := range []waypost.Person{ada, married, ben, cy} {
			found, agreed := r.answers(epoch+1, p)
			if found == 0 || agreed == 0 {
				t.Errorf("in epoch %d %s %s is found %d times, agreeing in %b", epoch+1, p.Given, p.Family, found, agreed)
			}
		}
	}
	// What Arizona had made of decoys is made of the record's own SSN.
	noNames := cy
	noNames.Family, noNames.Given = "Unknown", "Nobody"
	if found, _ := r.answers(1, noNames); found != 0 {
		t.Error("under the old key a decoy was found by an SSN")
	}
	if found, _ := r.answers(2, noNames); found != 1 {
		t.Errorf("under the next key the record is found %d times by its SSN", found)
	}
	x.Switch()
	x.Advance(time.Minute)
	x.End()
	x.Advance(time.Minute)
	if _, err := r.file.Change(t.Context(), "clerk", licence("B", who("Bernadette", "")), false); err != nil {
		t.Fatal(err)
	}
	if found, _ := r.answers(2, who("Bernadette", "")); found == 0 {
		t.Error("what changed after the end is not found")
	}
}

// TestAlikeRotated: what the hub is shown of a life in which the key is rotated has
// the same shape whether the person has an SSN or not.
func TestAlikeRotated(t *testing.T) {
	for seed := range lives {
		var saw []string
		for _, ssn5 := range []string{"48213", ""} {
			r := newRigIn(t, rpctest.New(t, rpctest.Ample, "CA", "AZ"))
			r.x.Advance(time.Minute)
			rnd := mrand.New(mrand.NewPCG(seed, 2))
			life := makeLife(rnd)
			saw = append(saw, r.rotatedLife(life, ssn5, rnd))
		}
		if saw[0] != saw[1] {
			t.Errorf("life %d: with an SSN the hub sees\n%s\nand without\n%s", seed, saw[0], saw[1])
		}
	}
}

// rotatedLife plays a life in which a rotation begins, is carried through and ends
// between any two changes.
func (r *rig) rotatedLife(life []step, ssn5 string, rnd *mrand.Rand) string {
	r.t.Helper()
	var x *rpctest.Rotation
	stages := []func(){
		func() { x = r.begin() }, r.onceMore, func() { x.Switch(); x.Advance(time.Minute) }, func() { x.End(); x.Advance(time.Minute) },
	}
	on := func() {
		for len(stages) > 0 && rnd.IntN(2) == 0 {
			stages[0]()
			stages = stages[1:]
		}
	}
	first := life[0].person
	first.SSN5 = ssn5
	r.load(0, licence("CA-1", first))
	for _, s := range life[1:] {
		on()
		who := s.person
		who.SSN5 = ssn5
		if _, err := r.file.Change(r.t.Context(), "clerk", licence("CA-1", who), s.keep); err != nil {
			r.t.Fatal(err)
		}
	}
	for len(stages) > 0 {
		stages[0]()
		stages = stages[1:]
	}
	return r.hub.transcript()
}
