package follow

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/internal/store/storetest"
)

// everyByteCounts changes bytes of evidence in all its parts: none of what comes
// out holds.
func everyByteCounts(t *testing.T, e *Evidence, g roster.Governance) {
	t.Helper()
	content, err := e.Marshal()
	must(t, err)
	again, err := Parse(content)
	must(t, err)
	if _, err := again.Verify(g); err != nil {
		t.Fatal(err)
	}
	// Each run changes the head and others of the rest: all would take minutes.
	const step = 149
	phase := rand.IntN(step)
	for i := range content {
		if i > 100 && i%step != phase {
			continue
		}
		altered := bytes.Clone(content)
		altered[i] ^= 1
		e, err := Parse(altered)
		if err != nil {
			continue
		}
		if member, err := e.Verify(g); err == nil {
			t.Errorf("evidence holds against %s with byte %d altered: %q", member, i, content[max(0, i-20):min(len(content), i+20)])
		}
	}
}

// TestReceipts: leaves that are there are ticked off, over several rounds and
// logs, and leave no trace.
func TestReceipts(t *testing.T) {
	r := newRig(t)
	for range 200 {
		ticket := r.ask()
		r.keep(ticket, r.logs["keyholder-1"].evaluate(ticket), r.logs["keyholder-3"].evaluate(ticket))
		r.keep(ticket, r.logs["hub"].evaluate(ticket))
		r.logs["hub"].grow(1)
	}
	r.publishAll()
	r.round()
	if n := r.kept(); n != 400 {
		t.Errorf("%d kept before the deadline, want 400", n)
	}
	r.clock = r.clock.Add(61 * time.Second)
	r.publishAll()
	r.round()
	if n := r.kept(); n != 0 {
		t.Errorf("%d still kept", n)
	}
	if len(r.evidence()) > 0 || len(r.entries("receipt_missed")) > 0 {
		t.Error("evidence against honest members")
	}
}

// TestMissed: a leaf that is not the promised one, and one that never comes.
func TestMissed(t *testing.T) {
	for name, c := range map[string]struct {
		member string
		cheat  func(l *testLog, r *rig) []byte
		words  string
	}{
		"dropped": {"keyholder-2", func(l *testLog, r *rig) []byte {
			ticket := r.ask()
			receipt := l.promise(ticket, len(l.leaves))
			r.keep(ticket, receipt)
			return receipt
		}, "; the log had only 20 leaves when it was cosigned after that"},
		"another leaf": {"hub", func(l *testLog, r *rig) []byte {
			ticket := r.ask()
			receipt := l.promise(ticket, len(l.leaves))
			l.grow(30)
			r.keep(ticket, receipt)
			return receipt
		}, "; another leaf stands there"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			l := r.logs[c.member].grow(20)
			r.publishAll()
			r.round()
			c.cheat(l, r)
			honest := r.ask()
			r.keep(honest, r.logs["keyholder-1"].evaluate(honest))
			// A new roster in the meantime: the evidence brings both.
			r.update(func(*roster.Roster) {})
			r.clock = r.clock.Add(92 * time.Second)
			r.publishAll()
			r.round()
			r.clock = r.clock.Add(time.Minute)
			r.publishAll()
			r.round()
			found := r.evidence()
			if len(found) != 1 {
				t.Fatalf("%d pieces of evidence", len(found))
			}
			e := found[0]
			if member, err := e.Verify(r.governance); err != nil || member != c.member || len(e.Roster) != 2 {
				t.Errorf("%q, %v, %d rosters", member, err, len(e.Roster))
			}
			if !strings.HasSuffix(e.Words(), c.words) || !strings.HasPrefix(e.Words(), c.member+" signed that its action ") {
				t.Errorf("%q", e.Words())
			}
			everyByteCounts(t, e, r.governance)
			entries := r.entries("receipt_missed")
			if len(entries) != 1 || entries[0]["signer"] != c.member || entries[0]["place"] != c.member+"/1:20" || entries[0]["evidence"] != e.ID() {
				t.Errorf("entries: %v", entries)
			}
			if n := r.kept(); n != 0 {
				t.Errorf("%d receipts kept", n)
			}
			if _, err := e.Verify(roster.Governance{Threshold: 1, Keys: r.Exchange.View.Current().Governance.Keys}); err == nil {
				t.Error("evidence holds under another governance")
			}
			// The same again makes nothing new.
			r.restart()
			r.round()
			if len(r.evidence()) != 1 || len(r.entries("receipt_missed")) != 1 {
				t.Error("a receipt was missed twice")
			}
		})
	}
}

