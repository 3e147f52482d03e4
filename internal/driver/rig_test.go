package driver

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// rig is some states between which errands go by hand.
type rig struct {
	t       testing.TB
	now     time.Time
	states  map[waypost.Jurisdiction]*office
	order   []waypost.Jurisdiction
	checks  map[waypost.TicketID]waypost.Answer
	checked int
	next    func(s Search) waypost.Answer
	nextErr error
	wire    []*post // errands that were begun
}

// post is an errand on its way.
type post struct {
	from     waypost.Jurisdiction
	mine     errand.Errand
	replies  int
	over     bool
	dropped  bool // cancelled
	question errand.Question
	asked    bool
	stale    *errand.Response // decided, not committed
}

// office is one state: its desk, its records, and its side of the errands.
type office struct {
	*rig
	state    waypost.Jurisdiction
	key      ed25519.PrivateKey
	desk     *Desk
	people   map[string]waypost.Record
	pointers []records.Pointer
	answered map[string]records.Answered
	asked    map[string]records.Asked
}

func newRig(t testing.TB, states ...waypost.Jurisdiction) *rig {
	r := &rig{t: t, now: noon, states: make(map[waypost.Jurisdiction]*office), order: states, checks: make(map[waypost.TicketID]waypost.Answer)}
	for _, j := range states {
		db, err := store.Open(context.Background(), storetest.URL(t, filepath.Join(t.TempDir(), string(j)+".db"), "gateway"), "gateway", store.ForSimulation())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		seed := sha256.Sum256([]byte(j))
		o := &office{rig: r, state: j, key: ed25519.NewKeyFromSeed(seed[:]), people: make(map[string]waypost.Record),
			answered: make(map[string]records.Answered), asked: make(map[string]records.Asked)}
		o.desk, err = New(Deps{State: j, Keys: r, DB: db, Errands: o, File: o, Checker: o, Keep: DefaultRetention,
			Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r.states[j] = o
	}
	return r
}

func (r *rig) StateKey(_ uint64, j waypost.Jurisdiction) (ed25519.PublicKey, error) {
	o, ok := r.states[j]
	if !ok {
		return nil, waypost.Errorf(waypost.PermissionDenied, "not a member")
	}
	return o.key.Public().(ed25519.PublicKey), nil
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// The errands of one state.

func (o *office) Begin(_ *store.Tx, mine errand.Errand) error {
	o.wire = append(o.wire, &post{from: o.state, mine: mine})
	return nil
}

func (o *office) find(id errand.ID) *post {
	for _, p := range o.wire {
		if p.mine.ID == id {
			return p
		}
	}
	return nil
}

func (o *office) Cancel(_ *store.Tx, id errand.ID) error {
	o.find(id).dropped = true
	return nil
}

func (o *office) Get(_ context.Context, id errand.ID) (errand.Progress, error) {
	p := o.find(id)
	if p == nil {
		return errand.Progress{}, waypost.Errorf(waypost.NotFound, "none")
	}
	progress := errand.Progress{Errand: p.mine, State: errand.Sent}
	if p.dropped {
		progress.State, progress.Reason = errand.Cancelled, "the quota is used up"
	}
	return progress, nil
}

func (o *office) Wait(ctx context.Context, id errand.ID, _ time.Duration) (errand.Progress, error) {
	if p := o.find(id); p != nil && p.dropped {
		return errand.Progress{}, waypost.Errorf(waypost.QuotaExceeded, "the quota is used up")
	}
	return o.Get(ctx, id)
}

// Reply says something to a question of another state.
func (o *office) Reply(ctx context.Context, id errand.ID, from waypost.Jurisdiction, res errand.Response) error {
	for _, p := range o.wire {
		if p.mine.ID == id && p.from == from {
			if p.over {
				return waypost.Errorf(waypost.AlreadyExists, "over")
			}
			return o.say(ctx, p, res)
		}
	}
	return waypost.Errorf(waypost.NotFound, "no question")
}

// say commits a reply and brings it to who asked.
func (o *office) say(ctx context.Context, p *post, res errand.Response) error {
	if !slices.Contains(o.desk.Handler().Words, res.Word) {
		o.t.Errorf("%q is no word of a report", res.Word)
	}
	if res.Commit != nil {
		if err := o.desk.DB.Write(ctx, res.Commit); err != nil {
			return err
		}
	}
	p.replies++
	p.over = res.Final
	if p.dropped {
		return nil
	}
	asker := o.states[p.from].desk
	return asker.DB.Write(ctx, func(tx *store.Tx) error {
		return asker.take(tx, p.mine, errand.Reply{Number: uint32(p.replies), Word: res.Word, Final: res.Final, Body: res.Body})
	})
}

// deliver has a question answered, once; what must be answered again later stays.
func (r *rig) deliver(p *post) {
	r.t.Helper()
	if p.asked || p.dropped {
		return
	}
	o := r.states[p.mine.To]
	if p.question.Body == nil {
		p.question = r.questionOf(p)
	}
	var res errand.Response
	var err error
	if p.stale != nil {
		res, p.stale = *p.stale, nil
	} else {
		res, err = o.desk.answer(context.Background(), p.question)
	}
	if err == nil {
		err = o.say(context.Background(), p, res)
	}
	switch code := waypost.CodeOf(err); {
	case code == waypost.Internal:
		r.t.Fatal(err)
	case code == waypost.Unavailable:
		return
	case err != nil: // refused in words
		p.replies, p.over = p.replies+1, true
		asker := r.states[p.from].desk
		r.must(asker.DB.Write(context.Background(), func(tx *store.Tx) error {
			return asker.take(tx, p.mine, errand.Reply{Number: 1, Word: errand.Refused, Final: true, Refused: err.Error()})
		}))
	}
	p.asked = true
}

// questionOf is the errand as the other state gets it, signed.
func (r *rig) questionOf(p *post) errand.Question {
	r.t.Helper()
	key := r.states[p.from].key
	ticket, err := waypost.Ticket{Kind: p.mine.Kind, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: p.from, Class: p.mine.Class,
		Purpose: p.mine.Purpose, Cites: p.mine.Cites, IssuedAt: r.now, Nonce: p.mine.ID, Probes: [32]byte{1}, Tau: [32]byte{2},
		Operator: [32]byte{3}, Case: [32]byte{4}}.Sign(key)
	r.must(err)
	inner, err := proto.Marshal(&waypostv1.Errand{Id: p.mine.ID[:], Body: p.mine.Body})
	r.must(err)
	body, err := proto.Marshal(&waypostv1.Request{Ticket: ticket.Bytes(), Salt: make([]byte, 32), Request: inner})
	r.must(err)
	statement, err := seal.State(seal.Message{Sender: string(p.from), Type: waypost.MessageRequest, Ticket: ticket.ID, RosterVersion: 1,
		Expiry: r.now.Add(waypost.MessageLife), Body: body}, key)
	r.must(err)
	return errand.Question{ID: p.mine.ID, From: p.from, Ticket: ticket, Body: p.mine.Body, At: r.now, Statement: statement}
}

// settle delivers everything and takes every step until all is said.
func (r *rig) settle() {
	r.t.Helper()
	for round := 0; round < 2 || round < 20 && slices.ContainsFunc(r.wire, func(p *post) bool { return !p.over && !p.dropped }); round++ {
		for _, p := range slices.Clone(r.wire) {
			r.deliver(p)
		}
		for _, j := range r.order {
			r.must(r.states[j].desk.Step(context.Background()))
		}
	}
}

// The records of one state.

func (o *office) System() records.System { return system{o} }

func (o *office) ByHandle(_ *store.Tx, h waypost.Handle) (records.Pointer, error) {
	for _, p := range o.pointers {
		if p.Handle == h {
			return p, nil
		}
	}
	return records.Pointer{}, waypost.Errorf(waypost.NotFound, "no pointer")
}

func (o *office) Pointers(_ *store.Tx, record string) (all []records.Pointer, err error) {
	for _, p := range o.pointers {
		if p.Record == record && p.State != records.Withdrawn {
			all = append(all, p)
		}
	}
	return all, nil
}

func (o *office) Handles(_ *store.Tx, record string) (all []waypost.Handle, err error) {
	for _, p := range o.pointers {
		if p.Record == record {
			all = append(all, p.Handle)
		}
	}
	return all, nil
}

func (o *office) Answered(_ *store.Tx, check waypost.TicketID, reference []byte) (records.Answered, error) {
	a, ok := o.answered[string(check[:])+string(reference)]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "not answered")
	}
	return a, nil
}

func (o *office) Asked(_ *store.Tx, check waypost.TicketID, reference waypost.Reference) (records.Asked, error) {
	a, ok := o.asked[string(check[:])+string(reference[:])]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "not asked")
	}
	return a, nil
}

