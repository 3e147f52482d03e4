package keyholder_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
)

// Within its window the same bytes get the same answer, counted once, from the
// process that gave it and from the next; afterwards they are refused.
func TestReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	q := r.ask()
	first := r.good(q)
	for range 3 {
		same(t, first, r.good(q))
	}
	r.Advance(waypost.TicketWindow - time.Minute) // a minute for what follows: the clock goes on
	r.restart()
	same(t, first, r.good(q))
	if n := r.entries(); n != 1 {
		t.Errorf("one ticket stands %d times in the journal", n)
	}
	r.Advance(time.Minute + time.Second)
	r.refused("after the window", r.arizona, q.request(), waypost.Expired, "older than 2m0s")
	r.restart()
	r.refused("after the window and a restart", r.arizona, q.request(), waypost.Expired, "older than 2m0s")
}

// A clock that is set back does not open an old ticket for another count.
func TestReplayWithClockSetBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	q := r.ask()
	first := r.good(q)
	r.Advance(10 * time.Minute)
	r.good(r.ask())
	must(t, keyholder.Clean(t.Context(), r.deps()))
	r.Advance(-10 * time.Minute)
	r.restart()
	same(t, first, r.good(q))
	if n := r.entries(); n != 2 {
		t.Errorf("two tickets stand %d times in the journal", n)
	}
}

// Housekeeping forgets what freshness refuses, all of it, and nothing else.
func TestHousekeeping(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	must(t, r.db.Write(t.Context(), func(tx *store.Tx) error {
		for i := range 1234 {
			id := [32]byte{byte(i), byte(i >> 8)}
			if _, err := tx.Exec(`INSERT INTO ticket (id, expires, sequence, deadline, hedge) VALUES ($1, $2, 0, 0, $3)`, id[:], r.Now().Unix()-1, id[:]); err != nil {
				return err
			}
		}
		return nil
	}))
	r.good(r.ask())
	must(t, keyholder.Clean(t.Context(), r.deps()))
	var left int
	must(t, r.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM ticket`).Scan(&left) }))
	if left != 1 {
		t.Errorf("%d tickets are remembered, want 1", left)
	}
	r.Advance(time.Hour)
	must(t, keyholder.Clean(t.Context(), r.deps()))
	must(t, r.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM ticket`).Scan(&left) }))
	if left != 0 {
		t.Errorf("%d tickets are remembered after an hour", left)
	}
}

// Every field of a ticket is signed, and its signature is the state's.
func TestAltered(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	q := r.ask()
	wire := q.Bytes()
	for _, at := range []int{0, 20, 26, 34, 39, 44, 60, 90, 105, 130, 170, 200, 210, 225, 230, 250, 270, len(wire) - 64, len(wire) - 1} {
		altered := append([]byte(nil), wire...)
		altered[at] ^= 4
		if _, err := r.arizona.Evaluate(t.Context(), &waypostv1.EvaluateRequest{Ticket: altered, Elements: q.elements}); waypost.CodeOf(err) != waypost.InvalidArgument &&
			waypost.CodeOf(err) != waypost.PermissionDenied && waypost.CodeOf(err) != waypost.Unavailable && waypost.CodeOf(err) != waypost.Expired {
			t.Errorf("byte %d altered: %v", at, err)
		}
	}
	if n := r.entries(); n != 0 {
		t.Errorf("%d entries", n)
	}
	r.good(q)
}

