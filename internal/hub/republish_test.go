package hub_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

// once more is a ticket to publish so many records under the key of an epoch.
func (r *rig) onceMore(owner waypost.Jurisdiction, epoch uint32, records int) permit {
	r.t.Helper()
	return r.permit(owner, waypost.KindRepublish, records*waypost.RecordElements, func(t *waypost.Ticket) { t.Epoch = epoch })
}

// seen reports whether a check of Arizona finds the token, alone among those that
// nobody has.
func (r *rig) seen(t waypost.Token) bool {
	r.t.Helper()
	return len(r.first(r.check("AZ"), t).List) == 1
}

// twoKeys is a record with one token of each of two epochs.
func twoKeys(n int, own, beside waypost.Token) *waypostv1.PublishedRecord {
	p := person(n, own)
	p.Tokens = append(p.Tokens, padded(waypost.RecordElements, beside)...)
	return p
}

// Through a rotation everybody is found at every moment, by searches of the epoch
// that the version in force has; each pointer is published once more, once; and the
// labels of the old key go when it is gone.
func TestRepublish(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 6
	old := func(i int) waypost.Token { return token(i) }
	next := func(i int) waypost.Token { return token(1000 + i) }
	for i := range n {
		r.publish("CA", person(i, old(i)))
	}
	dark := person(50, old(50))
	dark.Generation = 3
	r.publish("CA", dark)
	x := r.Announce()
	x.Begin(n + 2)
	refuse := func(name string, p permit, code waypost.Code, words string, records ...*waypostv1.PublishedRecord) {
		t.Helper()
		_, err := r.tryPublish(p, records...)
		refused(t, name, err, code, words)
	}
	again := func(records ...*waypostv1.PublishedRecord) {
		t.Helper()
		_, err := r.tryPublish(r.onceMore("CA", 2, len(records)), records...)
		must(t, err)
	}

	// What is new is under both keys.
	refuse("under one key of two", r.permit("CA", waypost.KindPublish, 10), waypost.InvalidArgument, "20 tokens", person(n, old(n)))
	r.publish("CA", twoKeys(n, old(n), next(n)))
	for i := range n + 1 {
		if !r.seen(old(i)) {
			t.Errorf("person %d is not found when the rotation has begun", i)
		}
	}

	again(person(0, next(0)), person(1, next(1)))
	darkAgain := person(50, next(50))
	again(darkAgain)
	refuse("twice", r.onceMore("CA", 2, 1), waypost.AlreadyExists, "under the key of epoch 2 already", person(0, next(77)))
	refuse("what is new", r.onceMore("CA", 2, 1), waypost.AlreadyExists, "under the key of epoch 2 already", person(n, next(77)))
	refuse("one of two twice", r.onceMore("CA", 2, 2), waypost.AlreadyExists, "already", person(1, next(77)), person(2, next(2)))
	refuse("another's", r.onceMore("NV", 2, 1), waypost.NotFound, "nothing to publish once more", person(2, next(77)))
	refuse("what never was", r.onceMore("CA", 2, 1), waypost.NotFound, "nothing to publish once more", person(99, next(77)))
	refuse("a publication of the next epoch", r.permit("CA", waypost.KindPublish, 10, func(t *waypost.Ticket) { t.Epoch = 2 }), waypost.Expired, "a publish is for epoch 1", person(2, next(77)))
	placed := person(2, next(2))
	placed.Supersedes = handle(3)
	refuse("in another's place", r.onceMore("CA", 2, 1), waypost.InvalidArgument, "nobody's place", placed)

	// Cut off between labels and the end, it shows nothing; the same ticket goes on.
	cut, second := r.onceMore("CA", 2, 1), person(2, next(2))
	writes := 0
	fault := store.Fault(func(point string) error {
		if point == "commit" {
			if writes++; writes == 3 {
				return errors.New("cut off")
			}
		}
		return nil
	})
	r.fault.Store(&fault)
	if _, err := r.tryPublish(cut, second); err == nil {
		t.Fatal("it was not cut off")
	}
	r.fault.Store(nil)
	if got := r.count(`SELECT epoch FROM pointer WHERE handle = $1`, handle(2)); got != 1 {
		t.Errorf("a pointer that was cut off is of epoch %d", got)
	}
	r.restart()
	_, err := r.tryPublish(cut, second)
	must(t, err)
	_, err = r.tryPublish(cut, second)
	must(t, err)
	refuse("other records under it", cut, waypost.Misuse, "other records before", person(3, next(3)))
	again(person(3, next(3)), person(4, next(4)))

	for i := range n + 1 {
		if !r.seen(old(i)) {
			t.Errorf("person %d is not found in the middle", i)
		}
	}
	if r.seen(next(0)) {
		t.Error("a search of the old epoch finds a token of the next")
	}
	var counts []hub.Published
	err = r.db.Read(t.Context(), func(tx *store.Tx) (err error) {
		counts, err = hub.CountPublished(tx)
		return err
	})
	must(t, err)
	if !slices.Equal(counts, []hub.Published{{Owner: "CA", Epoch: 1, Pointers: 1}, {Owner: "CA", Epoch: 2, Pointers: n + 1}}) {
		t.Errorf("counted %v", counts)
	}

	// A check of before the switch goes on as it began.
	late := r.check("AZ")
	x.Switch()
	if len(r.first(late, old(3)).List) != 1 {
		t.Error("a check of the version before finds nobody after the switch")
	}
	for i := range n + 1 {
		if r.seen(next(i)) != (i != 5) {
			t.Errorf("person %d after the switch: %t", i, r.seen(next(i)))
		}
	}
	if r.seen(next(50)) || r.seen(old(3)) {
		t.Error("a dark record, or a token of the epoch before, is found")
	}
	again(person(5, next(5)))
	x.End()
	if !r.seen(next(5)) {
		t.Error("who came late is not found")
	}
	r.publish("CA", person(70, next(70)))
	if !r.seen(next(70)) {
		t.Error("what is published under one key again is not found")
	}

	first, all := r.labels(1), r.labels(2)
	must(t, hub.Clean(t.Context(), r.deps()))
	if r.labels(1) != first {
		t.Error("labels go while a ticket of the day before may still publish")
	}
	r.Advance(50 * time.Hour)
	must(t, hub.Clean(t.Context(), r.deps()))
	if r.labels(1) != 0 || r.labels(2) != all || first == 0 {
		t.Errorf("labels: %d of %d of the old key, %d of %d of the new", r.labels(1), first, r.labels(2), all)
	}
	for i := range n + 1 {
		if !r.seen(next(i)) {
			t.Errorf("person %d is not found in the end", i)
		}
	}
}

