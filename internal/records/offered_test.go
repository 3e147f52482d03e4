package records_test

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/internal/rpc/rpctest"
	"github.com/waypost/waypost/internal/store"
	"github.com/waypost/waypost/matchkey"
)

// watcher is a hub that remembers all that it is ever shown, and treats what it is asked
// to publish once more as it likes.
type watcher struct {
	*hub
	names  map[waypost.Token]int // what it could know of a name: the place among all names
	rnd    uint64                // 0: it does what it is asked
	always string                // or this
	asked  map[string]uint64     // how often it was asked about these
	seen   []seen
	step   int // of the life
}

// seen is one pointer of one call.
type seen struct {
	step   int
	by     waypost.Jurisdiction
	kind   waypost.Kind
	name   string // what of a name is in its tokens
	how    string
	tokens map[waypost.Token]bool
}

// How it may treat a re-publication.
const (
	mute   = "mute"   // it does it, and gives no answer
	keeps  = "keeps"  // it reads it, and does nothing
	denies = "denies" // it reads it, does nothing, and says that it was done before
)

var errHub = waypost.Errorf(waypost.Unavailable, "the hub gives no answer")

func (w *watcher) Publish(ctx context.Context, req *waypostv1.PublishRequest) (*waypostv1.PublishResponse, error) {
	ticket, err := waypost.ParseTicket(req.Ticket)
	if err != nil {
		return nil, err
	}
	var call []seen
	for _, r := range req.Records {
		s := seen{step: w.step, by: ticket.SOI, kind: ticket.Kind, tokens: make(map[waypost.Token]bool)}
		var places []int
		for raw := range slices.Chunk(r.Tokens, len(waypost.Token{})) {
			s.tokens[waypost.Token(raw)] = true
			if place, known := w.names[waypost.Token(raw)]; known {
				places = append(places, place)
			}
		}
		slices.Sort(places)
		s.name = fmt.Sprint(places)
		call = append(call, s)
	}
	how := w.treats(call)
	for i := range call {
		call[i].how = how
	}
	w.seen = append(w.seen, call...)
	switch how {
	case denies:
		return nil, waypost.Errorf(waypost.AlreadyExists, "under that key already")
	case keeps:
		return nil, errHub
	}
	res, err := w.hub.Publish(ctx, req)
	if err == nil && how == mute {
		return nil, errHub
	}
	return res, err
}

// treats draws what becomes of a call: the same for the same pointers.
func (w *watcher) treats(call []seen) string {
	switch {
	case call[0].kind != waypost.KindRepublish:
		return ""
	case w.rnd == 0:
		return w.always
	}
	var names []string
	for _, s := range call {
		names = append(names, s.name)
	}
	slices.Sort(names)
	about := strings.Join(names, "")
	w.asked[about]++
	sum := fnv.New64a()
	fmt.Fprint(sum, w.rnd, about, w.asked[about])
	return []string{"", mute, mute, keeps, keeps, denies}[sum.Sum64()%6]
}

// transcript is all that it can make of that. The order of random handles, in one call
// or in some that follow each other, is none.
func (w *watcher) transcript() (text string) {
	slices.SortStableFunc(w.seen, func(a, b seen) int { return cmp.Or(a.step-b.step, strings.Compare(a.name, b.name)) })
	for i, s := range w.seen {
		text += fmt.Sprintf("%d: %s by %s %s%s", i, s.kind, s.by, s.name, s.how)
		for j, earlier := range w.seen[:i] {
			if n := meet(s.tokens, earlier.tokens); n > 0 {
				text += fmt.Sprintf(", %d of %d", n, j)
			}
		}
		text += "\n"
	}
	return text
}

func meet(a, b map[waypost.Token]bool) (n int) {
	for token := range a {
		if b[token] {
			n++
		}
	}
	return n
}

// wandering is somebody who moves from state to state while a rotation goes on.
type wandering struct {
	*rig    // the state of record
	watcher *watcher
	states  []*rig
	who     waypost.Person
	rnd     *mrand.Rand
	saw     string
	moves   int
}

var givenNames = []string{"Ludmila", "Lidia", "Mila"}

// TestAlikeKeptBack: a hub keeps back whatever answer to a re-publication it likes,
// while people move between any two of them. All that it is shown, and what a second
// part of a check meets of all that other states have ever shown it, is the same
// whether the person has an SSN or not.
func TestAlikeKeptBack(t *testing.T) {
	moved := 0
	for seed := range 2 * lives {
		var saw []string
		for _, ssn5 := range []string{"48213", ""} {
			t.Run(fmt.Sprintf("life %d %q", seed, ssn5), func(t *testing.T) { // its databases are closed at its end
				w := newWandering(t, seed, ssn5)
				w.wander()
				saw = append(saw, w.saw+w.watcher.transcript())
				moved += w.moves
			})
		}
		if len(saw) != 2 {
			return
		}
		if saw[0] != saw[1] {
			t.Errorf("life %d: with an SSN the hub sees\n%s\nand without\n%s", seed, saw[0], saw[1])
		}
	}
	if moved < int(2*lives) {
		t.Errorf("in all lives there were %d moves", moved)
	}
}

