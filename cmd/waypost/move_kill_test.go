package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/population"
)

// The steps of a move at which every role is killed.
const (
	stepAsked   = "asked"   // the former state was asked for a release
	stepStored  = "stored"  // the release is here, with the history
	stepPassing = "passing" // the hub is asked to pass the pointers
	stepDone    = "done"    // here is the state of record, and the former state does not know
	stepMoved   = "moved"   // it knows, and what came later is to follow
)

const (
	killHolders = 3 // any two make a token
	killBatch   = 6 // moves that are held at a step together
)

// moveKills is an exchange of real processes in which people move from CA to AZ
// while roles are killed. NV reports convictions to CA by the card that she has
// seen, whenever.
type moveKills struct {
	soak
	dice   *rand.Rand
	people []waypost.Record // of CA, who have not moved yet
	moves  map[waypost.Jurisdiction]waypostv1connect.MovesClient
	driver map[waypost.Jurisdiction]waypostv1connect.DriversClient
	record map[waypost.Jurisdiction]waypostv1connect.RecordsClient
	hits   map[string]int // kills by step and role
	all    []*journey
}

// journey is one person's way: from CA to AZ, or, where the card is only ended,
// to the end of it.
type journey struct {
	waypost.Record
	check, reference string
	id               string // of the move, or of the request to end the card
	ends             bool
	reported         chan error // NV's report of a conviction
}

// home is what the record is called at its new state.
func (j *journey) home() string { return "AZ-" + j.ID }

// TestMovesKilled: whichever role is killed at whichever step, a move comes to its
// end by itself; there is one state of record, with the whole history, once; and
// the ledgers reconcile to zero. WAYPOST_MOVES is how many moves to make, and
// WAYPOST_MOVES_SEED the order of things.
func TestMovesKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	moves := 2 * killBatch
	if text := os.Getenv("WAYPOST_MOVES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("WAYPOST_MOVES=%s is not a number of moves", text)
		}
		moves = n
	}
	k := &moveKills{hits: make(map[string]int)}
	k.dir, k.seed, k.failed, k.killed = t.TempDir(), rand.Uint64(), t.Errorf, make(map[string]int)
	if text := os.Getenv("WAYPOST_MOVES_SEED"); text != "" {
		var err error
		if k.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	k.dice = rand.New(rand.NewPCG(k.seed, 3))
	t.Logf("WAYPOST_MOVES=%d WAYPOST_MOVES_SEED=%d", moves, k.seed)
	k.openMoves(t, moves)
	start := time.Now()
	for round := 0; len(k.all) < moves && !t.Failed(); round++ {
		batch := k.next(t)
		if round%2 == 0 {
			k.hold(t, batch)
		} else {
			k.free(t, batch)
		}
		k.verify(t, batch)
	}
	took := time.Since(start).Round(time.Second)
	k.finish(t)
	report := k.reconcile(t)
	t.Logf("%d people in %v; %d tickets, %d entries, %d open, %d findings", len(k.all), took, report.Tickets, report.Entries, report.Open, int64(len(report.Findings))+report.Omitted)
	for _, step := range []string{stepAsked, stepStored, stepPassing, stepDone, stepMoved} {
		var line []string
		for _, role := range k.victims() {
			n := k.hits[step+" "+role]
			if line = append(line, fmt.Sprintf("%s %d", role, n)); n == 0 {
				t.Errorf("%s was not killed at the step %s", role, step)
			}
		}
		t.Logf("killed at %-8s %s", step+":", strings.Join(line, ", "))
	}
}

// openMoves makes the exchange, and loads CA's people.
func (k *moveKills) openMoves(t *testing.T, moves int) {
	t.Helper()
	k.program = filepath.Join(t.TempDir(), "waypost")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", k.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("the program cannot be built: %v\n%s", err, out)
	}
	states := []waypost.Jurisdiction{"AZ", "CA", "NV"}
	var err error
	k.roles, err = cluster.OpenProcesses(t.Context(), cluster.Config{
		Dir: k.dir, States: states, Holders: killHolders, Threshold: 2, Log: slog.New(slog.DiscardHandler),
	}, func(args ...string) *exec.Cmd { return exec.Command(k.program, args...) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.roles.Close(); err != nil {
			t.Error(err)
		}
		k.keepLogs(t)
	})
	k.counters = make(map[waypost.Jurisdiction]waypostv1connect.CounterClient)
	k.moves = make(map[waypost.Jurisdiction]waypostv1connect.MovesClient)
	k.driver = make(map[waypost.Jurisdiction]waypostv1connect.DriversClient)
	k.record = make(map[waypost.Jurisdiction]waypostv1connect.RecordsClient)
	for _, state := range states {
		door, _, err := cluster.Door(k.dir, state)
		if err != nil {
			t.Fatal(err)
		}
		k.counters[state], k.moves[state] = waypostv1connect.NewCounterClient(door), waypostv1connect.NewMovesClient(door)
		k.driver[state], k.record[state] = waypostv1connect.NewDriversClient(door), waypostv1connect.NewRecordsClient(door)
	}
	k.people = movers(t, 2*moves+2*killBatch)
	k.load(t.Context(), "CA", k.people)
}

