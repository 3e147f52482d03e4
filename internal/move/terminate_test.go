package move_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// ending is a world in which AZ has asked CA to end a card.
func ending(t *testing.T, surrendered bool) (w *world, az, ca *state, asked *waypostv1.Termination) {
	t.Helper()
	w = newWorld(t, "AZ", "CA")
	az, ca = w.state("AZ"), w.state("CA")
	asked, err := az.terminate("new", surrendered, az.checked(ca))
	must(t, err)
	w.settle()
	return w, az, ca, asked
}

type cited struct {
	check     waypost.TicketID
	reference waypost.Reference
}

func (s *state) checked(of *state) cited {
	check, reference := s.check(of, "CA-1", of.hold(person()))
	return cited{check, reference}
}

func (s *state) terminate(keep string, surrendered bool, c cited) (*waypostv1.Termination, error) {
	return s.moves.Door().Terminate(s.asAna(), &waypostv1.TerminateRequest{
		Check: hex.EncodeToString(c.check[:]), Reference: hex.EncodeToString(c.reference[:]), Record: "AZ-7", Keep: keep, Surrendered: surrendered,
		Consent: &waypostv1.Consent{Told: "You can keep one of both.", Language: "en"},
	})
}

// both returns how it stands where it was asked for, and where the card is.
func both(t *testing.T, az, ca *state) (there, here *waypostv1.Termination) {
	t.Helper()
	one := func(s *state) *waypostv1.Termination {
		res, err := s.moves.Door().Terminations(t.Context(), &waypostv1.TerminationsRequest{All: true})
		must(t, err)
		if len(res.Terminations) != 1 {
			t.Fatalf("%s knows of %v", s.name, res.Terminations)
		}
		return res.Terminations[0]
	}
	return one(az), one(ca)
}

func (s *state) letters(mailed ...string) []*waypostv1.Letter {
	s.t.Helper()
	res, err := s.moves.Door().Letters(s.t.Context(), &waypostv1.LettersRequest{Mailed: mailed})
	must(s.t, err)
	return res.Letters
}

// No card is ended before its holder was told and had time to object: the time
// begins when the letter is mailed, and not before.
func TestNoticeBeforeCancellation(t *testing.T) {
	w, az, ca, _ := ending(t, false)
	letters := ca.letters()
	if len(letters) != 1 || letters[0].Record != "CA-1" {
		t.Fatal(letters)
	}
	l := letters[0]
	number := strings.ToUpper(l.Id[:4] + "-" + l.Id[4:8])
	for _, text := range []string{l.English, l.Spanish} {
		for _, needed := range []string{"California", "Arizona", "15 d", number} {
			if !strings.Contains(text, needed) {
				t.Errorf("the letter does not say %q:\n%s", needed, text)
			}
		}
		said := strings.ReplaceAll(text, number, "") // random, and may hold anything
		for _, told := range []string{"Moreno", "Ana ", "1988", "C1", "12345", "{"} {
			if strings.Contains(said, told) {
				t.Errorf("the letter says %q", told)
			}
		}
	}
	w.pass(20 * day)
	w.settle()
	there, here := both(t, az, ca)
	if there.State != "acknowledged" || here.State != "notice" || here.Ends != 0 || ca.system.people["CA-1"].Status != waypost.Valid {
		t.Fatalf("without a letter: %v, %v", there, here)
	}
	ca.waits("has not been mailed")
	ca.letters(l.Id)
	w.pass(14 * day)
	ca.letters(l.Id) // once more begins nothing anew
	w.settle()
	if _, here = both(t, az, ca); here.State != "notice" || ca.system.people["CA-1"].Status != waypost.Valid {
		t.Fatalf("a day too early: %v", here)
	}
	w.pass(day)
	w.settle()
	if there, here = both(t, az, ca); there.State != "done" || here.State != "done" || ca.system.people["CA-1"].Status != waypost.Surrendered {
		t.Errorf("at the end: %v, %v", there, here)
	}
	if len(ca.letters()) != 0 || ca.count(`SELECT count(*) FROM letter`) != 1 {
		t.Error("another letter was written")
	}
}

