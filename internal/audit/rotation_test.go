package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/keyholder"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/toprf"
)

// moreShares are those that a key holder starts with, and one that it gets later.
type moreShares struct {
	keyholder.Shares
	late *atomic.Pointer[toprf.Share]
}

func (m moreShares) Share(public []byte) (toprf.Share, bool) {
	if s := m.late.Load(); s != nil && bytes.Equal(s.Public().Bytes(), public) {
		return *s, true
	}
	return m.Shares.Share(public)
}

// govern has governance sign a successor, and waits until everybody goes by it.
func (d *drill) govern(change func(r *roster.Roster) error) {
	d.t.Helper()
	signed, err := install.Govern(d.dir, d.Clock.Now(), change)
	if err != nil {
		d.t.Fatal(err)
	}
	current := d.Role("hub").Folder.Roster.Latest()
	door, _ := current.Member("keyholder-1")
	if err := current.Publish(d.t.Context(), door.Public, signed); err != nil {
		d.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		known := 0
		for _, name := range d.roles() {
			if d.Role(name).Folder.Roster.Latest().Version == current.Version+1 {
				known++
			}
		}
		if known == len(d.roles()) {
			break
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the roster is not known everywhere after %v", patience)
		}
	}
	d.Clock.Advance(time.Minute) // it is settled
	d.relied()
}

// found are card holders, by state.
type found map[waypost.Jurisdiction][]waypost.Person

// all has every state but their own look for them.
func (d *drill) all(people found) {
	d.t.Helper()
	for _, owner := range states {
		for i, p := range people[owner] {
			asking := states[(slices.Index(states, owner)+1+i%2)%3]
			d.finds(asking, p, waypost.Match)
		}
	}
}

// once more leads a state through all of its pointers.
func (d *drill) republish(state waypost.Jurisdiction) {
	d.t.Helper()
	file := d.Gateway(state).File()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		_, over, err := file.Republish(d.t.Context(), "loader")
		if err != nil && waypost.CodeOf(err) != waypost.Unavailable {
			d.t.Fatal(err)
		}
		if err != nil || !over {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		r, err := file.Rotation(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		if r.Done == r.Live {
			return
		}
	}
	d.t.Fatalf("%s is not through", state)
}

// issue makes a check and issues the card on it.
func (d *drill) issue(state waypost.Jurisdiction, id string, p waypost.Person) {
	d.t.Helper()
	ticket := d.finds(state, p, waypost.NoMatch)
	published, err := d.Gateway(state).File().Issue(d.t.Context(), "clerk-7", records.Issuing{Ticket: ticket,
		Record: waypost.Record{ID: id, Person: p, CardNumber: "I" + id, Kind: waypost.Licence, Status: waypost.Valid}})
	if err != nil || !published {
		d.t.Fatalf("issued: published %t, %v", published, err)
	}
}

// TestRotatedExchange: the whole exchange goes from one key to the next with checks going on
// all the time: everybody is found by everybody before, during and after, through
// processes that die in the middle; a key holder without a share of the next key and a
// state that is late stop nobody; and the ledgers add up.
func TestRotatedExchange(t *testing.T) {
	d := open(t, roster.Quota{})
	people := make(found)
	for i := range 9 {
		state := states[i%3]
		people[state] = append(people[state], d.holder(state))
	}
	d.all(people)

	keys, shares, err := toprf.Generate(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	group := keys.Group()
	next := &roster.Key{Epoch: 2, Threshold: 2, GroupKey: group.Bytes()}
	for i := range shares {
		next.Shares = append(next.Shares, shares[i].Public().Bytes())
	}
	d.govern(func(r *roster.Roster) error {
		due := r.NotBefore.Add(roster.Delay)
		r.Announced = append(r.Announced, roster.Announcement{From: due, GroupKey: next.GroupKey})
		var err error
		for _, s := range states {
			err = errors.Join(err, r.SetQuota(string(s), "republish_records", 20))
		}
		return err
	})
	d.Clock.Advance(roster.Delay + time.Minute)
	for i, name := range holders[:2] { // the third has lost its share
		d.late(name).Store(&shares[i])
	}
	first := d.Roster().Key()
	d.govern(func(r *roster.Roster) error { r.Beside = next; return nil })
	d.all(people)
	people["AZ"] = append(people["AZ"], d.holder("AZ"))
	fresh := someone()
	d.issue("CA", "CA-issued", fresh)
	people["CA"] = append(people["CA"], fresh)

	// Checks go on while California publishes once more, and roles die meanwhile.
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				d.finds("NV", people["CA"][i%len(people["CA"])], waypost.Match)
			}
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, _, err := d.Gateway("CA").File().Republish(t.Context(), "loader")
		if err == nil {
			break
		}
		if waypost.CodeOf(err) != waypost.Unavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	close(stop)
	asking.Wait()
	for _, role := range []string{"CA", "hub", "keyholder-1"} {
		d.stop(role)
		d.start(role)
	}
	d.all(people)
	d.republish("CA")
	d.republish("AZ")
	d.all(people)

	// Nevada is late.
	d.govern((*roster.Roster).Switch)
	if d.Roster().Epoch != 2 || d.Roster().Beside == nil || d.Roster().Beside.Epoch != first.Epoch {
		t.Fatalf("after the switch: %d, %v", d.Roster().Epoch, d.Roster().Beside)
	}
	d.all(found{"AZ": people["AZ"], "CA": people["CA"]})
	d.finds("AZ", people["NV"][0], waypost.NoMatch)
	d.republish("NV")
	d.all(people)
	d.Clock.Advance(roster.Grace)
	d.govern(func(r *roster.Roster) error { r.Beside = nil; return nil })
	people["NV"] = append(people["NV"], d.holder("NV"))
	d.all(people)

	for range 20 {
		d.settle()
		if d.reconcile("").Open == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	d.expect(d.reconcile(""), nil, nil)
}
