package hub_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/api/waypost/v1/waypostv1connect"
	"github.com/waypost/waypost/internal/hub"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/rpc"
	"github.com/waypost/waypost/internal/store"
)

// pointer is one in the model: whose, by which handle, and by what it is found.
type pointer struct {
	owner      waypost.Jurisdiction
	handle     string
	generation uint32
	state      string // live, withdrawn, moved
	token      int
	receipt    [16]byte
	version    uint32
}

// index says what the hub should hold.
type index struct {
	pointers    []*pointer
	generations map[string]string // owner and number: active, rolled back
	drawn       int
}

func (x *index) state(owner waypost.Jurisdiction, generation uint32) string {
	if generation == 0 {
		return "active"
	}
	return x.generations[fmt.Sprint(owner, generation)]
}

func (x *index) visible(p *pointer) bool {
	return p.state == "live" && x.state(p.owner, p.generation) == "active"
}

func (x *index) of(owner waypost.Jurisdiction, which func(*pointer) bool) (all []*pointer) {
	for _, p := range x.pointers {
		if p.owner == owner && which(p) {
			all = append(all, p)
		}
	}
	return all
}

func (x *index) live(owner waypost.Jurisdiction, generation uint32) int {
	return len(x.of(owner, func(p *pointer) bool { return p.state == "live" && p.generation == generation }))
}

// walk makes the hub and the model do the same.
type walk struct {
	*rig
	*rapid.T
	x *index
}

func (w *walk) owner() waypost.Jurisdiction {
	return rapid.SampledFrom([]waypost.Jurisdiction{"CA", "NV"}).Draw(w.T, "owner")
}

func (w *walk) generation() uint32 { return rapid.Uint32Range(0, 3).Draw(w.T, "generation") }

// any is one of the owner's pointers, in whatever state, or nil.
func (w *walk) any(owner waypost.Jurisdiction) *pointer {
	all := w.x.of(owner, func(*pointer) bool { return true })
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(w.T, "pointer")
}

func (w *walk) draw() []byte {
	w.x.drawn++
	return handle(w.x.drawn)
}

// agreed insists that what the hub said is what the model says.
func (w *walk) agreed(what string, err error, should bool) bool {
	if (err == nil) != should {
		w.Fatalf("%s: %v, and the model says %v", what, err, should)
	}
	return err == nil
}

// publish a new record, or one that is there; sometimes in the place of another.
func (w *walk) publish() {
	owner, generation, number := w.owner(), w.generation(), rapid.IntRange(0, 4).Draw(w.T, "token")
	var known, old *pointer
	record := &waypostv1.PublishedRecord{Generation: generation, Tokens: padded(10, token(number))}
	if rapid.Bool().Draw(w.T, "again") {
		known = w.any(owner)
	}
	if known != nil {
		record.Handle = []byte(known.handle)
		if known.state == "live" && w.x.state(owner, known.generation) == "rolled back" {
			number = known.token // a handle's tokens are for good: for others an owner draws a new one
			record.Tokens = padded(10, token(number))
		}
	} else {
		record.Handle = w.draw()
	}
	kind := waypost.KindPublish
	if rapid.Bool().Draw(w.T, "change") {
		if old, kind = w.any(owner), waypost.KindChange; old == known {
			old = nil
		}
	}
	if old != nil {
		record.Supersedes = []byte(old.handle)
	}
	should, there := w.x.publishable(owner, generation, known, old)
	p := w.permit(owner, kind, 10)
	_, err := w.tryPublish(p, record)
	if !w.agreed("publish", err, should) {
		return
	}
	if known == nil {
		known = &pointer{owner: owner, handle: string(record.Handle), version: 1}
		w.x.pointers = append(w.x.pointers, known)
	}
	known.receipt = waypost.PublishedUnder(p.ID)
	if !there {
		known.state, known.generation, known.token = "live", generation, number
	}
	if old != nil && old.state == "live" {
		old.state = "withdrawn"
	}
}

func (x *index) publishable(owner waypost.Jurisdiction, generation uint32, known, old *pointer) (should, there bool) {
	if known != nil {
		if known.state != "live" {
			return false, false
		}
		there = x.state(owner, known.generation) != "rolled back"
	}
	if !there && generation != 0 && x.state(owner, generation) != "" {
		return false, there
	}
	switch {
	case old == nil || there && old.state == "withdrawn":
		return true, there
	case old.state != "live":
		return false, there
	}
	return generation == 0 || !x.visible(old), there
}

func (w *walk) withdraw() {
	owner := w.owner()
	p := w.any(owner)
	if p == nil {
		return
	}
	m := w.maintained(w.ask(owner, &waypostv1.Maintenance{What: &waypostv1.Maintenance_Withdraw{Withdraw: &waypostv1.Withdrawal{Handles: [][]byte{[]byte(p.handle)}}}}))
	if (m.Withdrawn == 1) != (p.state == "live") {
		w.Fatalf("%d withdrawn of a pointer that is %s", m.Withdrawn, p.state)
	}
	if p.state == "live" {
		p.state = "withdrawn"
	}
}

func (w *walk) activate() {
	owner, generation := w.owner(), rapid.Uint32Range(1, 3).Draw(w.T, "generation")
	back := rapid.IntRange(0, 2).Draw(w.T, "back") == 0
	have := w.x.live(owner, generation)
	says := have + rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(w.T, "miscounted")
	becomes, is := "active", w.x.state(owner, generation)
	if back {
		becomes = "rolled back"
	}
	should := is == becomes || is == "" && (back || says == have)
	_, err := w.tryMaintain(w.ask(owner, activation(generation, uint64(says), back)))
	if w.agreed("activate", err, should) {
		w.x.generations[fmt.Sprint(owner, generation)] = becomes
	}
}

