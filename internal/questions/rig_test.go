package questions_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/policy"
	"github.com/waypost/waypost/internal/questions"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// rig is the room of CA with people, and what the engine would do around it.
type rig struct {
	t         testing.TB
	db        *store.DB
	room      *questions.Questions
	handlers  map[waypost.Kind]errand.Handler
	people    map[string]waypost.Record // by id
	portraits map[string][]byte
	pointers  map[string]records.State // of records, by id
	told      map[waypost.TicketID]records.Answered
	asked     map[waypost.TicketID]records.Asked
	unit      records.Unit
	questions map[errand.ID]errand.Question
	replies   []errand.Response
	begun     []errand.Errand
	progress  errand.Progress // what Wait and Get return besides the errand
	down      bool            // the state system
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, handlers: make(map[waypost.Kind]errand.Handler), people: make(map[string]waypost.Record), portraits: make(map[string][]byte),
		pointers: make(map[string]records.State), told: make(map[waypost.TicketID]records.Answered), asked: make(map[waypost.TicketID]records.Asked),
		questions: make(map[errand.ID]errand.Question)}
	var err error
	r.db, err = store.Open(t.Context(), storetest.URL(t, t.TempDir()+"/gateway.db", "gateway"), "gateway", store.ForSimulation())
	must(t, err)
	t.Cleanup(func() { _ = r.db.Close() })
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	r.room = questions.New(questions.Deps{State: "CA", DB: r.db, Errands: engine{r}, File: file{r}, Book: book{}, Policy: policy.Default(),
		Now: func() time.Time { return now }})
	return r
}

// person takes up a record.
func (r *rig) person(id string, alter func(*waypost.Record)) waypost.Record {
	p := waypost.Record{ID: id, CardNumber: "D" + id, Kind: waypost.Licence, Status: waypost.Valid, Person: waypost.Person{
		Family: "OKONKWO", Given: "INES", Middle: "ADA", Born: waypost.Date{Year: 1988, Month: 4, Day: 9}, Sex: "F", SSN5: "12345"}}
	if alter != nil {
		alter(&p)
	}
	r.people[id], r.pointers[id] = p, records.Live
	return p
}

// found is a check of AZ in which it was told of a record.
func (r *rig) found(record string, outcome waypost.Outcome) waypost.TicketID {
	check := waypost.TicketID{byte(len(r.told) + 1), 9}
	r.told[check] = records.Answered{Asking: "AZ", Handle: handleOf(record), Record: record, Outcome: outcome}
	return check
}

func handleOf(record string) (h waypost.Handle) {
	copy(h[:], "handle of "+record)
	return h
}

// answer puts a question of a state to the room.
func (r *rig) answer(from waypost.Jurisdiction, kind waypost.Kind, purpose waypost.Purpose, cites waypost.TicketID, body proto.Message) (errand.Response, error) {
	r.t.Helper()
	raw, err := proto.Marshal(body)
	must(r.t, err)
	q := errand.Question{ID: errand.NewID(), From: from, Body: raw,
		Ticket: waypost.SignedTicket{Ticket: waypost.Ticket{Kind: kind, Purpose: purpose, SOI: from, Cites: cites}}}
	r.questions[q.ID] = q
	a, err := r.handlers[kind].Answer(r.t.Context(), q)
	if err == nil && a.Commit != nil {
		must(r.t, r.db.Write(r.t.Context(), a.Commit))
	}
	return a, err
}

// word is answer where nothing goes wrong.
func (r *rig) word(from waypost.Jurisdiction, kind waypost.Kind, purpose waypost.Purpose, cites waypost.TicketID, body proto.Message) string {
	r.t.Helper()
	a, err := r.answer(from, kind, purpose, cites, body)
	if err != nil {
		return fmt.Sprint(waypost.CodeOf(err))
	}
	if len(a.Body) > 0 {
		return a.Word + " " + string(a.Body[:min(len(a.Body), 12)])
	}
	return a.Word
}

