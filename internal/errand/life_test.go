package errand_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/store"
)

const day = 24 * time.Hour

// A state that says nothing is asked again each week, and not for ever; the room
// hears of that.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var took []string
	h := takes()
	h.Take = func(_ *store.Tx, _ errand.Errand, r errand.Reply) error {
		took = append(took, fmt.Sprintf("%d %s %v", r.Number, r.Word, r.Final))
		return nil
	}
	r.az.handle(waypost.KindStatus, h)
	id := r.az.begin(status("CA", ""))
	for d := range 64 {
		must(t, r.az.engine.Step(t.Context()))
		for _, l := range r.az.outbox() {
			r.az.forget(l) // and it is lost
		}
		if p := r.az.get(id); p.State != errand.Sent && d < 63 || p.Tries != min(d/7, 8)+1 {
			t.Fatalf("day %d: %+v", d, p)
		}
		if list, err := r.az.engine.Suspended(t.Context(), 30*day); err != nil || (len(list) != 0) != (d >= 30) && d < 63 {
			t.Fatalf("day %d: %d suspended, %v", d, len(list), err)
		}
		r.pass(day)
	}
	p := r.az.get(id)
	if p.State != errand.Concluded || len(took) != 1 || took[0] != "1 unanswered true" || p.Replies[0].Word != errand.Unanswered {
		t.Errorf("%+v; took %v", p, took)
	}
	if got, want := r.az.story(), strings.Repeat("ask, abandoned, ", 8)+"ask, concluded unanswered"; got != want {
		t.Errorf("AZ's ledger: %s", got)
	}
	r.pass(29 * day)
	must(t, r.az.engine.Step(t.Context()))
	if _, err := r.az.engine.Get(t.Context(), id); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("four weeks later: %v", err)
	}
}

// A reply that was lost is asked for under another ticket, and is the same; both
// tickets are accounted for.
func TestAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	id := r.az.begin(status("CA", "x"))
	must(t, r.az.engine.Step(t.Context()))
	request := r.az.outbox()[0]
	r.deliver(r.az, request, true)
	r.deliver(r.az, request, false) // comes twice
	if n := len(r.ca.outbox()); n != 1 {
		t.Fatalf("%d letters", n)
	}
	late := r.ca.outbox()[0]
	r.ca.forget(late)
	r.pass(8 * day)
	r.step()
	p := r.az.get(id)
	if p.State != errand.Concluded || p.Tries != 2 || string(p.Replies[0].Body) != "re: x" {
		t.Fatalf("%+v", p)
	}
	if got := r.az.story(); got != "ask, abandoned, ask, concluded valid" {
		t.Errorf("AZ's ledger: %s", got)
	}
	entries := r.ca.entries()
	if r.ca.story() != "replied valid, replied valid" || entries[0].Fields["first"] != "" || entries[1].Fields["first"] != fmt.Sprintf("%x", entries[0].Ticket[:]) ||
		entries[1].Ticket != p.Ticket || entries[1].Fields["evaluations"] == "" {
		t.Errorf("CA's ledger: %v", entries)
	}
	for what, n := range r.ca.effects() {
		if n != 1 {
			t.Errorf("%s: %d times", what, n)
		}
	}
	r.deliver(r.ca, late, false)
	if again := r.az.get(id); len(again.Replies) != 1 {
		t.Errorf("after the late one: %+v", again)
	}
}

// A final reply that comes under the ticket before ends that one, and the newer
// ticket with it.
func TestLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	id := r.az.begin(status("CA", "x"))
	must(t, r.az.engine.Step(t.Context()))
	r.deliver(r.az, r.az.outbox()[0], true)
	reply := r.ca.outbox()[0]
	r.pass(7*day - time.Minute)
	must(t, r.ca.engine.Step(t.Context()))
	r.pass(2 * time.Minute)
	must(t, r.az.engine.Step(t.Context()))
	reply.Message.Expiry = r.now.Add(day)
	r.deliver(r.ca, reply, false)
	if p := r.az.get(id); p.State != errand.Concluded || p.Tries != 2 {
		t.Errorf("%+v", p)
	}
	entries := r.az.entries()
	if r.az.story() != "ask, abandoned, ask, concluded valid, abandoned" && r.az.story() != "ask, abandoned, ask, abandoned, concluded valid" {
		t.Errorf("AZ's ledger: %s", r.az.story())
	}
	for _, e := range entries {
		if e.Kind == "concluded" && e.Ticket != entries[0].Ticket {
			t.Error("it is not concluded under the ticket of the reply")
		}
	}
}