// movers draws people of CA who have one valid card each.
func movers(t *testing.T, n int) (all []waypost.Record) {
	t.Helper()
	crowd, err := population.Generate(population.Config{States: []waypost.Jurisdiction{"CA", "NV"}, PerState: 2*n + 100, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	double := make(map[string]bool)
	_ = crowd.EachTruth(func(t population.Truth) error { double[t.A], double[t.B] = true, true; return nil })
	_ = crowd.Each("CA", func(r waypost.Record) error {
		if len(all) < n && !double[r.ID] && !r.Protected && r.Status == waypost.Valid && r.Kind == waypost.Licence {
			all = append(all, r)
		}
		return nil
	})
	if len(all) < n {
		t.Fatalf("of %d people only %d can move", n, len(all))
	}
	return all
}

// next takes people whom AZ finds for certain, and gives each two items of history.
// Every third of them only ends the card.
func (k *moveKills) next(t *testing.T) (batch []*journey) {
	t.Helper()
	for len(batch) < killBatch {
		if len(k.people) == 0 {
			t.Fatal("there are too few people")
		}
		j := &journey{Record: k.people[0], ends: len(batch)%3 == 2, reported: make(chan error, 1)}
		k.people = k.people[1:]
		found, err := k.found(t.Context(), "AZ", j)
		switch {
		case err != nil:
			t.Fatal(err)
		case len(found) != 1 || found[0].State != "CA":
			t.Fatalf("%s is found %d times before the move", j.ID, len(found))
		case found[0].Outcome != string(waypost.Match):
			continue // somebody must look
		}
		j.reference = found[0].Reference
		batch = append(batch, j)
	}
	k.all = append(k.all, batch...)
	each(t, batch, func(j *journey) error {
		_, err := k.driver["CA"].AddOwn(t.Context(), &waypostv1.AddOwnRequest{Record: j.ID, Items: []*waypostv1.Item{
			{Type: "conviction", Reference: "1-" + j.ID, Code: "A20", Occurred: "2024-05-01", Convicted: "2024-06-11"},
			{Type: "conviction", Reference: "2-" + j.ID, Code: "B51", Occurred: "2025-01-15", Convicted: "2025-02-20"},
		}})
		return err
	})
	return batch
}

// each does something for all, several at a time.
func each(t *testing.T, batch []*journey, do func(*journey) error) {
	t.Helper()
	work := new(errgroup.Group)
	work.SetLimit(4)
	for _, j := range batch {
		work.Go(func() error { return do(j) })
	}
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
}

// found makes a check, and returns the candidates that agree.
func (k *moveKills) found(ctx context.Context, state waypost.Jurisdiction, j *journey) (agree []*waypostv1.CandidateAnswer, err error) {
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	defer stop()
	raw, err := k.counters[state].Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: j.Person}, waypost.IssueLicence, "MOVE-"+j.ID))
	for err == nil && !raw.Complete {
		rest(ctx, 100*time.Millisecond)
		raw, err = k.counters[state].GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: raw.Ticket})
	}
	if err != nil {
		return nil, err
	}
	if j.check == "" {
		j.check = raw.Ticket // of an owed check, that of the one which took its place
	}
	for _, c := range raw.Candidates {
		if c.Outcome == string(waypost.Match) || c.Outcome == string(waypost.Possible) {
			agree = append(agree, c)
		}
	}
	return agree, nil
}

// begin has a clerk in AZ begin what the resident has chosen.
func (k *moveKills) begin(t *testing.T, batch []*journey) {
	t.Helper()
	consent := &waypostv1.Consent{Told: "You may hold one card only.", Language: "en"}
	each(t, batch, func(j *journey) error {
		if j.ends {
			res, err := k.moves["AZ"].Terminate(t.Context(), &waypostv1.TerminateRequest{
				Check: j.check, Reference: j.reference, Keep: "new", Surrendered: true, Consent: consent})
			j.id = res.GetId()
			return err
		}
		res, err := k.moves["AZ"].Start(t.Context(), &waypostv1.StartMoveRequest{
			Check: j.check, Reference: j.reference, Record: j.home(), CardNumber: "A-" + j.ID, Consent: consent})
		j.id = res.GetId()
		return err
	})
}

// report has NV report a conviction of a person to CA, beside everything else.
func (k *moveKills) report(ctx context.Context, j *journey) {
	who := gateway.RecordToProto(j.Record).GetPerson()
	who.CardNumber, who.CardState = j.CardNumber, "CA"
	req := &waypostv1.ReportRequest{Driver: who, Item: &waypostv1.Item{
		Type: "conviction", Reference: "3-" + j.ID, Code: "S92", Speed: 88, Limit: 65, Occurred: "2025-10-01", Convicted: "2025-11-02"}}
	go func() {
		res, err := k.driver["NV"].Report(ctx, req)
		for err == nil && res.State != "done" && ctx.Err() == nil {
			rest(ctx, 500*time.Millisecond)
			res, err = k.driver["NV"].Report(ctx, req) // again says how it stands
		}
		if err == nil && res.Word != "accepted" && res.Word != "forwarded" {
			err = fmt.Errorf("the report about %s is %s %s", j.ID, res.State, res.Word)
		}
		j.reported <- err
	}()
}

// at waits until every move of the batch has come as far as that.
func (k *moveKills) at(t *testing.T, batch []*journey, state string) {
	t.Helper()
	for _, j := range batch {
		if j.ends {
			continue
		}
		eventually(t, j.home()+" is "+state, func() (string, error) {
			m, err := k.moves["AZ"].Get(t.Context(), &waypostv1.GetMoveRequest{Id: j.id})
			if err == nil && m.State != state {
				return m.State + ": " + m.Words, nil
			}
			return "", err
		})
	}
}

// eventually waits until nothing is missing any more.
func eventually(t *testing.T, what string, missing func() (string, error)) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		why, err := missing()
		switch {
		case err == nil && why == "":
			return
		case err != nil && !passing(err):
			t.Fatalf("%s: %v", what, err)
		case time.Now().After(deadline):
			t.Fatalf("not within five minutes: %s: %s %v", what, why, err)
		}
	}
}
