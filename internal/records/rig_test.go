package records_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
	"github.com/waypost/waypost/toprf"
)

// rig is one state's file, with a hub that remembers what it was shown.
type rig struct {
	t          *testing.T
	x          *rpctest.Exchange
	state      waypost.Jurisdiction
	secret     [32]byte
	now        time.Time
	db         *store.DB
	people     *records.People
	file       *records.File
	hub        *hub
	door       records.Hub              // to it: itself, unless somebody watches
	evaluating func()                   // called while the key holders evaluate
	crash      func(point string) error // of the gateway's database
	plans      sync.Map                 // statement -> how the engine runs it
}

// One membership serves all tests that do not change it: only its keys are used.
var (
	once     sync.Once
	exchange *rpctest.Exchange
	key      = toprf.RandomScalar()
	known    sync.Map // epoch and key of a slot -> its token
)

func newRig(t *testing.T) *rig {
	t.Helper()
	once.Do(func() { exchange = rpctest.New(t, rpctest.Ample, "CA", "AZ") })
	return newRigIn(t, exchange)
}

// newRigIn is a rig in an exchange whose roster may change.
func newRigIn(t *testing.T, x *rpctest.Exchange) *rig {
	t.Helper()
	r := &rig{t: t, x: x, state: "CA", secret: [32]byte{1, 2, 3}}
	r.now = r.x.Now().UTC().Truncate(time.Second)
	r.hub = &hub{rig: r, pointers: make(map[waypost.Handle]*stands)}
	r.door = r.hub
	r.open()
	return r
}

// beside is another state at the same hub.
func (r *rig) beside(state waypost.Jurisdiction, secret byte) *rig {
	r.t.Helper()
	other := &rig{t: r.t, x: r.x, now: r.now, hub: r.hub, door: r.door, state: state, secret: [32]byte{secret}}
	other.open()
	return other
}

