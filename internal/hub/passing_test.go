package hub_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

// newHandle is by what the new owner knows a pointer that had the number n.
func newHandle(n int) []byte {
	h := handle(n)
	h[0] = 0xee
	return h
}

// release is the consent of a state that its pointers of these numbers are passed.
func (r *rig) release(from, to waypost.Jurisdiction, numbers ...int) waypost.Release {
	rel := waypost.Release{
		RosterVersion: r.View.Current().Version, Environment: waypost.Test, From: from, To: to, Expires: r.Now().Add(time.Hour),
	}
	_, _ = rand.Read(rel.Change[:])
	for _, n := range numbers {
		rel.Passings = append(rel.Passings, waypost.Passing{Old: waypost.Handle(handle(n)), New: waypost.Handle(newHandle(n))})
	}
	return rel
}

func (r *rig) signed(rel waypost.Release, key ed25519.PrivateKey) []byte {
	r.t.Helper()
	s, err := rel.Sign(key)
	must(r.t, err)
	return s.Bytes()
}

// passing asks in the name of a state for what a release gives it.
func (r *rig) passing(to waypost.Jurisdiction, release []byte) upkeep {
	r.t.Helper()
	return r.ask(to, &waypostv1.Maintenance{What: &waypostv1.Maintenance_Change{Change: &waypostv1.ChangeOfRecord{Release: release}}})
}

func (r *rig) releasing(from, to waypost.Jurisdiction, numbers ...int) upkeep {
	r.t.Helper()
	return r.passing(to, r.signed(r.release(from, to, numbers...), r.Party(string(from)).Identity))
}

// movedWords opens what a state was told of pointers that moved.
func (r *rig) movedWords(s waypost.Jurisdiction) (all []*waypostv1.Moved) {
	r.t.Helper()
	for _, m := range r.mail(s, 0) {
		opened, err := seal.Open(m.Sealed, r.ring[s], r.View.SenderKey, r.Now())
		must(r.t, err)
		if opened.Type == waypost.MessageMoved {
			w := new(waypostv1.Moved)
			must(r.t, proto.Unmarshal(opened.Body, w))
			if opened.Sender != "hub" {
				r.t.Errorf("%s says that a pointer moved", opened.Sender)
			}
			all = append(all, w)
		}
	}
	return all
}

// All pointers of a release pass together. Who searches finds them as before, as
// the new owner's; the labels are not touched; the former owner is told.
func TestPassing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)), person(3, token(3)))
	labels := r.count(`SELECT count(*) FROM label`)
	rel := r.release("CA", "NV", 1, 2)
	signed := r.signed(rel, r.Party("CA").Identity)
	u := r.passing("NV", signed)
	first, err := r.tryMaintain(u)
	must(t, err)
	if len(first.Answer) != 0 {
		t.Errorf("the answer says %x", first.Answer)
	}
	for range 2 { // the same ticket, and another
		again, err := r.tryMaintain(u)
		must(t, err)
		sameBytes(t, "receipt", again.Receipt, first.Receipt)
		r.restart()
	}
	another := r.passing("NV", signed)
	other, err := r.tryMaintain(another)
	must(t, err)
	sameBytes(t, "answer", other.Answer, first.Answer)

	got := r.finds("both", "AZ", 2, token(1), token(2))
	for _, c := range got.List {
		if c.Owner != "NV" {
			t.Errorf("%s is asked", c.Owner)
		}
	}
	r.finds("not its own", "NV", 0, token(1), token(2))
	r.finds("and now another's", "CA", 2, token(1), token(2))
	r.finds("what stayed", "NV", 1, token(3))
	notices := r.notices("NV")
	var handles []string
	for _, n := range notices {
		handles = append(handles, string(n.Handle))
	}
	for _, n := range []int{1, 2} {
		if !slices.Contains(handles, string(newHandle(n))) {
			t.Errorf("Nevada was not notified under its handle %d: %x", n, handles)
		}
	}
	// California is told under each ticket under which the ledger has the change:
	// its own ledger has the other half of each.
	words := r.movedWords("CA")
	for i, under := range []upkeep{u, another} {
		if len(words) != 2 || !bytes.Equal(words[i].Release, signed) || !bytes.Equal(words[i].Ticket, under.Bytes()) {
			t.Errorf("California was told %v", words)
		}
	}
	if n := r.count(`SELECT count(*) FROM label`); n != labels {
		t.Errorf("%d labels, and %d before", n, labels)
	}
	if n := r.count(`SELECT count(*) FROM pointer p WHERE p.state = 2 AND p.owner = 'CA' AND NOT EXISTS (SELECT 1 FROM label l WHERE l.pointer = p.id)`); n != 2 {
		t.Errorf("%d rows without labels stay with California, want 2", n)
	}
	if kinds := r.kinds(); kinds["change_state_of_record"] != 2 { // one for each ticket
		t.Errorf("the journal counts %v", kinds)
	}
	// The new owner adds up the same.
	var want [32]byte
	for _, p := range rel.Passings {
		waypost.AddDigest(&want, waypost.DigestPointer(p.New, 0, 2, 1, waypost.PassedUnder(rel.Change)))
	}
	sum := r.maintained(r.ask("NV", comparison(&waypostv1.Comparison{Count: 1})))
	if sum.Buckets[0].Pointers != 2 || !bytes.Equal(sum.Buckets[0].Digest, want[:]) {
		t.Errorf("Nevada's pointers add up to %v", sum.Buckets[0])
	}
	// And they are its own in every way: to withdraw, to change, to pass on.
	_, err = r.tryPublish(r.permit("CA", waypost.KindPublish, 10), person(1))
	refused(t, "published by the former owner", err, waypost.AlreadyExists, "another state's")
	r.maintained(r.ask("CA", withdrawal(1, 2)))
	r.finds("withdrawn by the former owner", "AZ", 2, token(1), token(2))
	back := r.release("NV", "CA", 1)
	back.Passings = []waypost.Passing{{Old: waypost.Handle(newHandle(1)), New: waypost.Handle(handle(71))}}
	r.maintained(r.passing("CA", r.signed(back, r.Party("NV").Identity)))
	for _, c := range r.finds("passed back", "AZ", 1, token(1)).List {
		if c.Owner != "CA" {
			t.Errorf("%s is asked", c.Owner)
		}
	}
	r.countersAgree()
}

