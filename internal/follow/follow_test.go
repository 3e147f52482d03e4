package follow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// wantWords checks an error's words, or that there is none.
func wantWords(t testing.TB, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Errorf("refused: %v", err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("got %v, want %q", err, words)
	}
}

func TestUsable(t *testing.T) {
	r := newRig(t)
	wantWords(t, r.follower.Usable("keyholder-2"), "") // an exchange that starts
	wantWords(t, r.follower.Usable("AZ"), "")
	wantWords(t, r.follower.Usable("nobody"), "no ledger of \"nobody\" is followed here")
	wantWords(t, r.follower.Usable("CA"), "no ledger of \"CA\" is followed here")

	for _, l := range r.logs {
		l.grow(3).publish(r.clock)
	}
	r.round()
	began := r.clock
	for _, name := range []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3"} {
		wantWords(t, r.follower.Usable(name), "")
	}
	seen, err := os.ReadFile(filepath.Join(r.dir, "own", "seen", "keyholder-2", "1"))
	must(t, err)
	if string(seen) != string(r.follower.Seen("keyholder-2")) || string(seen) != string(r.logs["keyholder-2"].checkpoint(r.clock)) {
		t.Error("what is published as seen is not what was seen")
	}

	r.clock = r.clock.Add(Limit)
	r.logs["hub"].grow(300).publish(r.clock)
	r.round()
	wantWords(t, r.follower.Usable("keyholder-2"), "")
	r.clock = r.clock.Add(time.Minute)
	wantWords(t, r.follower.Usable("hub"), "")
	wantWords(t, r.follower.Usable("keyholder-2"), "the ledger of keyholder-2 has not been cosigned since "+
		began.Format("15:04 UTC")+" (11 minutes ago): it is not asked until it is")
	r.logs["keyholder-2"].publish(r.clock)
	r.round()
	wantWords(t, r.follower.Usable("keyholder-2"), "")
}

func TestNeverSeen(t *testing.T) {
	r := newRig(t)
	r.round()
	r.clock = r.clock.Add(Limit)
	wantWords(t, r.follower.Usable("hub"), "")
	r.clock = r.clock.Add(time.Minute)
	wantWords(t, r.follower.Usable("hub"), "the ledger of hub has never been seen since")
	r.restart()
	wantWords(t, r.follower.Usable("hub"), "the ledger of hub has never been seen since") // starting again is no new start
	r.publishAll()
	r.round()
	wantWords(t, r.follower.Usable("hub"), "")
}

func TestLooksAtOnceWhenAsked(t *testing.T) {
	r := newRig(t)
	r.publishAll()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.follower.config.Interval = time.Hour
	r.clock = r.clock.Add(Limit + time.Minute)
	r.publishAll()
	go func() { done <- r.follower.Run(ctx) }()
	for r.follower.Usable("hub") != nil {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	must(t, <-done)
}

// TestRefusals: each reason for which a checkpoint is not taken, and that it
// leaves the last good one in force.
func TestRefusals(t *testing.T) {
	strip := func(names ...string) func(*testLog) {
		return func(l *testLog) {
			l.by = nil
			for _, name := range []string{"keyholder-1 witness", "keyholder-2 witness", "keyholder-3 witness", "outside"} {
				if !strings.Contains(strings.Join(names, ","), name) {
					l.by = append(l.by, name)
				}
			}
			l.publish(l.rig.clock)
		}
	}
	for name, c := range map[string]struct {
		member string
		change func(*testLog)
		words  string
		cause  error
	}{
		"no outside witness":  {"hub", strip("outside"), "lacks the cosignatures that the roster asks for", translog.ErrUnwitnessed},
		"one key holder only": {"hub", strip("keyholder-1 witness", "keyholder-3 witness"), "lacks the cosignatures", translog.ErrUnwitnessed},
		// Two key holders cosigned, but one of them is the log's own.
		"its own witness": {"keyholder-1", strip("keyholder-2 witness"), "lacks the cosignatures", translog.ErrUnwitnessed},
		"another key": {"hub", func(l *testLog) {
			l.key = l.rig.keys["keyholder-1 log"]
			l.publish(l.rig.clock)
		}, "not signed by its log", translog.ErrUnsigned},
		"another log": {"hub", func(l *testLog) {
			l.write("checkpoint", l.rig.logs["keyholder-1"].checkpoint(l.rig.clock))
		}, "not signed by its log", translog.ErrUnsigned},
		"from the future": {"hub", func(l *testLog) { l.publish(l.rig.clock.Add(time.Hour)) }, "it is not asked until it is", nil},
		"gone":            {"hub", func(l *testLog) { must(l.rig.t, os.RemoveAll(l.dir)) }, "it is not asked until it is", nil},
		"tiles are missing": {"hub", func(l *testLog) {
			l.grow(5).publish(l.rig.clock)
			must(l.rig.t, os.RemoveAll(filepath.Join(l.dir, "tile")))
		}, "it is not asked until it is", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for _, l := range r.logs {
				l.grow(4).publish(r.clock)
			}
			r.round()
			before := r.follower.Seen(c.member)
			r.clock = r.clock.Add(Limit)
			c.change(r.logs[c.member])
			r.round()
			wantWords(t, r.follower.Usable(c.member), "")
			if string(r.follower.Seen(c.member)) != string(before) {
				t.Error("a checkpoint was taken that must not be")
			}
			r.clock = r.clock.Add(time.Minute)
			err := r.follower.Usable(c.member)
			wantWords(t, err, "the ledger of "+c.member+" has not been cosigned since")
			wantWords(t, err, c.words)
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("the cause of %v is lost", err)
			}
			if len(r.evidence()) > 0 {
				t.Error("there is evidence where nothing was contradicted")
			}
		})
	}
}

