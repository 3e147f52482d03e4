package move_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/driver"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/move"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/matchkey"
)

// world is some states with the rooms that a move needs, a hub that follows the
// rules of the real one, and the post between them, on one loop.
type world struct {
	t      testing.TB
	x      *rpctest.Exchange
	now    time.Time
	signed time.Time
	states []*state
	hub    *fakeHub
	chaos  *mathrand.Rand // nil: nothing goes wrong
	few    bool           // key holders to be reached
	listen func(said)     // told of every message that arrives
	// sealing, if set, is called before a state seals a message.
	sealing func(from *state)
}

// state is one of them. It can be lost at any commit, its databases not.
type state struct {
	*world
	name    waypost.Jurisdiction
	db      *store.DB
	journal *journal.Journal
	system  *system
	engine  *errand.Engine
	file    *records.File
	desk    *driver.Desk
	moves   *move.Moves
	down    bool
	config  move.Config
	plans   sync.Map // statement -> how the engine runs it
}

func newWorld(t testing.TB, names ...waypost.Jurisdiction) *world {
	t.Helper()
	w := &world{t: t, x: rpctest.New(t, rpctest.Ample, names...)}
	w.now = w.x.Now().Truncate(time.Second)
	w.signed = w.now
	w.hub = &fakeHub{world: w, owner: make(map[string]waypost.Handle), passed: make(map[[16]byte][]byte), told: make(map[waypost.TicketID]bool)}
	for _, name := range names {
		s := &state{world: w, name: name, system: &system{people: make(map[string]waypost.Record), cards: make(map[string]string)}}
		path := filepath.Join(t.TempDir(), "gateway.db")
		var err error
		s.db, err = store.Open(t.Context(), storetest.URL(t, path, "gateway"), "gateway", store.WithFault(s.fault), store.ForSimulation(),
			store.WithPlans(func(statement string, plan []string) { s.plans.Store(statement, plan) }))
		must(t, err)
		t.Cleanup(func() { _ = s.db.Close() })
		s.journal, err = journal.Open(t.Context(), s.db, "waypost.test/"+string(name)+"/1", journaltest.Recipient())
		must(t, err)
		w.states = append(w.states, s)
		s.restart()
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// asAna is a call of a clerk.
func (w *world) asAna() context.Context { return rpc.WithOperator(w.t.Context(), "ana") }

func (w *world) state(name waypost.Jurisdiction) *state {
	return w.states[slices.IndexFunc(w.states, func(s *state) bool { return s.name == name })]
}

var errCrash = errors.New("a crash")

// fault fails some commits, before or after they are durable.
func (s *state) fault(point string) error {
	if s.chaos == nil || point == "begin" || s.chaos.IntN(10) > 0 {
		return nil
	}
	return errCrash
}

func (s *state) restart() {
	log, clock := slog.New(slog.DiscardHandler), func() time.Time { return s.now }
	var err error
	s.file, err = records.New(records.Deps{State: s.name, Roster: s.x.View, DB: s.db, Journal: s.journal, Secret: [32]byte{1}, System: s.system,
		Permits: permits{s}, Ledgers: usable{}, Now: clock, Log: log})
	must(s.t, err)
	s.engine = errand.New(errand.Deps{
		State: s.name, Roster: s.x.View, DB: s.db, Journal: s.journal, Permits: permits{s}, Post: post{s}, Ledgers: usable{},
		Subject: func(h waypost.Handle, ticket waypost.TicketID) journal.Field { return s.file.Subject(h, ticket) },
		Pause:   func(context.Context, <-chan struct{}, time.Duration) error { return nil }, Now: clock, Log: log,
	})
	s.desk, err = driver.New(driver.Deps{State: s.name, Keys: s.x.View, DB: s.db, Errands: s.engine, File: s.file, Keep: driver.DefaultRetention, Now: clock, Log: log})
	must(s.t, err)
	s.engine.Handle(waypost.KindReport, s.desk.Handler())
	s.moves, err = move.New(move.Deps{
		Config: s.config, State: s.name, Roster: s.x.View, DB: s.db, Journal: s.journal, Identity: s.x.Party(string(s.name)).Identity,
		Errands: s.engine, Permits: permits{s}, Hub: s.hub, File: s.file, Book: s.desk.Book, Driver: s.desk, Now: clock, Log: log,
	})
	must(s.t, err)
}

type usable struct{}

func (usable) Usable(string) error { return nil }

// pass lets time go by. The roster is signed again as often as it must be.
func (w *world) pass(d time.Duration) {
	for d > 0 {
		some := min(d, 24*time.Hour)
		d -= some
		w.now = w.now.Add(some)
		w.x.Advance(w.now.Sub(w.x.Now()))
		if w.now.Sub(w.signed) > 5*24*time.Hour {
			w.x.Update(func(*rosterOf) {})
			w.signed = w.now
		}
	}
}

// step lets every state do once what is due, and the post carry what is there.
func (w *world) step() (moved bool) {
	w.t.Helper()
	for _, s := range w.states {
		if s.down {
			continue
		}
		for _, step := range []func(context.Context) error{s.engine.Step, s.desk.Step, s.moves.Step} {
			if err := step(w.t.Context()); err != nil && w.chaos == nil {
				w.t.Fatalf("%s: %v", s.name, err)
			} else if errors.Is(err, errCrash) {
				s.restart()
			}
		}
		letters := s.outbox()
		if w.chaos != nil {
			w.chaos.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
		}
		for _, l := range letters {
			moved = w.deliver(l.Message, func() { s.forget(l) }) || moved
		}
	}
	for _, m := range slices.Clone(w.hub.box) {
		moved = w.deliver(m, func() { w.hub.forget(m) }) || moved
	}
	return moved
}

// settle steps until nothing moves any more.
func (w *world) settle() {
	w.t.Helper()
	for quiet, rounds := 0, 0; rounds < 200; rounds++ {
		if quiet++; w.step() {
			quiet = 0
		}
		if quiet == 2 { // what one room begins, another carries out
			return
		}
	}
	w.t.Fatal("it does not come to rest")
}

// deliver hands a message over. With chaos it may be lost for now, or come twice.
func (w *world) deliver(m seal.Message, done func()) bool {
	if w.now.After(m.Expiry) {
		done()
		return true
	}
	to := w.state(waypost.Jurisdiction(m.Recipient))
	if to.down || w.chaos != nil && w.chaos.IntN(3) == 0 {
		return false
	}
	if w.listen != nil {
		w.listen(said{m.Sender, m.Recipient, m.Type, int(m.MinSize), len(m.Body)})
	}
	on := map[string]func(context.Context, seal.Message) error{
		waypost.MessageRequest: to.engine.OnRequest, waypost.MessageReply: to.engine.OnReply, waypost.MessageMoved: to.moves.OnMoved,
	}[m.Type]
	err := on(w.t.Context(), m)
	if errors.Is(err, errCrash) {
		to.restart()
	}
	if err != nil && w.chaos == nil {
		w.t.Logf("%s did not take a %s: %v", to.name, m.Type, err)
	}
	if code := waypost.CodeOf(err); code == waypost.Internal || code == waypost.Unavailable {
		return false
	}
	if w.chaos != nil && w.chaos.IntN(4) == 0 {
		return true // and once more
	}
	done()
	return true
}

// calmly does something that no crash prevents.
func (w *world) calmly(what func()) {
	chaos := w.chaos
	w.chaos = nil
	defer func() { w.chaos = chaos }()
	what()
}

func (s *state) write(what func(tx *store.Tx) error) {
	s.t.Helper()
	s.calmly(func() { must(s.t, s.db.Write(s.t.Context(), what)) })
}

func (s *state) read(what func(tx *store.Tx) error) {
	s.t.Helper()
	must(s.t, s.db.Read(s.t.Context(), what))
}

// post seals nothing.
type post struct{ *state }

type letter struct {
	ID      []byte
	Message seal.Message
}

func (p post) Ready(context.Context, string) error { return nil }

func (p post) Seal(_ context.Context, to, messageType string, ticket waypost.TicketID, least seal.SizeClass, body []byte) (errand.Letter, error) {
	if p.sealing != nil {
		p.sealing(p.state)
	}
	id := random()
	statement, err := p.State(messageType, ticket, body)
	if err != nil {
		return errand.Letter{}, err
	}
	raw, err := json.Marshal(letter{id, seal.Message{ID: [16]byte(id), Sender: string(p.name), Recipient: to, Type: messageType, Ticket: ticket,
		RosterVersion: p.x.View.Current().Version, Expiry: p.now.Add(waypost.MessageLife), Body: body, MinSize: max(least, seal.Size4K), Statement: statement}})
	return errand.Letter{ID: [16]byte(id), Sealed: raw}, err
}

func (p post) State(messageType string, ticket waypost.TicketID, body []byte) ([]byte, error) {
	return seal.State(seal.Message{Sender: string(p.name), Type: messageType, Ticket: ticket, RosterVersion: p.x.View.Current().Version,
		Expiry: p.now.Add(waypost.MessageLife), Body: body}, p.x.Party(string(p.name)).Identity)
}

func (p post) Put(tx *store.Tx, l errand.Letter) error {
	_, err := tx.Exec(`INSERT INTO outbox (id, sealed, at) VALUES ($1, $2, $3)`, l.ID, l.Sealed, p.now.Unix())
	return err
}

func (p post) Dispatch(...errand.Letter) {}

func (s *state) outbox() (list []letter) {
	s.t.Helper()
	s.read(func(tx *store.Tx) error {
		list = nil
		return tx.Query(`SELECT sealed FROM outbox ORDER BY at, id`, nil, func(scan func(dest ...any) error) error {
			var raw []byte
			if err := scan(&raw); err != nil {
				return err
			}
			list = append(list, letter{})
			return json.Unmarshal(raw, &list[len(list)-1])
		})
	})
	return list
}

func (s *state) forget(l letter) {
	s.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM outbox WHERE id = $1`, l.ID)
		return err
	})
}

func random() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return b
}

// permits are given by the first two key holders.
type permits struct{ *state }

func (p permits) Permit(_ context.Context, w errand.Wish) (errand.Permit, error) {
	if p.few {
		return errand.Permit{}, waypost.Errorf(waypost.Unavailable, "too few key holders can be reached")
	}
	roster := p.x.View.Current()
	permit := errand.Permit{Salt: [32]byte(append(random(), random()...))}
	t := waypost.Ticket{
		Kind: w.Kind, RosterVersion: roster.Version, Epoch: 1, Environment: waypost.Test, SOI: p.name, Operator: [32]byte{1}, Class: w.Class,
		Purpose: w.Purpose, Cites: w.Cites, IssuedAt: p.now, Nonce: [16]byte(random()), Tau: [32]byte(append(random(), random()...)),
		Probes: waypost.CommitRequest(w.Recipient, permit.Salt, w.Request),
	}
	var err error
	if permit.Ticket, err = t.Sign(p.x.Party(string(p.name)).Identity); err != nil {
		return permit, err
	}
	for i, h := range roster.Holders()[:rpctest.Threshold] {
		signed, err := waypost.Receipt{
			Action: waypost.ActionEvaluate, Signer: h.Name, Ticket: permit.Ticket.ID, Epoch: 1, Inputs: t.Probes,
			Origin: "waypost.test/" + h.Name + "/1", Sequence: uint64(i), Deadline: p.now.Add(time.Minute),
		}.Sign(p.x.Party(h.Name).Identity)
		if err != nil {
			return permit, err
		}
		permit.Receipts = append(permit.Receipts, signed)
	}
	return permit, nil
}

// Settle counts the tickets for the hub that their user must end in the ledger.
func (p permits) Settle(tx *store.Tx, ticket waypost.TicketID) error {
	_, err := tx.Exec(`INSERT INTO planted (id, state, at) VALUES ($1, 'settled', 0)`, ticket.String())
	return err
}

// hold gives a state a record with a pointer in the index, as if it had come from
// a third state long ago.
func (s *state) hold(r waypost.Record) waypost.Handle {
	s.t.Helper()
	must(s.t, s.system.Put(s.t.Context(), []waypost.Record{r}))
	old, h := waypost.Handle(random()), waypost.Handle(random())
	release := waypost.Release{From: "XX", To: s.name, Change: [16]byte(random()), Passings: []waypost.Passing{{Old: old, New: h}}}
	name := records.PassedName{Handle: h, Version: 1, Epoch: 1, Reached: 1, Name: r.Person}
	for range matchkey.NameSlots {
		name.Tokens = append(name.Tokens, append(random(), random()...))
	}
	s.write(func(tx *store.Tx) error {
		return s.file.MoveIn(tx, r.ID, release, []records.PassedName{name}, waypost.TicketID{})
	})
	s.hub.owner[string(s.name)+string(h[:])] = h
	return h
}

// check has a state find a record of another: what both keep of such a check.
func (s *state) check(of *state, record string, h waypost.Handle) (waypost.TicketID, waypost.Reference) {
	s.t.Helper()
	return s.checkFor(waypost.IssueLicence, of, record, h)
}

func (s *state) checkFor(purpose waypost.Purpose, of *state, record string, h waypost.Handle) (waypost.TicketID, waypost.Reference) {
	s.t.Helper()
	ticket, err := waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: s.x.View.Current().Version, Epoch: 1, Environment: waypost.Test, SOI: s.name, Operator: [32]byte{1},
		Class: waypost.Attended, Purpose: purpose, IssuedAt: s.now, Nonce: [16]byte(random()), Elements: waypost.CheckElements,
		Tau: [32]byte(append(random(), random()...)),
	}.Sign(s.x.Party(string(s.name)).Identity)
	must(s.t, err)
	reference := waypost.Reference(random())
	who := of.system.people[record]
	applicant := &waypostv1.Applicant{Family: who.Family, Given: who.Given, Born: who.Born.String()}
	encoded, err := proto.Marshal(applicant)
	must(s.t, err)
	request, err := proto.Marshal(&waypostv1.CheckRequest{Applicant: applicant, Ssn5: who.SSN5})
	must(s.t, err)
	empty := []byte{}
	s.write(func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO inquiry (ticket, signed, receipts, hub_receipts, elements, tags, seed, applicant, digits, case_reference, case_salt,
			operator, state, too_many, own, coverage, tries, created) VALUES ($1, $2, $3, $3, $3, $3, $3, $4, '12345', 'case 7', $3, 'ana', 1, 0, $3, $3, 0, $5)`,
			ticket.ID[:], ticket.Bytes(), empty, request, s.now.Unix()); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO ask (ticket, reference, owner, state, outcome, status, card_kind, termination_required, refused, statement)
			VALUES ($1, $2, $3, 4, 'match', 'valid', 'licence', 1, '', $4)`, ticket.ID[:], reference[:], string(of.name), empty)
		return err
	})
	of.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO notice (ticket, reference, handle, asking, state, agreed, signed, question, told, applicant, tau, statement, at)
			VALUES ($1, $2, $3, $4, 3, 3, $5, $6, 'match', $7, $8, $6, $9)`,
			ticket.ID[:], reference[:], h[:], string(s.name), ticket.Bytes(), empty, encoded, ticket.Tau[:], s.now.Unix())
		return err
	})
	return ticket.ID, reference
}
