package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/store"
)

// inPlaceOf is a record in the place of another.
func inPlaceOf(old int, r *waypostv1.PublishedRecord) *waypostv1.PublishedRecord {
	r.Supersedes = handle(old)
	return r
}

func (r *rig) changing(records int) permit {
	return r.permit("CA", waypost.KindChange, records*waypost.RecordElements)
}

// The new pointer is live and the old one withdrawn at once, however the change
// is cut short; and the same change again, under another ticket, is done.
func TestChange(t *testing.T) {
	t.Parallel()
	for cut := 1; ; cut++ {
		r := newRig(t)
		r.publish("CA", person(1, token(1)), person(2, token(2)), person(3, token(3)))
		records := []*waypostv1.PublishedRecord{inPlaceOf(1, person(11, token(11))), inPlaceOf(2, person(12, token(12))), person(14, token(14))}
		p := r.changing(3)
		var commits atomic.Int64
		point := []string{"commit", "committed"}[cut%2]
		fail := store.Fault(func(at string) error {
			if at == point && commits.Add(1) == int64(cut+1)/2 {
				return errors.New("power cut")
			}
			return nil
		})
		r.fault.Store(&fail)
		_, err := r.tryPublish(p, records...)
		r.fault.Store(nil)
		whole := err == nil
		if !whole {
			refused(t, "cut short", err, waypost.Internal, "internal error")
		}
		old, fresh := len(r.first(r.check("AZ"), token(1), token(2)).List), len(r.first(r.check("AZ"), token(11), token(12)).List)
		if old+fresh != 2 || old == 1 {
			t.Errorf("cut %d: %d of two are found as they were, %d as they are", cut, old, fresh)
		}
		if cut%3 == 0 { // another ticket, where the owner has given up the first
			p = r.changing(3)
		}
		_, err = r.tryPublish(p, records...)
		must(t, err)
		r.finds("as they were", "AZ", 0, token(1), token(2))
		r.finds("as they are", "AZ", 3, token(11), token(12), token(14))
		r.finds("what nobody touched", "AZ", 1, token(3))
		_, err = r.tryPublish(r.changing(3), records...)
		must(t, err)
		r.countersAgree()
		if whole {
			if cut < 6 {
				t.Errorf("a change has %d commits, want 3", commits.Load())
			}
			return
		}
	}
}

func TestChangeRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("CA", person(1, token(1)), person(2, token(2)))
	r.publish("CA", in(1, person(5, token(5)))...)
	r.publish("NV", person(7, token(7)))
	r.maintained(r.ask("CA", withdrawal(2)))
	before := r.kinds()
	for _, c := range []struct {
		name    string
		p       permit
		records []*waypostv1.PublishedRecord
		code    waypost.Code
		words   string
	}{
		{"with a publish ticket", r.permit("CA", waypost.KindPublish, 10), []*waypostv1.PublishedRecord{inPlaceOf(1, person(11))}, waypost.InvalidArgument, "published with a ticket of kind change"},
		{"one that is not there", r.changing(1), []*waypostv1.PublishedRecord{inPlaceOf(99, person(11))}, waypost.NotFound, "is not live in the index"},
		{"one that is withdrawn", r.changing(1), []*waypostv1.PublishedRecord{inPlaceOf(2, person(11))}, waypost.NotFound, "is not live in the index"},
		{"another's", r.changing(1), []*waypostv1.PublishedRecord{inPlaceOf(7, person(11))}, waypost.NotFound, "is not live in the index"},
		{"itself", r.changing(1), []*waypostv1.PublishedRecord{inPlaceOf(11, person(11))}, waypost.InvalidArgument, "names a handle twice"},
		{"one for two", r.changing(2), []*waypostv1.PublishedRecord{inPlaceOf(1, person(11)), inPlaceOf(1, person(12))}, waypost.InvalidArgument, "names a handle twice"},
		{"half a handle", r.changing(1), []*waypostv1.PublishedRecord{{Handle: handle(11), Tokens: padded(10), Supersedes: handle(1)[:8]}}, waypost.InvalidArgument, "a handle has 16 bytes"},
		{"into the dark", r.changing(1), in(2, inPlaceOf(1, person(11))), waypost.InvalidArgument, "superseded by one of generation 0"},
		{"under a handle that was withdrawn", r.changing(1), []*waypostv1.PublishedRecord{inPlaceOf(1, person(2))}, waypost.AlreadyExists, "draw a new one"},
		{"a withdrawn one published again", r.permit("CA", waypost.KindPublish, 10), []*waypostv1.PublishedRecord{person(2, token(2))}, waypost.AlreadyExists, "draw a new one"},
	} {
		_, err := r.tryPublish(c.p, c.records...)
		refused(t, c.name, err, c.code, c.words)
	}
	if after := r.kinds(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the journal went from %v to %v", before, after)
	}
	r.finds("after refusals", "AZ", 1, token(1))
	_, err := r.tryPublish(r.changing(2), inPlaceOf(1, person(11, token(1))), inPlaceOf(5, in(2, person(15, token(5)))[0]))
	must(t, err) // one in the light, one in the dark
	r.finds("the changed one", "AZ", 1, token(1))
	r.finds("the dark one", "AZ", 0, token(5))
	r.activate("CA", 1, 0)
	r.activate("CA", 2, 1)
	r.finds("the dark one, in the light", "AZ", 1, token(5))
	// Whatever differs under one ticket is misuse, not only tokens.
	p := r.changing(1)
	again := person(21, token(21))
	_, err = r.tryPublish(p, again)
	must(t, err)
	_, err = r.tryPublish(p, in(3, again)...)
	refused(t, "another generation", err, waypost.Misuse, "other records before")
	again.Generation = 0
	_, err = r.tryPublish(p, inPlaceOf(11, again))
	refused(t, "another place", err, waypost.Misuse, "other records before")
}

