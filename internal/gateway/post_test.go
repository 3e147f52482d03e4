package gateway_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/gateway"
)

// TestSlowAnswers: a state that is down, or whose own system is, never fails a
// check, and its late answer completes it, though the asking gateway was down
// too in the meantime. A question about a protected person waits for a person
// to answer it; the state that asks sees no difference.
func TestSlowAnswers(t *testing.T) {
	impatient(t)
	people := map[waypost.Jurisdiction]waypost.Person{"NV": someone(), "CA": someone(), "NY": someone()}
	load(t, "NV", people["NV"])
	load(t, "CA", people["CA"])
	load(t, "NY", people["NY"], func(r *waypost.Record) { r.Protected = true })
	start := stop(t, "NV")
	trouble.make(t, func(tr *troubles) { tr.down = map[waypost.Jurisdiction]bool{"CA": true} })
	var mu sync.Mutex
	var asking sync.WaitGroup
	answers := make(map[waypost.Jurisdiction]waypost.Answer)
	for state, p := range people {
		asking.Go(func() {
			a := check(t, "AZ", p)
			mu.Lock()
			defer mu.Unlock()
			answers[state] = a
		})
	}
	asking.Wait()
	for state, a := range answers {
		expect(t, a, string(state)+" pending")
		if a.Complete || a.Owed || len(a.Coverage.Unanswered) != 1 || a.Coverage.Unanswered[0] != state {
			t.Errorf("answer %+v, want %s unanswered", a, state)
		}
		if w := a.Words(); !strings.Contains(w, string(state)+" has not answered yet") || strings.Contains(w, "NO OTHER CARD") {
			t.Errorf("the clerk reads %q", w)
		}
	}
	eventually(t, "New York's ledger says that the question waits", func() bool {
		return strings.Join(entries(t, "NY", answers["NY"].Ticket), " ") == "notified continue withheld"
	})
	id := answers["NY"].Ticket
	if n, err := exchange.Gateway("NY").Count(t.Context(), `SELECT count(*) FROM notice WHERE ticket = $1 AND length(question) > 0`, id[:]); n != 1 || err != nil {
		t.Errorf("%d questions wait for the special unit (%v), want 1", n, err)
	}
	eventually(t, "California holds a message", func() bool { return held(t, "CA") == 1 })

	stop(t, "AZ")()
	start()
	trouble.end()
	exchange.Clock.Advance(time.Minute)
	for _, state := range []waypost.Jurisdiction{"NV", "CA"} {
		expect(t, later(t, "AZ", answers[state].Ticket), string(state)+" match")
		if got := entries(t, "AZ", answers[state].Ticket); strings.Join(got, " ") != "ask outcome" {
			t.Errorf("Arizona's ledger says %q", got)
		}
	}
	eventually(t, "nothing is held", func() bool { return held(t, "CA") == 0 })
}

func held(t *testing.T, state waypost.Jurisdiction) int {
	t.Helper()
	n, err := exchange.Gateway(state).Count(t.Context(), `SELECT count(*) FROM held`)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPoisonInTheBox: what cannot be opened, or comes from a roster that nobody
// has, does not stop the box.
func TestPoisonInTheBox(t *testing.T) {
	ny := exchange.Gateway("NY")
	sealed, err := ny.SealUnder(t.Context(), "NV", 999)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), sealed...)
	damaged[len(damaged)-1] ^= 1
	if done := exchange.Gateway("NV").Handle(t.Context(), damaged, sealed); !done[0] || done[1] {
		t.Errorf("done %v, want the damaged one dropped and that of a future roster kept", done)
	}
	p := someone()
	load(t, "NV", p)
	if _, err := ny.Mailbox.Send(t.Context(), &waypostv1.SendRequest{Sealed: [][]byte{sealed}}); err != nil {
		t.Fatal(err)
	}
	expect(t, check(t, "AZ", p), "NV match")
	if n := held(t, "NV"); n != 1 {
		t.Errorf("%d messages are held, want 1", n)
	}
	// Once it has expired, it goes.
	exchange.Clock.Advance(2 * time.Hour)
	eventually(t, "nothing is held", func() bool { return held(t, "NV") == 0 })
}