// TestAccusedWrongly: what an accuser could try does not hold.
func TestAccusedWrongly(t *testing.T) {
	r := newRig(t)
	l := r.logs["keyholder-2"].grow(20)
	ticket := r.ask()
	receipt := l.evaluate(ticket)
	early := r.clock
	r.clock = r.clock.Add(2 * time.Minute)
	r.publishAll()
	r.round()
	good := func() *Evidence {
		f := r.follower
		f.mu.Lock()
		defer f.mu.Unlock()
		e, err := f.evidence(ReceiptWithoutLeaf, "keyholder-2", 1)
		must(t, err)
		e.Ticket, e.Receipt, e.Checkpoint = ticket.Bytes(), receipt, string(l.checkpoint(r.clock))
		return e
	}
	for name, c := range map[string]struct {
		change func(*Evidence)
		words  string
	}{
		"the leaf is there": {func(e *Evidence) {
			e.Leaf, e.Proof = l.leaves[20], l.proof(t, 20)
		}, "leaf 20 is the one that was promised"},
		"the leaf of another place": {func(e *Evidence) { e.Leaf, e.Proof = l.leaves[3], l.proof(t, 3) }, "the leaf that is shown is not leaf 20"},
		"no leaf":                   {func(*Evidence) {}, "the leaf that is shown is not leaf 20"},
		"an old checkpoint": {func(e *Evidence) { e.Checkpoint = string(l.copyOf(20).checkpoint(early.Add(80 * time.Second))) },
			"leaf 20 was not due yet"},
		"no witnesses": {func(e *Evidence) {
			bare := l.copyOf(20)
			bare.by = nil
			e.Checkpoint = string(bare.checkpoint(r.clock))
		}, "lacks the cosignatures"},
		"another member": {func(e *Evidence) { e.Member = "keyholder-1" }, "says something that its receipt does not"},
		"another log":    {func(e *Evidence) { e.Checkpoint = string(r.logs["keyholder-1"].checkpoint(r.clock)) }, "of another log"},
		"another ticket": {func(e *Evidence) { e.Ticket = r.ask().Bytes() }, "the receipt is for another ticket"},
		"a ticket of one's own": {func(e *Evidence) {
			forged := ticket.Ticket
			forged.Tau[0]++
			other, err := forged.Sign(r.Party("CA").Identity)
			must(t, err)
			e.Ticket, e.Receipt = other.Bytes(), l.promise(other, 20)
		}, "the ticket is not signed by AZ"},
		"a receipt of one's own": {func(e *Evidence) {
			mine := *l
			mine.member = "keyholder-3" // signs with its own key ...
			b := mine.promise(ticket, 3)
			e.Receipt = b
		}, "names the log of somebody else"},
		"a claim it is not": {func(e *Evidence) { e.Claim = Fork }, "says something that its checkpoints do not"},
		"no roster":         {func(e *Evidence) { e.Roster = nil }, "1 to 64 rosters"},
		"rosters with more signatures": {func(e *Evidence) {
			_, public, err := noteKey()
			must(t, err)
			more, err := roster.AddSignature(e.Roster[0], public)
			must(t, err)
			e.Roster = [][]byte{more}
		}, "carries signatures that prove nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			e := good()
			c.change(e)
			_, err := e.Verify(r.governance)
			wantWords(t, err, c.words)
		})
	}
}

// TestTwoQuorums: where two sets of witnesses can do without each other, a
// checkpoint that is short proves nothing; the member is not used all the same.
func TestTwoQuorums(t *testing.T) {
	r := newRig(t, func(r *rig, first *roster.Roster) {
		first.WitnessPolicy.Holders = 1
		first.Witnesses = append(first.Witnesses, r.witness("second"))
	})
	l := r.logs["keyholder-2"].grow(20)
	r.publishAll()
	r.round()
	ticket := r.ask()
	r.keep(ticket, l.promise(ticket, 20))
	for range 12 {
		r.clock = r.clock.Add(time.Minute)
		r.publishAll()
		r.round()
	}
	if len(r.evidence()) != 0 || r.kept() != 1 {
		t.Error("evidence that proves nothing")
	}
	wantWords(t, r.follower.Usable("keyholder-2"), "the ledger of keyholder-2 does not show what was due at")
	wantWords(t, r.follower.Usable("keyholder-1"), "")
}

// TestUnreachable: one log that cannot be read holds up nobody else's
// receipts; when it is back, they are looked at.
func TestUnreachable(t *testing.T) {
	r := newRig(t)
	gone := r.logs["keyholder-1"]
	r.publishAll()
	r.round()
	hidden := gone.dir + ".away"
	must(t, os.Rename(gone.dir, hidden))
	for range 30 {
		ticket := r.ask()
		r.keep(ticket, gone.evaluate(ticket), r.logs["keyholder-2"].evaluate(ticket))
	}
	r.clock = r.clock.Add(2 * time.Minute)
	r.logs["keyholder-2"].publish(r.clock)
	r.round()
	if n := r.kept(); n != 30 {
		t.Errorf("%d receipts wait, want the 30 of keyholder-1", n)
	}
	r.clock = r.clock.Add(10 * time.Minute)
	r.restart()
	wantWords(t, r.follower.Usable("keyholder-1"), "the ledger of keyholder-1 has not been cosigned since")
	must(t, os.Rename(hidden, gone.dir))
	gone.publish(r.clock)
	r.round()
	wantWords(t, r.follower.Usable("keyholder-1"), "")
	if n := r.kept(); n != 0 || len(r.evidence()) != 0 {
		t.Errorf("%d receipts wait after the log is back, %d pieces of evidence", n, len(r.evidence()))
	}
}

