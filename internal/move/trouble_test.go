package move_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

// moving is a world in which AZ has asked for a record of CA.
func moving(t *testing.T) (w *world, az, ca *state, m *waypostv1.Move) {
	t.Helper()
	w = newWorld(t, "AZ", "CA", "NV")
	az, ca = w.state("AZ"), w.state("CA")
	h := ca.hold(person())
	ca.item("CA-1", 0)
	check, reference := az.check(ca, "CA-1", h)
	m, err := az.start(check, reference, "AZ-7")
	must(t, err)
	return w, az, ca, m
}

// waits checks what the only thing in suspense waits for.
func (s *state) waits(for_ string) {
	s.t.Helper()
	all, err := s.moves.Suspense(s.t.Context(), 0)
	must(s.t, err)
	if len(all) != 1 || !strings.Contains(all[0].WaitsFor, for_) {
		s.t.Errorf("%s waits for %v, not for %q", s.name, all, for_)
	}
}

func (s *state) cancel(m *waypostv1.Move) error {
	_, err := s.moves.Door().Cancel(s.asAna(), &waypostv1.CancelMoveRequest{Id: m.Id})
	return err
}

// The hub has passed the pointers and nobody has heard it: the move cannot be
// given up, is not taken for done, and is found out.
func TestUnknownOutcome(t *testing.T) {
	w, az, ca, m := moving(t)
	w.hub.mute = true
	w.settle()
	if got := az.get(m); got.State != "passing" || ca.system.people["CA-1"].Status != waypost.Surrendered {
		t.Fatalf("the move is %v", got)
	}
	az.waits("the hub's word is missing: the hub cannot be reached")
	if err := az.cancel(m); waypost.CodeOf(err) != waypost.InvalidArgument || az.get(m).State != "passing" {
		t.Errorf("cancelled: %v", err)
	}
	if got := az.system.people["AZ-7"].Status; got != waypost.Closed {
		t.Errorf("the card is %s before it is known whose the record is", got)
	}
	// A question that comes meanwhile finds its record.
	var p records.Pointer
	az.read(func(tx *store.Tx) (err error) {
		for _, h := range w.hub.owner {
			p, err = az.file.ByHandle(tx, h)
		}
		return err
	})
	if p.Record != "AZ-7" || p.State != records.Coming {
		t.Errorf("the pointer is %+v", p)
	}
	w.pass(30 * day) // far beyond the release
	w.hub.mute = false
	w.settle()
	if got := az.get(m); got.State != "done" || w.hub.swaps != 1 {
		t.Errorf("the move is %v after %d swaps", got, w.hub.swaps)
	}
	if n := az.count(`SELECT count(*) FROM journal WHERE kind IN ('published', 'abandoned')`); n != az.count(`SELECT count(*) FROM planted`)-1 {
		t.Errorf("%d of the tickets for the hub came to an end", n) // one is the errand's
	}
	// Whatever the hub's ledger has of it, under each ticket, California's has too.
	if told, n := len(w.hub.told), ca.count(`SELECT count(*) FROM journal WHERE kind = 'moved'`); told < 2 || n != told {
		t.Errorf("the hub has acted under %d tickets, and California has %d entries", told, n)
	}
	if ca.system.ended != 1 {
		t.Errorf("California has ended the card %d times", ca.system.ended)
	}
}

// What nobody has used in time is asked for again.
func TestRunOut(t *testing.T) {
	for name, hub := range map[string]bool{"before the hub was called": false, "the hub was never reached": true} {
		t.Run(name, func(t *testing.T) {
			w, az, ca, m := moving(t)
			w.hub.down = hub
			if !hub {
				w.settleErrands() // the release is here, and then there is no key holder
				w.few = true
			}
			w.settle()
			w.pass(11 * day)
			if !hub {
				w.few = false
			}
			w.settle()
			if hub {
				if got := az.get(m); got.State != "passing" || w.hub.swaps != 0 {
					t.Fatalf("the move is %v", got)
				}
				w.hub.down = false
				w.pass(2 * time.Hour)
				w.settle()
			}
			if got := az.get(m); got.State != "done" || ca.count(`SELECT count(*) FROM moving`) != 2 || w.hub.swaps != 1 {
				t.Errorf("the move is %v after %d releases", got, ca.count(`SELECT count(*) FROM moving`))
			}
			if n := az.count(`SELECT count(*) FROM pointer`); n != 1 {
				t.Errorf("%d pointers", n)
			}
		})
	}
}

