package errand_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// rig is two states with an engine each, and what is between them.
type rig struct {
	t         testing.TB
	x         *rpctest.Exchange
	now       time.Time
	signed    time.Time // when the roster was signed last
	az, ca    *side
	refuses   error // by the key holders
	usable    error // of every key holder's ledger
	chaos     *rand.Rand
	permitted int // tickets
}

// side is one state: its engine can be lost at any commit, its database not.
type side struct {
	*rig
	name   waypost.Jurisdiction
	db     *store.DB
	engine *errand.Engine
	kinds  map[waypost.Kind]errand.Handler
	noKey  bool // its encryption key cannot be had
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, x: rpctest.New(t, rpctest.Ample, "AZ", "CA")}
	r.now = r.x.Now()
	r.signed = r.now
	r.az, r.ca = r.side("AZ"), r.side("CA")
	return r
}

func (r *rig) side(name waypost.Jurisdiction) *side {
	s := &side{rig: r, name: name, kinds: make(map[waypost.Kind]errand.Handler)}
	var err error
	s.db, err = store.Open(r.t.Context(), storetest.URL(r.t, r.t.TempDir()+"/gateway.db", "gateway"), "gateway", store.WithFault(s.fault), store.ForSimulation())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.db.Close() })
	s.restart()
	return s
}

var errCrash = errors.New("a crash")

// fault fails some commits, before or after they are durable.
func (s *side) fault(point string) error {
	if s.chaos == nil || point == "begin" || s.chaos.IntN(8) > 0 {
		return nil
	}
	return errCrash
}

func (s *side) handle(kind waypost.Kind, h errand.Handler) {
	s.kinds[kind] = h
	s.restart()
}

func (s *side) restart() {
	s.engine = errand.New(errand.Deps{
		State: s.name, Roster: s.x.View, DB: s.db, Journal: ledger{s}, Permits: permits{s}, Post: post{s}, Ledgers: ledgers{s},
		Subject: func(h waypost.Handle, ticket waypost.TicketID) journal.Field {
			return journal.Field{Name: "subject", Value: fmt.Sprintf("%x of %s", h, ticket)}
		},
		Pause: func(context.Context, <-chan struct{}, time.Duration) error {
			s.now = s.now.Add(time.Second)
			s.step()
			return nil
		},
		Now: func() time.Time { return s.now }, Log: slog.New(slog.DiscardHandler),
	})
	for kind, h := range s.kinds {
		s.engine.Handle(kind, h)
	}
}

// pass lets time go by. The roster is signed again as often as it must be.
func (r *rig) pass(d time.Duration) {
	for d > 0 {
		some := min(d, 24*time.Hour)
		d -= some
		r.now = r.now.Add(some)
		r.x.Advance(r.now.Sub(r.x.Now()))
		if r.now.Sub(r.signed) > 5*24*time.Hour {
			r.x.Update(func(*rosterOf) {})
			r.signed = r.now
		}
	}
}

// step lets both sides do what is due, and the post carry what is there, until
// nothing moves any more.
func (r *rig) step() {
	r.t.Helper()
	for moved := true; moved; {
		moved = false
		for _, s := range []*side{r.az, r.ca} {
			if err := s.engine.Step(r.t.Context()); err != nil && r.chaos == nil {
				r.t.Fatal(err)
			}
			for _, l := range s.outbox() {
				moved = r.deliver(s, l, true) || moved
			}
		}
	}
}

// deliver hands a letter over, and reports whether that is done with.
func (r *rig) deliver(from *side, l letter, remove bool) bool {
	to := r.az
	if l.Message.Recipient == string(r.ca.name) {
		to = r.ca
	}
	done := true
	if l.Message.Expiry.After(r.now) {
		on := to.engine.OnReply
		if l.Message.Type == waypost.MessageRequest {
			on = to.engine.OnRequest
		}
		err := on(r.t.Context(), l.Message)
		if errors.Is(err, errCrash) {
			to.restart()
		}
		code := waypost.CodeOf(err)
		done = code != waypost.Internal && code != waypost.Unavailable
		if err != nil && r.chaos == nil {
			r.t.Logf("%s did not take a %s: %v", to.name, l.Message.Type, err)
		}
	}
	if done && remove {
		from.forget(l)
	}
	return done && remove
}

