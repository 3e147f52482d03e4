package audit_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/toprf"
	"github.com/waypost/waypost/translog"
)

// A drill is an exchange of three states, three key holders of which any two
// suffice, hub and outside witness: the roles of the program, on their own
// folders and over TLS. Each role's operator can reach into it at the seams
// below, into its database and into its folder. As long as nobody does, the
// roles are what they are without them.
type drill struct {
	*cluster.Cluster
	t     *testing.T
	dir   string
	state string // file of the audits

	ledgers sync.Map // role -> *atomic.Pointer[act]
	calls   sync.Map // state -> *atomic.Pointer[call]
	lax     atomic.Bool
	deaf    sync.Map // state -> key holder that it does not ask
	shares  sync.Map // key holder -> *atomic.Pointer[toprf.Share], which it gets later
}

// late is the share that a key holder gets later.
func (d *drill) late(holder string) *atomic.Pointer[toprf.Share] {
	return seam[toprf.Share](&d.shares, holder)
}

// act is what an operator does with an entry before it is written: it may
// change it, or return false to keep it off the record.
type act func(tx *store.Tx, e *journal.Entry) (written bool)

// call is what a state's operator does before a call to the hub.
type call struct {
	search  func(req *waypostv1.SearchRequest) error
	publish func() error
}

func seam[T any](all *sync.Map, name string) *atomic.Pointer[T] {
	at, _ := all.LoadOrStore(name, new(atomic.Pointer[T]))
	return at.(*atomic.Pointer[T])
}

// ledger is a journal with its operator's hand in it.
type ledger struct {
	*journal.Journal
	hand *atomic.Pointer[act]
}

// Append writes the entry as the operator wants it. One that is kept off the
// record gets the number that comes next: its receipt has to name a place.
func (l ledger) Append(tx *store.Tx, e journal.Entry) (seq uint64, err error) {
	if f := l.hand.Load(); f != nil && !(*f)(tx, &e) {
		err = tx.Row(`SELECT coalesce(max(seq), -1) + 1 FROM journal`).Scan(&seq)
		return seq, err
	}
	return l.Journal.Append(tx, e)
}

// authority asks for less than the roster does.
type authority struct {
	*roster.View
	lax *atomic.Bool
}

func (a authority) Threshold(version uint64) (int, error) {
	if a.lax.Load() {
		return 1, nil
	}
	return a.View.Threshold(version)
}

type hubOf struct {
	gateway.Hub
	hand *atomic.Pointer[call]
}

func (h hubOf) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	if f := h.hand.Load(); f != nil && f.search != nil {
		if err := f.search(req); err != nil {
			return nil, err
		}
	}
	return h.Hub.Search(ctx, req)
}

func (h hubOf) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	if f := h.hand.Load(); f != nil && f.publish != nil {
		if err := f.publish(); err != nil {
			return nil, err
		}
	}
	return h.Hub.Publish(ctx, req)
}

type holdersOf struct {
	gateway.Holders
	state string
	deaf  *sync.Map
}

func (h holdersOf) Evaluate(ctx context.Context, holder string, req *waypostv1.EvaluateRequest) (*waypostv1.EvaluateResponse, error) {
	if name, ok := h.deaf.Load(h.state); ok && name == holder {
		return nil, waypost.Errorf(waypost.Unavailable, "%s cannot be reached", holder)
	}
	return h.Holders.Evaluate(ctx, holder, req)
}

var (
	states  = []waypost.Jurisdiction{"AZ", "CA", "NV"}
	holders = []string{"keyholder-1", "keyholder-2", "keyholder-3"}
	clerk   = gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: "CASE-1"}
)

