package gateway_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/records"
)

// TestLoadRejects: each reason, and the good row beside it is published.
func TestLoadRejects(t *testing.T) {
	ny := exchange.Gateway("NY")
	twice := record("NY", someone())
	for name, c := range map[string]struct {
		change func(*waypost.Record)
		says   string
	}{
		"no id":               {func(r *waypost.Record) { r.ID = "" }, "needs an id"},
		"a long id":           {func(r *waypost.Record) { r.ID = strings.Repeat("1", 65) }, "needs an id"},
		"an id twice":         {func(r *waypost.Record) { r.ID = twice.ID }, "same id"},
		"no date":             {func(r *waypost.Record) { r.Born = waypost.Date{} }, "date of birth"},
		"an SSN of letters":   {func(r *waypost.Record) { r.SSN5 = "abcde" }, "SSN"},
		"an unknown kind":     {func(r *waypost.Record) { r.Kind = "boat" }, "kind of card"},
		"an unknown status":   {func(r *waypost.Record) { r.Status = "wanted" }, "status"},
		"a control character": {func(r *waypost.Record) { r.Given = "A\x00B" }, "printable"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := record("NY", someone())
			c.change(&bad)
			twice.ID = record("NY", waypost.Person{}).ID
			if name == "an id twice" {
				bad.ID = twice.ID
			}
			published, rejected, err := ny.File().Load(t.Context(), "loader", 0, []waypost.Record{twice, bad})
			if err != nil || published != 1 || len(rejected) != 1 || rejected[0].Index != 1 || !strings.Contains(rejected[0].Reason, c.says) {
				t.Fatalf("%d published, %v, %v; want 1, and %q about the second", published, rejected, err, c.says)
			}
			for _, word := range []string{bad.Family, bad.CardNumber} {
				if strings.Contains(rejected[0].Reason, word) {
					t.Errorf("the reason repeats the record: %q", rejected[0].Reason)
				}
			}
		})
	}
	if _, _, err := ny.File().Load(t.Context(), "loader", 0, make([]waypost.Record, 101)); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("101 records: %v", err)
	}
}