func (o *office) Load(_ context.Context, _ string, generation uint32, all []waypost.Record) (int, []records.Rejected, error) {
	if generation != 0 || len(all) != 1 {
		o.t.Errorf("%d records are loaded into generation %d", len(all), generation)
	}
	if _, there := o.people[all[0].ID]; !there {
		o.add(all[0])
	}
	return 1, nil, nil
}

// add gives the state a record with a live pointer.
func (o *office) add(rec waypost.Record) waypost.Handle {
	o.people[rec.ID] = rec
	h := waypost.Handle(errand.NewID())
	o.pointers = append(o.pointers, records.Pointer{Handle: h, Record: rec.ID, State: records.Live})
	return h
}

type system struct{ *office }

func (s system) Record(_ context.Context, id string) (waypost.Record, error) {
	rec, ok := s.people[id]
	if !ok {
		return rec, waypost.Errorf(waypost.NotFound, "no record")
	}
	return rec, nil
}

func (s system) ByCard(_ context.Context, number string) (string, error) {
	for id, rec := range s.people {
		if rec.CardNumber == number {
			return id, nil
		}
	}
	return "", waypost.Errorf(waypost.NotFound, "no card")
}

func (s system) Put(context.Context, []waypost.Record) error { panic("not used") }

func (s system) SetStatus(context.Context, string, waypost.Status, time.Time) error {
	panic("not used")
}

