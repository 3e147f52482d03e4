package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/statefile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config(dir string) cluster.Config {
	return cluster.Config{Dir: dir, States: []waypost.Jurisdiction{"AZ", "CA"}, Holders: 3, Threshold: 2, Log: slog.New(slog.DiscardHandler)}
}

var clerk = gateway.Counter{Operator: "clerk-1", Class: waypost.Attended, Purpose: waypost.IssueLicence, Case: "1"}

func person(i int) waypost.Person {
	return waypost.Person{Family: fmt.Sprintf("Quillfeather%c", 'a'+i%26), Given: fmt.Sprintf("Zebediah%c", 'a'+i/26), Born: waypost.Date{Year: 1950 + i%40, Month: 1 + i%12, Day: 3}}
}

// answered has AZ check somebody, and waits for the last answer: on a busy machine it comes
// later than a clerk is made to wait.
func answered(t *testing.T, c *cluster.Cluster, who waypost.Person) waypost.Answer {
	t.Helper()
	a, err := c.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: who}, clerk)
	for deadline := time.Now().Add(2 * time.Minute); err == nil && !a.Complete && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		a, err = c.Gateway("AZ").Answer(t.Context(), a.Ticket)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLife: an exchange survives its restart, with its data, and its roster is
// renewed while it runs and when it starts.
func TestLife(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	c, err := cluster.Open(ctx, config(dir))
	if err != nil {
		t.Fatal(err)
	}
	counter, url, err := cluster.Counter(dir, "CA")
	if err != nil || url == "" {
		t.Fatal(url, err)
	}
	var progress []int
	loader := cluster.NewLoader(counter, 0, func(rows int) { progress = append(progress, rows) })
	for i := range 250 {
		r := waypost.Record{ID: fmt.Sprintf("CA-%d", i), Person: person(i), CardNumber: fmt.Sprintf("C%06d", i), Kind: waypost.Licence, Status: waypost.Valid}
		var bad error
		switch i {
		case 7:
			bad = fmt.Errorf("the row has 3 columns")
		case 8:
			r.Kind = "boat"
		case 249:
			r.ID = "CA-0" // whose batch was over long ago
		}
		if err := loader.Add(ctx, statefile.Row{Line: i + 2, Record: r, Err: bad}); err != nil {
			t.Fatal(err)
		}
	}
	loaded, err := loader.Finish(ctx)
	if err != nil || loaded.Rows != 250 || loaded.Published != 247 || loaded.Already != 0 || len(loaded.Rejected) != 3 {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
	lines := make(map[int]bool)
	for _, r := range loaded.Rejected {
		lines[r.Line] = true
	}
	if !lines[9] || !lines[10] || !lines[251] {
		t.Errorf("rejected %v, want lines 9, 10 and 251", loaded.Rejected)
	}
	if n := len(progress); n == 0 || progress[n-1] != 250 {
		t.Errorf("progress %v, want it to end with 250", progress)
	}

	finds := func() {
		t.Helper()
		if a := answered(t, c, person(42)); a.Best() != waypost.Match {
			t.Errorf("answer %+v; want a match", a)
		}
	}
	finds()
	if err := c.Start(ctx, "hub"); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("starting what runs: %v", err)
	}
	if err := c.Stop("hub"); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop("hub"); waypost.CodeOf(err) != waypost.NotFound || c.Role("hub") != nil {
		t.Errorf("stopping what does not run: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if err := c.Start(ctx, "hub"); err == nil {
		t.Error("a closed exchange starts a role")
	}

	if c, err = cluster.Open(ctx, config(dir)); err != nil {
		t.Fatal(err)
	}
	finds()
	before := c.Roster().Version
	c.Clock.Advance(6*24*time.Hour + time.Hour)
	if err := c.Renew(); err != nil {
		t.Fatal(err)
	}
	if now := c.Roster().Version; now != before+1 {
		t.Errorf("roster version %d, want %d", now, before+1)
	}
	finds()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestStartFails: where one role cannot start, those that did are stopped.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	first, err := cluster.Open(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	if second, err := cluster.Open(context.Background(), config(dir)); err == nil {
		t.Errorf("the same exchange runs twice: %v", second)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
}
