package errand_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/errand"
	"github.com/waypost/waypost/internal/seal"
)

// FuzzRequest: no bytes make an engine panic, and what passes has an id and fits.
func FuzzRequest(f *testing.F) {
	r := newRig(f)
	m, err := r.message(errand.NewID(), "CA", 2, "body")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Body)
	f.Add([]byte{})
	f.Add([]byte("\x0a\x01\x00\x1a\x20"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, body, ok := errand.ReadRequest(b); ok && (id == errand.ID{} || len(body) > 200<<10) {
			t.Fatalf("%x with %d bytes passed", id, len(body))
		}
	})
}

// FuzzReply: no bytes make an engine panic, and what passes is whole: a number, a
// word, and of a refusal nothing but a text that can be shown.
func FuzzReply(f *testing.F) {
	said, err := proto.Marshal(&waypostv1.Reply{Errand: make([]byte, 16), Number: 1, Word: "valid", Final: true, Digest: make([]byte, 32)})
	if err != nil {
		f.Fatal(err)
	}
	letter, err := proto.Marshal(&waypostv1.ReplyLetter{Statement: said, Refused: "x"})
	if err != nil {
		f.Fatal(err)
	}
	refusal, err := proto.Marshal(&waypostv1.ReplyLetter{Errand: make([]byte, 16), Refused: "not for you\x00"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(letter)
	f.Add(refusal)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, r, signed, ok := errand.ParseReply(b)
		switch {
		case !ok:
		case r.Number < 1 || r.Number > 1000 || signed == nil && r.Word != errand.Refused:
			t.Fatalf("%+v passed", r)
		case r.Word == errand.Refused && (!r.Final || len(r.Body) > 0):
			t.Fatalf("a refusal: %+v", r)
		case !utf8.ValidString(r.Refused) || strings.ContainsAny(r.Refused, "\x00\x1b\n"):
			t.Fatalf("%q would be shown", r.Refused)
		}
	})
}

// A reply that is not what was signed does not pass.
func TestAlteredReply(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.az.handle(waypost.KindStatus, takes())
	r.ca.handle(waypost.KindStatus, answers("valid", true))
	id := r.az.begin(status("CA", "x"))
	must(t, r.az.engine.Step(t.Context()))
	r.deliver(r.az, r.az.outbox()[0], true)
	honest := r.ca.outbox()[0].Message
	for name, alter := range map[string]func(m *seal.Message, l *waypostv1.ReplyLetter){
		"another body":     func(_ *seal.Message, l *waypostv1.ReplyLetter) { l.Body = []byte("re: y") },
		"another sender":   func(m *seal.Message, _ *waypostv1.ReplyLetter) { m.Sender = "NV" },
		"another ticket":   func(m *seal.Message, _ *waypostv1.ReplyLetter) { m.Ticket[0] ^= 1 },
		"a signature bent": func(_ *seal.Message, l *waypostv1.ReplyLetter) { l.Statement[len(l.Statement)-1] ^= 1 },
		"a statement cut":  func(_ *seal.Message, l *waypostv1.ReplyLetter) { l.Statement = l.Statement[:40] },
		"a reason besides": func(_ *seal.Message, l *waypostv1.ReplyLetter) { l.Refused = "because" },
		"two errands":      func(_ *seal.Message, l *waypostv1.ReplyLetter) { l.Errand = make([]byte, 16) },
	} {
		m := honest
		m.Body = bytes.Clone(honest.Body)
		var letter waypostv1.ReplyLetter
		must(t, proto.Unmarshal(m.Body, &letter))
		alter(&m, &letter)
		var err error
		m.Body, err = proto.Marshal(&letter)
		must(t, err)
		if err := r.az.engine.OnReply(t.Context(), m); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if p := r.az.get(id); p.State != errand.Sent || len(p.Replies) != 0 {
		t.Fatalf("%+v", p)
	}
	must(t, r.az.engine.OnReply(t.Context(), honest))
	if p := r.az.get(id); p.State != errand.Concluded {
		t.Errorf("the honest one: %+v", p)
	}
}
