package records_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/pgtest"
	"github.com/waypost/waypost/toprf"
)

// process is one of two of a gateway on one database, which calls the test where it
// calls others.
type process struct {
	*records.File
	evaluate func()
	put      func() error
}

type interrupted struct {
	quorum
	p *process
}

func (q interrupted) Evaluate(ctx context.Context, t waypost.SignedTicket, b *toprf.Blinding, o ...toprf.Option) ([]records.Set, []waypost.SignedReceipt, error) {
	if what := q.p.evaluate; what != nil {
		q.p.evaluate = nil
		what()
	}
	return q.quorum.Evaluate(ctx, t, b, o...)
}

type system struct {
	*records.People
	p *process
}

func (s system) Put(ctx context.Context, all []waypost.Record) error {
	if what := s.p.put; what != nil {
		s.p.put = nil
		if err := what(); err != nil {
			return err
		}
	}
	return s.People.Put(ctx, all)
}

// twoProcesses are those of one gateway, on one server.
func (r *rig) twoProcesses() (lead, other *process) {
	r.t.Helper()
	url := pgtest.Start(r.t, 1)[0].URL()
	open := func(n int) *process {
		db, err := store.Open(r.t.Context(), url, "gateway", store.AsProcess(n))
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = db.Close() })
		p := &process{}
		p.File, err = records.New(records.Deps{
			State: "CA", Roster: r.x.View, DB: db, Journal: ledger{r}, Secret: [32]byte{1, 2, 3}, System: system{r.people, p}, Hub: r.hub,
			Quorum: interrupted{quorum{r}, p}, Permits: permits{r}, Ledgers: ledgers{}, Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			r.t.Fatal(err)
		}
		return p
	}
	lead, other = open(1), open(2)
	r.db, r.file = lead.DB, lead.File
	return lead, other
}

func (r *rig) refused(what string, err error) {
	r.t.Helper()
	if waypost.CodeOf(err) != waypost.Unavailable {
		r.t.Errorf("%s, while the other process is at work on the record: %v", what, err)
	}
}

// TestWithdrawnWhileItIsPublished: while one process publishes what is wanted nobody at
// the other withdraws it; what was withdrawn stays so.
func TestWithdrawnWhileItIsPublished(t *testing.T) {
	r := newRig(t)
	lead, other := r.twoProcesses()
	r.hub.down = waypost.Errorf(waypost.Unavailable, "down")
	if _, _, err := lead.Load(t.Context(), "loader", 0, []waypost.Record{licence("CA-2", renamed("Moretti"))}); err == nil {
		t.Fatal("loaded without a hub")
	}
	r.hub.down = nil
	r.now = r.now.Add(2 * time.Hour)
	lead.evaluate = func() {
		_, err := other.Withdraw(t.Context(), "clerk", "CA-2")
		r.refused("a withdrawal", err)
	}
	if err := lead.Step(t.Context()); err != nil || lead.evaluate != nil || r.anyLive() != 1 {
		t.Fatalf("%d pointers are live: %v", r.anyLive(), err)
	}
	if n, err := other.Withdraw(t.Context(), "clerk", "CA-2"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for range 3 {
		r.now = r.now.Add(2 * time.Hour)
		if err := lead.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.anyLive(); n != 0 {
		t.Errorf("withdrawn, and %d pointers are live; the file says %+v", n, r.pointers("CA-2"))
	}
}

// TestSuspendedWhileAChangeIsStored: a change that was left over does not undo what a
// clerk at the other process does.
func TestSuspendedWhileAChangeIsStored(t *testing.T) {
	r := newRig(t)
	lead, other := r.twoProcesses()
	if _, _, err := lead.Load(t.Context(), "loader", 0, []waypost.Record{licence("CA-1", ludmila)}); err != nil {
		t.Fatal(err)
	}
	lead.put = func() error { return errors.New("the state system is being restarted") }
	changed := licence("CA-1", ludmila)
	changed.CardNumber = "NEW"
	if _, err := lead.Change(t.Context(), "clerk", changed, false); err == nil {
		t.Fatal("changed")
	}
	suspend := func() error { return other.SetStatus(t.Context(), "CA-1", waypost.Suspended, r.now) }
	lead.put = func() error {
		r.refused("a suspension", suspend())
		return nil
	}
	r.now = r.now.Add(2 * time.Hour)
	if err := errors.Join(lead.Step(t.Context()), suspend(), lead.Step(t.Context())); err != nil || lead.put != nil {
		t.Fatal(err)
	}
	got, err := r.people.Record(t.Context(), "CA-1")
	if err != nil || got.Status != waypost.Suspended || got.CardNumber != "NEW" {
		t.Errorf("suspended, and the record is %s with card %s (%v)", got.Status, got.CardNumber, err)
	}
}

// TestLoadedBesideAClerk: while one process loads a record nothing is done about it at
// the other: it would get two pointers.
func TestLoadedBesideAClerk(t *testing.T) {
	r := newRig(t)
	lead, other := r.twoProcesses()
	record := licence("CA-3", ludmila)
	lead.put = func() error {
		_, err := other.Change(t.Context(), "clerk", record, false)
		r.refused("a change", err)
		r.refused("a record that comes", other.TakeOver(t.Context(), "clerk", record))
		_, err = other.Issue(t.Context(), "clerk", records.Issuing{Record: record})
		r.refused("an issue", err)
		return nil
	}
	if n, rejected, err := lead.Load(t.Context(), "loader", 0, []waypost.Record{record}); err != nil || n != 1 || len(rejected) > 0 || lead.put != nil {
		t.Fatal(n, rejected, err)
	}
	if n := r.anyLive(); n != 1 {
		t.Errorf("the record has %d pointers", n)
	}
	if _, err := other.Change(t.Context(), "clerk", record, false); err != nil {
		t.Error("once it is loaded:", err)
	}
}