// open makes the databases of the state, and begins.
func (r *rig) open() {
	t := r.t
	t.Helper()
	open := func(role string, opts ...store.Option) *store.DB {
		db, err := store.Open(t.Context(), storetest.URL(t, t.TempDir()+"/"+role+".db", role), role, append(opts, store.ForSimulation())...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	r.db = open("gateway", store.WithPlans(func(statement string, plan []string) { r.plans.Store(statement, plan) }), store.WithFault(func(point string) error {
		if r.crash == nil {
			return nil
		}
		return r.crash(point)
	}))
	r.people = records.NewPeople(open("people"))
	r.restart()
}

// restart is what a crash leaves: another process on the same databases.
func (r *rig) restart() {
	r.t.Helper()
	var err error
	r.file, err = records.New(records.Deps{
		State: r.state, Roster: r.x.View, DB: r.db, Journal: ledger{r}, Secret: r.secret, System: r.people, Hub: r.door,
		Quorum: quorum{r}, Permits: permits{r}, Ledgers: ledgers{}, Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.file.Resume(context.Background(), r.now.Add(time.Second)); err != nil && r.crash == nil {
		r.t.Fatal(err)
	}
}

// settle lets time go by until nothing is to be done any more.
func (r *rig) settle() {
	r.t.Helper()
	for range 5 {
		r.now = r.now.Add(2 * time.Hour)
		if err := r.file.Step(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) load(generation uint32, all ...waypost.Record) {
	r.t.Helper()
	n, rejected, err := r.file.Load(r.t.Context(), "loader", generation, all)
	if err != nil || n != len(all) || len(rejected) > 0 {
		r.t.Fatalf("%d published, %v, %v", n, rejected, err)
	}
}

func (r *rig) pointers(id string) (all []records.Pointer) {
	r.t.Helper()
	err := r.db.Read(r.t.Context(), func(tx *store.Tx) (err error) {
		all, err = r.file.Pointers(tx, id)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func licence(id string, p waypost.Person) waypost.Record {
	return waypost.Record{ID: id, Person: p, CardNumber: "D" + id, Kind: waypost.Licence, Status: waypost.Valid}
}

// token is what the quorum makes of a key in the first epoch.
func (r *rig) token(key []byte) waypost.Token { return r.tokenOf(1, key) }

// tokenOf is what the quorum makes of a key in an epoch.
func (r *rig) tokenOf(epoch uint32, key []byte) waypost.Token {
	r.t.Helper()
	place := string(append([]byte{byte(epoch)}, key...))
	if t, ok := known.Load(place); ok {
		return t.(waypost.Token)
	}
	b, err := toprf.BlindAll([][]byte{key}, [32]byte{9})
	if err != nil {
		r.t.Fatal(err)
	}
	all, _, err := quorum{r}.Evaluate(r.t.Context(), waypost.SignedTicket{Ticket: waypost.Ticket{Epoch: epoch}}, b)
	if err != nil {
		r.t.Fatal(err)
	}
	known.Store(place, all[0].Tokens[0])
	return all[0].Tokens[0]
}

// ledger writes down the kinds of entries, and once more with their code.
type ledger struct{ *rig }

func (l ledger) Append(tx *store.Tx, e journal.Entry) (uint64, error) {
	body, err := journal.ParseBody(e.Body)
	if err != nil {
		return 0, err
	}
	kinds := []string{e.Kind}
	if body["code"] != "" {
		kinds = append(kinds, e.Kind+" "+body["code"])
	}
	for _, kind := range kinds {
		if _, err := tx.Exec(`INSERT INTO planted (id, state, at) VALUES ($1, $2, 0)`, rand16(), kind); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (ledger) KeepReceipts(*store.Tx, waypost.SignedTicket, [][]byte) error { return nil }

// said counts the entries of a kind.
func (r *rig) said(kind string) (n int) {
	r.t.Helper()
	if err := r.db.Read(r.t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM planted WHERE state = $1`, kind).Scan(&n)
	}); err != nil {
		r.t.Fatal(err)
	}
	return n
}

type ledgers struct{}

func (ledgers) Usable(string) error { return nil }

// quorum evaluates with one share that is the whole key.
type quorum struct{ *rig }

func (q quorum) Ticket(kind waypost.Kind, _ string, elements []byte) (waypost.SignedTicket, error) {
	return q.ticket(kind, len(elements)/toprf.ElementSize, waypost.HashProbes(elements))
}

func (r *rig) ticket(kind waypost.Kind, elements int, probes [32]byte) (waypost.SignedTicket, error) {
	current := r.x.View.Settled()
	t := waypost.Ticket{Kind: kind, RosterVersion: current.Version, Epoch: current.KeysFor(kind)[0].Epoch, Environment: current.Environment, SOI: r.state,
		Class: waypost.Loader, Purpose: waypost.MaintainPointer, IssuedAt: r.now, Elements: elements, Probes: probes}
	if kind == waypost.KindCheck {
		t.Class, t.Purpose = waypost.Attended, waypost.IssueLicence
	}
	copy(t.Nonce[:], rand16())
	t.Tau[0], t.Operator[0] = 1, 1
	return t.Sign(r.x.Party(string(r.state)).Identity)
}

// Evaluate stands in for the key holders: the tokens of each epoch are others, since
// the epoch goes into them.
func (q quorum) Evaluate(_ context.Context, t waypost.SignedTicket, b *toprf.Blinding, _ ...toprf.Option) ([]records.Set, []waypost.SignedReceipt, error) {
	if q.evaluating != nil {
		q.evaluating()
	}
	epochs := []uint32{t.Epoch}
	if t.RosterVersion > 0 {
		keys, err := q.x.View.KeysFor(t.Ticket)
		if err != nil {
			return nil, nil, err
		}
		epochs = nil
		for _, k := range keys {
			epochs = append(epochs, k.Epoch)
		}
	}
	share, err := toprf.NewShare(1, key)
	if err != nil {
		return nil, nil, err
	}
	keys, err := toprf.NewPublicKeys(1, share.Public(), []toprf.Element{share.Public()})
	if err != nil {
		return nil, nil, err
	}
	e, err := share.Evaluate(b.Elements(), make([]byte, 32))
	if err != nil {
		return nil, nil, err
	}
	answer, err := keys.Verify(1, b.Elements(), e)
	if err != nil {
		return nil, nil, err
	}
	combined, err := keys.Combine([]toprf.Verified{answer})
	if err != nil {
		return nil, nil, err
	}
	outputs, err := b.Finalize(combined)
	sets := make([]records.Set, len(epochs))
	for i, epoch := range epochs {
		sets[i].Epoch = epoch
		for _, o := range outputs {
			sets[i].Tokens = append(sets[i].Tokens, waypost.NewToken(epoch, o))
		}
	}
	return sets, nil, err
}

type permits struct{ *rig }

func (p permits) Permit(_ context.Context, w errand.Wish) (permit errand.Permit, err error) {
	permit.Ticket, err = p.ticket(w.Kind, 0, waypost.CommitRequest(w.Recipient, permit.Salt, w.Request))
	return permit, err
}

func (permits) Settle(*store.Tx, waypost.TicketID) error { return nil }