// TestFullPage: where exactly a page of receipts waits, and all of it is settled, nothing is
// left to look at.
func TestFullPage(t *testing.T) {
	r := newRig(t)
	gone := r.logs["keyholder-1"]
	r.publishAll()
	r.round()
	hidden := gone.dir + ".away"
	must(t, os.Rename(gone.dir, hidden))
	for range waitingPage {
		ticket := r.ask()
		r.keep(ticket, gone.evaluate(ticket))
	}
	r.clock = r.clock.Add(2 * time.Minute)
	for range 3 {
		r.round()
	}
	if n := r.kept(); n != waitingPage {
		t.Fatalf("%d receipts wait, want a page of %d", n, waitingPage)
	}
	must(t, os.Rename(hidden, gone.dir))
	gone.publish(r.clock)
	r.round()
	if n := r.kept(); n != 0 || len(r.evidence()) != 0 {
		t.Errorf("%d receipts wait after the log is back, %d pieces of evidence", n, len(r.evidence()))
	}
}

// TestDown: a member that was down shows first what it had, and then what it
// owes: nobody accuses it.
func TestDown(t *testing.T) {
	r := newRig(t)
	l := r.logs["hub"].grow(20)
	r.publishAll()
	r.round()
	ticket := r.ask()
	r.keep(ticket, l.evaluate(ticket))
	r.clock = r.clock.Add(5 * time.Minute)
	l.copyOf(20).publish(r.clock)
	r.round()
	r.clock = r.clock.Add(2 * time.Second)
	l.publish(r.clock)
	r.round()
	if len(r.evidence()) != 0 || r.kept() != 0 {
		t.Errorf("%d pieces of evidence, %d receipts wait", len(r.evidence()), r.kept())
	}
}

// TestOtherInstance: a receipt may name the log of a second process of its
// signer; one that does not exist makes the signer unusable.
func TestOtherInstance(t *testing.T) {
	r := newRig(t)
	r.publishAll()
	r.round()
	second, never := r.newLog("hub", "2"), r.newLog("keyholder-3", "9")
	ticket := r.ask()
	r.keep(ticket, second.evaluate(ticket))
	r.keep(ticket, never.promise(ticket, 0))
	r.clock = r.clock.Add(time.Minute)
	second.publish(r.clock)
	for range 11 {
		r.round()
		r.clock = r.clock.Add(time.Minute)
		r.publishAll()
	}
	r.round()
	wantWords(t, r.follower.Usable("hub"), "")
	wantWords(t, r.follower.Usable("keyholder-3"), "the ledger of keyholder-3 does not show what was due at")
	if n := r.kept(); n != 1 {
		t.Errorf("%d receipts wait, want 1", n)
	}
}

// TestCrashes: wherever the process dies while it makes evidence, the next one
// ends with one file and one entry.
func TestCrashes(t *testing.T) {
	r := newRig(t)
	l := r.logs["keyholder-2"].grow(20)
	r.publishAll()
	r.round()
	ticket := r.ask()
	r.keep(ticket, l.promise(ticket, 20))
	r.clock = r.clock.Add(2 * time.Minute)
	l.grow(3)
	r.publishAll()
	must(t, r.db.Close())
	ctx := context.Background()
	for crash := 1; ; crash++ {
		points := 0
		db, err := store.Open(ctx, storetest.URL(t, filepath.Join(r.dir, "gateway.db"), "gateway"), "gateway", store.WithFault(func(string) error {
			if points++; points >= crash {
				return context.Canceled
			}
			return nil
		}))
		must(t, err)
		died := false
		if f, err := r.tryOpen(db); err != nil || f.Round(ctx) != nil {
			died = true
		}
		must(t, db.Close())
		if !died {
			break
		}
		if crash > 100 {
			t.Fatal("it never gets through")
		}
	}
	r.open()
	r.round()
	if len(r.evidence()) != 1 || len(r.entries("receipt_missed")) != 1 || r.kept() != 0 {
		t.Errorf("%d pieces of evidence, %d entries, %d receipts", len(r.evidence()), len(r.entries("receipt_missed")), r.kept())
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		again, err := e.Marshal()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q reads as evidence and is written as %q", b, again)
		}
		_, _, _ = e.ID(), e.Words(), e.Path()
		if member, err := e.Verify(roster.Governance{}); err == nil {
			t.Errorf("evidence against %q that nobody signed", member)
		}
	})
}
