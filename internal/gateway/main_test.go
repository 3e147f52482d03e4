package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/store"
)

// One exchange serves all tests of this package: four states, five key holders
// of which any three suffice. A test that stops a role starts it again.
var (
	exchange *cluster.Cluster

	exchangeDir string
	fault       atomic.Pointer[func(role, point string) error]
	trouble     troubles
	logged      capture
	secrets     words // of all the people that the tests made up
	clerk       = gateway.Counter{Operator: "clerk-7", Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: "CASE-1"}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run opens the exchange, runs the tests, and judges what they left behind: no
// goroutine, and no word about a person in any log line.
func run(m *testing.M) (code int) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true" {
		return m.Run() // the fuzz targets need no exchange
	}
	gateway.Unhurried()
	gateway.Patience(patient)
	dir, err := os.MkdirTemp("", "waypost-gateway")
	if err != nil {
		panic(err)
	}
	exchangeDir = dir
	defer os.RemoveAll(dir)
	exchange, err = cluster.Open(context.Background(), cluster.Config{
		Dir: dir, States: []waypost.Jurisdiction{"AZ", "CA", "NV", "NY"}, Log: slog.New(slog.NewJSONHandler(&logged, nil)),
		Faults: func(role, point string) error {
			if f := fault.Load(); f != nil {
				return (*f)(role, point)
			}
			return nil
		},
		Gateways: func(state waypost.Jurisdiction, d *gateway.Deps) {
			d.Holders = holders{state, d.Holders}
			d.People = people{state, d.People}
			d.Mailbox = mailbox{state, d.Mailbox}
			d.Hub = index{d.Hub}
		},
	})
	if err != nil {
		panic(err)
	}
	code = m.Run()
	complain := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "FAIL: "+format+"\n", args...)
		code = 1
	}
	if err := exchange.Close(); err != nil {
		complain("closing the exchange: %v", err)
	}
	leaked := goleak.Find()
	for deadline := time.Now().Add(time.Minute); leaked != nil && time.Now().Before(deadline); leaked = goleak.Find() {
		time.Sleep(100 * time.Millisecond) // those that are about to end may have to wait for their turn
	}
	if leaked != nil {
		complain("%v", leaked)
	}
	lines := logged.String()
	if all := flag.Lookup("test.run").Value.String() == ""; all && !strings.Contains(lines, `"role":"AZ"`) {
		complain("nothing was logged, so the search for people in the log shows nothing")
	}
	if word := secrets.foundIn(lines); word != "" {
		complain("a log line names a person: %q", word)
	}
	return code
}

// capture is a log that tests can read.
type capture struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// words remembers what must not be logged.
type words struct {
	mu  sync.Mutex
	all map[string]bool
}

func (w *words) add(each ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[string]bool)
	}
	for _, word := range each {
		if word != "" {
			w.all[word] = true
		}
	}
}

func (w *words) foundIn(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for word := range w.all {
		if strings.Contains(text, word) {
			return word
		}
	}
	return ""
}

// patient is how many times as long checks wait for other states: an answer that is late
// because the machine is busy is no answer in many tests.
const patient = 10

// impatient has checks wait as they do at a counter, in a test in which no answer comes.
func impatient(t *testing.T) {
	gateway.Patience(1)
	t.Cleanup(func() { gateway.Patience(patient) })
}

// someone makes up a person whose names are nobody else's, and who does not share both
// year and day of birth with any other of a thousand: so that no two are taken for one.
func someone() waypost.Person {
	n := int(births.Add(1))
	p := waypost.Person{
		Family: name(), Given: name(), Sex: "F", SSN5: fmt.Sprintf("%05d", 10000+rand.IntN(80000)),
		Born: waypost.Date{Year: 1930 + n%70, Month: 1 + rand.IntN(12), Day: 13 + n/70%16},
	}
	secrets.add(p.Family, p.Given, p.Born.String(), `"`+p.SSN5+`"`)
	return p
}

func name() string {
	const consonants, vowels = "BCDFGHJKLMNPRSTVWZ", "AEIOU"
	var b strings.Builder
	for range 4 {
		b.WriteByte(consonants[rand.IntN(len(consonants))])
		b.WriteByte(vowels[rand.IntN(len(vowels))])
	}
	return b.String()
}

var ids, births atomic.Int64

// record makes up the card of a person.
func record(state waypost.Jurisdiction, p waypost.Person) waypost.Record {
	n := ids.Add(1)
	r := waypost.Record{ID: fmt.Sprintf("%s-%d", state, n), Person: p, CardNumber: fmt.Sprintf("K%07d", 1000000+n), Kind: waypost.Licence, Status: waypost.Valid}
	secrets.add(r.CardNumber)
	return r
}