// labels counts those of an epoch.
func (r *rig) labels(epoch byte) (n int) {
	r.t.Helper()
	must(r.t, r.db.Read(context.Background(), func(tx *store.Tx) error {
		n = 0
		return tx.Query(`SELECT label FROM label`, nil, func(scan func(dest ...any) error) error {
			var l []byte
			err := scan(&l)
			if l[0] == epoch {
				n++
			}
			return err
		})
	}))
	return n
}

// A state publishes no more once more than the roster says, whatever is there.
func TestRepublishQuota(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)))
	r.Announce().Begin(1)
	_, err := r.tryPublish(r.onceMore("CA", 2, 2), person(1), person(2))
	refused(t, "two of one", err, waypost.QuotaExceeded, "ask governance to raise republish_records")
	_, err = r.tryPublish(r.onceMore("CA", 2, 1), person(1))
	must(t, err)
	_, err = r.tryPublish(r.onceMore("CA", 2, 1), person(2))
	refused(t, "one more", err, waypost.QuotaExceeded, "ask governance to raise republish_records")
}

// What was published under one key, and is published again under two because the
// answer was lost, is found by searches of either.
func TestPublishedAgainUnderTwoKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	x := r.Announce()
	x.Begin(5)
	labels := r.labels(1)
	r.publish("CA", twoKeys(1, token(1), token(1001)))
	if got := r.count(`SELECT epoch FROM pointer WHERE handle = $1`, handle(1)); got != 2 {
		t.Errorf("the hub says done, and the pointer is of epoch %d", got)
	}
	if got, next := r.labels(1), r.labels(2); got != labels || next != waypost.RecordElements {
		t.Errorf("%d labels of its own key, %d before; %d of the next", got, labels, next)
	}
	if !r.seen(token(1)) {
		t.Error("not found before the switch")
	}
	x.Switch()
	if !r.seen(token(1001)) {
		t.Error("not found after the switch")
	}
	_, err := r.tryPublish(r.onceMore("CA", 2, 1), person(1, token(1002)))
	refused(t, "once more", err, waypost.AlreadyExists, "already")
}

// Labels of a key that is gone stay as long as a state that is said to be searched in
// full has a record that has no others, and that is an alarm; of a state that is
// loading, and of what nobody misses, they go.
func TestLabelsStayWhileNeeded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)))
	r.publish("NV", person(3, token(3)))
	x := r.Announce()
	x.Begin(5)
	_, err := r.tryPublish(r.onceMore("NV", 2, 1), person(3, token(1003)))
	must(t, err)
	_, err = r.tryPublish(r.onceMore("CA", 2, 1), person(1, token(1001)))
	must(t, err)
	x.Switch()
	x.End()
	r.Advance(75 * time.Hour)
	old, all := r.labels(1), r.labels(2)
	must(t, hub.Clean(t.Context(), r.deps()))
	if r.labels(1) != old || old != 3*waypost.RecordElements {
		t.Errorf("%d labels of %d are left, and a record needs them", r.labels(1), old)
	}
	if said := r.said.String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "state=CA") {
		t.Error("nobody is told")
	}
	r.Update(func(n *roster.Roster) {
		for i := range n.Members {
			if n.Members[i].Name == "CA" {
				n.Members[i].Participation = roster.Loading
			}
		}
	})
	must(t, hub.Clean(t.Context(), r.deps()))
	if r.labels(1) != 0 || r.labels(2) != all {
		t.Errorf("%d labels of the old key are left, and %d of %d of the new", r.labels(1), r.labels(2), all)
	}
	_, err = r.tryPublish(r.onceMore("CA", 2, 1), person(2, token(1002)))
	must(t, err)
	if !r.seen(token(1002)) {
		t.Error("who was late is not found when it is through")
	}
}
