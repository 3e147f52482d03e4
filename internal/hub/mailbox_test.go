package hub_test

import (
	"context"
	"crypto/rand"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/seal"
)

// letter seals a message between two states.
func (r *rig) letter(from, to waypost.Jurisdiction, body string, changes ...func(*seal.Message)) []byte {
	r.t.Helper()
	m := seal.Message{
		Sender: string(from), Type: waypost.MessageFirstLeg, Ticket: [32]byte{1}, RosterVersion: 1,
		Expiry: r.Now().Add(waypost.MessageLife), Body: []byte(body),
	}
	_, _ = rand.Read(m.ID[:])
	for _, change := range changes {
		change(&m)
	}
	sealed, err := seal.Seal(m, r.Party(string(from)).Identity, r.ring[to].Current())
	must(r.t, err)
	return sealed
}

func (r *rig) send(from waypost.Jurisdiction, letters ...[]byte) []*waypostv1.Delivery {
	r.t.Helper()
	res, err := r.client[from].Send(context.Background(), &waypostv1.SendRequest{Sealed: letters})
	must(r.t, err)
	if len(res.Deliveries) != len(letters) {
		r.t.Fatalf("%d deliveries for %d letters", len(res.Deliveries), len(letters))
	}
	return res.Deliveries
}

func (r *rig) open(s waypost.Jurisdiction, m *waypostv1.Mail) string {
	r.t.Helper()
	opened, err := seal.Open(m.Sealed, r.ring[s], r.View.SenderKey, r.Now())
	must(r.t, err)
	return string(opened.Body)
}

// Mail stays until it is acknowledged, comes in order, and only to its
// recipient.
func TestMailbox(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	twice := r.letter("AZ", "CA", "two")
	r.send("AZ", r.letter("AZ", "CA", "one"), twice, r.letter("AZ", "NV", "for Nevada"))
	r.send("AZ", twice, r.letter("AZ", "CA", "three"))
	for range 2 { // at least once
		box := r.mail("CA", 0)
		var got []string
		for _, m := range box {
			got = append(got, r.open("CA", m))
		}
		if strings.Join(got, " ") != "one two three" {
			t.Fatalf("California's box holds %q", got)
		}
	}
	if box := r.mail("AZ", 0); len(box) != 0 {
		t.Errorf("the sender's box holds %d messages", len(box))
	}
	first := r.mail("CA", 0)[0].Sequence
	if left := r.mail("CA", first); len(left) != 2 || r.open("CA", left[0]) != "two" {
		t.Errorf("%d messages after the first was acknowledged", len(left))
	}
	r.restart()
	box := r.mail("CA", 0)
	if len(box) != 2 || r.open("CA", box[1]) != "three" {
		t.Errorf("%d messages after a restart", len(box))
	}
	// Acknowledging touches nobody else's box, and numbers are never reused.
	if left := r.mail("CA", math.MaxInt64); len(left) != 0 {
		t.Errorf("%d messages left", len(left))
	}
	r.send("AZ", r.letter("AZ", "CA", "four"))
	if box = r.mail("CA", 0); len(box) != 1 || box[0].Sequence != first+3 {
		t.Errorf("the next message: %v", box)
	}
	// What was acknowledged goes; what came after it stays.
	r.becomes("SELECT count(*) FROM mailbox", 2)
	if nevada := r.mail("NV", 0); len(nevada) != 1 || r.open("NV", nevada[0]) != "for Nevada" {
		t.Errorf("Nevada's box holds %d messages", len(nevada))
	}
	_, err := r.client["CA"].Receive(t.Context(), &waypostv1.ReceiveRequest{Acknowledge: math.MaxUint64})
	refused(t, "a number that no message has", err, waypost.InvalidArgument, "no message has the number")
}