var ref = &waypostv1.FoundRecord{Reference: make([]byte, 16)}

// engine stands in for the engine of errands.
type engine struct{ *rig }

func (e engine) Handle(kind waypost.Kind, h errand.Handler) { e.handlers[kind] = h }

func (e engine) Begin(_ *store.Tx, mine errand.Errand) error {
	e.rig.begun = append(e.rig.begun, mine)
	return nil
}

func (e engine) Get(_ context.Context, id errand.ID) (errand.Progress, error) {
	for _, mine := range e.begun {
		if mine.ID == id {
			p := e.progress
			p.Errand = mine
			return p, nil
		}
	}
	return errand.Progress{}, waypost.Errorf(waypost.NotFound, "there is no such errand")
}

func (e engine) Wait(ctx context.Context, id errand.ID, _ time.Duration) (errand.Progress, error) {
	return e.Get(ctx, id)
}

func (e engine) Question(_ context.Context, _ waypost.Jurisdiction, id errand.ID) (errand.Question, error) {
	return e.questions[id], nil
}

func (e engine) Reply(ctx context.Context, _ errand.ID, _ waypost.Jurisdiction, a errand.Response) error {
	e.rig.replies = append(e.rig.replies, a)
	return e.db.Write(ctx, a.Commit)
}

// file stands in for the state's records.
type file struct{ *rig }

func (f file) System() records.System { return system(f) }

func (f file) Record(_ context.Context, id string) (waypost.Record, error) {
	if f.down {
		return waypost.Record{}, waypost.Errorf(waypost.Unavailable, "the state system is down")
	}
	p, ok := f.people[id]
	if !ok {
		return p, waypost.Errorf(waypost.NotFound, "none")
	}
	return p, nil
}

func (f file) ByHandle(_ *store.Tx, h waypost.Handle) (records.Pointer, error) {
	for id, state := range f.pointers {
		if handleOf(id) == h {
			return records.Pointer{Handle: h, Record: id, State: state}, nil
		}
	}
	return records.Pointer{}, waypost.Errorf(waypost.NotFound, "none")
}

func (f file) Pointers(_ *store.Tx, record string) ([]records.Pointer, error) {
	if _, ok := f.pointers[record]; !ok {
		return nil, nil
	}
	return []records.Pointer{{Handle: handleOf(record), Record: record}}, nil
}

func (f file) Answered(_ *store.Tx, check waypost.TicketID, _ []byte) (records.Answered, error) {
	a, ok := f.told[check]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "none")
	}
	return a, nil
}

func (f file) Asked(_ *store.Tx, check waypost.TicketID, _ waypost.Reference) (records.Asked, error) {
	a, ok := f.asked[check]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "none")
	}
	return a, nil
}

func (f file) Withhold(_ string, u records.Unit) { f.rig.unit = u }

// system stands in for the state's licensing system.
type system struct{ *rig }

func (s system) Record(ctx context.Context, id string) (waypost.Record, error) {
	return file(s).Record(ctx, id)
}

func (s system) ByCard(_ context.Context, number string) (string, error) {
	for id, p := range s.people {
		if p.CardNumber == number {
			return id, nil
		}
	}
	return "", waypost.Errorf(waypost.NotFound, "none")
}

func (s system) Put(context.Context, []waypost.Record) error { return nil }

func (s system) SetStatus(context.Context, string, waypost.Status, time.Time) error { return nil }

func (s system) Portrait(_ context.Context, id string) ([]byte, error) {
	if jpeg, ok := s.portraits[id]; ok {
		return jpeg, nil
	}
	return nil, waypost.Errorf(waypost.NotFound, "none")
}

// book stands in for driver histories.
type book struct{}

func (book) Export(_ *store.Tx, record string) ([]byte, error) { return []byte("of " + record), nil }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
