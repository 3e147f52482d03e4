package cluster_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/audit"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/store/pgtest"
)

// twins is an exchange whose hub and whose gateway of CA are two processes each, on
// one PostgreSQL server.
type twins struct {
	t        *testing.T
	dir      string
	run      func(args ...string) *exec.Cmd
	roles    *cluster.Processes
	counters map[string]waypostv1connect.CounterClient // by process
	again    atomic.Int64                              // attempts of clerks that got no answer
	owed     atomic.Int64
	answered map[string]*atomic.Int64
	kills    map[string]int
}

// TestTwins: with one of two hubs and one of two gateways of a state killed at
// random, again and again, the others go on: every check gets its complete answer,
// the right one, and all ledgers reconcile to zero. WAYPOST_TWINS is how many checks
// to make.
func TestTwins(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	checks := 60
	if text := os.Getenv("WAYPOST_TWINS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("WAYPOST_TWINS=%s is not a number of checks", text)
		}
		checks = n
	}
	w := openTwins(t)
	w.load("CA", "CA", 0)
	w.load("AZ", "AZ", 100)
	ctx, stop := context.WithCancel(t.Context())
	var killing, clerks sync.WaitGroup
	killing.Go(func() { w.kill(ctx) })
	for i := range checks {
		clerks.Go(func() { w.clerk(i) })
		time.Sleep(250 * time.Millisecond)
	}
	stop()
	killing.Wait()
	clerks.Wait()
	for process, n := range w.answered {
		t.Logf("%s answered %d checks", process, n.Load())
		if n.Load() == 0 {
			t.Errorf("nobody asked at %s", process)
		}
	}
	t.Logf("%d attempts again, %d owed at first, killed %v", w.again.Load(), w.owed.Load(), w.kills)
	if t.Failed() {
		return
	}
	w.settle()
	w.reconcile()
}