// TestLoadAgain: a repeated load changes nothing in the index; the card may
// change, the person behind a pointer may not.
func TestLoadAgain(t *testing.T) {
	ny := exchange.Gateway("NY")
	r := load(t, "NY", someone())
	pointers := func() int {
		return hubCount(t, `SELECT count(*) FROM pointer`) + hubCount(t, `SELECT count(*) FROM label`)
	}
	before := pointers()
	again := func(r waypost.Record) (int, []records.Rejected) {
		t.Helper()
		published, rejected, err := ny.File().Load(t.Context(), "loader", 0, []waypost.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		return published, rejected
	}
	if n, rejected := again(r); n != 0 || len(rejected) != 0 {
		t.Errorf("the same record again: %d published, %v", n, rejected)
	}
	suspended := r
	suspended.Status = waypost.Suspended
	if n, rejected := again(suspended); n != 0 || len(rejected) != 0 {
		t.Errorf("another status: %d published, %v", n, rejected)
	}
	stranger := suspended
	stranger.Person = someone()
	if n, rejected := again(stranger); n != 0 || len(rejected) != 1 || !strings.Contains(rejected[0].Reason, "another name") {
		t.Errorf("another person under the same id: %d published, %v", n, rejected)
	}
	if stored, err := ny.People.Record(t.Context(), r.ID); err != nil || stored.Status != waypost.Suspended || stored.Family != r.Family {
		t.Errorf("the state system has status %q (%v), want suspended, and the first person", stored.Status, err)
	}
	if pointers() != before {
		t.Error("the index has changed")
	}
}

// TestLoadAtOnce: batches that share ids, at the same time, publish each once.
func TestLoadAtOnce(t *testing.T) {
	records := make([]waypost.Record, 20)
	for i := range records {
		records[i] = record("NY", someone())
	}
	before := hubCount(t, `SELECT count(*) FROM pointer`)
	var published atomic.Int64
	var loading sync.WaitGroup
	for range 4 {
		loading.Go(func() {
			n, _, err := exchange.Gateway("NY").File().Load(t.Context(), "loader", 0, records)
			if err != nil {
				t.Error(err)
			}
			published.Add(int64(n))
		})
	}
	loading.Wait()
	if n := hubCount(t, `SELECT count(*) FROM pointer`) - before; n != 20 || published.Load() != 20 {
		t.Errorf("%d pointers, %d reported, want 20", n, published.Load())
	}
}

// chaos has commits of the named roles fail by chance, before they are durable
// or after, until the returned function is called.
func chaos(t *testing.T, seed uint64, share float64, roles ...string) (end func()) {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	f := func(role, point string) error {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range roles {
			if name == role && r.Float64() < share {
				return errors.New("injected: the commit failed at " + point)
			}
		}
		return nil
	}
	fault.Store(&f)
	end = func() { fault.Store(nil) }
	t.Cleanup(end)
	return end
}

// TestLoadWithFaults: a load that is repeated until it succeeds, whatever fails
// in gateway, hub and key holders, publishes every record once.
func TestLoadWithFaults(t *testing.T) {
	records := make([]waypost.Record, 30)
	for i := range records {
		records[i] = record("NY", someone())
	}
	pointers, labels := hubCount(t, `SELECT count(*) FROM pointer`), hubCount(t, `SELECT count(*) FROM label`)
	end := chaos(t, 7, 0.15, "NY", "hub", "keyholder-1", "keyholder-2")
	tries, published := 0, 0
	for done := 0; done < len(records); {
		n, rejected, err := exchange.Gateway("NY").File().Load(t.Context(), "loader", 0, records[done:done+10])
		if tries++; tries > 200 {
			t.Fatal("the load does not come to an end")
		}
		if len(rejected) > 0 {
			t.Fatalf("rejected: %v", rejected)
		}
		if published += n; err == nil {
			done += 10
		}
		if tries%5 == 0 {
			end()
			stop(t, "NY")()
			end = chaos(t, uint64(tries), 0.15, "NY", "hub", "keyholder-1", "keyholder-2")
		}
	}
	end()
	if n := hubCount(t, `SELECT count(*) FROM pointer WHERE state = 1`); n < 30 {
		t.Errorf("%d pointers are live", n)
	}
	if p, l := hubCount(t, `SELECT count(*) FROM pointer`)-pointers, hubCount(t, `SELECT count(*) FROM label`)-labels; p != 30 || l != 300 {
		t.Errorf("%d pointers and %d labels, want 30 and 300", p, l)
	}
	for _, r := range records[:3] {
		expect(t, check(t, "AZ", r.Person), "NY match")
	}
	t.Logf("%d tries", tries)
}

// TestChecksWithFaults: while commits fail by chance at both states, and both
// are restarted, no check is lost, none is answered twice, and none says no
// where there is a card.
func TestChecksWithFaults(t *testing.T) {
	impatient(t)
	const checks = 24
	people, records := make([]waypost.Person, checks), make([]waypost.Record, checks)
	for i := range people {
		people[i] = someone()
		records[i] = record("CA", people[i])
	}
	loadAll(t, "CA", records)
	asksBefore, start := len(journalOf(t, "AZ")), exchange.Clock.Now().Unix()
	end := chaos(t, 11, 0.1, "AZ", "CA")
	answers := make([]waypost.Answer, checks)
	failed := make([]error, checks)
	var asking sync.WaitGroup
	for i, p := range people {
		asking.Go(func() {
			answers[i], failed[i] = exchange.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: p}, clerk)
		})
	}
	asking.Wait()
	end()
	stop(t, "AZ", "CA")()
	exchange.Clock.Advance(2 * time.Minute)

	errs := 0
	for i, a := range answers {
		if failed[i] != nil {
			errs++
			continue
		}
		expect(t, later(t, "AZ", a.Ticket), "CA match")
	}
	// Those that failed in the clerk's face and yet stand in the ledger are made
	// again or refused; either way nothing stays open.
	var advanced time.Time
	eventually(t, "nothing is due", func() bool {
		if time.Since(advanced) > time.Second { // what is being made again gets older meanwhile: it has two minutes
			exchange.Clock.Advance(20 * time.Second)
			advanced = time.Now()
		}
		n, err := exchange.Gateway("AZ").Count(t.Context(), `SELECT count(*) FROM inquiry WHERE (due IS NOT NULL OR state = 1) AND created >= $1`, start)
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	perTicket := make(map[waypost.TicketID]map[string]int)
	for role, from := range map[string]int{"AZ": asksBefore, "CA": 0} {
		for _, e := range journalOf(t, role)[from:] {
			if perTicket[e.Ticket] == nil {
				perTicket[e.Ticket] = make(map[string]int)
			}
			perTicket[e.Ticket][e.Kind]++
		}
	}
	for id, n := range perTicket {
		if n["ask"] == 0 || n["published"] > 0 {
			continue // of another test, or a load
		}
		if ends := n["outcome"] + n["abandoned"] + n["owed"] + n["refused"] + n["concluded"]; n["ask"] != 1 || ends != 1 {
			t.Errorf("%v: %v, want one end of one check", id, n)
		}
		if n["disclose"] > 1 || n["continue"] > 1 || n["notified"] > 1 || n["disclose"] > n["continue"] || n["continue"] > n["notified"] {
			t.Errorf("%v: %v, want each once, and none before the other", id, n)
		}
	}
	for _, state := range []waypost.Jurisdiction{"AZ", "CA"} {
		eventually(t, "outbox and held are empty", func() bool {
			n, err := exchange.Gateway(state).Count(t.Context(), `SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM held)`)
			return n == 0 && err == nil
		})
	}
	t.Logf("%d of %d checks failed in the clerk's face", errs, checks)
}
