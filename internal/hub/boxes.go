package hub

import (
	"maps"
	"slices"
	"sync"

	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// boxes is what this process knows of the mailboxes, so that mail which it has
// just committed goes out without being read again, and who waits is woken. The
// database is the truth: what is not known here is looked up there.
type boxes struct {
	mu sync.Mutex
	of map[string]*box
}

// box is one member's. Every message with a number up to solid that is not
// acknowledged is in recent, unless look is set: then the database knows more.
type box struct {
	rung    chan struct{}     // closed at the next news
	look    bool              // the database has to be looked into
	recent  []*waypostv1.Mail // by number; with some beyond solid while commits are being told out of order
	size    int               // bytes of recent
	solid   uint64            // numbers up to here are given out
	through uint64            // acknowledged up to here
	deleted uint64            // and deleted up to here, as far as known
	going   bool              // a deletion is under way
}

func newBoxes() *boxes { return &boxes{of: make(map[string]*box)} }

// get returns a member's box; mu is held.
func (b *boxes) get(member string) *box {
	one, ok := b.of[member]
	if !ok {
		one = &box{rung: make(chan struct{}), look: true}
		b.of[member] = one
	}
	return one
}

// listen returns what is closed at the next news.
func (b *boxes) listen(member string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.get(member).rung
}

// ring wakes who waits, to look into the database.
func (b *boxes) ring(member string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(member)
	one.forget()
	one.wake()
}

// put has a message that is committed go out, and wakes who waits. One without a
// number was committed before: its box is looked into.
func (b *boxes) put(m mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(m.recipient)
	if m.sequence == 0 {
		one.forget()
	}
	if !one.look && m.sequence > one.solid {
		one.keep(&waypostv1.Mail{Sequence: m.sequence, Sealed: m.sealed})
	}
	one.wake()
}

// keep takes a message up, in its place.
func (o *box) keep(m *waypostv1.Mail) {
	if len(o.recent) >= maxReceive || o.size+len(m.Sealed) > maxBytes {
		o.forget() // nobody fetches it: it does not lie in memory, too
		return
	}
	at, known := slices.BinarySearchFunc(o.recent, m.Sequence, bySequence)
	if known {
		return
	}
	o.recent = slices.Insert(o.recent, at, m)
	o.size += len(m.Sealed)
	for _, next := range o.recent[at:] {
		if next.Sequence == o.solid+1 {
			o.solid++
		}
	}
}

func bySequence(m *waypostv1.Mail, n uint64) int {
	switch {
	case m.Sequence < n:
		return -1
	case m.Sequence > n:
		return 1
	}
	return 0
}

func (o *box) forget() { o.look, o.recent, o.size = true, nil, 0 }

func (o *box) wake() {
	close(o.rung)
	o.rung = make(chan struct{})
}

// given reports whether this process knows that all numbers up to n are given out.
func (b *boxes) given(member string, n uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return n <= b.get(member).solid
}

// acknowledge notes what a member is done with.
func (b *boxes) acknowledge(member string, through uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(member)
	if through <= one.through {
		return
	}
	one.through = through
	for len(one.recent) > 0 && one.recent[0].Sequence <= through {
		one.size -= len(one.recent[0].Sealed)
		one.recent = one.recent[1:]
	}
}

// begin reports whether a member is done with at least so many messages that
// were not deleted, and takes it on to delete them. finish ends that.
func (b *boxes) begin(member string, atLeast uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(member)
	if one.going || one.through < one.deleted+atLeast {
		return false
	}
	one.going = true
	return true
}

// done is the number up to which a member's mail is to be deleted.
func (b *boxes) done(member string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.get(member).through
}

// finish ends a deletion, however it went; all says that nothing up to the number is
// left, and that this is durable.
func (b *boxes) finish(member string, through uint64, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(member)
	if one.going = false; all {
		one.deleted = through
	}
}

// members are those who have a box here.
func (b *boxes) members() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.of))
}

// waiting returns a member's mail as far as one answer takes it. Where that is not
// known here, the database is to be looked into from the number given on, and what
// is there taken up by found.
func (b *boxes) waiting(member string, limit int) (list []*waypostv1.Mail, known bool, after uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(member)
	if one.look {
		one.look = false // until somebody says otherwise meanwhile
		return nil, false, one.through
	}
	size := 0
	for _, m := range one.recent {
		size += len(m.Sealed)
		if m.Sequence > one.solid || len(list) == limit || size > maxBytes && len(list) > 0 {
			break
		}
		list = append(list, m)
	}
	// A number that is missing was given out by a commit that nobody told of.
	return list, len(list) > 0 || len(one.recent) == 0, one.through
}

// found takes up what the database held above the acknowledged: all of it, up to
// the last number given out, or the beginning.
func (b *boxes) found(member string, list []*waypostv1.Mail, last uint64, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.get(member)
	if len(list) > 0 {
		one.wake() // who came meanwhile was told that there was nothing
	}
	if !all || one.look {
		one.forget()
		one.solid = max(one.solid, last)
		return
	}
	newer := one.recent // told while the database was being read
	one.recent, one.size, one.solid = nil, 0, max(one.solid, last)
	for _, m := range append(list, newer...) {
		if m.Sequence > one.through && !one.look {
			one.keep(m)
		}
	}
}