// Each reason to refuse, in words; a refusal leaves no trace and costs no quota.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	set := func(change func(*waypost.Ticket)) *waypostv1.EvaluateRequest { return r.ask(change).request() }
	wrong := func(n int) *waypostv1.EvaluateRequest {
		return r.sign("AZ", elements(t, n)).request()
	}
	with := func(at int, element []byte) *waypostv1.EvaluateRequest {
		all := elements(t, waypost.CheckElements)
		copy(all[at*32:], element)
		return r.sign("AZ", all).request()
	}
	// A number beyond the field, and an odd ("negative") one: RFC 9496, A.3.
	notCanonical := []byte(strings.Repeat("\xff", 32))
	negative := make([]byte, 32)
	negative[0] = 1
	good := r.ask()
	for _, c := range []struct {
		name  string
		req   *waypostv1.EvaluateRequest
		code  waypost.Code
		words string
	}{
		{"nothing", &waypostv1.EvaluateRequest{}, waypost.InvalidArgument, "not well formed"},
		{"garbage", &waypostv1.EvaluateRequest{Ticket: make([]byte, 900), Elements: good.elements}, waypost.InvalidArgument, "not well formed"},
		{"an old ticket", set(func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(-waypost.TicketWindow - time.Second) }), waypost.Expired, "older than"},
		{"a ticket of the future", set(func(t *waypost.Ticket) { t.IssuedAt = t.IssuedAt.Add(waypost.ClockSkew + time.Hour) }), waypost.Expired, "in the future"},
		{"signed by another state", r.sign("NV", good.elements).request(), waypost.PermissionDenied, "not signed by AZ"},
		{"another state's ticket", r.sign("NV", good.elements, func(t *waypost.Ticket) { t.SOI = "NV" }).request(), waypost.PermissionDenied, "AZ brought a ticket of NV"},
		{"a state that is none", set(func(t *waypost.Ticket) { t.SOI = "ZZ" }), waypost.PermissionDenied, "AZ brought a ticket of ZZ"},
		{"the other environment", set(func(t *waypost.Ticket) { t.Environment = waypost.Prod }), waypost.PermissionDenied, "for the prod environment, this is test"},
		{"another epoch", set(func(t *waypost.Ticket) { t.Epoch = 2 }), waypost.Expired, "key epoch 2, by roster version 1 a check is for epoch 1"},
		{"a roster to come", set(func(t *waypost.Ticket) { t.RosterVersion = 2 }), waypost.Unavailable, "roster version 2 is not known here yet"},
		{"no roster", set(func(t *waypost.Ticket) { t.RosterVersion = 0 }), waypost.Expired, "roster version 0 is over"},
		{"33 elements", wrong(33), waypost.InvalidArgument, "cannot carry 33 elements"},
		{"31 elements", wrong(31), waypost.InvalidArgument, "cannot carry 31 elements"},
		{"no elements", r.sign("AZ", nil).request(), waypost.InvalidArgument, "cannot carry 0 elements"},
		{"elements left out", &waypostv1.EvaluateRequest{Ticket: good.Bytes(), Elements: good.elements[32:]}, waypost.InvalidArgument, "covers 32 elements, the request brings 31"},
		{"another order", &waypostv1.EvaluateRequest{Ticket: good.Bytes(), Elements: append(append([]byte(nil), good.elements[32:]...), good.elements[:32]...)},
			waypost.PermissionDenied, "signed over other elements"},
		{"the identity", with(5, make([]byte, 32)), waypost.InvalidArgument, "not canonical ristretto255 elements other than the identity"},
		{"not canonical", with(0, notCanonical), waypost.InvalidArgument, "not canonical"},
		{"a negative element", with(31, negative), waypost.InvalidArgument, "not canonical"},
		{"a purpose that is another kind's", set(func(t *waypost.Ticket) { t.Purpose = waypost.MaintainPointer }), waypost.PermissionDenied, "does not allow a check"},
		{"a purpose that does not exist", set(func(t *waypost.Ticket) { t.Purpose = "law_enforcement" }), waypost.PermissionDenied, "law_enforcement does not allow"},
		{"a purpose that the roster does not admit", set(func(t *waypost.Ticket) { t.Purpose = waypost.Renew }), waypost.PermissionDenied, "does not admit the purpose renew"},
		{"a kind that does not exist", set(func(t *waypost.Ticket) { t.Kind = "list" }), waypost.PermissionDenied, "does not allow a list"},
		{"a loader who checks", set(func(t *waypost.Ticket) { t.Class = waypost.Loader }), waypost.PermissionDenied, "class publish cannot ask for a check"},
		{"a batch of 101 records", r.sign("AZ", elements(t, 1010), publishing).request(), waypost.InvalidArgument, "cannot carry 1010 elements"},
		{"half a record", r.sign("AZ", elements(t, 15), publishing).request(), waypost.InvalidArgument, "cannot carry 15 elements"},
	} {
		r.refused(c.name, r.arizona, c.req, c.code, c.words)
	}
	r.refused("Nevada brings Arizona's ticket", r.nevada, good.request(), waypost.PermissionDenied, "NV brought a ticket of AZ")
	r.good(good)
	r.refused("Nevada brings a ticket that was answered", r.nevada, good.request(), waypost.PermissionDenied, "NV brought a ticket of AZ")
	r.good(r.sign("AZ", elements(t, 1000), publishing))
}