// What a person must decide looks slow from outside; then there is a first word,
// and a last. They are taken in order, however they come.
func TestReplies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	asked := 0
	h := answers("", false)
	h.Words = []string{"more", "done"}
	h.Answer = func(_ context.Context, q errand.Question) (errand.Response, error) {
		asked++
		return errand.Response{Withheld: true, Handle: make([]byte, 16), Commit: func(tx *store.Tx) error { return effect(tx, "opened %x", q.ID) }}, nil
	}
	r.ca.handle(waypost.KindStatus, h)
	id := r.az.begin(status("CA", "x"))
	p, err := r.az.engine.Wait(t.Context(), id, time.Minute)
	if err != nil || p.State != errand.Sent || len(p.Replies) != 0 || asked != 1 {
		t.Fatalf("%+v, %v, asked %d times", p, err, asked)
	}
	r.pass(8 * day) // under another ticket the question is still open
	r.step()
	if asked != 1 || r.ca.effects()[fmt.Sprintf("opened %x", id)] != 1 || r.ca.story() != "withheld" {
		t.Errorf("asked %d times, ledger: %s", asked, r.ca.story())
	}
	ctx := t.Context()
	if err := r.ca.engine.Reply(ctx, id, "AZ", errand.Response{Word: "wrong"}); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("a word that is not in the list: %v", err)
	}
	if err := r.ca.engine.Reply(ctx, errand.NewID(), "AZ", errand.Response{Word: "more"}); waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("no such question: %v", err)
	}
	must(t, r.ca.engine.Reply(ctx, id, "AZ", errand.Response{Word: "more"}))
	must(t, r.ca.engine.Reply(ctx, id, "AZ", errand.Response{Word: "done", Final: true}))
	if err := r.ca.engine.Reply(ctx, id, "AZ", errand.Response{Word: "more"}); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("after the last word: %v", err)
	}
	letters := r.ca.outbox()
	if len(letters) != 2 {
		t.Fatalf("%d letters", len(letters))
	}
	first, last := letters[0], letters[1]
	if _, r1, _, _ := errand.ParseReply(first.Message.Body); r1.Number != 1 {
		first, last = last, first
	}
	r.deliver(r.ca, last, true)
	if p := r.az.get(id); p.State != errand.Sent || len(p.Replies) != 0 {
		t.Errorf("the last word came first: %+v", p)
	}
	r.deliver(r.ca, first, true)
	r.deliver(r.ca, last, false)
	p = r.az.get(id)
	if p.State != errand.Concluded || len(p.Replies) != 2 || p.Replies[0].Word != "more" || p.Replies[1].Word != "done" {
		t.Errorf("%+v", p)
	}
	for what, n := range r.az.effects() {
		if n != 1 {
			t.Errorf("%s: %d times", what, n)
		}
	}
	if r.az.story() != "ask, abandoned, ask, concluded done" || r.ca.story() != "withheld, replied more, replied done" {
		t.Errorf("ledgers: %s; %s", r.az.story(), r.ca.story())
	}
}

// Where a later reply has come and an earlier one has not, it is asked for soon.
func TestGap(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	h := answers("more", false)
	h.Words = append(h.Words, "done")
	r.ca.handle(waypost.KindStatus, h)
	id := r.az.begin(status("CA", "x"))
	r.step()
	must(t, r.ca.engine.Reply(t.Context(), id, "AZ", errand.Response{Word: "more"}))
	r.ca.forget(r.ca.outbox()[0])
	must(t, r.ca.engine.Reply(t.Context(), id, "AZ", errand.Response{Word: "done", Final: true}))
	r.step()
	if p := r.az.get(id); p.State != errand.Sent || len(p.Replies) != 1 || p.Tries != 1 {
		t.Fatalf("%+v", p)
	}
	r.pass(25 * time.Hour)
	r.step()
	if p := r.az.get(id); p.State != errand.Concluded || len(p.Replies) != 3 || p.Tries != 2 {
		t.Errorf("%+v", p)
	}
}