// settleErrands has the errands alone go on, so that a move stops after the reply.
func (w *world) settleErrands() {
	w.t.Helper()
	for range 10 {
		for _, s := range w.states {
			must(w.t, s.engine.Step(w.t.Context()))
			for _, l := range s.outbox() {
				w.deliver(l.Message, func() { s.forget(l) })
			}
		}
	}
}

// Before the hub is called a move can be given up, and leaves nothing behind; the
// former state waits for its release to run out, and its card was good all the time.
func TestCancel(t *testing.T) {
	w, az, ca, m := moving(t)
	w.settleErrands()
	w.few = true
	w.settle()
	az.waits("a ticket for the hub is wanted: too few key holders")
	ca.waits("AZ has not taken the record over")
	must(t, az.cancel(m))
	w.few = false
	w.settle()
	if got := az.get(m); got.State != "cancelled" || len(az.history("AZ-7")) > 0 || az.count(`SELECT count(*) FROM pointer`) > 0 || w.hub.swaps > 0 {
		t.Errorf("the move is %v", got)
	}
	if err := az.cancel(m); err == nil {
		t.Error("cancelled twice")
	}
	// Nevada comes, and is told that the record is on its way.
	var h waypost.Handle
	for _, h = range w.hub.owner {
	}
	nv := w.state("NV")
	check, reference := nv.check(ca, "CA-1", h)
	busy, err := nv.start(check, reference, "NV-1")
	must(t, err)
	w.settle()
	if got := nv.get(busy); got.State != "ended" || !strings.Contains(got.Words, "another state at this moment") {
		t.Errorf("Nevada hears %v", got)
	}
	w.pass(10*day + 2*time.Hour)
	w.settle()
	if left, err := ca.moves.Suspense(t.Context(), 0); err != nil || len(left) > 0 || ca.system.people["CA-1"].Status != waypost.Valid {
		t.Errorf("in California there is left %v, %v", left, err)
	}
	// And to Arizona anew, at once: its earlier release would do no harm.
	check, reference = az.check(ca, "CA-1", h)
	again, err := az.start(check, reference, "AZ-7")
	must(t, err)
	w.settle()
	if got := az.get(again); got.State != "done" {
		t.Errorf("and anew: %v", got)
	}
}

