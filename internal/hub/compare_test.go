package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
)

// digestOf is what the owner of a published record has of it.
func digestOf(p permit, h []byte, generation uint32) [32]byte {
	return waypost.DigestPointer(waypost.Handle(h), generation, 1, 1, waypost.PublishedUnder(p.ID))
}

// spread is a handle in a bucket of its own.
func spread(first byte, n int) []byte {
	h := handle(n)
	h[0] = first
	return h
}

// Owner and hub add up the same, bucket by bucket, and nothing but what is live.
func TestCompare(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.permit("CA", waypost.KindPublish, 60)
	var records []*waypostv1.PublishedRecord
	var sums [256][32]byte
	for i, first := range []byte{0, 0, 7, 255, 255, 255} {
		records = append(records, &waypostv1.PublishedRecord{Handle: spread(first, i), Tokens: padded(10)})
		if i != 5 {
			waypost.AddDigest(&sums[first], digestOf(p, records[i].Handle, 0))
		}
	}
	_, err := r.tryPublish(p, records...)
	must(t, err)
	r.publish("NV", &waypostv1.PublishedRecord{Handle: spread(7, 1), Tokens: padded(10)})
	r.maintained(r.ask("CA", &waypostv1.Maintenance{What: &waypostv1.Maintenance_Withdraw{Withdraw: &waypostv1.Withdrawal{Handles: [][]byte{records[5].Handle, spread(9, 9)}}}}))

	u := r.ask("CA", comparison(&waypostv1.Comparison{Bits: 8, Count: 256}))
	got := r.maintained(u)
	for i, b := range got.Buckets {
		if want := map[int]uint64{0: 2, 7: 1, 255: 2}[i]; b.Pointers != want || string(b.Digest) != string(sums[i][:]) {
			t.Errorf("bucket %d: %d pointers with %x, want %d with %x", i, b.Pointers, b.Digest, want, sums[i])
		}
	}
	var all [32]byte
	for _, s := range sums {
		waypost.AddDigest(&all, s)
	}
	if whole := r.maintained(r.ask("CA", comparison(&waypostv1.Comparison{Count: 1}))); whole.Buckets[0].Pointers != 5 || string(whole.Buckets[0].Digest) != string(all[:]) {
		t.Errorf("all in one: %v", whole)
	}
	fine := r.maintained(r.ask("CA", comparison(&waypostv1.Comparison{Bits: 16, From: 255 << 8, Count: 256})))
	if fine.Buckets[0].Pointers != 2 || string(fine.Buckets[0].Digest) != string(sums[255][:]) {
		t.Errorf("by 16 bits: %v", fine.Buckets[0])
	}
	r.maintained(r.ask("CA", withdrawal(1)))
	if again := r.maintained(u); fmt.Sprint(again) != fmt.Sprint(got) {
		t.Error("the same ticket got another answer")
	}
	if none := r.maintained(r.ask("AZ", comparison(&waypostv1.Comparison{Count: 1}))); none.Buckets[0].Pointers != 0 || string(none.Buckets[0].Digest) != string(make([]byte, 32)) {
		t.Errorf("a state without pointers: %v", none)
	}
}