// What cannot be delivered is refused one by one, in words; the rest arrives.
func TestSendRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.letter("AZ", "CA", "good")
	stranger, err := seal.NewKeyring("ZZ", r.Party("AZ").Identity, r.Now())
	must(t, err)
	r.ring["ZZ"] = stranger
	hubRing, err := seal.NewKeyring("hub", r.Party("hub").Identity, r.Now())
	must(t, err)
	r.ring["hub"] = hubRing
	long := func(m *seal.Message) { m.Expiry = r.Now().Add(waypost.MessageLife + 2*time.Hour) }
	past := func(m *seal.Message) { m.Expiry = r.Now().Add(-time.Second) }
	deliveries := r.send("AZ", []byte("garbage"), good[:len(good)-1], r.letter("AZ", "ZZ", "x"), r.letter("AZ", "hub", "x"),
		r.letter("AZ", "CA", "x", long), r.letter("AZ", "CA", "x", past), nil, good)
	for i, want := range []struct {
		code  waypost.Code
		words string
	}{
		{waypost.InvalidArgument, "sealed message"}, {waypost.InvalidArgument, "length"}, {waypost.NotFound, `"ZZ" has no mailbox here`},
		{waypost.NotFound, `"hub" has no mailbox here`}, {waypost.Expired, "too far away"}, {waypost.Expired, "past"}, {waypost.InvalidArgument, "cut short"}, {"", ""},
	} {
		if d := deliveries[i]; d.Code != string(want.code) || !strings.Contains(d.Refused, want.words) {
			t.Errorf("letter %d: %s: %q, want %s: %q", i, d.Code, d.Refused, want.code, want.words)
		}
	}
	if box := r.mail("CA", 0); len(box) != 1 || r.open("CA", box[0]) != "good" {
		t.Errorf("California's box holds %d messages", len(box))
	}
	for name, letters := range map[string][][]byte{"none": nil, "65": make([][]byte, 65)} {
		_, err := r.client["AZ"].Send(t.Context(), &waypostv1.SendRequest{Sealed: letters})
		refused(t, name, err, waypost.InvalidArgument, "between 1 and 64 messages")
	}
}

// A box that is full refuses its own mail and nobody else's, says so, and takes
// mail again when it was emptied. The hub's notices always fit.
func TestFullBox(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	size := int64(len(r.letter("AZ", "CA", "")))
	r.stop()
	r.stop = r.Serve("hub", hub.RunWithBoxes(r.deps(), 2*size+size/2))

	deliveries := r.send("AZ", r.letter("AZ", "CA", "1"), r.letter("AZ", "CA", "2"), r.letter("AZ", "CA", "3"), r.letter("AZ", "NV", "4"))
	for i, want := range []string{"", "", string(waypost.Unavailable), ""} {
		if deliveries[i].Code != want {
			t.Errorf("letter %d: %q %s, want %q", i, deliveries[i].Code, deliveries[i].Refused, want)
		}
	}
	if !strings.Contains(deliveries[2].Refused, "the mailbox of CA is full") {
		t.Error(deliveries[2].Refused)
	}
	if got := r.first(r.check("AZ"), token(1)); len(got.List) != 1 {
		t.Errorf("%d candidates while their owner's box is full", len(got.List))
	}
	box := r.mail("CA", 0)
	if len(box) != 3 {
		t.Fatalf("%d messages in the box, want two letters and the notice", len(box))
	}
	r.mail("CA", box[2].Sequence)
	r.becomes("SELECT bytes FROM box WHERE recipient = 'CA'", 0)
	if d := r.send("AZ", r.letter("AZ", "CA", "5"))[0]; d.Refused != "" {
		t.Errorf("after it was emptied: %s", d.Refused)
	}
}

// Who waits is woken by mail, and by nothing else before the time is up.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)))
	type answer struct {
		mail []*waypostv1.Mail
		err  error
		took time.Duration
	}
	poll := func(s waypost.Jurisdiction, wait time.Duration) <-chan answer {
		c := make(chan answer, 1)
		go func() {
			begin := time.Now()
			res, err := r.client[s].Receive(context.Background(), &waypostv1.ReceiveRequest{Max: 10, WaitMs: uint32(wait / time.Millisecond)})
			c <- answer{res.GetMail(), err, time.Since(begin)}
		}()
		return c
	}
	california, nevada := poll("CA", 20*time.Second), poll("NV", 700*time.Millisecond)
	time.Sleep(100 * time.Millisecond) // let them wait; if they do not yet, the test is weaker but right
	r.send("AZ", r.letter("AZ", "CA", "wake up"))
	if a := <-california; a.err != nil || len(a.mail) != 1 || a.took > 15*time.Second {
		t.Errorf("a letter: %d messages, %v, after %v", len(a.mail), a.err, a.took)
	}
	if a := <-nevada; a.err != nil || len(a.mail) != 0 || a.took < 700*time.Millisecond {
		t.Errorf("nothing: %d messages, %v, after %v", len(a.mail), a.err, a.took)
	}
	r.mail("CA", math.MaxInt64)
	california = poll("CA", 20*time.Second)
	time.Sleep(100 * time.Millisecond)
	r.first(r.check("AZ"), token(1))
	if a := <-california; a.err != nil || len(a.mail) != 1 || a.took > 15*time.Second {
		t.Errorf("a notice: %d messages, %v, after %v", len(a.mail), a.err, a.took)
	}
}