// Why a release is not followed. Nothing moves then, not even what could.
func TestPassingRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)), person(4, token(4)))
	r.publish("CA", in(1, person(5, token(5)))...)
	r.maintained(r.ask("CA", withdrawal(4)))
	taken := person(1)
	taken.Handle = newHandle(1)
	r.publish("AZ", taken)
	before, ca := r.kinds(), r.Party("CA").Identity
	released := func(change func(*waypost.Release), numbers ...int) []byte {
		rel := r.release("CA", "NV", numbers...)
		change(&rel)
		return r.signed(rel, ca)
	}
	same := func(*waypost.Release) {}
	toArizona := r.release("CA", "AZ", 1, 2)
	forged := r.release("CA", "NV", 1)
	for _, c := range []struct {
		name  string
		u     upkeep
		code  waypost.Code
		words string
	}{
		{"no release", r.passing("NV", []byte("no")), waypost.InvalidArgument, "the release is not well formed"},
		{"to another state", r.passing("AZ", released(same, 1)), waypost.PermissionDenied, "AZ brought a release to NV"},
		{"not signed by its owner", r.passing("NV", r.signed(forged, r.Party("NV").Identity)), waypost.PermissionDenied, "not signed by CA"},
		{"the other environment", r.passing("NV", released(func(rel *waypost.Release) { rel.Environment = waypost.Prod }, 1)), waypost.PermissionDenied, "for the prod environment"},
		{"of an unknown roster", r.passing("NV", released(func(rel *waypost.Release) { rel.RosterVersion = 9 }, 1)), waypost.Unavailable, "roster version 9"},
		{"run out", r.passing("NV", released(func(rel *waypost.Release) { rel.Expires = r.Now().Add(-time.Second) }, 1)), waypost.Expired, "has run out"},
		{"of a stranger", r.passing("NV", released(func(rel *waypost.Release) { rel.From = "TX" }, 1)), waypost.PermissionDenied, ""},
		{"one that is not there", r.passing("NV", released(same, 1, 99)), waypost.NotFound, "not in the index as one of CA"},
		{"one that is withdrawn", r.passing("NV", released(same, 1, 4)), waypost.NotFound, "not in the index as one of CA"},
		{"one in the dark", r.passing("NV", released(same, 1, 5)), waypost.NotFound, "not in the index as one of CA"},
		{"a handle in use", r.passing("AZ", r.signed(toArizona, ca)), waypost.AlreadyExists, "a new handle of the release is in use by AZ"},
	} {
		_, err := r.tryMaintain(c.u)
		refused(t, c.name, err, c.code, c.words)
	}
	if after := r.kinds(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the journal went from %v to %v", before, after)
	}
	for _, c := range r.finds("after refusals", "NV", 2, token(1), token(2)).List {
		if c.Owner != "CA" {
			t.Errorf("%s is asked", c.Owner)
		}
	}
	// One change is one release.
	rel := r.release("CA", "NV", 1)
	r.maintained(r.passing("NV", r.signed(rel, ca)))
	rel.Passings = []waypost.Passing{{Old: waypost.Handle(handle(2)), New: waypost.Handle(newHandle(2))}}
	u := r.passing("NV", r.signed(rel, ca))
	for range 2 {
		_, err := r.tryMaintain(u)
		refused(t, "another release for the change", err, waypost.Misuse, "with another release before")
	}
	if n := r.kinds()["misuse"]; n != 1 {
		t.Errorf("%d entries of misuse", n)
	}
	// Two states may hit on one name for their changes.
	rel = r.release("CA", "AZ", 2)
	rel.Change = r.release("CA", "NV", 1).Change
	r.maintained(r.passing("AZ", r.signed(rel, ca)))
}

