package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/store"
)

// victims are the roles that are killed: all but the state that only looks on.
func (k *moveKills) victims() []string {
	return slices.DeleteFunc(k.roles.Names(), func(name string) bool { return name == "NV" })
}

// hit ends a role at a step, as a power failure would.
func (k *moveKills) hit(step, name string) {
	k.end(name)
	k.hits[step+" "+name]++
}

// again kills a role at a step and starts it, now and then once more in the
// middle of its start.
func (k *moveKills) again(step, name string) {
	k.hit(step, name)
	if k.dice.IntN(4) == 0 {
		k.startAndEnd(name, time.Duration(20+k.dice.IntN(300))*time.Millisecond)
	}
	k.start(name)
}

// hold takes the batch from step to step: at each, somebody without whom it does
// not go on is down, and everybody is killed in turn.
func (k *moveKills) hold(t *testing.T, batch []*journey) {
	t.Helper()
	k.hit(stepAsked, "CA")
	k.begin(t, batch)
	late := slices.Clone(batch) // whom NV convicts at some step
	k.dice.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
	for _, name := range []string{"hub", "keyholder-1", "keyholder-2", "keyholder-3", "witness-1"} {
		k.again(stepAsked, name)
	}
	k.sent(t)

	k.end("keyholder-1")
	k.end("keyholder-2")
	k.start("CA")
	k.report(t.Context(), late[0])
	k.report(t.Context(), late[1])
	k.at(t, batch, stepStored)
	for _, name := range []string{"AZ", "CA", "hub", "witness-1"} {
		k.again(stepStored, name)
	}
	for _, next := range []string{"keyholder-3", "keyholder-1", "keyholder-2"} { // one at most is up
		if next != "keyholder-3" {
			k.start(next)
		}
		k.hit(stepStored, next)
	}
	k.end("hub")
	for i := range killHolders {
		k.start(fmt.Sprintf("keyholder-%d", i+1))
	}
	k.report(t.Context(), late[2])
	k.at(t, batch, stepPassing)
	for _, name := range []string{"AZ", "keyholder-1", "keyholder-2", "keyholder-3", "witness-1"} {
		k.again(stepPassing, name)
	}
	k.hit(stepPassing, "CA")
	k.startAndEnd("hub", time.Duration(100+k.dice.IntN(900))*time.Millisecond)
	k.hits[stepPassing+" hub"]++
	k.start("hub")

	k.at(t, batch, stepDone)
	k.report(t.Context(), late[3])
	for _, name := range []string{"AZ", "hub", "keyholder-1", "keyholder-2", "keyholder-3", "witness-1"} {
		k.again(stepDone, name)
	}
	k.start("CA")
	time.Sleep(time.Duration(k.dice.IntN(800)) * time.Millisecond)
	k.again(stepDone, "CA")

	k.ended(t, batch)
	for _, j := range late[4:] {
		k.report(t.Context(), j)
	}
	for _, name := range k.victims() {
		k.again(stepMoved, name)
	}
}

// free lets the batch go as fast as it goes, and kills whoever comes, whenever.
func (k *moveKills) free(t *testing.T, batch []*journey) {
	t.Helper()
	k.begin(t, batch)
	for _, j := range batch {
		k.report(t.Context(), j)
	}
	names := k.victims()
	k.dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		time.Sleep(time.Duration(k.dice.IntN(400)) * time.Millisecond)
		k.again(k.stepOf(t, batch), name)
	}
	k.at(t, batch, stepDone)
	k.ended(t, batch)
}

// stepOf is how far the last of the batch has come.
func (k *moveKills) stepOf(t *testing.T, batch []*journey) string {
	t.Helper()
	steps := []string{"asked", "released", "stored", "passing", "passed", "done"}
	least := len(steps) - 1
	for _, j := range batch {
		if j.ends {
			continue
		}
		m, err := k.moves["AZ"].Get(t.Context(), &waypostv1.GetMoveRequest{Id: j.id})
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, slices.Index(steps, m.State))
	}
	return map[string]string{"asked": stepAsked, "released": stepStored, "stored": stepStored, "passing": stepPassing, "passed": stepDone, "done": stepDone}[steps[max(0, least)]]
}

// sent kills AZ, looks whether all that it asks others is on its way, and starts
// it, until that is so.
func (k *moveKills) sent(t *testing.T) {
	t.Helper()
	eventually(t, "what AZ asks is sent", func() (string, error) {
		k.hit(stepAsked, "AZ")
		var wanted int
		k.inside(t, "AZ", func(db *store.DB) error {
			return db.Read(t.Context(), func(tx *store.Tx) error {
				return tx.Row(`SELECT (SELECT count(*) FROM errand WHERE due IS NOT NULL AND state = $1) + (SELECT count(*) FROM outbox)`, int(errand.Wanted)).Scan(&wanted)
			})
		})
		k.start("AZ")
		if wanted == 0 {
			return "", nil
		}
		time.Sleep(2 * time.Second)
		return fmt.Sprintf("%d questions", wanted), nil
	})
}

// ended waits until CA has ended every card of the batch.
func (k *moveKills) ended(t *testing.T, batch []*journey) {
	t.Helper()
	for _, j := range batch {
		eventually(t, "CA has ended the card of "+j.ID, func() (string, error) {
			r, err := k.record["CA"].Show(t.Context(), &waypostv1.ShowRecordRequest{Record: j.ID})
			if err == nil && r.Status != string(waypost.Surrendered) {
				return r.Status, nil
			}
			return "", err
		})
	}
}