func (s system) Portrait(context.Context, string) ([]byte, error) { panic("not used") }

// The checks of one state.

func (o *office) Check(_ context.Context, s Search) (waypost.Answer, error) {
	o.checked++
	if o.nextErr != nil {
		return waypost.Answer{}, o.nextErr
	}
	a := o.next(s)
	a.Ticket = waypost.TicketID{byte(o.checked), byte(o.checked >> 8), 9}
	o.checks[a.Ticket] = a
	for _, c := range a.Candidates {
		key := string(a.Ticket[:]) + string(c.Reference[:])
		o.asked[key] = records.Asked{Owner: c.State, Outcome: c.Outcome, Purpose: waypost.PostConviction}
		other := o.states[c.State]
		ticket, err := waypost.Ticket{Kind: waypost.KindCheck, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: o.state, Class: waypost.Attended,
			Purpose: waypost.PostConviction, IssuedAt: o.now, Elements: waypost.CheckElements, Nonce: [16]byte{1}, Probes: [32]byte{1}, Tau: [32]byte{2},
			Operator: [32]byte{3}, Case: [32]byte{4}}.Sign(o.key)
		o.must(err)
		other.answered[key] = records.Answered{Asking: o.state, Handle: other.pointers[0].Handle, Record: other.pointers[0].Record, Outcome: c.Outcome, Ticket: ticket}
	}
	return a, nil
}

func (o *office) Answer(_ context.Context, check waypost.TicketID) (waypost.Answer, error) {
	a, ok := o.checks[check]
	if !ok {
		return a, waypost.Errorf(waypost.NotFound, "no check")
	}
	return a, nil
}

// move takes a record from one state to another, as a change of state of record
// does: history first, then the pointer, then what came in between.
func (r *rig) move(from, to waypost.Jurisdiction, record, newRecord string, between func()) {
	r.t.Helper()
	finish := r.leave(from, to, record, newRecord)
	if between != nil {
		between()
	}
	finish()
}

// leave does the first half of a move and returns the second.
func (r *rig) leave(from, to waypost.Jurisdiction, record, newRecord string) (finish func()) {
	r.t.Helper()
	o, n := r.states[from], r.states[to]
	exported := o.export(record)
	r.must(n.write(func(tx *store.Tx) error { return n.desk.Book.Import(tx, newRecord, from, exported) }))
	rec := o.people[record]
	rec.ID, rec.CardNumber = newRecord, "card of "+newRecord
	return func() {
		handle := n.add(rec)
		n.pointers[len(n.pointers)-1].PassedBy = from
		i := slices.IndexFunc(o.pointers, func(p records.Pointer) bool { return p.Record == record && p.State == records.Live })
		o.pointers[i].State, o.pointers[i].MovedTo, o.pointers[i].NewHandle = records.Moved, to, handle
		for range 2 { // again changes nothing
			r.must(o.write(func(tx *store.Tx) error { return o.desk.ForwardRest(tx, o.pointers[i], exported) }))
		}
	}
}

// book returns the references of what a record has, in the order of arrival.
func (o *office) book(record string) (references []string) {
	o.t.Helper()
	o.must(o.desk.DB.Read(context.Background(), func(tx *store.Tx) error {
		entries, err := o.desk.Book.Of(tx, record)
		for _, e := range entries {
			references = append(references, e.Reference)
		}
		return err
	}))
	return references
}

// jane is a driver.
func jane(t testing.TB, id, card string) waypost.Record {
	born, err := waypost.ParseDate("1987-03-14")
	if err != nil {
		t.Fatal(err)
	}
	return waypost.Record{ID: id, CardNumber: card, Kind: waypost.Licence, Status: waypost.Valid,
		Person: waypost.Person{Family: "Quillfeather", Given: "Jane", Middle: "Rosalind", Born: born, Sex: "F"}}
}

func shows(rec waypost.Record, state waypost.Jurisdiction) *waypostv1.Applicant {
	return &waypostv1.Applicant{Family: rec.Family, Given: rec.Given, Middle: rec.Middle, Born: rec.Born.String(), Sex: string(rec.Sex),
		CardNumber: rec.CardNumber, CardState: string(state)}
}