// load gives a state a card holder and returns the record.
func load(t *testing.T, state waypost.Jurisdiction, p waypost.Person, change ...func(*waypost.Record)) waypost.Record {
	t.Helper()
	r := record(state, p)
	for _, c := range change {
		c(&r)
	}
	loadAll(t, state, []waypost.Record{r})
	return r
}

func loadAll(t *testing.T, state waypost.Jurisdiction, records []waypost.Record) {
	t.Helper()
	published, rejected, err := exchange.Gateway(state).File().Load(t.Context(), "loader", 0, records)
	if err != nil || published != len(records) || len(rejected) != 0 {
		t.Fatalf("loading: %d published, %v rejected, %v", published, rejected, err)
	}
}

// check asks at a state's counter.
func check(t *testing.T, state waypost.Jurisdiction, p waypost.Person) waypost.Answer {
	t.Helper()
	a, err := exchange.Gateway(state).Check(t.Context(), gateway.Applicant{Person: p}, clerk)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// expect says what an answer holds: STATE outcome, sorted by state.
func expect(t *testing.T, a waypost.Answer, want ...string) {
	t.Helper()
	var got []string
	for _, c := range a.Candidates {
		if c.Outcome != waypost.NoMatch {
			got = append(got, string(c.State)+" "+string(c.Outcome))
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("the answer is %q, want %q; coverage %+v", got, want, a.Coverage)
	}
}

// stop stops a role until the returned function, or the end of the test.
func stop(t *testing.T, roles ...string) (start func()) {
	t.Helper()
	starts := make(map[string]int)
	for _, role := range roles {
		starts[role] = started(role)
		if err := exchange.Stop(role); err != nil {
			t.Fatal(err)
		}
	}
	start = sync.OnceFunc(func() {
		for _, role := range roles {
			if err := exchange.Start(context.Background(), role); err != nil {
				t.Error(err)
				continue
			}
			// A role whose first entry fails does not run.
			eventually(t, role+" writes its first entry", func() bool { return started(role) > starts[role] })
		}
	})
	t.Cleanup(start)
	return start
}

// started counts the starts of a role that runs.
func started(role string) (n int) {
	_ = exchange.Role(role).DB.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM journal WHERE kind = 'started'`).Scan(&n)
	})
	return n
}

// eventually waits for what happens in another goroutine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen in two minutes: %s", what)
		}
	}
}

// notAtThree sees to it that a gateway does not compare by itself, as it does at three
// o'clock, in the middle of a test.
func notAtThree(t *testing.T, state waypost.Jurisdiction) {
	t.Helper()
	now := exchange.Clock.Now().UTC()
	left := time.Date(now.Year(), now.Month(), now.Day(), 3, 0, 0, 0, time.UTC).Sub(now)
	if left.Abs() > 10*time.Minute {
		return
	}
	exchange.Clock.Advance(max(0, left+time.Second))
	for range 2 { // one may come between the decision to compare and the comparison
		if _, err := exchange.Gateway(state).File().Compare(t.Context(), "loader"); err != nil {
			t.Fatal(err)
		}
	}
}

// later returns the answer of a check once it is complete.
func later(t *testing.T, state waypost.Jurisdiction, id waypost.TicketID) (a waypost.Answer) {
	t.Helper()
	wait := patience()
	eventually(t, "the check completes", func() bool {
		var err error
		a, err = exchange.Gateway(state).Answer(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if a.Owed {
			wait()
		}
		return a.Complete
	})
	return a
}

// patience returns what is called again and again while a check is owed: an attempt that
// fails once more, as on a busy machine it may, is made again only in some minutes, and
// these pass sooner.
func patience() (wait func()) {
	last := time.Now()
	return func() {
		if time.Since(last) > 10*time.Second {
			exchange.Clock.Advance(time.Minute) // less than a ticket is good for
			last = time.Now()
		}
	}
}

// entries are the kinds of a role's ledger entries about a ticket, in order.
func entries(t *testing.T, role string, id waypost.TicketID) (kinds []string) {
	t.Helper()
	for _, e := range journalOf(t, role) {
		if e.Ticket == id {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// auditor reads every role's ledger, whichever process wrote it.
var auditor = sync.OnceValues(func() (*journal.Opener, error) { return install.Auditor(exchangeDir) })

func journalOf(t *testing.T, role string) (all []journal.Stored) {
	t.Helper()
	opener, err := auditor()
	if err != nil {
		t.Fatal(err)
	}
	for {
		page, err := opener.Read(t.Context(), exchange.Role(role).Journal, uint64(len(all)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

func count(kinds []string, kind string) (n int) {
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}

// counterPin is the key of a gateway's counter door.
func counterPin(t *testing.T, state waypost.Jurisdiction) [32]byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(exchangeDir, "gateway-"+string(state), "counter.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// hubCount runs a query on the hub's database that returns one number.
func hubCount(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	err := exchange.Role("hub").DB.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
