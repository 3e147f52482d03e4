package move_test

import (
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
)

const day = 24 * time.Hour

func person() waypost.Record {
	return waypost.Record{
		ID: "CA-1", CardNumber: "C1", Kind: waypost.Licence, Status: waypost.Valid,
		Person: waypost.Person{Family: "Moreno", Given: "Ana", Born: waypost.Date{Year: 1988, Month: 4, Day: 9}, SSN5: "12345"},
	}
}

// item adds a conviction to a record's history, unless the record has gone.
func (s *state) item(record string, n int) (added int) {
	s.t.Helper()
	i := driver.Item{Type: driver.Conviction, Reporter: s.name, Reference: fmt.Sprintf("docket %d", n), Code: "S92", Speed: 80, Limit: 65,
		Occurred: waypost.Date{Year: 2026, Month: 1, Day: 2}, Convicted: waypost.Date{Year: 2026, Month: 1, Day: 3}}
	i.ID = driver.IDOf(i.Type, i.Reporter, i.Reference)
	s.write(func(tx *store.Tx) error {
		pointers, err := s.file.Pointers(tx, record)
		if err != nil || pointers[0].State != records.Live {
			return err
		}
		added, err = s.desk.Book.Add(tx, record, driver.Arrival{Item: i, From: s.name, At: s.now})
		return err
	})
	return added
}

// history is what a state has of a record, by reference.
func (s *state) history(record string) (dockets []string) {
	s.t.Helper()
	s.read(func(tx *store.Tx) error {
		entries, err := s.desk.Book.Of(tx, record)
		dockets = nil
		for _, e := range entries {
			dockets = append(dockets, e.Reference)
		}
		return err
	})
	slices.Sort(dockets)
	return dockets
}

func (s *state) count(query string, args ...any) (n int) {
	s.t.Helper()
	s.read(func(tx *store.Tx) error { return tx.Row(query, args...).Scan(&n) })
	return n
}

// start begins a move to a state of what a check of it has found.
func (s *state) start(check waypost.TicketID, reference waypost.Reference, record string) (*waypostv1.Move, error) {
	return s.moves.Door().Start(s.asAna(), &waypostv1.StartMoveRequest{
		Check: hex.EncodeToString(check[:]), Reference: hex.EncodeToString(reference[:]), Record: record, CardNumber: "A1",
		Consent: &waypostv1.Consent{Told: "You give up the card of California.", Language: "en"},
	})
}

func (s *state) get(m *waypostv1.Move) *waypostv1.Move {
	s.t.Helper()
	got, err := s.moves.Door().Get(s.t.Context(), &waypostv1.GetMoveRequest{Id: m.Id})
	must(s.t, err)
	return got
}

// A Californian moves to Arizona, and back.
func TestMove(t *testing.T) {
	w := newWorld(t, "AZ", "CA")
	az, ca := w.state("AZ"), w.state("CA")
	h := ca.hold(person())
	ca.item("CA-1", 1)
	check, reference := az.check(ca, "CA-1", h)
	m, err := az.start(check, reference, "AZ-7")
	must(t, err)
	if m.State != "asked" {
		t.Error(m)
	}
	if _, err := az.start(check, reference, "AZ-8"); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("the same record again: %v", err)
	}
	w.settle()
	if got := az.get(m); got.State != "done" || got.Pointers != 1 {
		t.Errorf("the move came to %v", got)
	}
	want := person()
	want.ID, want.CardNumber, want.Since = "AZ-7", "A1", w.now.UTC().Truncate(24*time.Hour)
	if d := cmp.Diff(want, az.system.people["AZ-7"]); d != "" {
		t.Error(d)
	}
	if got := ca.system.people["CA-1"].Status; got != waypost.Surrendered {
		t.Errorf("in California the card is %s", got)
	}
	if d := cmp.Diff([]waypost.Jurisdiction{"AZ"}, w.hub.owners()); d != "" {
		t.Error(d)
	}
	if got := ca.count(`SELECT count(*) FROM journal WHERE kind = 'moved'`); got != 1 {
		t.Errorf("%d entries moved", got)
	}
	if got := az.count(`SELECT count(*) FROM journal WHERE kind = 'published'`); got != 1 {
		t.Errorf("%d entries published", got)
	}
	// What comes to California now is forwarded; what is there already has come along.
	if d := cmp.Diff([]string{"docket 1"}, az.history("AZ-7")); d != "" {
		t.Error(d)
	}

	// And back: the record of old is taken up again.
	w.pass(400 * day)
	var pointers []records.Pointer
	az.read(func(tx *store.Tx) (err error) {
		pointers, err = az.file.Pointers(tx, "AZ-7")
		return err
	})
	check, reference = ca.check(az, "AZ-7", pointers[0].Handle)
	back, err := ca.start(check, reference, "CA-1")
	must(t, err)
	w.settle()
	if got := ca.get(back); got.State != "done" || ca.system.people["CA-1"].Status != waypost.Valid || az.system.people["AZ-7"].Status != waypost.Surrendered {
		t.Errorf("the way back came to %v", got)
	}
	if d := cmp.Diff([]string{"docket 1"}, ca.history("CA-1")); d != "" {
		t.Error(d)
	}
}