// Who objects keeps the card until a person has decided.
func TestObjection(t *testing.T) {
	for decision, want := range map[string]struct{ there, here, reason string }{
		"end":     {"done", "done", ""},
		"keep":    {"kept", "kept", ""},
		"decline": {"declined", "declined", "court_order"},
	} {
		t.Run(decision, func(t *testing.T) {
			w, az, ca, _ := ending(t, false)
			l := ca.letters()[0]
			ca.letters(l.Id)
			w.pass(10 * day)
			_, err := ca.moves.Door().Object(t.Context(), &waypostv1.ObjectRequest{Id: l.Id[:4] + "-" + strings.ToUpper(l.Id[4:8]), Words: "I never went there."})
			must(t, err)
			w.pass(30 * day)
			w.settle()
			there, here := both(t, az, ca)
			if here.State != "objected" || there.State != "acknowledged" || ca.system.people["CA-1"].Status != waypost.Valid {
				t.Fatalf("while a person looks: %v, %v", there, here)
			}
			if _, err := ca.moves.Door().Decide(t.Context(), &waypostv1.DecideTerminationRequest{Id: here.Id, Decision: "decline", Reason: "mood"}); err == nil {
				t.Error("declined for a reason that is not of the list")
			}
			_, err = ca.moves.Door().Decide(t.Context(), &waypostv1.DecideTerminationRequest{Id: here.Id, Decision: decision, Reason: want.reason})
			must(t, err)
			w.settle()
			there, here = both(t, az, ca)
			if there.State != want.there || here.State != want.here || there.Reason != want.reason {
				t.Errorf("%v, %v", there, here)
			}
			if ended := ca.system.people["CA-1"].Status == waypost.Surrendered; ended != (decision == "end") {
				t.Errorf("the card has ended: %v", ended)
			}
			if _, err := ca.moves.Door().Decide(t.Context(), &waypostv1.DecideTerminationRequest{Id: here.Id, Decision: "end"}); err == nil {
				t.Error("decided twice")
			}
		})
	}
}

// A decision to go on does not shorten the time that the letter gives.
func TestDecisionKeepsTheTime(t *testing.T) {
	w, az, ca, _ := ending(t, false)
	l := ca.letters()[0]
	for _, mailed := range []bool{false, true} {
		if mailed {
			ca.letters(l.Id)
			w.pass(5 * day)
		}
		_, err := ca.moves.Door().Object(t.Context(), &waypostv1.ObjectRequest{Id: l.Id})
		must(t, err)
		_, err = ca.moves.Door().Decide(t.Context(), &waypostv1.DecideTerminationRequest{Id: l.Id, Decision: "end"})
		must(t, err)
		w.settle()
		if _, here := both(t, az, ca); here.State != "notice" || here.Ends != 0 != mailed {
			t.Errorf("mailed %v: %v", mailed, here)
		}
	}
	w.pass(9 * day)
	w.settle()
	if ca.system.ended != 0 {
		t.Error("too early")
	}
	w.pass(day)
	w.settle()
	if ca.system.ended != 1 {
		t.Error("not at all")
	}
}

// Who has signed the surrender is told that the card has ended. The licensing
// system being down for a while changes nothing.
func TestSurrendered(t *testing.T) {
	w, az, ca, _ := ending(t, true)
	there, here := both(t, az, ca)
	if there.State != "done" || here.State != "done" || ca.system.ended != 1 {
		t.Errorf("%v, %v", there, here)
	}
	if l := ca.letters(); len(l) != 1 || !strings.Contains(l[0].English, "signed for it") || strings.Contains(l[0].English, "{") {
		t.Errorf("the letter is %v", l)
	}
	again, err := az.terminate("new", true, az.checked(ca)) // another check: the card is good again
	must(t, err)
	ca.system.broken = true
	for range 3 {
		_ = w.quietly()
	}
	if got := az.terminationOf(again.Id); got.State != "acknowledged" {
		t.Errorf("with the system down: %v", got)
	}
	ca.system.broken = false
	w.pass(time.Hour)
	w.settle()
	if got := az.terminationOf(again.Id); got.State != "done" || ca.system.ended != 2 {
		t.Errorf("with the system up: %v", got)
	}
}

// quietly steps where errors are expected.
func (w *world) quietly() (failed error) {
	for _, s := range w.states {
		if err := s.engine.Step(w.t.Context()); err != nil {
			failed = err
		}
		if err := s.moves.Step(w.t.Context()); err != nil {
			failed = err
		}
		for _, l := range s.outbox() {
			w.deliver(l.Message, func() { s.forget(l) })
		}
	}
	return failed
}

func (s *state) terminationOf(id string) *waypostv1.Termination {
	s.t.Helper()
	res, err := s.moves.Door().Terminations(s.t.Context(), &waypostv1.TerminationsRequest{All: true})
	must(s.t, err)
	for _, x := range res.Terminations {
		if x.Id == id {
			return x
		}
	}
	s.t.Fatal("there is no such termination")
	return nil
}

