package follow

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/waypost/waypost/internal/journal"
	"github.com/waypost/waypost/internal/journal/journaltest"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/translog"
)

// tree is the tree of the log's first leaves.
func (l *testLog) tree(n int) tlog.Tree {
	root, err := tlog.TreeHash(int64(n), l)
	must(l.rig.t, err)
	return tlog.Tree{N: int64(n), Hash: root}
}

// restore has the hub come back with the first entries of its log, as waypost restore
// does: what is left has no checkpoint, and log 2 begins with what s says.
func (r *rig) restore(s journal.Succession) *testLog {
	db, err := store.Open(context.Background(), "sqlite:"+filepath.Join(r.t.TempDir(), "hub.db"), "hub")
	must(r.t, err)
	defer func() { must(r.t, db.Close()) }()
	j, err := journal.Open(context.Background(), db, "follow.test/hub/2", journaltest.Recipient())
	must(r.t, err)
	must(r.t, j.Succeed(context.Background(), []journal.Succession{s}))
	declared, err := j.Successions(context.Background())
	must(r.t, err)
	rows, err := j.Rows(context.Background(), 0, 10)
	must(r.t, err)
	next := r.newLog("hub", "2")
	next.add(rows[0].Leaf)
	next.publish(r.clock)
	next.write("successor/1", declared[0].Opened)
	r.logs["hub"].copyOf(int(s.Restored.N)).publish(r.clock)
	must(r.t, os.Remove(filepath.Join(r.logs["hub"].dir, "checkpoint")))
	return next
}

func (r *rig) declare(seen, restored int) journal.Succession {
	hub := r.logs["hub"]
	return journal.Succession{Predecessor: hub.origin, Seen: hub.tree(seen), Checkpoint: hub.copyOf(seen).checkpoint(r.clock), Restored: hub.tree(restored), At: r.clock}
}

// TestSuccessor: a hub whose backup was restored is followed in its other log; receipts of
// what came back are found, those of what is lost are named, and later ones are owed.
func TestSuccessor(t *testing.T) {
	r := newRig(t)
	hub := r.logs["hub"].grow(5)
	early := r.ask()
	r.keep(early, hub.evaluate(early)) // entry 5
	hub.grow(3)
	r.publishAll()
	r.round()

	lost, late := r.ask(), r.ask()
	r.keep(lost, hub.promise(lost, 8), hub.promise(lost, 12)) // seen by others, and never published
	next := r.restore(r.declare(9, 7))
	r.clock = r.clock.Add(30 * time.Second)
	r.keep(late, hub.promise(late, 8)) // given after the log was closed
	r.round()
	for range 3 { // and a restart, and again, change nothing
		r.clock = r.clock.Add(2 * time.Minute)
		r.publishAll2(next)
		r.restart()
		r.round()
		if err := r.follower.Usable("hub"); err != nil {
			t.Fatal(err)
		}
	}
	entries := r.entries("receipt_lost")
	if len(entries) != 2 || entries[0]["place"] != "hub/1:8" || entries[1]["place"] != "hub/1:12" || entries[0]["successor"] != "hub/2:0" || entries[0]["signer"] != "hub" {
		t.Errorf("%v", entries)
	}
	if found := r.evidence(); len(found) != 0 || len(r.entries("receipt_missed")) != 0 {
		t.Errorf("%d pieces of evidence against who has said what is lost", len(found))
	}
	if n := r.kept(); n != 1 {
		t.Errorf("%d receipts are owed, not that which was given after the log was closed", n)
	}
	r.clock = r.clock.Add(Limit)
	r.publishAll2(next)
	r.round()
	if err := r.follower.Usable("hub"); err == nil || !strings.Contains(err.Error(), "does not show what was due") {
		t.Errorf("a hub that goes on promising in a closed log is used: %v", err)
	}
}