// What key holders refuse is shown and over; what passes is tried again.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	r.refuses = waypost.Errorf(waypost.PermissionDenied, "not this purpose")
	id := r.az.begin(status("CA", ""))
	p, err := r.az.engine.Wait(t.Context(), id, time.Second)
	if waypost.CodeOf(err) != waypost.PermissionDenied || p.State != errand.Cancelled || p.Reason != "not this purpose" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := r.az.engine.Wait(t.Context(), id, time.Second); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("waited for again: %v", err)
	}
	r.refuses = waypost.Errorf(waypost.QuotaExceeded, "enough for today").WithRetryAfter(r.now.Add(3 * time.Hour))
	id = r.az.begin(status("CA", ""))
	if p, err := r.az.engine.Wait(t.Context(), id, time.Second); err != nil || p.State != errand.Wanted || p.Reason != "enough for today" {
		t.Errorf("%+v, %v", p, err)
	}
	r.refuses = nil
	r.pass(2 * time.Hour)
	r.step()
	if p := r.az.get(id); p.State != errand.Wanted {
		t.Errorf("before its time: %+v", p)
	}
	r.pass(2 * time.Hour)
	r.step()
	if p := r.az.get(id); p.State != errand.Concluded || p.Reason != "" {
		t.Errorf("after it: %+v", p)
	}
	r.refuses = waypost.Errorf(waypost.Unavailable, "nobody is there")
	id = r.az.begin(status("CA", ""))
	if p, err := r.az.engine.Wait(t.Context(), id, time.Second); err != nil || p.State != errand.Wanted {
		t.Errorf("%+v, %v", p, err)
	}
	r.refuses = nil
	r.pass(31 * time.Second)
	r.ca.noKey = true
	r.step()
	if p := r.az.get(id); p.State != errand.Wanted || p.Tries != 0 {
		t.Errorf("without a key: %+v", p)
	}
	r.ca.noKey = false
	r.pass(61 * time.Second)
	r.step()
	if p := r.az.get(id); p.State != errand.Concluded || p.Tries != 1 {
		t.Errorf("with one: %+v", p)
	}
}

// What is cancelled stays cancelled, whatever comes.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	wanted, sent := r.az.begin(status("CA", "")), r.az.begin(status("CA", ""))
	r.az.write(func(tx *store.Tx) error { return r.az.engine.Cancel(tx, wanted) })
	must(t, r.az.engine.Step(t.Context()))
	r.az.write(func(tx *store.Tx) error { return r.az.engine.Cancel(tx, sent) })
	r.step()
	if p := r.az.get(wanted); p.State != errand.Cancelled || p.Tries != 0 {
		t.Errorf("%+v", p)
	}
	if p := r.az.get(sent); p.State != errand.Cancelled || p.Tries != 1 || len(p.Replies) != 1 {
		t.Errorf("%+v", p)
	}
	if r.az.story() != "ask, abandoned" {
		t.Errorf("AZ's ledger: %s", r.az.story())
	}
	for what := range r.az.effects() {
		if strings.HasPrefix(what, "took") {
			t.Error(what)
		}
	}
	err := r.az.db.Write(t.Context(), func(tx *store.Tx) error { return r.az.engine.Cancel(tx, errand.NewID()) })
	if waypost.CodeOf(err) != waypost.NotFound {
		t.Errorf("none: %v", err)
	}
}