// write is a transaction that no crash prevents.
func (s *side) write(what func(tx *store.Tx) error) {
	s.t.Helper()
	chaos := s.chaos
	s.chaos = nil
	defer func() { s.chaos = chaos }()
	if err := s.db.Write(s.t.Context(), what); err != nil {
		s.t.Fatal(err)
	}
}

func (s *side) begin(w errand.Errand) errand.ID {
	s.t.Helper()
	s.write(func(tx *store.Tx) error { return s.engine.Begin(tx, w) })
	return w.ID
}

func (s *side) get(id errand.ID) errand.Progress {
	s.t.Helper()
	p, err := s.engine.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// effect counts, in a transaction, how often something has been done.
func effect(tx *store.Tx, format string, args ...any) error {
	_, err := tx.Exec(`INSERT INTO planted (id, state, at) VALUES ($1, '', 1) ON CONFLICT (id) DO UPDATE SET at = planted.at + 1`, fmt.Sprintf(format, args...))
	return err
}

// effects returns what was done, and how often.
func (s *side) effects() map[string]int {
	done := make(map[string]int)
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		return tx.Query(`SELECT id, at FROM planted`, nil, func(scan func(dest ...any) error) error {
			var name string
			var n int
			err := scan(&name, &n)
			done[name] = n
			return err
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return done
}

// ledger keeps entries where the test can read them.
type ledger struct{ *side }

type entry struct {
	Kind   string
	Ticket waypost.TicketID
	Fields map[string]string
}

func (l ledger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	fields, err := journal.ParseBody(e.Body)
	if err != nil {
		return 0, err
	}
	raw, err := json.Marshal(entry{e.Kind, e.Ticket, fields})
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO held (id, sealed, due) SELECT $1, $2, count(*) FROM held`, random(), raw)
	return 0, err
}

func (l ledger) KeepReceipts(tx *store.Tx, ticket waypost.SignedTicket, receipts [][]byte) error {
	if len(receipts) < rpctest.Threshold {
		return fmt.Errorf("%d receipts", len(receipts))
	}
	return effect(tx, "receipts of %s", ticket.ID)
}

// entries are those of the ledger, as "kind word" or "kind".
func (s *side) entries() (list []entry) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		list = nil
		return tx.Query(`SELECT sealed FROM held ORDER BY due`, nil, func(scan func(dest ...any) error) error {
			var raw []byte
			var e entry
			if err := scan(&raw); err != nil {
				return err
			}
			list = append(list, e)
			return json.Unmarshal(raw, &list[len(list)-1])
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *side) story() string {
	var words []string
	for _, e := range s.entries() {
		words = append(words, strings.TrimSpace(e.Kind+" "+e.Fields["word"]))
	}
	return strings.Join(words, ", ")
}

// permits are given by the first two key holders.
type permits struct{ *side }

func (p permits) Permit(ctx context.Context, w errand.Wish) (errand.Permit, error) {
	if p.refuses != nil {
		return errand.Permit{}, p.refuses
	}
	permit, err := p.permit(w, rpctest.Threshold)
	if err != nil {
		return permit, err
	}
	p.permitted++
	return permit, p.db.Write(ctx, func(tx *store.Tx) error {
		if err := effect(tx, "permit %s", permit.Ticket.ID); err != nil {
			return err
		}
		body, err := journal.Body(journal.TicketFields(permit.Ticket.Ticket)...)
		if err == nil {
			_, err = ledger(p).Append(tx, journal.Entry{Kind: "ask", Ticket: permit.Ticket.ID, Tau: permit.Ticket.Tau, Body: body})
		}
		return err
	})
}

func (p permits) Settle(tx *store.Tx, ticket waypost.TicketID) error {
	return effect(tx, "settled %s", ticket)
}

// permit signs a ticket with so many receipts.
func (r *rig) permit(w errand.Wish, receipts int) (errand.Permit, error) {
	roster := r.x.View.Current()
	soi := r.az
	if w.Recipient == "AZ" {
		soi = r.ca
	}
	var p errand.Permit
	p.Salt = [32]byte(append(random(), random()...))
	t := waypost.Ticket{
		Kind: w.Kind, RosterVersion: roster.Version, Epoch: 1, Environment: waypost.Test, SOI: soi.name, Operator: [32]byte{1}, Class: w.Class,
		Purpose: w.Purpose, Cites: w.Cites, IssuedAt: r.now, Nonce: [16]byte(random()), Tau: [32]byte(append(random(), random()...)),
		Probes: waypost.CommitRequest(w.Recipient, p.Salt, w.Request),
	}
	var err error
	if p.Ticket, err = t.Sign(r.x.Party(string(soi.name)).Identity); err != nil {
		return p, err
	}
	for _, h := range roster.Holders()[:receipts] {
		signed, err := waypost.Receipt{
			Action: waypost.ActionEvaluate, Signer: h.Name, Ticket: p.Ticket.ID, Epoch: 1, Inputs: t.Probes, Origin: "waypost.test/" + h.Name + "/1",
			Sequence: uint64(r.permitted), Deadline: r.now.Add(time.Minute),
		}.Sign(r.x.Party(h.Name).Identity)
		if err != nil {
			return p, err
		}
		p.Receipts = append(p.Receipts, signed)
	}
	return p, nil
}

// ledgers are those of the key holders.
type ledgers struct{ *side }

func (l ledgers) Usable(string) error { return l.usable }

// post seals nothing, but keeps the sizes.
type post struct{ *side }

type letter struct {
	ID      []byte
	Message seal.Message
}

func (p post) Ready(_ context.Context, to string) error {
	if to == "AZ" && p.az.noKey || to == "CA" && p.ca.noKey {
		return waypost.Errorf(waypost.Unavailable, "no key")
	}
	return nil
}

func (p post) Seal(ctx context.Context, to, messageType string, ticket waypost.TicketID, least seal.SizeClass, body []byte) (errand.Letter, error) {
	if err := p.Ready(ctx, to); err != nil {
		return errand.Letter{}, err
	}
	id := random()
	raw, err := json.Marshal(letter{id, seal.Message{ID: [16]byte(id), Sender: string(p.name), Recipient: to, Type: messageType, Ticket: ticket,
		RosterVersion: p.x.View.Current().Version, Expiry: p.now.Add(waypost.MessageLife), Body: body, MinSize: max(least, seal.Size4K), Statement: []byte("as signed")}})
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

func (s *side) outbox() (list []letter) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
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
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *side) forget(l letter) {
	s.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM outbox WHERE id = $1`, l.ID)
		return err
	})
}