func newWandering(t *testing.T, seed uint64, ssn5 string) *wandering {
	t.Helper()
	r := newRigIn(t, rpctest.New(t, rpctest.Ample, "CA", "AZ", "NV"))
	w := &wandering{rig: r, rnd: mrand.New(mrand.NewPCG(seed, 43))}
	w.watcher = &watcher{hub: r.hub, rnd: seed + 1, names: make(map[waypost.Token]int), asked: make(map[string]uint64)}
	r.door = w.watcher
	r.restart()
	w.states = []*rig{r, r.beside("AZ", 4), r.beside("NV", 5)}
	w.who = waypost.Person{Family: "Ferrante", Given: givenNames[0], Sex: "F", Born: waypost.Date{Year: 1961, Month: 4, Day: 17}}
	for _, w.who.Given = range givenNames {
		slots := matchkey.Index(w.who, make([]byte, 32))
		for _, slot := range slots[:matchkey.NameSlots] {
			for epoch := range uint32(2) {
				w.watcher.names[r.tokenOf(epoch+1, slot.Key)] = len(w.watcher.names)
			}
		}
	}
	w.who.SSN5 = ssn5
	r.load(0, licence("R-1", w.who))
	w.rename()
	return w
}

// wander plays a rotation, in which the hub treats each re-publication as it likes.
func (w *wandering) wander() {
	w.t.Helper()
	w.x.Advance(time.Minute)
	x := w.begin()
	step := func(what func()) {
		w.watcher.step++
		what()
	}
	steps := []func(){w.onward, w.onward, w.onward, w.move, w.move, w.rename, w.check, w.compareNow}
	step(w.onward)
	step(w.move)
	step(w.onward)
	for range 6 {
		step(steps[w.rnd.IntN(len(steps))])
	}
	x.Switch()
	x.Advance(time.Minute)
	for range 4 {
		step(steps[w.rnd.IntN(len(steps))])
	}
	step(w.check)
	w.watcher.rnd = 0
	step(w.onceMore)
	step(w.check)
	step(w.move)
	step(w.check)
}

// onward publishes once more, as far as the hub lets it.
func (w *wandering) onward() {
	w.t.Helper()
	n, over, err := w.file.Republish(w.t.Context(), "loader")
	w.saw += fmt.Sprintf("once more: %d, %t, %v\n", n, over, waypost.CodeOf(err))
}

func (w *wandering) rename() {
	w.t.Helper()
	w.who.Given = givenNames[w.rnd.IntN(len(givenNames))]
	_, err := w.file.Change(w.t.Context(), "clerk", licence("R-1", w.who), w.rnd.IntN(2) == 0)
	w.saw += fmt.Sprintf("changed: %v\n", waypost.CodeOf(err))
}

func (w *wandering) compareNow() {
	w.t.Helper()
	c, err := w.file.Compare(w.t.Context(), "clerk")
	if err != nil {
		w.t.Fatal(err)
	}
	w.saw += fmt.Sprintf("compared: %d, %d, %d\n", c.Pointers, c.Missing, c.Withdrawn)
	w.settle()
	for _, s := range w.states {
		s.now = w.now
	}
}

// move makes another state the state of record, by the rules of internal/move.
func (w *wandering) move() {
	w.t.Helper()
	to := w.states[w.rnd.IntN(len(w.states))]
	live := w.pointers("R-1")
	if to == w.rig || slices.ContainsFunc(live, func(p records.Pointer) bool { return p.State == records.Wanted }) {
		w.saw += "stays\n"
		return
	}
	w.moves++
	release := waypost.Release{Change: [16]byte([]byte(rand16())), From: w.state, To: to.state}
	var names []records.PassedName
	w.read(func(tx *store.Tx) error {
		for _, p := range live {
			if p.State != records.Live {
				continue
			}
			passing := waypost.Passing{Old: p.Handle, New: waypost.Handle([]byte(rand16()))}
			n, err := w.file.NameTokens(tx, p.Handle)
			if err != nil {
				return err
			}
			n.Handle = passing.New
			release.Passings, names = append(release.Passings, passing), append(names, n)
		}
		return nil
	})
	check := to.checked(w.who)
	if err := to.people.Put(w.t.Context(), []waypost.Record{licence("R-1", w.who)}); err != nil {
		w.t.Fatal(err)
	}
	w.hub.pass(release)
	w.write(func(tx *store.Tx) error { return w.file.MoveOut(tx, "R-1", to.state, release.Passings) })
	to.write(func(tx *store.Tx) error { return to.file.MoveIn(tx, "R-1", release, names, check) })
	w.rig = to
	w.saw += fmt.Sprintf("moves to %s with %d pointers\n", to.state, len(names))
}

// check is a check that the state of record makes of its own person, under the
// roster's own key: the gateway sends its second part unless another state has offered
// a pointer of the record under that.
func (w *wandering) check() {
	w.t.Helper()
	epoch := w.x.View.Settled().Epoch
	var passed bool
	w.read(func(tx *store.Tx) (err error) {
		passed, err = w.file.PassedUnder(tx, []string{"R-1"}, epoch)
		return err
	})
	if passed {
		w.saw += "checked by name\n"
		return
	}
	probes := make(map[waypost.Token]bool)
	query := w.query(w.who, waypost.TicketID{})
	for _, key := range query.Keys[waypost.NameElements:] {
		probes[w.tokenOf(epoch, key)] = true
	}
	w.saw += "checked:"
	for i, s := range w.watcher.seen {
		if n := meet(probes, s.tokens); n > 0 {
			w.saw += fmt.Sprintf(" %d of %d", n, i)
		}
	}
	w.saw += "\n"
}

// pass gives the pointers of a release to the new state.
func (h *hub) pass(r waypost.Release) {
	for _, p := range r.Passings {
		old := h.pointers[p.Old]
		now := *old
		now.handle, now.version, now.generation, now.receipt = p.New, max(1, old.version)+1, 0, waypost.PassedUnder(r.Change)
		old.live = false
		h.pointers[p.New] = &now
	}
}

func (r *rig) read(what func(tx *store.Tx) error) {
	r.t.Helper()
	if err := r.db.Read(r.t.Context(), what); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) write(what func(tx *store.Tx) error) {
	r.t.Helper()
	if err := r.db.Write(r.t.Context(), what); err != nil {
		r.t.Fatal(err)
	}
}