// One call brings what fits; nothing is left out in between. Acknowledging far
// more than one step deletes it all.
func TestReceiveInParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large := func(m *seal.Message) { m.MinSize = seal.Size256K }
	for range 3 {
		r.send("AZ", r.letter("AZ", "CA", "large", large), r.letter("AZ", "CA", "large", large), r.letter("AZ", "CA", "small"))
	}
	box := r.mail("CA", 0)
	if len(box) >= 9 || len(box) < 4 {
		t.Errorf("%d messages in one answer", len(box))
	}
	seen := 0
	for len(box) > 0 {
		for _, m := range box {
			if seen++; m.Sequence != uint64(seen) {
				t.Fatalf("message %d after %d", m.Sequence, seen-1)
			}
		}
		box = r.mail("CA", box[len(box)-1].Sequence)
	}
	if seen != 9 {
		t.Errorf("%d of 9 messages came", seen)
	}
	for range 5 {
		batch := make([][]byte, 64)
		for i := range batch {
			batch[i] = r.letter("AZ", "CA", "x")
		}
		r.send("AZ", batch...)
	}
	if got := r.mail("CA", 0); len(got) != 64 {
		t.Errorf("%d messages in one answer, want 64", len(got))
	}
	if got := r.mail("CA", 9+320); len(got) != 0 {
		t.Errorf("%d messages after all were acknowledged", len(got))
	}
	r.becomes("SELECT count(*) FROM mailbox", 320-256) // as many at once as is allowed
	r.mail("CA", 9+320)
	r.becomes("SELECT count(*) FROM mailbox", 0)
	// Read as fast as can be, they do not pile up.
	for range 10 {
		batch := make([][]byte, 64)
		for i := range batch {
			batch[i] = r.letter("AZ", "CA", "x")
		}
		r.send("AZ", batch...)
	}
	read := uint64(9 + 320)
	for box := r.mail("CA", read); len(box) > 0; box = r.mail("CA", read) {
		read = box[len(box)-1].Sequence
	}
	left := r.count("SELECT count(*) FROM mailbox")
	for polls := 0; left > 0 && polls < 4; polls++ {
		r.mail("CA", read)
		for before, end := left, time.Now().Add(time.Second); left == before && time.Now().Before(end); time.Sleep(time.Millisecond) {
			left = r.count("SELECT count(*) FROM mailbox")
		}
	}
	if left > 0 {
		t.Errorf("%d messages are left of those that were read", left)
	}
}

// Several senders at once: every message has a number of its own.
func TestSendAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all sync.WaitGroup
	for range 8 {
		letters := [][]byte{r.letter("AZ", "CA", "a"), r.letter("AZ", "CA", "b"), r.letter("AZ", "CA", "c")}
		all.Go(func() {
			for range 2 {
				if _, err := r.client["AZ"].Send(context.Background(), &waypostv1.SendRequest{Sealed: letters}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	box := r.mail("CA", 0)
	if len(box) != 24 {
		t.Errorf("%d messages, want 24", len(box))
	}
	for i, m := range box {
		if m.Sequence != uint64(i+1) {
			t.Errorf("message %d has number %d", i+1, m.Sequence)
		}
	}
}

// becomes waits for a figure of the hub's database: what is done with is deleted
// a little later.
func (r *rig) becomes(query string, want int) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); r.count(query) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %d, want %d", query, r.count(query), want)
		}
	}
}