func random() []byte {
	id := errand.NewID()
	return slices.Clone(id[:])
}

// message is a status request that AZ might send.
func (r *rig) message(id errand.ID, recipient string, receipts int, body string) (seal.Message, error) {
	return r.altered(id, recipient, receipts, body, func(*errand.Wish) {})
}

// altered is one that asks for something else than AZ would.
func (r *rig) altered(id errand.ID, recipient string, receipts int, body string, alter func(*errand.Wish)) (seal.Message, error) {
	request, err := proto.Marshal(&waypostv1.Errand{Id: id[:], Body: []byte(body)})
	if err != nil {
		return seal.Message{}, err
	}
	w := errand.Wish{Kind: waypost.KindStatus, Purpose: waypost.Renew, Class: waypost.Attended, Recipient: recipient, Request: request}
	alter(&w)
	p, err := r.permit(w, receipts)
	if err != nil {
		return seal.Message{}, err
	}
	letter := &waypostv1.Request{Ticket: p.Ticket.Bytes(), Salt: p.Salt[:], Request: w.Request}
	for _, receipt := range p.Receipts {
		letter.Receipts = append(letter.Receipts, receipt.Bytes())
	}
	raw, err := proto.Marshal(letter)
	return seal.Message{ID: [16]byte(random()), Sender: "AZ", Recipient: "CA", Type: waypost.MessageRequest, Ticket: p.Ticket.ID,
		Expiry: r.now.Add(waypost.MessageLife), Body: raw, Statement: []byte("as signed")}, err
}