// open starts an exchange; a zero quota is one that is never met.
func open(t *testing.T, quota roster.Quota) *drill {
	t.Helper()
	d := &drill{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "audit.state")}
	c, err := cluster.Open(t.Context(), cluster.Config{
		Dir: d.dir, States: states, Holders: len(holders), Threshold: 2, Quota: quota, Log: slog.New(slog.DiscardHandler),
		Hub: func(deps *hub.Deps) {
			deps.Journal = ledger{deps.Journal.(*journal.Journal), seam[act](&d.ledgers, "hub")}
			deps.Authority = authority{deps.Roster, &d.lax}
		},
		KeyHolders: func(name string, deps *keyholder.Deps) {
			deps.Journal = ledger{deps.Journal.(*journal.Journal), seam[act](&d.ledgers, name)}
			deps.Shares = moreShares{deps.Shares, d.late(name)}
		},
		Gateways: func(state waypost.Jurisdiction, deps *gateway.Deps) {
			deps.Journal = ledger{deps.Journal.(*journal.Journal), seam[act](&d.ledgers, string(state))}
			deps.Hub = hubOf{deps.Hub, seam[call](&d.calls, string(state))}
			deps.Holders = holdersOf{deps.Holders, string(state), &d.deaf}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Cluster = c
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	// At noon, so that no test sees the days change.
	now := c.Clock.Now().UTC()
	c.Clock.Advance(now.Truncate(24 * time.Hour).Add(36 * time.Hour).Sub(now))
	d.relied()
	return d
}

// patience is for what takes no time but on a busy machine: a check that was owed is
// made again after half a minute.
const patience = 3 * time.Minute

// relied waits until everybody relies on everybody's ledger: after a leap of the clock
// they have to be published and looked at anew.
func (d *drill) relied() {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var err error
		for _, name := range d.roles() {
			for _, member := range append(slices.Clone(holders), "hub") {
				err = errors.Join(err, d.Role(name).Follower.Usable(member))
			}
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatal(err)
		}
	}
}

// with has the operator of a role do this while something happens.
func (d *drill) with(role string, f act, happens func()) {
	at := seam[act](&d.ledgers, role)
	at.Store(&f)
	defer at.Store(nil)
	happens()
}

// calling is with for a state's calls to the hub.
func (d *drill) calling(state string, f call, happens func()) {
	at := seam[call](&d.calls, state)
	at.Store(&f)
	defer at.Store(nil)
	happens()
}

// off keeps entries of these kinds off the record.
func off(kinds ...string) act {
	return func(_ *store.Tx, e *journal.Entry) bool { return !slices.Contains(kinds, e.Kind) }
}

// rewrite changes the fields of entries of one kind.
func (d *drill) rewrite(kind string, change func(fields map[string]string)) act {
	return func(_ *store.Tx, e *journal.Entry) bool {
		if e.Kind != kind {
			return true
		}
		fields, err := translog.ParseBody(e.Body)
		if err == nil {
			change(fields)
			e.Body, err = translog.FormatBody(fields)
		}
		if err != nil {
			d.t.Error(err)
		}
		return true
	}
}

// edit changes a role's database while the role runs.
func (d *drill) edit(role, statement string, args ...any) {
	d.t.Helper()
	var n int64
	err := d.Role(role).DB.Write(d.t.Context(), func(tx *store.Tx) (err error) {
		n, err = tx.Exec(statement, args...)
		return err
	})
	if err != nil || n == 0 {
		d.t.Fatalf("%s: %q changed %d rows, %v", role, statement, n, err)
	}
}

var people atomic.Int64

// someone makes up a person whose name is nobody else's.
func someone() waypost.Person {
	const consonants, vowels = "BDFGKLMNPRSTVZ", "AEIOU"
	n := people.Add(1)
	word := func(n int64) string {
		var w []byte
		for range 5 {
			w = append(w, consonants[n%14], vowels[n/14%5])
			n = n*31 + 17
		}
		return string(w)
	}
	return waypost.Person{Family: word(n*7919 + 13), Given: word(n*104729 + 7), Sex: "F", SSN5: fmt.Sprintf("%05d", 10000+n*37%80000),
		Born: waypost.Date{Year: 1935 + int(n*11%65), Month: 1 + int(n%12), Day: 2 + int(n*5%26)}}
}

// load gives a state a card holder and returns the record's id.
func (d *drill) load(state waypost.Jurisdiction, p waypost.Person) (id string, err error) {
	id = fmt.Sprintf("%s-%d", state, people.Add(1))
	_, _, err = d.Gateway(state).File().Load(d.t.Context(), "loader", 0, []waypost.Record{
		{ID: id, Person: p, CardNumber: "K" + id[3:] + "00001", Kind: waypost.Licence, Status: waypost.Valid}})
	return id, err
}

// holder makes up a card holder of a state.
func (d *drill) holder(state waypost.Jurisdiction) waypost.Person {
	d.t.Helper()
	p := someone()
	if _, err := d.load(state, p); err != nil {
		d.t.Fatal(err)
	}
	return p
}

// check asks at a state's counter and waits for the last answer.
func (d *drill) check(state waypost.Jurisdiction, p waypost.Person) waypost.Answer {
	d.t.Helper()
	return d.wait(state, d.begin(state, p))
}

// begin asks at a state's counter.
func (d *drill) begin(state waypost.Jurisdiction, p waypost.Person) waypost.Answer {
	d.t.Helper()
	a, err := d.Gateway(state).Check(d.t.Context(), gateway.Applicant{Person: p}, clerk)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

func (d *drill) wait(state waypost.Jurisdiction, a waypost.Answer) waypost.Answer {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !a.Complete; time.Sleep(50 * time.Millisecond) {
		var err error
		if a, err = d.Gateway(state).Answer(d.t.Context(), a.Ticket); err != nil {
			d.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("a check is not complete after %v: %+v", patience, a)
		}
	}
	return a
}

// finds is an honest check whose outcome is known.
func (d *drill) finds(state waypost.Jurisdiction, p waypost.Person, want waypost.Outcome) waypost.TicketID {
	d.t.Helper()
	a := d.check(state, p)
	if a.Owed || a.Best() != want {
		d.t.Fatalf("%s was answered %+v, want %s", state, a, want)
	}
	return a.Ticket
}

// settle lets so much time pass that whatever is promised is due, and lets
// everybody publish, look at the others, and publish what they saw. What a
// cheat cannot publish any more it need not.
func (d *drill) settle() {
	d.t.Helper()
	ctx, stop := context.WithTimeout(d.t.Context(), patience)
	defer stop()
	d.Clock.Advance(12 * time.Minute)
	d.publish(ctx)
	var looking sync.WaitGroup
	for _, name := range d.roles() {
		if r := d.Role(name); r != nil {
			looking.Go(func() {
				if err := r.Follower.Round(ctx); err != nil {
					d.t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	looking.Wait()
	d.publish(ctx)
}

func (d *drill) publish(ctx context.Context) {
	if err := d.Publish(ctx); err != nil {
		d.t.Log("not published:", err)
	}
}

func (d *drill) roles() []string { return append(slices.Clone(holders), "hub", "AZ", "CA", "NV") }

// reconcile audits what is published: from the beginning, or what is new since
// the audit that left the state file.
func (d *drill) reconcile(state string) *audit.Report {
	d.t.Helper()
	o, err := audit.FromDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	o.State, o.WorkDir, o.Now = state, d.t.TempDir(), d.Clock.Now()
	rep, err := audit.Reconcile(d.t.Context(), o)
	if err != nil {
		d.t.Fatal(err)
	}
	return rep
}

// expect fails the test unless exactly this has been found, as "member kind",
// each once or more: about the tickets, and aside from them.
func (d *drill) expect(rep *audit.Report, tickets map[waypost.TicketID][]string, aside []string) {
	d.t.Helper()
	want, got := map[string][]string{"": aside}, make(map[string][]string)
	for id, list := range tickets {
		want[hexOf(id)] = list
	}
	for _, f := range rep.Findings {
		id := f.Evidence["ticket"]
		got[id] = append(got[id], f.Member+" "+f.Kind)
	}
	wrong := false
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if w, g := once(want[id]), once(got[id]); !slices.Equal(w, g) {
			wrong = true
			d.t.Errorf("about the ticket %.8q %q was found, want %q", id, g, w)
		}
		delete(got, id)
	}
	for id, list := range got {
		wrong = true
		d.t.Errorf("about the ticket %.8s, with which nobody cheated, %q was found", id, list)
	}
	if wrong {
		for _, f := range rep.Findings {
			d.t.Logf("%.8s %s %s: %s", f.Evidence["ticket"], f.Member, f.Kind, f.Words)
		}
	}
}

func once(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

func hexOf(id waypost.TicketID) string { return hex.EncodeToString(id[:]) }
