package seal

import (
	"bytes"
	"testing"

	"github.com/waypost/waypost"
)

// statementOf is what NV can show of a message from its sender.
func statementOf(t testing.TB) []byte {
	t.Helper()
	keys, _, sealed := golden(t)
	got, err := Open(sealed, keys, members, start)
	if err != nil {
		t.Fatal(err)
	}
	return got.Statement
}

// TestStatement: what was opened can be shown to others, and any change of it
// is seen.
func TestStatement(t *testing.T) {
	b, want := statementOf(t), message()
	st, err := ParseStatement(b)
	if err != nil {
		t.Fatal(err)
	}
	if st.Sender != want.Sender || st.Type != want.Type || st.Ticket != want.Ticket || st.RosterVersion != want.RosterVersion || !bytes.Equal(st.Body, want.Body) {
		t.Errorf("the statement says %+v", st)
	}
	if err := st.Verify(public(want.Sender)); err != nil {
		t.Error(err)
	}
	if err := st.Verify(public("NV")); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("under another key: %v", err)
	}
	for i := range b {
		altered := bytes.Clone(b)
		altered[i] ^= 1
		if st, err := ParseStatement(altered); err == nil && st.Verify(public(want.Sender)) == nil {
			t.Fatalf("a change of byte %d passed", i)
		}
	}
	for n := range b {
		if st, err := ParseStatement(b[:n]); err == nil && st.Verify(public(want.Sender)) == nil {
			t.Fatalf("cut to %d bytes it passed", n)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(statementOf(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseStatement(b)
		if err == nil && len(st.signed)+len(st.signature) != len(b) {
			t.Error("a part of the statement is not signed")
		}
	})
}

// What is stated apart from a message reads like the statement of one.
func TestState(t *testing.T) {
	want := message()
	b, err := State(want, identity(want.Sender))
	if err != nil {
		t.Fatal(err)
	}
	st, err := ParseStatement(b)
	if err != nil {
		t.Fatal(err)
	}
	if st.Sender != want.Sender || st.Type != want.Type || st.Ticket != want.Ticket || st.RosterVersion != want.RosterVersion || !bytes.Equal(st.Body, want.Body) {
		t.Errorf("the statement says %+v", st)
	}
	if err := st.Verify(public(want.Sender)); err != nil {
		t.Error(err)
	}
	if err := st.Verify(public("NV")); waypost.CodeOf(err) != waypost.PermissionDenied {
		t.Errorf("under another key: %v", err)
	}
	want.Type = "Not a type"
	if _, err := State(want, identity(want.Sender)); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("a malformed one: %v", err)
	}
	if _, err := State(message(), nil); waypost.CodeOf(err) != waypost.InvalidArgument {
		t.Errorf("without a key: %v", err)
	}
}