// The pointers, their entry and the word to the former owner are one.
func TestPassingCrash(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"begin", "commit", "committed"} {
		r := newRig(t)
		r.publish("CA", person(1, token(1)), person(2, token(2)))
		u := r.releasing("CA", "NV", 1, 2)
		fail := store.Fault(func(at string) error {
			if at == point {
				return errors.New("power cut")
			}
			return nil
		})
		r.fault.Store(&fail)
		_, err := r.tryMaintain(u)
		refused(t, "during the crash", err, waypost.Internal, "internal error")
		r.fault.Store(nil)
		want := 0
		if point == "committed" {
			want = 1
		}
		counts := func() [4]int {
			return [4]int{r.kinds()["change_state_of_record"], r.count(`SELECT count(*) FROM pointer WHERE owner = 'NV' AND state = 1`) / 2,
				r.count(`SELECT count(*) FROM pointer WHERE owner = 'CA' AND state = 2`) / 2, len(r.movedWords("CA"))}
		}
		if got := counts(); got != [4]int{want, want, want, want} {
			t.Errorf("%s: entries, pointers of the one and of the other, words: %v, want %d each", point, got, want)
		}
		r.restart()
		r.maintained(u)
		if got := counts(); got != [4]int{1, 1, 1, 1} {
			t.Errorf("%s: afterwards %v", point, got)
		}
	}
}

// A former owner without a key is owed the word, after the notices from before.
// A former owner that is away for longer than a letter lasts, or than its key,
// hears all the same; what it has read it does not hear again.
func TestPassingUnread(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)))
	r.maintained(r.releasing("CA", "NV", 1))
	box := r.mail("CA", 0)
	r.mail("CA", box[len(box)-1].Sequence)
	r.becomes(`SELECT count(*) FROM unread`, 0)
	r.maintained(r.releasing("CA", "NV", 2))
	for _, step := range []struct {
		days        int
		inBox, owed int
	}{{8, 1, 0}, {8, 0, 1}, {100, 0, 0}} {
		r.Advance(time.Duration(step.days) * 24 * time.Hour)
		must(t, hub.Clean(t.Context(), r.deps()))
		if inBox := r.count(`SELECT count(*) FROM mailbox WHERE recipient = 'CA'`); inBox != step.inBox || r.owed() != step.owed {
			t.Errorf("%d days later: %d in California's box, %d owed; want %d and %d", step.days, inBox, r.owed(), step.inBox, step.owed)
		}
	}
}

func TestPassingOwed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	r.forget("CA")
	r.finds("before", "AZ", 1, token(1))
	r.maintained(r.releasing("CA", "NV", 1))
	if r.owed() != 2 {
		t.Errorf("%d words are owed", r.owed())
	}
	r.rotate("CA")
	r.announce("CA")
	var types []string
	for _, m := range r.mail("CA", 0) {
		opened, err := seal.Open(m.Sealed, r.ring["CA"], r.View.SenderKey, r.Now())
		must(t, err)
		types = append(types, opened.Type)
	}
	if fmt.Sprint(types) != "[notice moved]" || r.owed() != 0 {
		t.Errorf("California was told %v, %d owed", types, r.owed())
	}
	r.Advance(100 * 24 * time.Hour)
	must(t, hub.Clean(t.Context(), r.deps()))
	if n := r.count(`SELECT count(*) FROM passed`); n != 0 {
		t.Errorf("%d changes are remembered after 100 days", n)
	}
}