func openTwins(t *testing.T) *twins {
	t.Helper()
	server := pgtest.Start(t, 1)[0]
	w := &twins{t: t, dir: t.TempDir(), run: program(t), counters: make(map[string]waypostv1connect.CounterClient),
		answered: make(map[string]*atomic.Int64), kills: make(map[string]int)}
	c := config(w.dir)
	c.Databases = func(string, string) (string, error) { return server.URL(), nil }
	c.Processes = map[string]int{"hub": 2, "CA": 2}
	var err error
	if w.roles, err = cluster.OpenProcesses(t.Context(), c, w.run); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.roles.Close(); err != nil {
			t.Error(err)
		}
		if !t.Failed() {
			return
		}
		logs, _ := filepath.Glob(filepath.Join(w.dir, "*", "process.log"))
		for _, name := range logs {
			text, _ := os.ReadFile(name)
			t.Logf("%s ends with:\n%s", filepath.Base(filepath.Dir(name)), text[max(0, len(text)-2500):])
		}
	})
	if got := w.roles.Names(); !slices.Contains(got, "hub-2") || !slices.Contains(got, "CA-2") {
		t.Fatalf("the processes are %v", got)
	}
	for _, process := range []string{"CA", "CA-2", "AZ"} {
		w.answered[process] = new(atomic.Int64)
		if w.counters[process], _, err = cluster.Counter(w.dir, waypost.Jurisdiction(process)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *twins) load(process, state string, from int) {
	w.t.Helper()
	req := &waypostv1.LoadRequest{}
	for i := range 20 {
		req.Records = append(req.Records, gateway.RecordToProto(waypost.Record{
			ID: fmt.Sprintf("%s-%d", state, i), Person: person(from + i), CardNumber: fmt.Sprintf("%s%06d", state, i), Kind: waypost.Licence, Status: waypost.Valid,
		}))
	}
	res, err := w.counters[process].Load(w.t.Context(), req)
	if err != nil || len(res.Rejected) > 0 {
		w.t.Fatalf("%s: %v, %d records are rejected", state, err, len(res.GetRejected()))
	}
}

// kill kills one of the twins, lets the other work alone for a while, and starts it
// again.
func (w *twins) kill(ctx context.Context) {
	seed := rand.Uint64()
	w.t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	pause := func(least, more time.Duration) { time.Sleep(least + time.Duration(dice.Int64N(int64(more)))) }
	deck := []string{"hub", "CA", "hub-2", "CA-2"}
	for ctx.Err() == nil || len(w.kills) < len(deck) {
		pause(500*time.Millisecond, 2*time.Second)
		victims := []string{deck[0]}
		if deck = append(deck[1:], deck[0]); dice.IntN(3) == 0 {
			victims = append(victims, deck[0]) // a gateway and a hub
		}
		for _, name := range victims {
			if err := w.roles.Kill(name); err != nil {
				w.t.Errorf("killing %s: %v", name, err)
			}
			w.kills[name]++
		}
		pause(100*time.Millisecond, 3*time.Second)
		for _, name := range victims {
			if err := w.roles.Start(context.Background(), name); err != nil {
				w.t.Errorf("starting %s: %v", name, err)
				return
			}
		}
		if err := w.roles.Alive(); err != nil {
			w.t.Error(err)
			return
		}
	}
}

// clerk asks until there is a complete answer, at whichever process of the state
// answers.
func (w *twins) clerk(i int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 4*time.Minute)
	defer cancel()
	doors, who, found := []string{"CA", "CA-2"}, person(100+i%20), "AZ"
	switch i % 4 {
	case 1:
		doors = []string{"CA-2", "CA"}
	case 2:
		doors, who, found = []string{"AZ"}, person(i%20), "CA"
	case 3:
		who, found = waypost.Person{Family: "Oakapple", Given: "Wilhelmina", Born: waypost.Date{Year: 1991, Month: 11, Day: 27}}, ""
	}
	var ticket waypost.TicketID
	for try := 0; ; try++ {
		door := doors[try%len(doors)]
		var raw *waypostv1.CheckAnswer
		var err error
		if ticket.IsZero() {
			raw, err = w.counters[door].Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: who}, waypost.IssueRealID, fmt.Sprintf("TWINS-%d", i)))
		} else {
			raw, err = w.counters[door].GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: hex.EncodeToString(ticket[:])})
		}
		if ctx.Err() != nil {
			w.t.Errorf("check %d has no complete answer in the end", i)
			return
		}
		if err != nil {
			if waypost.CodeOf(err) != waypost.Unavailable {
				w.t.Errorf("check %d at %s: %v", i, door, err)
				return
			}
			w.again.Add(1)
			time.Sleep(300 * time.Millisecond)
			continue
		}
		a := gateway.AnswerFromProto(raw)
		if ticket.IsZero() {
			w.answered[door].Add(1)
			if a.Owed {
				w.owed.Add(1)
			}
		}
		if ticket = a.Ticket; a.Complete {
			matched := ""
			for _, c := range a.Candidates {
				if c.Outcome == waypost.Match {
					matched = string(c.State)
				}
			}
			if matched != found {
				w.t.Errorf("check %d found a card in %q, it is in %q", i, matched, found)
			}
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// settle ends one process of each pair for good and has the other, which starts
// alone, take up what was cut off.
func (w *twins) settle() {
	w.t.Helper()
	for _, name := range []string{"CA", "AZ"} {
		if err := w.roles.Stop(name); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range []string{"CA-2", "hub"} {
		if err := w.roles.Kill(name); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range []string{"CA", "AZ"} {
		if err := w.roles.Start(w.t.Context(), name); err != nil {
			w.t.Fatal(err)
		}
	}
	// Time for what was cut off to be made again, and for those that were killed to be
	// found dead and their logs to be published by the others. On a busy machine it takes
	// longer: the ledgers tell.
	time.Sleep(35 * time.Second)
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Second) {
		if report, _, err := w.audit(); err == nil && report.Open == 0 {
			break
		}
	}
	if err := w.roles.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// audit is what an auditor finds in the ledgers as they are published now; the error says
// that there is something to be found.
func (w *twins) audit() (report *audit.Report, out []byte, err error) {
	out, err = w.run("audit", "reconcile", "--dir", w.dir, "--json").Output()
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		return nil, out, errors.Join(err, jsonErr)
	}
	return report, out, err
}

func (w *twins) reconcile() {
	w.t.Helper()
	report, out, err := w.audit()
	if report == nil {
		w.t.Fatalf("reconcile: %v\n%s", err, out)
	}
	if err != nil || len(report.Findings) > 0 || report.Open > 0 {
		w.t.Errorf("reconcile: %v; %d findings, %d tickets are open still", err, len(report.Findings), report.Open)
	}
	for _, f := range report.Findings[:min(5, len(report.Findings))] {
		w.t.Errorf("%s: %s %v", f.Member, f.Words, f.Evidence)
	}
	if len(report.Logs) != 2+3+2+1 {
		w.t.Errorf("%d ledgers were read", len(report.Logs))
	}
	w.t.Logf("%d tickets, %d entries in %d logs", report.Tickets, report.Entries, len(report.Logs))
}