// The ticket of a check publishes its record, once, until a day later: no second
// evaluation, and nothing counts twice.
func TestPublishUnderCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish("AZ", person(1, token(1)))
	p := r.check("AZ")
	_, err := r.tryPublish(p, person(9, token(9)))
	refused(t, "before the search", err, waypost.PermissionDenied, "part one of its search is not here")
	r.first(p)
	used := r.count(`SELECT CAST(sum(used) AS BIGINT) FROM quota WHERE member = 'AZ' AND class IN ('tickets', 'publish', 'operator')`)
	r.Advance(23 * time.Hour)
	must(t, hub.Clean(t.Context(), r.deps()))
	for _, records := range [][]*waypostv1.PublishedRecord{nil, people(40, 2)} {
		_, err = r.tryPublish(p, records...)
		refused(t, "not one", err, waypost.InvalidArgument, "publishes one record")
	}
	_, err = r.tryPublish(p, &waypostv1.PublishedRecord{Handle: handle(9), Tokens: padded(9)})
	refused(t, "nine tokens", err, waypost.InvalidArgument, "10 tokens of 32 bytes")
	record := inPlaceOf(1, person(9, token(9)))
	first, err := r.tryPublish(p, record)
	must(t, err)
	signed := waypost.HashTokens(slices.Concat(record.Handle, record.Tokens, record.Supersedes))
	r.receipt(first.Receipt, p, waypost.ActionPublish, signed, nil)
	again, err := r.tryPublish(p, record)
	must(t, err)
	sameBytes(t, "receipt", again.Receipt, first.Receipt)
	for range 2 {
		_, err = r.tryPublish(p, person(10, token(10)))
		refused(t, "a second record", err, waypost.Misuse, "other records before")
	}
	r.finds("the record", "CA", 1, token(9))
	r.finds("the one before", "CA", 0, token(1))
	if now := r.count(`SELECT CAST(sum(used) AS BIGINT) FROM quota WHERE member = 'AZ' AND class IN ('tickets', 'publish', 'operator')`); now != used {
		t.Errorf("the ticket counted again: %d, and %d before", now, used)
	}
	if kinds := r.kinds(); kinds["publish"] != 2 || kinds["misuse"] != 1 {
		t.Errorf("the journal counts %v", kinds)
	}
	r.Advance(61 * time.Minute)
	_, err = r.tryPublish(p, record)
	refused(t, "a day later", err, waypost.Expired, "older than 24h0m0s")
	r.Advance(time.Hour)
	must(t, hub.Clean(t.Context(), r.deps()))
	for _, table := range []string{"searched WHERE expires < 1 OR ticket IN (SELECT ticket FROM publication)", "publication", "misuse"} {
		if n := r.count("SELECT count(*) FROM " + table); n != 0 {
			t.Errorf("%d rows in %s after housekeeping", n, table)
		}
	}
}

// Where all places of a token are taken, a withdrawn pointer's is free again:
// people come and go, and the 64 places are for those who are there.
func TestPlacesAreReused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range hub.MaxCounter {
		owner := waypost.Jurisdiction("CA")
		if i >= hub.OwnPlaces {
			owner = "NV"
		}
		r.publish(owner, person(i, token(0)))
	}
	r.publish("CA", person(100, token(0), token(5)))
	if n := r.count(`SELECT count(*) FROM label`); n != hub.MaxCounter*10+9 {
		t.Errorf("%d labels", n)
	}
	r.maintained(r.ask("CA", withdrawal(3, 4)))
	before := r.count(`SELECT count(*) FROM label l JOIN pointer p ON p.id = l.pointer WHERE p.owner = 'NV'`)
	r.publish("NV", person(101, token(0)))
	pointers := r.count(`SELECT count(*) FROM label l JOIN pointer p ON p.id = l.pointer WHERE p.owner = 'NV'`)
	if pointers != before+10 {
		t.Errorf("%d labels more lead to Nevada's pointers, want 10", pointers-before)
	}
	if n := r.count(`SELECT count(*) FROM label l JOIN pointer p ON p.id = l.pointer WHERE p.state = 3`); n != 19 {
		t.Errorf("%d labels lead to withdrawn pointers, want 19", n)
	}
	r.publish("CA", person(102, token(0)), person(103, token(0)))
	if n := r.count(`SELECT count(*) FROM label l JOIN pointer p ON p.id = l.pointer WHERE p.state = 3`); n != 18 {
		t.Errorf("%d labels lead to withdrawn pointers, want 18", n)
	}
}