// The version before the current one is good for a day, and no longer.
func TestRosterVersions(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	r.Update(func(n *roster.Roster) {})
	old := func(t *waypost.Ticket) { t.RosterVersion = 1 }
	r.good(r.ask(old))
	r.Advance(roster.Grace + time.Second)
	r.refused("after its grace", r.arizona, r.ask(old).request(), waypost.Expired, "roster version 1 is over: use version 2")
	r.good(r.ask())
	r.Update(func(n *roster.Roster) { n.RevokedBefore = 3 })
	r.refused("revoked", r.arizona, r.ask(func(t *waypost.Ticket) { t.RosterVersion = 2 }).request(), waypost.Expired, "roster version 2 is over")
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if n.Members[i].Name == "AZ" {
				n.Members[i].Capabilities = []roster.Capability{roster.Answer}
			}
		}
	})
	r.refused("without the capability to search", r.arizona, r.ask().request(), waypost.PermissionDenied, "AZ does not take part in search")
	r.refused("without the capability to publish", r.arizona, r.sign("AZ", elements(t, 10), publishing).request(), waypost.PermissionDenied, "AZ does not take part in publish")
}

func TestQuota(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.TicketsPerDay, quota.PublishElementsPerDay, quota.PublishElementsForALoad = 5, 25, 10
	r := newRig(t, quota)
	r.earlyInADay()
	var last question
	for range 5 {
		last = r.ask()
		r.good(last)
	}
	over := r.ask()
	r.refused("a sixth check", r.arizona, over.request(), waypost.QuotaExceeded, "AZ has used its quota of checks today: try again after")
	r.good(last) // a replay is not a check
	r.good(r.sign("AZ", elements(t, 20), publishing))
	r.good(r.sign("AZ", elements(t, 10), publishing)) // from the grant
	r.refused("beyond the grant", r.arizona, r.sign("AZ", elements(t, 10), publishing).request(), waypost.QuotaExceeded, "load grant")
	r.Advance(24 * time.Hour)
	r.good(r.ask())
}