func (w *walk) pass() {
	from := w.owner()
	to := map[waypost.Jurisdiction]waypost.Jurisdiction{"CA": "NV", "NV": "CA"}[from]
	var passed []*pointer
	for range rapid.IntRange(1, 2).Draw(w.T, "pointers") {
		if p := w.any(from); p != nil && !slices.Contains(passed, p) {
			passed = append(passed, p)
		}
	}
	if len(passed) == 0 {
		return
	}
	slices.SortFunc(passed, func(a, b *pointer) int { return cmp.Compare(a.handle, b.handle) })
	rel := w.release(from, to)
	for _, p := range passed {
		rel.Passings = append(rel.Passings, waypost.Passing{Old: waypost.Handle([]byte(p.handle)), New: waypost.Handle(w.draw())})
	}
	should := !slices.ContainsFunc(passed, func(p *pointer) bool { return !w.x.visible(p) })
	_, err := w.tryMaintain(w.passing(to, w.signed(rel, w.Party(string(from)).Identity)))
	if !w.agreed("pass", err, should) {
		return
	}
	for i, p := range passed {
		left := *p
		left.state = "moved"
		w.x.pointers = append(w.x.pointers, &left)
		p.owner, p.handle, p.generation, p.version, p.receipt = to, string(rel.Passings[i].New[:]), 0, p.version+1, waypost.PassedUnder(rel.Change)
	}
}

func (w *walk) leave() {
	owner := w.owner()
	mine := w.x.of(owner, func(p *pointer) bool { return p.state == "live" })
	if m := w.maintained(w.ask(owner, departure())); m.Withdrawn != uint64(len(mine)) {
		w.Fatalf("%d withdrawn of %d", m.Withdrawn, len(mine))
	}
	for _, p := range mine {
		p.state = "withdrawn"
	}
	w.Advance(2 * time.Second)
}

// check searches for everything, and compares what is there with the hub.
func (w *walk) check() {
	for number := range 5 { // tokens
		want := make(map[waypost.Jurisdiction]int)
		for _, p := range w.x.pointers {
			if p.token == number && w.x.visible(p) {
				want[p.owner]++
			}
		}
		got := make(map[waypost.Jurisdiction]int)
		for _, c := range w.first(w.rig.check("AZ"), token(number)).List {
			got[c.Owner]++
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.Fatalf("token %d is found at %v, the model says %v", number, got, want)
		}
	}
	for _, owner := range []waypost.Jurisdiction{"CA", "NV"} {
		var want [32]byte
		for _, p := range w.x.of(owner, func(p *pointer) bool { return p.state == "live" && w.x.state(owner, p.generation) != "rolled back" }) {
			waypost.AddDigest(&want, waypost.DigestPointer(waypost.Handle([]byte(p.handle)), p.generation, p.version, 1, p.receipt))
		}
		sum := w.maintained(w.ask(owner, comparison(&waypostv1.Comparison{Count: 1})))
		if string(sum.Buckets[0].Digest) != string(want[:]) {
			w.Fatalf("the pointers of %s add up to something else than the model's", owner)
		}
	}
	w.countersAgree()
}

// direct calls the hub without the wire.
type direct struct {
	waypostv1connect.HubClient // for the rest
	hub                        *hub.Server
	peer                       func() roster.Member
}

func (d direct) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	return d.hub.Publish(rpc.WithPeer(ctx, d.peer()), req)
}

func (d direct) Maintain(ctx context.Context, req *waypostv1.MaintainRequest) (*waypostv1.MaintainResponse, error) {
	return d.hub.Maintain(rpc.WithPeer(ctx, d.peer()), req)
}

func (d direct) Search(ctx context.Context, req *waypostv1.SearchRequest) (*waypostv1.SearchResponse, error) {
	return d.hub.Search(rpc.WithPeer(ctx, d.peer()), req)
}

// Whatever two owners do with their pointers, in whatever order, a search finds
// what a simple model says, and hub and owners add up the same.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	againstModel(t, newRig(t), 20)
}

func againstModel(t *testing.T, r *rig, steps int) {
	for _, s := range states {
		r.client[s] = direct{r.client[s], r.server, func() roster.Member {
			m, _ := r.View.Member(string(s))
			return m
		}}
	}
	rapid.Check(t, func(rt *rapid.T) {
		r.empty()
		w := &walk{rig: r, T: rt, x: &index{generations: make(map[string]string)}}
		actions := []func(){w.publish, w.publish, w.publish, w.publish, w.withdraw, w.activate, w.activate, w.pass, w.pass, w.leave}
		for range rapid.IntRange(1, steps).Draw(rt, "steps") {
			rapid.SampledFrom(actions).Draw(rt, "what")()
		}
		w.check()
	})
}

// empty makes the index a new one.
func (r *rig) empty() {
	r.t.Helper()
	must(r.t, r.db.Write(r.t.Context(), func(tx *store.Tx) error {
		for _, s := range []string{`DELETE FROM label`, `DELETE FROM pointer`, `DELETE FROM generation`, `DELETE FROM departure`, `DELETE FROM passed`, `DELETE FROM mailbox`} {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	}))
}