// TestWithoutKeys: a candidate that cannot be asked yet is asked later, and does
// not fail the check. Neither is an answer lost for want of the asker's key.
func TestWithoutKeys(t *testing.T) {
	impatient(t)
	p := someone()
	load(t, "NV", p)
	trouble.make(t, func(tr *troubles) { tr.noKeys = map[waypost.Jurisdiction]bool{"AZ": true, "NV": true} })
	exchange.Clock.Advance(2 * time.Hour) // so that nobody remembers any
	a := check(t, "AZ", p)
	expect(t, a, "NV pending")
	eventually(t, "Nevada is notified", func() bool { return len(entries(t, "NV", a.Ticket)) > 0 })
	if got := entries(t, "NV", a.Ticket); strings.Join(got, " ") != "notified" {
		t.Errorf("Nevada's ledger says %q", got)
	}
	trouble.make(t, func(tr *troubles) { tr.noKeys = map[waypost.Jurisdiction]bool{"NV": true} })
	eventually(t, "Nevada holds a question that it cannot answer", func() bool { return held(t, "NV") == 1 })
	trouble.end()
	exchange.Clock.Advance(time.Minute)
	expect(t, later(t, "AZ", a.Ticket), "NV match")
}

// TestWeeksPass: keys rotate, rosters are renewed, old rows are purged, and
// messages still flow.
func TestWeeksPass(t *testing.T) {
	p := someone()
	load(t, "NV", p)
	expect(t, check(t, "AZ", p), "NV match")
	keys := func() string { return string(exchange.Gateway("NV").Keyring.Current().Encode()) }
	before := keys()
	for week := range 3 {
		exchange.Clock.Advance(6*24*time.Hour + time.Hour)
		if err := exchange.Renew(); err != nil {
			t.Fatal(err)
		}
		exchange.Clock.Advance(24 * time.Hour)
		stop(t, "AZ", "CA", "NV", "NY")() // keys are looked at every minute, and at the start
		a := check(t, "AZ", p)
		if expect(t, a, "NV match"); t.Failed() {
			t.Fatalf("in week %d", week+1)
		}
	}
	if keys() == before {
		t.Error("the encryption key is three weeks old")
	}
	nv := exchange.Gateway("NV")
	if err := nv.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	exchange.Clock.Advance(5 * 24 * time.Hour)
	if err := exchange.Renew(); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"inbox", "notice"} {
		old := `SELECT count(*) FROM ` + table + ` WHERE at < $1`
		life := map[string]time.Duration{"inbox": 14 * 24 * time.Hour, "notice": 28 * 24 * time.Hour}[table]
		if n, err := nv.Count(t.Context(), old, exchange.Clock.Now().Add(-life-5*24*time.Hour).Unix()); n != 0 || err != nil {
			t.Errorf("%d rows of %s are too old (%v)", n, table, err)
		}
		if n, err := nv.Count(t.Context(), `SELECT count(*) FROM `+table); n == 0 || err != nil {
			t.Errorf("%s is empty (%v): this shows nothing", table, err)
		}
	}
}

// TestKeyringIsStoredFirst: a key is announced only after it is on the disk.
func TestKeyringIsStoredFirst(t *testing.T) {
	var mu sync.Mutex
	var events []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, what)
	}
	failing := true
	s := gateway.KeepKeysOnly(t, exchange.Gateway("NY"), func() error {
		note("store")
		if failing {
			failing = false
			return errors.New("disk full")
		}
		return nil
	}, func() { note("announce") })
	eventually(t, "an announcement", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(events) >= 3
	})
	s()
	if events[0] != "store" || events[1] != "store" || events[2] != "announce" {
		t.Errorf("%v, want two tries to store and then the announcement", events)
	}
}