func TestFork(t *testing.T) {
	for name, more := range map[string]int{"of the same size": 0, "longer": 290} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			l := r.logs["hub"].grow(300)
			r.publishAll()
			r.round()
			r.clock = r.clock.Add(time.Minute)
			l.copyOf(280).grow(20 + more).publish(r.clock)
			r.round()
			words := "the ledger of hub contradicts itself: it had other entries before, at 300"
			wantWords(t, r.follower.Usable("hub"), words)
			wantWords(t, r.follower.Usable("keyholder-1"), "")

			found := r.evidence()
			if len(found) != 1 || found[0].Claim != Fork {
				t.Fatalf("evidence: %v", found)
			}
			if member, err := found[0].Verify(r.governance); err != nil || member != "hub" {
				t.Errorf("%q, %v", member, err)
			}
			wantWords(t, errors.New(found[0].Words()), fmt.Sprintf("hub signed two checkpoints of follow.test/hub/1, for 300 and for %d entries", 300+more))
			everyByteCounts(t, found[0], r.governance)

			// It comes back to what it said first: that does not help it.
			r.clock = r.clock.Add(time.Minute)
			l.grow(5).publish(r.clock)
			r.restart()
			wantWords(t, r.follower.Usable("hub"), words)
			r.round()
			wantWords(t, r.follower.Usable("hub"), words)
		})
	}
}

func TestRollback(t *testing.T) {
	r := newRig(t)
	l := r.logs["keyholder-3"].grow(40)
	r.publishAll()
	r.round()
	before := r.clock
	r.clock = r.clock.Add(time.Minute)
	l.copyOf(30).publish(before.Add(-time.Minute)) // an old checkpoint as it was
	r.round()
	wantWords(t, r.follower.Usable("keyholder-3"), "the ledger of keyholder-3 went back from 40 entries to 30")
	if found := r.evidence(); len(found) != 0 {
		t.Errorf("evidence, where anybody could have shown the old checkpoint: %v", found)
	}
	if string(r.follower.Seen("keyholder-3")) != string(l.checkpoint(before)) {
		t.Error("the longer checkpoint is no longer what was seen")
	}
	r.restart()
	wantWords(t, r.follower.Usable("keyholder-3"), "went back")
}

// TestWitnessWentBack: a witness that cosigns a shorter log later is named, the
// log is refused.
func TestWitnessWentBack(t *testing.T) {
	r := newRig(t)
	l := r.logs["hub"].grow(40)
	l.by = []string{"keyholder-1 witness", "keyholder-2 witness", "outside"}
	r.publishAll()
	r.round()
	r.clock = r.clock.Add(time.Minute)
	back := l.copyOf(30)
	back.by = []string{"keyholder-3 witness", "keyholder-2 witness", "outside"}
	back.publish(r.clock)
	r.round()
	wantWords(t, r.follower.Usable("hub"), "the ledger of hub went back from 40 entries to 30")
	found := r.evidence()
	if len(found) != 1 || found[0].Claim != Rollback {
		t.Fatalf("evidence: %v", found)
	}
	if member, err := found[0].Verify(r.governance); err != nil || member != "keyholder-2" {
		t.Errorf("%q, %v", member, err)
	}
	everyByteCounts(t, found[0], r.governance)
	swapped := *found[0]
	swapped.Checkpoint, swapped.Other = swapped.Other, swapped.Checkpoint
	if _, err := swapped.Verify(r.governance); err == nil {
		t.Error("a log that grows is a rollback")
	}
}

