package errand_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/roster"
	"github.com/waypost/waypost/internal/seal"
	"github.com/waypost/waypost/internal/store"
)

type rosterOf = roster.Roster

func status(to waypost.Jurisdiction, body string) errand.Errand {
	return errand.Errand{ID: errand.NewID(), Kind: waypost.KindStatus, Purpose: waypost.Renew, To: to, Operator: "clerk", Class: waypost.Attended,
		Case: "A-1", Body: []byte(body)}
}

// answers is a handler that counts what it does, and says what it is asked to.
func answers(word string, final bool) errand.Handler {
	return errand.Handler{
		Words: []string{word, "more", "done"},
		Answer: func(_ context.Context, q errand.Question) (errand.Response, error) {
			return errand.Response{Word: word, Final: final, Body: append([]byte("re: "), q.Body...), Handle: bytes.Repeat([]byte{7}, 16), Policy: "p",
				Commit: func(tx *store.Tx) error { return effect(tx, "answered %x", q.ID) }}, nil
		},
	}
}

func takes() errand.Handler {
	return errand.Handler{Words: []string{"valid", "more", "done"}, Take: func(tx *store.Tx, mine errand.Errand, r errand.Reply) error {
		return effect(tx, "took %x %d %s", mine.ID, r.Number, r.Word)
	}}
}

// One errand, from the transaction that begins it to the entry that ends it.
func TestErrand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	id := r.az.begin(status("CA", "how is it"))
	if p := r.az.get(id); p.State != errand.Wanted || p.Tries != 0 {
		t.Errorf("begun: %+v", p)
	}
	p, err := r.az.engine.Wait(t.Context(), id, 5*time.Second)
	if err != nil || p.State != errand.Concluded || p.Tries != 1 || len(p.Replies) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if reply := p.Replies[0]; reply.Word != "valid" || !reply.Final || reply.Number != 1 || string(reply.Body) != "re: how is it" || reply.Refused != "" {
		t.Errorf("the reply is %+v", reply)
	}
	if s, err := seal.ParseStatement(p.Replies[0].Statement); err != nil || s.Ticket != p.Ticket || s.Sender != "CA" || bytes.Contains(s.Body, []byte("how is it")) {
		t.Errorf("the statement: %+v, %v", s, err)
	}
	if got := r.az.story(); got != "ask, concluded valid" {
		t.Errorf("AZ's ledger: %s", got)
	}
	if got := r.ca.story(); got != "replied valid" {
		t.Errorf("CA's ledger: %s", got)
	}
	replied, concluded := r.ca.entries()[0], r.az.entries()[1]
	if replied.Ticket != p.Ticket || concluded.Ticket != p.Ticket || replied.Fields["evaluations"] == "" || replied.Fields["evaluations"] != concluded.Fields["evaluations"] ||
		replied.Fields["number"] != "1" || replied.Fields["final"] != "yes" || !strings.HasSuffix(replied.Fields["subject"], p.Ticket.String()) || replied.Fields["policy"] != "p" {
		t.Errorf("entries %v, %v", replied, concluded)
	}
	q, err := r.ca.engine.Question(t.Context(), "AZ", id)
	if err != nil || string(q.Body) != "how is it" || q.Ticket.ID != p.Ticket || string(q.Statement) != "as signed" {
		t.Errorf("the question: %+v, %v", q, err)
	}
}

// A refusal is final, in words, and looks like any other reply from outside.
func TestRefusal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, errand.Handler{Words: []string{"valid"}, Least: seal.Size16K, Answer: func(context.Context, errand.Question) (errand.Response, error) {
		return errand.Response{}, waypost.Errorf(waypost.PermissionDenied, "not for you\x07")
	}})
	id := r.az.begin(status("CA", ""))
	must(t, r.az.engine.Step(t.Context()))
	r.deliver(r.az, r.az.outbox()[0], true)
	if l := r.ca.outbox(); len(l) != 1 || l[0].Message.MinSize != seal.Size16K {
		t.Fatalf("%d letters", len(l))
	}
	r.step()
	p := r.az.get(id)
	if p.State != errand.Concluded || p.Replies[0].Word != errand.Refused || p.Replies[0].Refused != "not for you " || len(p.Replies[0].Body) != 0 {
		t.Errorf("%+v", p)
	}
	if r.az.story() != "ask, concluded refused" || r.ca.story() != "replied refused" {
		t.Errorf("ledgers: %s; %s", r.az.story(), r.ca.story())
	}
}