// What differs is named, what the owner does not hold is withdrawn, and what it
// may not have known yet is left alone.
func TestCompareMends(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.permit("CA", waypost.KindPublish, 40)
	records := people(0, 4)
	_, err := r.tryPublish(p, records...)
	must(t, err)
	r.publish("NV", person(3, token(30)))
	held := func(n int) *waypostv1.Held {
		d := digestOf(p, handle(n), 0)
		return &waypostv1.Held{Handle: handle(n), Digest: d[:waypost.DigestSize]}
	}
	wrong := held(1)
	wrong.Digest[0] ^= 1
	compare := &waypostv1.Comparison{Count: 1, Held: []*waypostv1.Held{held(77), held(0), wrong, held(2)}}

	fresh := r.maintained(r.ask("CA", comparison(compare)))
	if fmt.Sprint(fresh.Differing) != "[0 2]" || fresh.Withdrawn != 0 || fresh.Buckets[0].Pointers != 4 {
		t.Errorf("at once: %v", fresh)
	}
	r.finds("what came a moment ago", "AZ", 1, token(3))
	r.Advance(11 * time.Minute)
	u := r.ask("CA", comparison(compare))
	for range 2 {
		later := r.maintained(u)
		if fmt.Sprint(later.Differing) != "[0 2]" || later.Withdrawn != 1 || later.Buckets[0].Pointers != 4 {
			t.Errorf("later: %v", later)
		}
	}
	r.finds("what is not held", "AZ", 0, token(3))
	r.finds("what differs", "AZ", 1, token(1))
	r.finds("another's", "AZ", 1, token(30))

	// What is published anew, under another ticket, agrees again.
	anew := r.permit("CA", waypost.KindPublish, 10)
	_, err = r.tryPublish(anew, records[1])
	must(t, err)
	d := digestOf(anew, handle(1), 0)
	wrong.Digest = d[:waypost.DigestSize]
	if mended := r.maintained(r.ask("CA", comparison(compare))); fmt.Sprint(mended.Differing) != "[0]" {
		t.Errorf("mended: %v", mended)
	}
	r.Advance(11 * time.Minute)
	if none := r.maintained(r.ask("CA", comparison(&waypostv1.Comparison{Count: 1, None: true}))); none.Withdrawn != 3 {
		t.Errorf("nothing held: %v", none)
	}
	r.countersAgree()
}

func TestCompareRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	held := func(handles ...[]byte) (all []*waypostv1.Held) {
		for _, h := range handles {
			all = append(all, &waypostv1.Held{Handle: h, Digest: make([]byte, 16)})
		}
		return all
	}
	many := held()
	for i := range 4097 {
		many = append(many, held(handle(i))...)
	}
	for name, c := range map[string]struct {
		compare *waypostv1.Comparison
		words   string
	}{
		"bits":           {&waypostv1.Comparison{Bits: 4, Count: 1}, "0, 8 or 16 bits"},
		"no buckets":     {&waypostv1.Comparison{Bits: 8}, "1 to 4096 buckets"},
		"many buckets":   {&waypostv1.Comparison{Bits: 16, Count: 4097}, "1 to 4096 buckets"},
		"beyond the end": {&waypostv1.Comparison{Bits: 8, From: 200, Count: 57}, "of those that there are"},
		"far beyond":     {&waypostv1.Comparison{Bits: 8, From: 1 << 31, Count: 1 << 31}, "of those that there are"},
		"two buckets":    {&waypostv1.Comparison{Bits: 8, Count: 2, Held: held(handle(1))}, "is of one bucket"},
		"none of two":    {&waypostv1.Comparison{Bits: 8, Count: 2, None: true}, "is of one bucket"},
		"none and one":   {&waypostv1.Comparison{Count: 1, None: true, Held: held(handle(1))}, "is of one bucket"},
		"too many held":  {&waypostv1.Comparison{Count: 1, Held: many}, "at most 4096 pointers"},
		"another bucket": {&waypostv1.Comparison{Bits: 8, From: 1, Count: 1, Held: held(handle(1))}, "belongs to another bucket"},
		"twice":          {&waypostv1.Comparison{Count: 1, Held: held(handle(1), handle(1))}, "names a handle twice"},
		"a long digest":  {&waypostv1.Comparison{Count: 1, Held: []*waypostv1.Held{{Handle: handle(1), Digest: make([]byte, 32)}}}, "a digest has 16 bytes"},
		"a short handle": {&waypostv1.Comparison{Count: 1, Held: held([]byte{1})}, "a handle has 16 bytes"},
	} {
		_, err := r.tryMaintain(r.ask("CA", comparison(c.compare)))
		refused(t, name, err, waypost.InvalidArgument, c.words)
	}
	if len(r.kinds()) != 0 {
		t.Errorf("the journal counts %v", r.kinds())
	}
}