// TestPinned: over HTTPS, and only from whom the roster names.
func TestPinned(t *testing.T) {
	r := newRig(t)
	served := func(cert string) *httptest.Server {
		s := httptest.NewUnstartedServer(http.FileServer(http.Dir(r.dir)))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{r.Party(cert).Cert}, MinVersion: tls.VersionTLS13}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	hub, false1 := served("hub"), served("keyholder-2")
	moved := httptest.NewUnstartedServer(http.RedirectHandler(hub.URL+"/log/hub/1/checkpoint", http.StatusFound))
	moved.TLS = &tls.Config{Certificates: []tls.Certificate{r.Party("keyholder-3").Cert}, MinVersion: tls.VersionTLS13}
	moved.StartTLS()
	t.Cleanup(moved.Close)
	r.update(func(next *roster.Roster) {
		for i := range next.Members {
			switch m := &next.Members[i]; m.Name {
			case "hub":
				m.Public = hub.URL
			case "keyholder-1":
				m.Public = false1.URL
			case "keyholder-3":
				m.Public = moved.URL
			}
		}
	})
	for _, l := range r.logs {
		l.grow(3).publish(r.clock)
	}
	r.newLog("CA", "1").grow(2).publish(r.clock)
	open := Remote(tls.Certificate{}, r.view)
	r.follower.Open = open
	// A look has its limit, which a busy machine may pass.
	for limit := time.Now().Add(time.Minute); r.follower.Seen("hub") == nil && time.Now().Before(limit); {
		r.round()
	}
	if r.follower.Seen("hub") == nil {
		t.Error("the hub's log was not read")
	}
	for _, name := range []string{"keyholder-1", "keyholder-2", "keyholder-3"} {
		if r.follower.Seen(name) != nil {
			t.Errorf("the log of %s was taken from somebody else", name)
		}
	}
	reader, err := open("CA", "1") // a gateway's, at the hub
	must(t, err)
	if _, err := reader.ReadEndpoint(context.Background(), "checkpoint"); err != nil {
		t.Error(err)
	}
	_, _, err = Prefix(r.view.Current(), "hub", "../2")
	wantWords(t, err, "the instances of a log are 1 to 999")
	_, _, err = Prefix(r.view.Current(), "keyholder-2", "1")
	wantWords(t, err, "does not say where the ledger of keyholder-2 is published")
}

// TestHistories: whatever a log does in whatever order, it is refused exactly
// from the first contradiction that was seen, over restarts, and evidence is
// only about what happened.
func TestHistories(t *testing.T) {
	r := newRig(t)
	rapid.Check(t, func(t *rapid.T) {
		must(t, r.db.Write(context.Background(), func(tx *store.Tx) error {
			_, err := tx.Exec("DELETE FROM follow_log")
			return err
		}))
		for _, used := range []string{"log", "own"} {
			must(t, os.RemoveAll(filepath.Join(r.dir, used)))
		}
		r.follow()
		l := r.newLog("hub", "1").grow(rapid.IntRange(1, 300).Draw(t, "size"))
		l.publish(r.clock)
		r.round()
		var fork, back bool
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			r.clock = r.clock.Add(time.Minute)
			size := len(l.leaves)
			switch rapid.SampledFrom([]string{"grow", "grow", "idle", "fork", "back", "restart"}).Draw(t, "step") {
			case "grow":
				l.grow(rapid.IntRange(1, 300).Draw(t, "more")).publish(r.clock)
			case "idle":
				l.publish(r.clock)
			case "fork":
				cut := rapid.IntRange(0, size-1).Draw(t, "cut")
				l = l.copyOf(cut).grow(size - cut + rapid.IntRange(0, 300).Draw(t, "more"))
				l.publish(r.clock)
				fork = fork || !back
			case "back":
				if size > 1 {
					l = l.copyOf(rapid.IntRange(1, size-1).Draw(t, "cut"))
					l.publish(r.clock)
					back = back || !fork
				}
			case "restart":
				r.follow()
			}
			r.round()
			if refused := r.follower.Usable("hub") != nil; refused != (fork || back) {
				t.Fatalf("fork %v, rollback %v, refused %v", fork, back, refused)
			}
		}
		for _, e := range r.evidence() {
			if _, err := e.Verify(r.governance); err != nil || (e.Claim == Fork) != fork {
				t.Fatalf("%s: %v", e.Claim, err)
			}
		}
		if n := len(r.evidence()); (n > 0) != (fork || back) {
			t.Fatalf("%d pieces of evidence", n)
		}
	})
}