// The resident keeps the old card: nobody is asked anything.
func TestKeepsTheOldCard(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	az, ca := w.state("AZ"), w.state("CA")
	c := az.checked(ca)
	got, err := az.terminate("old", false, c)
	must(t, err)
	if got.State != "kept" || !strings.Contains(got.Words, "none is issued here") || len(az.outbox()) > 0 {
		t.Error(got)
	}
	for name, call := range map[string]func() error{
		"kept and surrendered": func() error { _, err := az.terminate("old", true, c); return err },
		"neither":              func() error { _, err := az.terminate("", false, c); return err },
		"told nothing": func() error {
			_, err := az.moves.Door().Terminate(az.asAna(), &waypostv1.TerminateRequest{Check: hex.EncodeToString(c.check[:]), Reference: hex.EncodeToString(c.reference[:]), Keep: "new"})
			return err
		},
	} {
		if err := call(); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One letter, however many ask; a request that was not answered can be taken back;
// and a move ends what was to be ended.
func TestTerminationAmongOthers(t *testing.T) {
	w := newWorld(t, "AZ", "CA", "NV")
	az, ca, nv := w.state("AZ"), w.state("CA"), w.state("NV")
	h := ca.hold(person())
	for _, s := range []*state{az, nv} {
		check, reference := s.check(ca, "CA-1", h)
		_, err := s.terminate("new", false, cited{check, reference})
		must(t, err)
	}
	w.settle()
	if n := len(ca.letters()); n != 1 {
		t.Errorf("%d letters", n)
	}
	ca.down = true
	check, reference := az.check(ca, "CA-1", h)
	third, err := az.terminate("new", false, cited{check, reference})
	must(t, err)
	_, err = az.moves.Door().Cancel(t.Context(), &waypostv1.CancelMoveRequest{Id: third.Id})
	must(t, err)
	if got := az.terminationOf(third.Id); got.State != "cancelled" {
		t.Error(got)
	}
	ca.down = false
	w.settle()
	m, err := az.start(check, reference, "AZ-7")
	must(t, err)
	w.settle()
	if az.get(m).State != "done" || ca.system.ended != 1 {
		t.Errorf("the move is %v", az.get(m))
	}
	for _, s := range []*state{az, nv} {
		if n := s.count(`SELECT count(*) FROM termination WHERE state = 2`); n != 1 {
			t.Errorf("%s has %d requests that are done", s.name, n)
		}
	}
}

// A notice of issuance ends nothing, and is shown.
func TestAnnounce(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	az, ca := w.state("AZ"), w.state("CA")
	c := az.checked(ca)
	_, err := az.moves.Door().Announce(az.asAna(), &waypostv1.AnnounceRequest{Check: hex.EncodeToString(c.check[:]), Reference: hex.EncodeToString(c.reference[:]), Issued: "2026-11-20"})
	must(t, err)
	w.settle()
	res, err := ca.moves.Door().Announced(t.Context(), &waypostv1.AnnouncedRequest{})
	must(t, err)
	if len(res.Announcements) != 1 || res.Announcements[0].Issued != "2026-11-20" || res.Announcements[0].Record != "CA-1" || res.Announcements[0].State != "AZ" {
		t.Error(res.Announcements)
	}
	if ca.system.people["CA-1"].Status != waypost.Valid || len(ca.letters()) > 0 {
		t.Error("the card was touched")
	}
}

// What is unfinished is in suspense after 96 hours and an alarm after ten days, with
// what it waits for; what waits for us can be tried at once.
func TestSuspense(t *testing.T) {
	w, az, ca, m := moving(t)
	ca.down = true
	w.settle()
	list := func(s *state) []*waypostv1.Suspended {
		res, err := s.moves.Door().Suspense(t.Context(), &waypostv1.SuspenseRequest{})
		must(t, err)
		return res.Items
	}
	w.pass(95 * time.Hour)
	if got := list(az); len(got) != 0 {
		t.Errorf("after 95 hours: %v", got)
	}
	w.pass(2 * time.Hour)
	if got := list(az); len(got) != 1 || got[0].Id != m.Id || got[0].What != "move" || got[0].Alarm || !got[0].CanCancel || got[0].WaitsFor != "CA has not answered" {
		t.Errorf("after 97 hours: %v", got)
	}
	w.pass(6 * day)
	w.settle()
	if got := list(az); len(got) != 1 || !got[0].Alarm {
		t.Errorf("after ten days: %v", got)
	}
	if n := az.count(`SELECT count(*) FROM alarm`); n != 1 {
		t.Errorf("%d alarms", n)
	}
	ca.down = false
	w.few = true
	_, err := az.moves.Door().Resume(t.Context(), &waypostv1.ResumeMoveRequest{Id: m.Id})
	must(t, err)
	w.few = false
	w.pass(2 * time.Hour)
	w.settle()
	if az.get(m).State != "done" || len(list(az)) != 0 {
		t.Error(az.get(m))
	}
	if _, err := az.moves.Door().Resume(t.Context(), &waypostv1.ResumeMoveRequest{Id: m.Id}); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("resumed what is over: %v", err)
	}
}