// Whatever is lost, doubled, late or cut off at any commit: in the end one state
// is the state of record, has the whole history, and the other has ended its card.
func TestMoveChaos(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { chaos(t, seed) })
	}
}

func chaos(t *testing.T, seed uint64) {
	w := newWorld(t, "AZ", "CA", "NV")
	ca := w.state("CA")
	h := ca.hold(person())
	ca.item("CA-1", 0)
	dice := mathrand.New(mathrand.NewPCG(seed, 2))
	var moves []*waypostv1.Move
	var at []*state
	for i, name := range []waypost.Jurisdiction{"AZ", "NV"}[:1+dice.IntN(2)] {
		s := w.state(name)
		check, reference := s.check(ca, "CA-1", h)
		m, err := s.start(check, reference, fmt.Sprintf("%s-%d", name, i))
		must(t, err)
		moves, at = append(moves, m), append(at, s)
	}
	w.chaos = mathrand.New(mathrand.NewPCG(seed, 1))
	items := 1
	for range 60 {
		w.step()
		switch dice.IntN(8) {
		case 0:
			items += ca.item("CA-1", items)
		case 1:
			w.pass(time.Duration(dice.IntN(3600)) * time.Second)
		case 2:
			w.pass(time.Duration(dice.IntN(20)) * time.Hour)
		case 3:
			if dice.IntN(4) == 0 {
				i := dice.IntN(len(moves))
				_, _ = at[i].moves.Door().Cancel(w.asAna(), &waypostv1.CancelMoveRequest{Id: moves[i].Id})
			}
		}
	}
	w.chaos = nil
	for range 40 { // nothing goes wrong any more
		w.pass(12 * time.Hour)
		w.settle()
	}
	if got := w.hub.owners(); len(got) != 1 || w.hub.swaps > 1 {
		t.Fatalf("pointers are those of %v after %d swaps", got, w.hub.swaps)
	}
	var dockets []string
	for i := range items {
		dockets = append(dockets, fmt.Sprintf("docket %d", i))
	}
	slices.Sort(dockets)
	owner := w.state(w.hub.owners()[0])
	for i, s := range at {
		m := s.get(moves[i])
		switch {
		case s == owner && m.State != "done", s != owner && m.State == "done", m.State != "done" && m.State != "ended" && m.State != "cancelled":
			t.Errorf("%s says %s (%s), the pointer is %s's", s.name, m.State, m.Words, owner.name)
		}
		if s == owner {
			if d := cmp.Diff(dockets, s.history(m.Record)); d != "" {
				t.Error(d)
			}
			if s.system.people[m.Record].Status != waypost.Valid {
				t.Errorf("the card is %s", s.system.people[m.Record].Status)
			}
		} else if got := s.history(m.Record); len(got) > 0 || s.count(`SELECT count(*) FROM pointer`) > 0 {
			t.Errorf("%s keeps what it has not become the state of record of: %v", s.name, got)
		}
		if tried, told := s.count(`SELECT count(*) FROM planted WHERE state = 'settled' AND id IN (SELECT id FROM planted)`),
			s.count(`SELECT count(*) FROM journal WHERE kind IN ('published')`); told > 1 || tried < told {
			t.Errorf("%s has %d entries published", s.name, told)
		}
		if left, err := s.moves.Suspense(t.Context(), 0); err != nil || len(left) > 0 {
			t.Errorf("%s has left unfinished: %v, %v", s.name, left, err)
		}
	}
	gone := owner != ca
	if got := ca.system.people["CA-1"].Status == waypost.Surrendered; got != gone || ca.system.ended > 1 {
		t.Errorf("in California the card has ended: %v, %d times", got, ca.system.ended)
	}
	if got := ca.count(`SELECT count(*) FROM journal WHERE kind = 'moved'`); gone != (got > 0) || got != len(w.hub.told) {
		t.Errorf("%d entries moved, and the hub has acted under %d tickets", got, len(w.hub.told))
	}
	if left, err := ca.moves.Suspense(t.Context(), 0); err != nil || len(left) > 0 {
		t.Errorf("California has left unfinished: %v, %v", left, err)
	}
}