// verify holds what all states know of the batch against what has happened.
func (k *moveKills) verify(t *testing.T, batch []*journey) {
	t.Helper()
	for _, j := range batch {
		if err := <-j.reported; err != nil {
			t.Errorf("NV's report about %s: %v", j.ID, err)
		}
	}
	letters, err := k.moves["CA"].Letters(t.Context(), &waypostv1.LettersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	each(t, batch, func(j *journey) error {
		home, record, wantLetters, wantLive := waypost.Jurisdiction("AZ"), j.home(), 0, 1
		if j.ends {
			home, record, wantLetters = "CA", j.ID, 1
		}
		found, err := k.found(t.Context(), "NV", j)
		if err != nil {
			return err
		}
		if len(found) != 1 || found[0].State != string(home) || found[0].Outcome != string(waypost.Match) {
			t.Errorf("NV looks for %s and finds %d: %v", j.ID, len(found), found)
		}
		n := 0
		for _, l := range letters.Letters {
			if l.Record == j.ID {
				n++
			}
		}
		if n != wantLetters {
			t.Errorf("%d letters to the holder of %s, want %d", n, j.ID, wantLetters)
		}
		shown, err := k.record[home].Show(t.Context(), &waypostv1.ShowRecordRequest{Record: record})
		if err != nil {
			return err
		}
		live := 0
		for _, p := range shown.Pointers {
			if p.State == "live" {
				live++
			}
		}
		if live != wantLive {
			t.Errorf("%s has %d live pointers of %s", home, live, record)
		}
		k.whole(t, home, record, j)
		if j.ends {
			return k.told(t, j)
		}
		return k.left(t, j)
	})
}

// whole waits until a record has the whole history of a person, each item once:
// what was reported late follows the record.
func (k *moveKills) whole(t *testing.T, state waypost.Jurisdiction, record string, j *journey) {
	t.Helper()
	want := []string{"1-" + j.ID, "2-" + j.ID, "3-" + j.ID}
	eventually(t, "the history of "+record, func() (string, error) {
		h, err := k.driver[state].Get(t.Context(), &waypostv1.GetHistoryRequest{Record: record, All: true})
		if err != nil {
			return "", err
		}
		var have []string
		for _, e := range h.Entries {
			have = append(have, e.Item.Reference)
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			return fmt.Sprint(have), nil
		}
		return "", nil
	})
}

// told waits until AZ knows that CA has ended a card.
func (k *moveKills) told(t *testing.T, j *journey) error {
	t.Helper()
	eventually(t, "AZ knows that the card of "+j.ID+" has ended", func() (string, error) {
		res, err := k.moves["AZ"].Terminations(t.Context(), &waypostv1.TerminationsRequest{All: true, Limit: 1000})
		for _, one := range res.GetTerminations() {
			if one.Id == j.id && one.State == "done" {
				return "", nil
			}
		}
		return "it does not", err
	})
	return nil
}

// left checks that CA has nothing of a record any more that could be found.
func (k *moveKills) left(t *testing.T, j *journey) error {
	t.Helper()
	r, err := k.record["CA"].Show(t.Context(), &waypostv1.ShowRecordRequest{Record: j.ID})
	if err != nil {
		return err
	}
	for _, p := range r.Pointers {
		if p.State != "moved" || p.MovedTo != "AZ" {
			t.Errorf("CA has a pointer of %s that is %s %s", j.ID, p.State, p.MovedTo)
		}
	}
	return nil
}

// finish waits until nobody has anything to do, and stops everybody.
func (k *moveKills) finish(t *testing.T) {
	t.Helper()
	for _, state := range []waypost.Jurisdiction{"AZ", "CA", "NV"} {
		eventually(t, "nothing is unfinished at "+string(state), func() (string, error) {
			res, err := k.moves[state].Suspense(t.Context(), &waypostv1.SuspenseRequest{All: true})
			if len(res.GetItems()) > 0 {
				return fmt.Sprintf("%d, the first is a %s: %s", len(res.Items), res.Items[0].What, res.Items[0].WaitsFor), nil
			}
			return "", err
		})
		eventually(t, "nothing is outstanding at "+string(state), func() (string, error) {
			if err := k.roles.Stop(string(state)); err != nil {
				return "", err
			}
			left := k.outstanding(t, state)
			if cut := k.cutOff(t, state); cut > 0 {
				left = fmt.Sprintf("%s; %d tickets that were cut off", left, cut)
			}
			k.start(string(state))
			if left != "" {
				time.Sleep(2 * time.Second)
			}
			return left, nil
		})
	}
	if err := k.roles.Alive(); err != nil {
		t.Error(err)
	}
	if err := k.roles.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// cutOff counts the tickets of a stopped gateway for which a process that was
// killed had not come to answer. Their time is up now: the next process says so in
// the ledger.
func (k *moveKills) cutOff(t *testing.T, state waypost.Jurisdiction) (n int64) {
	t.Helper()
	k.inside(t, state, func(db *store.DB) error {
		return db.Write(t.Context(), func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`UPDATE permit SET due = 0`)
			return err
		})
	})
	return n
}