// What cannot be admitted is refused without a word that ledgers could use.
func TestNotAdmitted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	for name, ask := range map[string]func() seal.Message{
		"one receipt": func() seal.Message { return r.request("CA", 1, nil) },
		"for another state": func() seal.Message {
			return r.request("NV", 2, nil)
		},
		"another body": func() seal.Message {
			return r.request("CA", 2, func(m *seal.Message) { m.Body = bytes.Replace(m.Body, []byte("body"), []byte("bodi"), 1) })
		},
	} {
		before := len(r.ca.entries())
		m := ask()
		for range 2 {
			if err := r.ca.engine.OnRequest(t.Context(), m); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		entries, letters := r.ca.entries(), r.ca.outbox()
		if len(entries) != before+1 || entries[before].Kind != "refuse" || entries[before].Ticket != (waypost.TicketID{}) || len(letters) != 1 {
			t.Errorf("%s: %d entries more, %d letters", name, len(entries)-before, len(letters))
		}
		for _, l := range letters {
			r.ca.forget(l)
		}
	}
	// Too old: asked again anyway, so nothing is said.
	m := r.request("CA", 2, nil)
	r.pass(8*24*time.Hour + time.Minute)
	if err := r.ca.engine.OnRequest(t.Context(), m); err != nil || len(r.ca.outbox()) != 0 {
		t.Errorf("an old ticket: %v, %d letters", err, len(r.ca.outbox()))
	}
	// Whose ledgers cannot be relied on: waits.
	r.usable = errors.New("stale")
	if err := r.ca.engine.OnRequest(t.Context(), r.request("CA", 2, nil)); waypost.CodeOf(err) != waypost.Unavailable {
		t.Errorf("unusable ledgers: %v", err)
	}
	if n := len(r.ca.effects()); n != 0 {
		t.Errorf("%d effects", n)
	}
	for _, garbage := range [][]byte{nil, {1}, []byte("not a request")} {
		m.Body = garbage
		if err := r.ca.engine.OnRequest(t.Context(), m); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("garbage: %v", err)
		}
		m.Type = waypost.MessageReply
		if err := r.ca.engine.OnReply(t.Context(), m); waypost.CodeOf(err) == "" {
			t.Errorf("a reply of garbage was taken")
		}
	}
}

// request is a status request of AZ, altered.
func (r *rig) request(recipient string, receipts int, alter func(*seal.Message)) seal.Message {
	m, err := r.message(errand.NewID(), recipient, receipts, "body")
	if err != nil {
		r.t.Fatal(err)
	}
	if alter != nil {
		alter(&m)
	}
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is not admitted is answered in few bytes, however large the replies of its
// kind are: who sends nothing but garbage cannot use up what another state may send.
func TestNotAdmittedIsSmall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := answers("valid", true)
	h.Least = seal.Size256K
	r.ca.handle(waypost.KindStatus, h)
	must(t, r.ca.engine.OnRequest(t.Context(), r.request("CA", 1, nil)))
	if l := r.ca.outbox(); len(l) != 1 || l[0].Message.MinSize != seal.Size4K {
		t.Errorf("%d letters, of %+v", len(l), l)
	}
}

// An id stands for one errand: neither another purpose nor another check can be put
// under what is still to be decided.
func TestAnotherPurposeOrCheck(t *testing.T) {
	t.Parallel()
	for name, alter := range map[string]func(*errand.Wish){
		"another purpose": func(w *errand.Wish) { w.Purpose = waypost.IssueLicence },
		"another check":   func(w *errand.Wish) { w.Cites = waypost.TicketID{9} },
		"another body":    func(w *errand.Wish) { w.Request = append(bytes.Clone(w.Request[:len(w.Request)-1]), 'i') },
	} {
		r := newRig(t)
		r.ca.handle(waypost.KindStatus, errand.Handler{Words: []string{"valid"}, Answer: func(context.Context, errand.Question) (errand.Response, error) {
			return errand.Response{}, nil // a person decides
		}})
		id := errand.NewID()
		first, err := r.message(id, "CA", 2, "body")
		must(t, err)
		must(t, r.ca.engine.OnRequest(t.Context(), first))
		r.pass(time.Hour)
		second, err := r.altered(id, "CA", 2, "body", alter)
		must(t, err)
		must(t, r.ca.engine.OnRequest(t.Context(), second))
		q, err := r.ca.engine.Question(t.Context(), "AZ", id)
		if err != nil || q.Ticket.ID != first.Ticket || string(q.Body) != "body" {
			t.Errorf("%s: it stands under %v now, %v", name, q.Ticket.ID, err)
		}
		if r.ca.story() != "refuse" || len(r.ca.outbox()) != 0 {
			t.Errorf("%s: ledger %q, %d letters", name, r.ca.story(), len(r.ca.outbox()))
		}
	}
}

// A reply that is not the last one is small: there can be a thousand.
func TestOnTheWayIsSmall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := takes()
	h.Least = seal.Size256K
	r.az.handle(waypost.KindStatus, h)
	large := answers("more", false)
	large.Least = seal.Size256K
	large.Answer = func(context.Context, errand.Question) (errand.Response, error) {
		return errand.Response{Word: "more", Body: make([]byte, 4<<10)}, nil
	}
	r.ca.handle(waypost.KindStatus, large)
	id := r.az.begin(status("CA", ""))
	r.step()
	if p := r.az.get(id); p.State != errand.Concluded || p.Replies[0].Word != errand.Refused {
		t.Errorf("CA has sent it: %+v", p)
	}
	forged, err := r.ca.engine.EncodeReply(id, waypost.TicketID{1}, errand.Reply{Number: 1, Word: "more", Body: make([]byte, 4<<10)})
	must(t, err)
	if _, _, _, ok := errand.ParseReply(forged); ok {
		t.Error("AZ would take it")
	}
}