// Two states with a release of the same record: one gets it, the other is told so.
func TestTwoReleases(t *testing.T) {
	w, az, ca, m := moving(t)
	w.hub.down = true
	w.settle() // AZ has a release, and calls the hub in vain
	w.pass(10*day + 90*time.Minute)
	w.now = w.now.Add(-30 * time.Hour) // the clock of AZ and the hub is late, that of CA was not
	ca.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE moving SET state = 3, due = NULL`)
		return err
	})
	var h waypost.Handle
	for _, h = range w.hub.owner {
	}
	nv := w.state("NV")
	check, reference := nv.check(ca, "CA-1", h)
	other, err := nv.start(check, reference, "NV-1")
	must(t, err)
	az.down = true
	w.settle()
	w.hub.down, az.down = false, false
	w.pass(2 * time.Hour)
	w.settle()
	first, second := az.get(m), nv.get(other)
	if w.hub.swaps != 1 || (first.State == "done") == (second.State == "done") || len(w.hub.owners()) != 1 {
		t.Errorf("AZ: %v\nNV: %v", first, second)
	}
	if ca.count(`SELECT count(*) FROM journal WHERE kind = 'moved'`) != 1 {
		t.Error("California was not told once")
	}
}

// The word that pointers moved is taken only from the hub, for a release that was
// given, with a ticket of the new state that is for exactly this.
func TestMovedIsChecked(t *testing.T) {
	w, az, ca, m := moving(t)
	w.hub.down = true
	w.settle()
	w.hub.down = false
	ca.down = true
	w.pass(time.Hour)
	w.settle()
	if az.get(m).State != "done" || len(w.hub.box) != 1 {
		t.Fatal(az.get(m))
	}
	ca.down = false
	genuine := w.hub.box[0]
	var said waypostv1.Moved
	must(t, proto.Unmarshal(genuine.Body, &said))
	release, err := waypost.ParseRelease(said.Release)
	must(t, err)
	other := release.Release
	other.Passings = []waypost.Passing{{Old: other.Passings[0].Old, New: waypost.Handle(random())}}
	forged, err := other.Sign(w.x.Party("CA").Identity)
	must(t, err)
	errandTicket := func() []byte {
		var signed []byte
		az.read(func(tx *store.Tx) error { return tx.Row(`SELECT signed FROM errand_ticket`).Scan(&signed) })
		return signed
	}()
	for name, spoil := range map[string]func(*waypostv1.Moved){
		"another salt":                 func(s *waypostv1.Moved) { s.Salt = append(random(), random()...) },
		"no salt":                      func(s *waypostv1.Moved) { s.Salt = nil },
		"a ticket for something else":  func(s *waypostv1.Moved) { s.Ticket = errandTicket },
		"a release that was not given": func(s *waypostv1.Moved) { s.Release = forged.Bytes() },
		"no release":                   func(s *waypostv1.Moved) { s.Release = nil },
	} {
		bad := proto.Clone(&said).(*waypostv1.Moved)
		spoil(bad)
		message := genuine
		message.ID = [16]byte(random())
		message.Body, err = proto.Marshal(bad)
		must(t, err)
		if err := ca.moves.OnMoved(t.Context(), message); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	stranger := genuine
	stranger.Sender = "NV"
	if err := ca.moves.OnMoved(t.Context(), stranger); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("Nevada says so: %v", err)
	}
	if ca.count(`SELECT count(*) FROM journal WHERE kind = 'moved'`) != 0 || ca.system.people["CA-1"].Status != waypost.Valid {
		t.Error("the record was given up")
	}
	w.settle()
	if ca.system.people["CA-1"].Status != waypost.Surrendered {
		t.Error("the genuine word was not taken")
	}
}

// A protected person's record moves when the special unit says so.
func TestProtected(t *testing.T) {
	w, az, ca, m := moving(t)
	r := ca.system.people["CA-1"]
	r.Protected = true
	ca.system.people["CA-1"] = r
	w.settle()
	az.waits("CA has not answered")
	waiting, err := ca.file.Withheld(t.Context())
	must(t, err)
	if len(waiting) != 1 || waiting[0].Kind != waypost.KindChangeSOR || waiting[0].Asking != "AZ" || waiting[0].Record != "CA-1" {
		t.Fatal(waiting)
	}
	must(t, ca.file.AnswerWithheld(t.Context(), waiting[0].ID, true))
	w.settle()
	if got := az.get(m); got.State != "done" {
		t.Error(got)
	}
	if err := ca.file.AnswerWithheld(t.Context(), waiting[0].ID, true); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("answered twice: %v", err)
	}
}

// Only what a check has found to be this person's can be asked for.
func TestWithoutMatch(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	az, ca := w.state("AZ"), w.state("CA")
	h := ca.hold(person())
	check, reference := az.check(ca, "CA-1", h)
	if _, err := az.start(check, waypost.Reference(random()), "AZ-7"); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("a reference from nowhere: %v", err)
	}
	must(t, az.system.Put(t.Context(), []waypost.Record{{ID: "AZ-9", Person: waypost.Person{Family: "Else", Born: waypost.Date{Year: 1950, Month: 1, Day: 1}}}}))
	if _, err := az.start(check, reference, "AZ-9"); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("onto another person's record: %v", err)
	}
	// Arizona's own files say match, California's do not.
	ca.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE notice SET told = 'possible'`)
		return err
	})
	m, err := az.start(check, reference, "AZ-7")
	must(t, err)
	w.settle()
	if got := az.get(m); got.State != "ended" || !strings.Contains(got.Words, "no match by that check") || w.hub.swaps > 0 {
		t.Errorf("the move is %v", got)
	}
	// Nor does a record move after a check that was for no card, whatever the ticket
	// for the move says.
	found, other := az.checkFor(waypost.PostConviction, ca, "CA-1", h)
	id := errand.NewID()
	raw, err := proto.Marshal(&waypostv1.ChangeRequest{Reference: other[:]})
	must(t, err)
	az.write(func(tx *store.Tx) error {
		return az.engine.Begin(tx, errand.Errand{ID: id, Kind: waypost.KindChangeSOR, Purpose: waypost.IssueLicence, To: "CA", Cites: found,
			Operator: "ana", Class: waypost.Attended, Case: "7", Body: raw})
	})
	w.settle()
	if p, err := az.engine.Get(t.Context(), id); err != nil || p.State != errand.Concluded || p.Replies[0].Word != errand.Refused {
		t.Errorf("after a check for a conviction: %+v, %v", p, err)
	}
	az.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE ask SET outcome = 'possible'`)
		return err
	})
	if _, err := az.start(check, reference, "AZ-7"); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("a possible match: %v", err)
	}
}