// TestSuccessorOtherLeaf: a restore is no excuse for a promised place where something else
// stands, in what came back and was seen before.
func TestSuccessorOtherLeaf(t *testing.T) {
	r := newRig(t)
	hub := r.logs["hub"].grow(9)
	r.publishAll()
	r.round()
	broken, unseen := r.ask(), r.ask()
	r.keep(broken, hub.promise(broken, 3))
	hub.grow(2) // others see them, and nobody here
	r.keep(unseen, hub.promise(unseen, 10))
	next := r.restore(r.declare(11, 11))
	for range 3 {
		r.clock = r.clock.Add(2 * time.Minute)
		r.publishAll2(next)
		r.restart()
		r.round()
	}
	found := r.evidence()
	if len(found) != 1 || found[0].Member != "hub" || found[0].Claim != ReceiptWithoutLeaf || len(found[0].Leaf) == 0 {
		t.Fatalf("%d pieces of evidence: %+v", len(found), found)
	}
	if _, err := found[0].Verify(r.deps().Governance); err != nil {
		t.Error(err)
	}
	if missed := r.entries("receipt_missed"); len(missed) != 1 || missed[0]["place"] != "hub/1:3" || len(r.entries("receipt_lost")) != 0 {
		t.Errorf("entries: %v", missed)
	}
	if n := r.kept(); n != 1 {
		t.Errorf("%d receipts are owed, not that whose place no checkpoint here has", n)
	}
}

// TestSuccessorOfThen: who was away when a log was closed, and the witnesses have changed
// since, finds the successor all the same: nobody cosigns the declaration again.
func TestSuccessorOfThen(t *testing.T) {
	r := newRig(t)
	r.logs["hub"].grow(9)
	r.publishAll()
	r.round()
	next := r.restore(r.declare(9, 7))
	old := r.keys["outside"]
	witness := r.roster.Witnesses[0]
	witness.Key = translog.WitnessKey("outside.test/witness", r.key("outside"))
	r.keys["outside"], r.keys["outside since"] = old, r.keys["outside"]
	r.update(func(next *roster.Roster) {
		next.Announced = []roster.Announcement{{From: r.clock.Add(roster.Delay), Witnesses: []roster.Witness{witness}}}
	})
	r.clock = r.clock.Add(roster.Delay + time.Hour)
	r.update(func(next *roster.Roster) { next.Announced, next.Witnesses = nil, []roster.Witness{witness} })
	r.keys["outside"] = r.keys["outside since"]
	for range 3 {
		r.clock = r.clock.Add(2 * time.Minute)
		r.publishAll2(next)
		r.round()
	}
	if err := r.follower.Usable("hub"); err != nil {
		t.Error(err)
	}
}

// publishAll2 is publishAll with the hub's second log in place of its first.
func (r *rig) publishAll2(next *testLog) {
	for name, l := range r.logs {
		if name != "hub" {
			l.publish(r.clock)
		}
	}
	next.grow(1).publish(r.clock)
}

// TestFalseSuccessor: what a successor says is held against what was seen, and counts for
// nothing where it does not stand in its log or no quorum has cosigned what was seen.
func TestFalseSuccessor(t *testing.T) {
	for name, c := range map[string]struct {
		declare func(r *rig) journal.Succession
		change  func(next *testLog)
		want    string // in Usable's words; "" where the declaration is not believed
	}{
		"fewer seen than were": {declare: func(r *rig) journal.Succession { return r.declare(7, 5) }, want: "says that 7 entries of follow.test/hub/1 were seen, and 9 were seen here"},
		"others restored": {declare: func(r *rig) journal.Succession {
			s := r.declare(9, 9)
			s.Restored = r.newLog("hub", "1").grow(9).tree(9)
			return s
		}, want: "has restored other entries"},
		"not cosigned": {declare: func(r *rig) journal.Succession {
			s, alone := r.declare(9, 7), r.logs["hub"].copyOf(9)
			alone.by = nil
			s.Checkpoint = alone.checkpoint(r.clock)
			return s
		}},
		"another checkpoint": {declare: func(r *rig) journal.Succession {
			s := r.declare(9, 7)
			s.Seen.N = 12
			return s
		}},
		"not in the log": {declare: func(r *rig) journal.Succession { return r.declare(9, 7) }, change: func(next *testLog) {
			*next = *next.copyOf(0).grow(2)
			next.publish(next.rig.clock)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.logs["hub"].grow(9)
			r.publishAll()
			r.round()
			next := r.restore(c.declare(r))
			if c.change != nil {
				c.change(next)
			}
			for range 2 {
				r.clock = r.clock.Add(2 * time.Minute)
				r.round()
			}
			var closed int
			must(t, r.db.Read(t.Context(), func(tx *store.Tx) error {
				return tx.Row("SELECT count(*) FROM follow_log WHERE closed IS NOT NULL").Scan(&closed)
			}))
			err := r.follower.Usable("hub")
			if closed != 0 || (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d logs closed, %v", closed, err)
			}
		})
	}
}