// Concurrent checks are counted one by one: exactly the quota is answered.
func TestQuotaUnderConcurrency(t *testing.T) {
	t.Parallel()
	quota := rpctest.Ample
	quota.TicketsPerDay = 8
	r := newRig(t, quota)
	r.earlyInADay()
	questions := make([]question, 16)
	for i := range questions {
		questions[i] = r.ask()
	}
	var good atomic.Int64
	var all sync.WaitGroup
	for _, q := range questions {
		all.Go(func() {
			_, err := r.evaluate(q)
			if err == nil {
				good.Add(1)
			} else if waypost.CodeOf(err) != waypost.QuotaExceeded {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.entries(); good.Load() != 8 || n != 8 {
		t.Errorf("%d answers and %d entries, want 8", good.Load(), n)
	}
}

// One ticket many times at once counts once and has one answer.
func TestSameTicketAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	for range 4 {
		before := r.entries()
		q := r.ask()
		answers := make([]*waypostv1.EvaluateResponse, 8)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				var err error
				if answers[i], err = r.evaluate(q); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
		r.check(q, answers[0])
		for _, a := range answers[1:] {
			same(t, answers[0], a)
		}
		if n := r.entries() - before; n != 1 {
			t.Errorf("the ticket counted %d times", n)
		}
	}
}

// A crash before the commit leaves nothing; one after it leaves an entry whose
// answer the retry gets. No answer without its entry, no entry twice.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"begin", "commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			quota := rpctest.Ample
			quota.TicketsPerDay = 1
			r := newRig(t, quota)
			r.earlyInADay()
			q := r.ask()
			fail := store.Fault(func(at string) error {
				if at == point {
					return errors.New("power cut")
				}
				return nil
			})
			r.fault.Store(&fail)
			if _, err := r.evaluate(q); waypost.CodeOf(err) != waypost.Internal {
				t.Errorf("%v, want an internal error", err)
			}
			r.fault.Store(nil)
			want := 0
			if point == "committed" {
				want = 1
			}
			if n := r.entries(); n != want {
				t.Errorf("%d entries after the crash, want %d", n, want)
			}
			r.restart()
			first := r.good(q)
			same(t, first, r.good(q))
			if n := r.entries(); n != 1 {
				t.Errorf("%d entries after the retry", n)
			}
			r.refused("a second check", r.arizona, r.ask().request(), waypost.QuotaExceeded, "checks today")
		})
	}
}

// The journal holds the ticket as it was signed: who asked, why and when, and
// nothing that is a person's.
func TestEntry(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	q := r.ask(func(t *waypost.Ticket) {
		t.Case = waypost.CommitCase([32]byte{1}, "AZ-2026-0001")
		t.Cites = waypost.TicketID{7}
	})
	r.good(q)
	all, err := journaltest.Opener().Read(t.Context(), r.journal, 0, 10)
	must(t, err)
	body, err := journal.ParseBody(all[0].Body)
	must(t, err)
	signed, err := base64.StdEncoding.DecodeString(body["ticket"])
	must(t, err)
	ticket, err := waypost.ParseTicket(signed)
	must(t, err)
	if ticket.Ticket != q.Ticket || len(body) != 1 {
		t.Errorf("the entry says %v of %v", body, q.Ticket)
	}
	az, _ := r.View.Member("AZ")
	if err := ticket.Verify(az.Identity); err != nil {
		t.Errorf("the entry cannot be shown to be Arizona's: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	r := newRig(t, rpctest.Ample)
	for name, c := range map[string]struct {
		config keyholder.Config
		change func(*keyholder.Deps)
		words  string
	}{
		"unknown":         {keyholder.Config{Name: "keyholder-9"}, func(*keyholder.Deps) {}, "keyholder-9 is not a key holder"},
		"a gateway":       {keyholder.Config{Name: "AZ"}, func(*keyholder.Deps) {}, "AZ is not a key holder"},
		"another's share": {keyholder.Config{Name: holderName}, func(d *keyholder.Deps) { d.Shares = keyholder.Held(r.Party("keyholder-2").Share) }, "does not have the share that the roster commits to for key epoch 1"},
	} {
		deps := r.deps()
		c.change(&deps)
		if _, err := keyholder.New(c.config, deps); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkEvaluate measures one check through TLS, handler and database, with
// the multiplications and the proof.
func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{waypost.CheckElements, 1000} {
		b.Run(fmt.Sprintf("elements=%d", n), func(b *testing.B) {
			r := newRig(b, rpctest.Ample)
			var questions []question
			shared := elements(b, n)
			for range b.N {
				if n == waypost.CheckElements {
					questions = append(questions, r.sign("AZ", shared))
				} else {
					questions = append(questions, r.sign("AZ", shared, publishing))
				}
			}
			next := atomic.Int64{}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := r.arizona.Evaluate(context.Background(), questions[next.Add(1)-1].request()); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "elements/s")
		})
	}
}
