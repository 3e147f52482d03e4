package cluster_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/cluster"
	"github.com/waypost/waypost/internal/gateway"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
)

// exchange opens a new exchange for one test.
func exchange(t *testing.T) (*cluster.Cluster, string) {
	t.Helper()
	dir := t.TempDir()
	c, err := cluster.Open(t.Context(), config(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, dir
}

func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen within %v: %s", d, what)
		}
	}
}

func check(t *testing.T, c *cluster.Cluster) waypost.Answer {
	t.Helper()
	a, err := c.Gateway("AZ").Check(t.Context(), gateway.Applicant{Person: person(1)}, clerk)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestUnwitnessed: a hub whose ledger nobody outside has witnessed for ten
// minutes is not asked, and the clerk is owed the check. It is made once the
// ledger is witnessed again.
func TestUnwitnessed(t *testing.T) {
	c, _ := exchange(t)
	if err := c.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := answered(t, c, person(1)); a.Owed {
		t.Fatalf("a check of an exchange in order is owed: %+v", a)
	}
	if err := c.Stop("witness-1"); err != nil {
		t.Fatal(err)
	}
	c.Clock.Advance(9 * time.Minute)
	if a := answered(t, c, person(1)); a.Owed {
		t.Errorf("after nine minutes: %+v", a)
	}
	c.Clock.Advance(2 * time.Minute)
	for _, member := range []string{"hub", "keyholder-1"} {
		err := c.Role("AZ").Follower.Usable(member)
		if err == nil || !strings.Contains(err.Error(), "the ledger of "+member+" has not been cosigned since ") {
			t.Errorf("%s may be used, or it says: %v", member, err)
		}
	}
	if a := check(t, c); !a.Owed {
		t.Errorf("a check was made where no ledger is witnessed: %+v", a)
	}
	if err := c.Start(t.Context(), "witness-1"); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Minute, "the ledgers are witnessed again", func() bool {
		usable := c.Role("AZ").Follower.Usable("hub")
		for _, h := range c.Roster().Holders() {
			usable = errors.Join(usable, c.Role("AZ").Follower.Usable(h.Name))
		}
		return usable == nil
	})
	if a := answered(t, c, person(1)); a.Owed {
		t.Errorf("with the witness back: %+v", a)
	}
}

// TestRemoval: a roster without a member, brought to one public door, cuts the
// member off everywhere within seconds, connections that are open included, and
// stands in every ledger.
func TestRemoval(t *testing.T) {
	c, dir := exchange(t)
	california := c.Role("CA").Folder
	// The answers to calls that wait for letters, one after the other, until one is an error.
	type end struct {
		at  time.Time
		err error
	}
	waiting := make(chan end, 100)
	go func() {
		defer close(waiting)
		hub := gateway.DialHub(california.Cert, california.Roster)
		for e := (end{}); e.err == nil; waiting <- e {
			_, e.err = hub.Receive(context.WithoutCancel(t.Context()), &waypostv1.ReceiveRequest{Max: 1, WaitMs: 20_000})
			e.at = time.Now()
		}
	}()
	signed, err := install.Govern(dir, c.Clock.Now(), func(draft *roster.Roster) error { return draft.Remove("CA") })
	if err != nil {
		t.Fatal(err)
	}
	current := c.Roster()
	holder, _ := current.Member("keyholder-2")
	if err := current.Publish(t.Context(), holder.Public, signed); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	servers := []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3"}
	knows := func(name string) bool {
		_, still := c.Role(name).Folder.Roster.Member("CA")
		return !still
	}
	var known time.Time // since when at the latest the hub has it
	within(t, time.Minute, "everybody has the roster", func() bool {
		if known.IsZero() && knows("hub") {
			known = time.Now()
		}
		for _, name := range append(servers, "AZ", "witness-1") {
			if !knows(name) {
				return false
			}
		}
		return true
	})
	t.Logf("known everywhere after %v", time.Since(start))
	// A call that was open when the hub took the roster up would be answered when it has waited
	// for twenty seconds; it is cut off.
	for over := time.After(time.Minute); ; {
		select {
		case e := <-waiting:
			if e.err == nil && e.at.Before(known.Add(time.Second)) {
				continue // it was over before
			}
			if e.err == nil {
				t.Error("a removed member's open call was answered")
			}
		case <-over:
			t.Error("a removed member's open call goes on")
		}
		break
	}
	for _, h := range current.Holders() {
		client := waypostv1connect.NewKeyHolderClient(rpc.Dial(california.Cert, california.Roster, h))
		_, err := client.Evaluate(t.Context(), &waypostv1.EvaluateRequest{})
		if code := waypost.CodeOf(err); code != waypost.Unauthenticated && code != waypost.Unavailable {
			t.Errorf("%s answered a removed member: %v", h.Name, err)
		}
	}
	opener, err := install.Auditor(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(servers, "AZ") {
		within(t, time.Minute, "the entry of "+name, func() bool { return saysRemoved(t, opener, c.Role(name).Journal) })
	}
}

func saysRemoved(t *testing.T, opener *journal.Opener, j *journal.Journal) bool {
	t.Helper()
	entries, err := opener.Read(t.Context(), j, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Kind == "roster" && strings.Contains(string(e.Body), `"version":"2"`) && strings.Contains(string(e.Body), "removes CA") {
			return true
		}
	}
	return false
}

// counter is a client of a state's counter door.
func counter(t *testing.T, dir string, state waypost.Jurisdiction) waypostv1connect.CounterClient {
	t.Helper()
	c, _, err := cluster.Counter(dir, state)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
