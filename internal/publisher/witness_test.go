package publisher

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/translog"
)

// TestUnwitnessed: without enough cosignatures the old checkpoint stays, the
// status says which witness failed and why, and the log says it once.
func TestUnwitnessed(t *testing.T) {
	r := newRig(t)
	r.source.append(10)
	p := r.open()
	r.flush(p)
	for _, w := range r.witnesses[1:] {
		w.set(errors.New("it is asleep"))
	}
	for range 3 {
		r.source.append(10)
		if err := p.Flush(ctx); !errors.Is(err, translog.ErrUnwitnessed) {
			t.Errorf("published without cosignatures: %v", err)
		}
	}
	p.work.Wait()
	if c := r.check(); c.N != 10 {
		t.Errorf("a checkpoint of %d entries is shown", c.N)
	}
	s := p.Status()
	if s.Signed != 40 || s.Published != 10 || s.Witnesses["w2.test"] != "it is asleep" || s.Witnesses["w1.test"] != "" || !strings.Contains(s.Err, "asleep") {
		t.Errorf("status %+v", s)
	}
	r.witnesses[2].set(nil)
	r.flush(p)
	if c := r.check(); c.N != 40 {
		t.Errorf("%d entries after a witness has come back", c.N)
	}
	if n := strings.Count(r.log.String(), "not being published"); n != 1 {
		t.Errorf("it was said %d times that nothing is published", n)
	}
	if !strings.Contains(r.log.String(), "published again") {
		t.Error("it was not said that it is published again")
	}
}

// TestLate: the policy is met without the slowest witness, whose cosignature
// joins in the next round.
func TestLate(t *testing.T) {
	r := newRig(t)
	r.source.append(10)
	slow := r.witnesses[2]
	slow.hold = make(chan struct{})
	p := r.open()
	must(t, p.Flush(ctx))
	if n := cosignatures(t, p); n != 2 {
		t.Errorf("%d cosignatures without the slow witness", n)
	}
	close(slow.hold)
	p.work.Wait()
	r.flush(p)
	if n := cosignatures(t, p); n != 3 {
		t.Errorf("%d cosignatures after the slow witness has answered", n)
	}
	if slow.asked != 2 { // what it knows, and to cosign
		t.Errorf("the slow witness was asked %d times", slow.asked)
	}
	r.check()
}

func cosignatures(t *testing.T, p *Publisher) int {
	t.Helper()
	signed, err := p.folder.read("checkpoint")
	must(t, err)
	return strings.Count(string(signed), ".test ")
}

// TestRefresh: an idle log is cosigned again every minute, and a witness that
// has lost what it knew, or knows less, gets a proof from there.
func TestRefresh(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	p := r.open()
	r.flush(p)
	first := r.check()
	r.clock.add(59 * time.Second)
	r.flush(p)
	if c := r.check(); !c.Cosigned.Equal(first.Cosigned) {
		t.Error("cosigned again too early")
	}
	r.clock.add(time.Second)
	r.flush(p)
	if c := r.check(); !c.Cosigned.Equal(r.clock.now()) {
		t.Errorf("cosigned at %s, it is %s", c.Cosigned, r.clock.now())
	}
	r.witnesses[0].tree = tlog.Tree{}
	r.witnesses[1].set(errors.New("down"))
	r.source.append(5)
	r.flush(p)
	r.check()
	r.witnesses[1].set(nil)
	r.witnesses[2].set(errors.New("down")) // the round waits for the two others
	r.source.append(500)
	p = r.open()
	r.flush(p)
	if c := r.check(); c.N != 805 || r.witnesses[1].tree.N != 805 {
		t.Errorf("the witness that was down is at %d of %d", r.witnesses[1].tree.N, c.N)
	}
	// A cosignature of a minute ago serves for a while, and no longer.
	for _, w := range r.witnesses {
		w.set(errors.New("down"))
	}
	r.clock.add(refresh)
	must(t, p.Flush(ctx))
	r.clock.add(refresh)
	if err := p.Flush(ctx); err == nil || !strings.Contains(err.Error(), "cosigned last at") {
		t.Errorf("nobody cosigns any more: %v", err)
	}
	p.work.Wait()
}

// TestFalseWitness: what a witness says without being in the roster, or by
// another key, spoils nothing.
func TestFalseWitness(t *testing.T) {
	r := newRig(t)
	p := r.open()
	r.witnesses[0].key = testKey("another")
	r.witnesses[0].name = "stranger.test"
	r.source.append(3)
	checked := r.policy()
	checked.Groups[0].Witnesses = checked.Groups[0].Witnesses[1:]
	p.Policy = func() (translog.Policy, error) { return checked, nil }
	r.flush(p)
	checkLog(t, r.folder(), checked, r.source)
	if why := p.Status().Witnesses["stranger.test"]; !strings.Contains(why, "roster") {
		// It may have answered after the round.
		r.flush(p)
		if why = p.Status().Witnesses["stranger.test"]; !strings.Contains(why, "roster") {
			t.Errorf("of the stranger it is said %q", why)
		}
	}
}

// TestCompleteWhenCosigned: after a restart with much to catch up, no reader
// sees a fresh cosignature on a tree that lacks what was committed long before.
func TestCompleteWhenCosigned(t *testing.T) {
	r := newRig(t)
	r.source.append(300)
	r.flush(r.open())
	r.clock.add(time.Hour)
	r.source.append(2 * 1024)
	seen := 0
	look := func(string) error {
		signed, err := os.ReadFile(filepath.Join(r.folder(), "checkpoint"))
		must(t, err)
		c, err := r.policy().Verify(signed)
		must(t, err)
		if seen++; c.Cosigned.Equal(r.clock.now()) && c.N < 300+2*1024 {
			t.Errorf("%d entries are shown as all there were at %s", c.N, c.Cosigned)
		}
		return nil
	}
	r.fault = look
	p := r.open()
	p.batch = 1024
	r.flush(p)
	if c := r.check(); c.N != 300+2*1024 || seen < 10 {
		t.Errorf("%d entries are published; looked %d times", c.N, seen)
	}
	must(t, look(""))
}
