package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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

const (
	darkPeople  = 2500
	darkAsked   = 300 // of them are looked for
	darkHolders = 3
)

// darkLoad is a dark load whose processes are killed.
type darkLoad struct {
	dir, program, file string
	roles              *cluster.Processes
	people             []waypost.Record
}

// TestDarkLoadKilled: a dark load during which the command, the gateway, the hub
// and the key holders are killed, each in the middle of it, and which is repeated
// until it is through, publishes every record once. Nobody is found before the
// activation, which wants the right number, and everybody after it.
func TestDarkLoadKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a quarter of a minute")
	}
	l := &darkLoad{dir: t.TempDir()}
	l.open(t)
	rounds := l.loadAndKill(t)
	t.Logf("the command was started %d times", rounds)

	l.find(t, 5, false)
	activate := []string{"load", "activate", "--dir", l.dir, "--state", "CA", "--generation", "1", "--records"}
	if out, err := l.run(t, append(activate, fmt.Sprint(darkPeople+1))...); err == nil || !strings.Contains(out, "nothing was activated") {
		t.Errorf("activated with a wrong number: %v\n%s", err, out)
	}
	l.find(t, 5, false)
	if out, err := l.run(t, append(activate, fmt.Sprint(darkPeople))...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.find(t, darkAsked, true)

	door, _, err := cluster.Door(l.dir, "CA")
	if err != nil {
		t.Fatal(err)
	}
	c, err := waypostv1connect.NewRecordsClient(door).Compare(t.Context(), &waypostv1.CompareRequest{})
	if err != nil || c.Pointers != darkPeople || c.Missing != 0 || c.Withdrawn != 0 {
		t.Errorf("compared: %v, %v", c, err)
	}
	start := time.Now()
	out, err := l.run(t, l.command()...)
	if err != nil || !strings.Contains(out, `"published":0`) || !strings.Contains(out, fmt.Sprintf(`"already":%d`, darkPeople)) {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("repeated when all is published: %.0f records/s", darkPeople/time.Since(start).Seconds())
}

func (l *darkLoad) open(t *testing.T) {
	t.Helper()
	l.program = filepath.Join(t.TempDir(), "waypost")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", l.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("the program cannot be built: %v\n%s", err, out)
	}
	states := []waypost.Jurisdiction{"CA", "AZ"}
	people, err := population.Generate(population.Config{States: states, PerState: darkPeople, Seed: 11})
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	if err := people.WriteCSV(files); err != nil {
		t.Fatal(err)
	}
	l.file = filepath.Join(files, "CA.csv")
	_ = people.Each("CA", func(r waypost.Record) error { l.people = append(l.people, r); return nil })
	l.roles, err = cluster.OpenProcesses(t.Context(), cluster.Config{
		Dir: l.dir, States: states, Holders: darkHolders, Threshold: 2, Log: slog.New(slog.DiscardHandler),
	}, func(args ...string) *exec.Cmd { return exec.Command(l.program, args...) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.roles.Close(); err != nil {
			t.Error(err)
		}
	})
}

// command is the load, as it is repeated.
func (l *darkLoad) command() []string {
	return []string{"load", "--dir", l.dir, "--state", "CA", "--generation", "1", "--json", l.file}
}

func (l *darkLoad) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), l.program, args...).CombinedOutput()
	return string(out), err
}

// loadAndKill repeats the load until it is through, and kills one after another
// whenever more is published than before. It returns how often the command ran.
func (l *darkLoad) loadAndKill(t *testing.T) (rounds int) {
	t.Helper()
	victims := []string{"", "CA", "", "hub", "keyholder-1", "CA", "keyholder-2"} // "" is the command
	killing, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stop()
	var mu sync.Mutex
	var running *exec.Cmd
	killed := make(chan error, 1)
	go func() { killed <- l.kill(killing, victims, &mu, &running) }()
	for {
		rounds++
		var out bytes.Buffer
		command := exec.CommandContext(t.Context(), l.program, l.command()...)
		command.Stdout, command.Stderr = &out, &out
		mu.Lock()
		err := command.Start()
		running = command
		mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if err = command.Wait(); err == nil {
			var result struct {
				Rows, Rejected int
				Records        int `json:"generation_records"`
			}
			if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Rows != darkPeople || result.Rejected != 0 || result.Records != darkPeople {
				t.Errorf("%+v, %v\n%s", result, err, out.String())
			}
			break
		}
		if rounds > 600 {
			t.Fatalf("the load does not come to its end: %s", out.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	return rounds
}

// kill kills the victims in turn, each when more records are published than at
// the time before, and starts roles again.
func (l *darkLoad) kill(ctx context.Context, victims []string, mu *sync.Mutex, running **exec.Cmd) error {
	counter, _, err := cluster.Counter(l.dir, "CA")
	if err != nil {
		return err
	}
	for i, victim := range victims {
		for {
			status, err := counter.Status(ctx, &waypostv1.StatusRequest{})
			if err == nil && status.Published >= darkPeople {
				return fmt.Errorf("the load was over before %d of %d were killed", len(victims)-i, len(victims))
			}
			if err == nil && status.Published >= uint64(i)*200 {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(5 * time.Millisecond)
		}
		if victim == "" {
			mu.Lock()
			if *running != nil {
				err = (*running).Process.Kill()
			}
			mu.Unlock()
			if err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
			continue
		}
		if err := errors.Join(l.roles.Kill(victim), l.roles.Start(ctx, victim)); err != nil {
			return err
		}
	}
	return nil
}

// find asks AZ for people of the file, spread over all of it.
func (l *darkLoad) find(t *testing.T, n int, want bool) {
	t.Helper()
	counter, _, err := cluster.Counter(l.dir, "AZ")
	if err != nil {
		t.Fatal(err)
	}
	asking := new(errgroup.Group)
	asking.SetLimit(8)
	for i := range n {
		who := l.people[i*len(l.people)/n]
		asking.Go(func() error {
			found, err := l.found(t.Context(), counter, who)
			if err == nil && found != want {
				err = fmt.Errorf("record %d is found: %v, want %v", i*len(l.people)/n, found, want)
			}
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		t.Error(err)
	}
}

// found makes a check until it is complete, and reports whether CA has a card.
func (l *darkLoad) found(ctx context.Context, counter waypostv1connect.CounterClient, who waypost.Record) (bool, error) {
	raw, err := counter.Check(ctx, gateway.CheckToProto(gateway.Applicant{Person: who.Person}, waypost.IssueRealID, "LOAD-"+who.ID))
	for deadline := time.Now().Add(3 * time.Minute); err == nil && !raw.Complete && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
		raw, err = counter.GetCheck(ctx, &waypostv1.GetCheckRequest{Ticket: raw.Ticket})
	}
	if err != nil {
		return false, err
	}
	if !raw.Complete {
		return false, errors.New("a check does not come to its end")
	}
	for _, c := range raw.Candidates {
		if c.State == "CA" && (c.Outcome == string(waypost.Match) || c.Outcome == string(waypost.Possible)) {
			return true, nil
		}
	}
	return false, nil
}
