package records_test

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/records"
)

func (r *rig) anyLive() int { return r.hub.live(func(*stands) bool { return true }) }

// once calls something the next time that the hub is asked for upkeep.
func (r *rig) once(what func()) {
	r.hub.meantime = func() {
		r.hub.meantime = nil
		what()
	}
}

// What was wanted when a state left is not published after it has.
func TestWantedWhileLeaving(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila))
	r.hub.down = waypost.Errorf(waypost.Unavailable, "down")
	if _, _, err := r.file.Load(t.Context(), "loader", 0, []waypost.Record{licence("CA-2", renamed("Moretti"))}); err == nil {
		t.Fatal("loaded without a hub")
	}
	r.hub.down = nil
	r.now = r.now.Add(2 * time.Hour)
	stepped := make(chan error)
	r.once(func() {
		go func() { stepped <- r.file.Step(t.Context()) }()
		time.Sleep(100 * time.Millisecond) // it waits for the end of the departure
	})
	if _, _, err := r.file.Leave(t.Context(), "director"); err != nil {
		t.Fatal(err)
	}
	if err := <-stepped; err != nil {
		t.Error(err)
	}
	r.settle()
	if n := r.anyLive(); n != 0 || len(r.pointers("CA-2")) != 0 {
		t.Errorf("%d pointers are live at the hub, the file says %v", n, r.pointers("CA-2"))
	}
}

// A record that is changed while its generation becomes visible is visible too, and
// one that is rolled back is not.
func TestChangedWhileActivated(t *testing.T) {
	for _, back := range []bool{false, true} {
		r := newRig(t)
		r.load(1, licence("CA-1", ludmila))
		changed := make(chan error)
		r.once(func() {
			go func() {
				_, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Moretti")), true)
				changed <- err
			}()
			for len(r.pointers("CA-1")) == 1 {
				time.Sleep(time.Millisecond)
			}
		})
		if _, err := r.file.Activate(t.Context(), "loader", 1, back); err != nil {
			t.Fatal(err)
		}
		if err := <-changed; err != nil {
			t.Fatal(err)
		}
		r.settle()
		for _, p := range r.pointers("CA-1") {
			if back || p.State != records.Live {
				t.Errorf("rolled back %v: a pointer is %s", back, p.State)
			}
		}
		if n := len(r.pointers("CA-1")); !back && n != 2 {
			t.Errorf("the record has %d pointers", n)
		}
	}
}

// A gateway that was restored from an old backup has few pointers where the hub has
// many.
func TestCompareWithMany(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila))
	for i := range 4200 {
		r.hub.pointers[waypost.Handle{byte(i % 40), 1, byte(i >> 8), byte(i)}] = &stands{live: true}
	}
	c, err := r.file.Compare(t.Context(), "clerk")
	if err != nil || c.Withdrawn != 4200 || c.Missing != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	r.same("afterwards")
}

// A change that the hub has taken and nobody has heard of is not one that the hub
// lacks: it is published again under the next ticket, and nothing is mended.
func TestCompareWhileUnheard(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila))
	r.hub.cut = waypost.Errorf(waypost.Unavailable, "no answer")
	if c, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Moretti")), false); err != nil || c.Published {
		t.Fatal(c, err)
	}
	r.hub.cut = nil
	r.same("before it is heard")
	r.settle()
	if n := r.anyLive(); n != 1 || len(r.pointers("CA-1")) != 1 {
		t.Errorf("%d pointers are live, the file says %v", n, r.pointers("CA-1"))
	}
	r.same("afterwards")
}

// A clock that was a month ahead for a while does not keep the nights after it from
// comparing.
func TestClockWasAhead(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		r := newRig(t)
		r.load(0, licence("CA-1", ludmila))
		for range 3 {
			r.now = r.now.Add(24 * time.Hour)
			if err := r.file.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		right := r.now
		r.now = right.AddDate(0, 1, 0)
		for range 2 { // a night is known to be done when it is looked at again
			if err := r.file.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r.now = right
		if restarted {
			r.restart()
		}
		for _, p := range r.hub.pointers {
			p.live = false
		}
		for range 6 {
			r.settle()
		}
		if n := r.anyLive(); n != 1 {
			t.Errorf("restarted %v: %d pointers are live after six nights", restarted, n)
		}
	}
}

// What reads all pointers does so once a night, or for who leaves: nothing else
// does, whatever a state has.
func TestPlans(t *testing.T) {
	r := newRig(t)
	r.load(0, licence("CA-1", ludmila), licence("CA-2", renamed("Moretti")))
	r.load(1, licence("CA-3", renamed("Abernathy")))
	if _, err := r.file.Change(t.Context(), "clerk", licence("CA-1", renamed("Rossi")), true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.file.Withdraw(t.Context(), "clerk", "CA-2"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.weigh(ludmila)
	if _, err := r.file.Purge(t.Context(), "clerk", true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.file.Activate(t.Context(), "loader", 1, true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.file.Own(t.Context(), 1, ludmila, make([]waypost.Token, 32)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.file.Named(t.Context(), ludmila, ""); err != nil {
		t.Fatal(err)
	}
	nightly := []string{"SELECT handle, generation, version, reached, receipt FROM pointer", "SELECT count(*) FROM pointer WHERE state"}
	due := false
	r.plans.Range(func(statement, plan any) bool {
		text, how := statement.(string), strings.Join(plan.([]string), "; ")
		for _, start := range nightly {
			if strings.HasPrefix(text, start) {
				return true
			}
		}
		for _, table := range []string{"SCAN p", "SCAN t", "SCAN pointer", "SCAN pointer_token", "SCAN notice", "SCAN inquiry", "SCAN ask", "SCAN issued"} {
			if strings.Contains(how, "USING INDEX pointer_due") { // of what is due some time
				continue
			}
			if strings.HasSuffix(how, table) || strings.Contains(how, table+";") || strings.Contains(how, table+" ") {
				t.Errorf("%q reads a whole table: %s", text, how)
			}
		}
		if strings.Contains(text, "p.due <=") {
			due = true
			if !strings.Contains(how, "SEARCH p USING INDEX pointer_due (") {
				t.Errorf("%q: %s", text, how)
			}
		}
		return true
	})
	if !due {
		t.Error("no statement asks what is due")
	}
}
