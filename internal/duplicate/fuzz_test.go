package duplicate

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost"
)

// FuzzDecode: whatever is taken can be sent on as it is, and is within bounds.
func FuzzDecode(f *testing.F) {
	person := ID{5}
	for _, m := range []message{
		{id: ID{1}, check: waypost.TicketID{2}, reference: waypost.Reference{3}, origin: fromCheck, person: &person,
			note: note{id: ID{4}, class: waypost.Attended, written: 1772000000, text: "two lines\nof text"}},
		{id: ID{1}, check: waypost.TicketID{2}, reference: waypost.Reference{3}, origin: fromCampaign,
			note: note{id: ID{4}, class: waypost.Unattended, written: 1772000000, outcome: Same, number: 2, issued: "2026-02-28", closes: true}},
		{id: ID{1}, check: waypost.TicketID{2}, origin: fromCorrection, note: note{id: ID{4}, class: waypost.Attended, written: 1, outcome: Left, number: 1, text: "\u202e"}},
	} {
		raw, err := m.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decode(raw, "AZ")
		if err != nil {
			if code := waypost.CodeOf(err); code != waypost.InvalidArgument {
				t.Fatalf("refused with %s", code)
			}
			return
		}
		if clean(m.note.text) != m.note.text || len(m.note.text) > maxText || m.note.author != "AZ" || m.note.check() != nil {
			t.Fatalf("taken: %q", m.note.text)
		}
		first, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(first, "AZ")
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.encode(); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v: not the same the second time", err)
		}
	})
}