// What cannot be asked is refused at once; the same again is the same.
func TestBegin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := status("CA", "x")
	begin := func(w errand.Errand) error {
		return r.az.db.Write(t.Context(), func(tx *store.Tx) error { return r.az.engine.Begin(tx, w) })
	}
	must(t, begin(good))
	must(t, begin(good))
	other := good
	other.Body = []byte("y")
	if err := begin(other); waypost.CodeOf(err) != waypost.AlreadyExists {
		t.Errorf("another with the same id: %v", err)
	}
	for name, alter := range map[string]func(*errand.Errand){
		"no id":             func(w *errand.Errand) { w.ID = errand.ID{} },
		"a check":           func(w *errand.Errand) { w.Kind = waypost.KindCheck },
		"upkeep":            func(w *errand.Errand) { w.Kind, w.Purpose = waypost.KindWithdraw, waypost.MaintainPointer },
		"another purpose":   func(w *errand.Errand) { w.Purpose = waypost.DriverHistory },
		"to itself":         func(w *errand.Errand) { w.To = "AZ" },
		"to nobody":         func(w *errand.Errand) { w.To = "ZZ" },
		"to the hub":        func(w *errand.Errand) { w.To = "hub" },
		"a loader":          func(w *errand.Errand) { w.Class = waypost.Loader },
		"no case":           func(w *errand.Errand) { w.Case = "" },
		"an unsaid name":    func(w *errand.Errand) { w.Operator = "a\x00b" },
		"too large":         func(w *errand.Errand) { w.Body = make([]byte, 1<<18) },
		"a case too long":   func(w *errand.Errand) { w.Case = strings.Repeat("x", 201) },
		"a case not a text": func(w *errand.Errand) { w.Case = "\xff" },
	} {
		w := status("CA", "x")
		alter(&w)
		if err := begin(w); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A handler that fails for the moment is asked again; one that gives what cannot be
// sent refuses.
func TestHandlers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	var say func() (errand.Response, error)
	r.ca.handle(waypost.KindStatus, errand.Handler{Words: []string{"valid"}, Answer: func(context.Context, errand.Question) (errand.Response, error) { return say() }})
	fails := 0
	say = func() (errand.Response, error) {
		if fails++; fails < 3 {
			return errand.Response{}, waypost.Errorf(waypost.Unavailable, "the state system is down")
		}
		return errand.Response{Word: "valid", Final: true}, nil
	}
	id := r.az.begin(status("CA", ""))
	for range 4 {
		r.step()
		r.pass(time.Minute)
	}
	if p := r.az.get(id); p.State != errand.Concluded || fails != 3 {
		t.Errorf("%+v after %d tries", p, fails)
	}
	for name, wrong := range map[string]errand.Response{
		"unknown word":          {Word: "maybe", Final: true},
		"a body without a word": {Body: []byte("x")},
		"final without a word":  {Final: true},
		"too large":             {Word: "valid", Final: true, Body: make([]byte, 4<<10)},
		"a short handle":        {Word: "valid", Final: true, Handle: []byte{1}},
		"a commit that refuses": {Word: "valid", Final: true, Commit: func(*store.Tx) error { return waypost.Errorf(waypost.NotFound, "gone meanwhile") }},
	} {
		say = func() (errand.Response, error) { return wrong, nil }
		id := r.az.begin(status("CA", ""))
		r.step()
		if p := r.az.get(id); p.State != errand.Concluded || p.Replies[0].Word != errand.Refused {
			t.Errorf("%s: %+v", name, p)
		}
	}
	history := status("CA", "")
	history.Kind, history.Purpose = waypost.KindHistory, waypost.ChangeSOR
	r.az.handle(waypost.KindHistory, takes())
	r.ca.handle(waypost.KindHistory, errand.Handler{Words: []string{"valid"}, Answer: func(context.Context, errand.Question) (errand.Response, error) {
		return errand.Response{Word: "valid", Final: true}, nil
	}})
	r.x.Update(func(next *rosterOf) {
		for i := range next.Members {
			next.Members[i].Capabilities = slices.DeleteFunc(slices.Clone(next.Members[i].Capabilities), func(c roster.Capability) bool { return c == roster.History })
		}
	})
	r.az.begin(history)
	r.step()
	if p := r.az.get(history.ID); p.State != errand.Concluded || p.Replies[0].Refused != "AZ does not exchange driver history" {
		t.Errorf("without the capability: %+v", p)
	}
}

// A room that can never take a reply gives its errand up, in words.
func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, errand.Handler{Words: []string{"valid"}, Take: func(tx *store.Tx, _ errand.Errand, _ errand.Reply) error {
		if err := effect(tx, "undone"); err != nil {
			return err
		}
		return waypost.Errorf(waypost.InvalidArgument, "the reply makes no sense")
	}})
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	id := r.az.begin(status("CA", ""))
	r.step()
	if p := r.az.get(id); p.State != errand.Cancelled || p.Reason != "the reply makes no sense" || r.az.story() != "ask, abandoned" || r.az.effects()["undone"] != 0 {
		t.Errorf("%+v, %s", p, r.az.story())
	}
}

// Questions are forgotten, but not before nobody asks them again.
func TestForget(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	id := r.az.begin(status("CA", "x"))
	r.step()
	for _, at := range []struct {
		days int // since the last look
		body string
		code waypost.Code
	}{{27, "x", ""}, {42, "", ""}, {2, "", waypost.NotFound}} {
		r.pass(time.Duration(at.days) * day)
		r.step()
		q, err := r.ca.engine.Question(t.Context(), "AZ", id)
		if waypost.CodeOf(err) != at.code || string(q.Body) != at.body {
			t.Errorf("%d days later: %q, %v", at.days, q.Body, err)
		}
	}
}
