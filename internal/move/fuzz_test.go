package move

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/records"
	"github.com/waypost/waypost/matchkey"
)

// sent is what a former state may send with its release.
func sent(t testing.TB) released {
	t.Helper()
	passing := waypost.Passing{Old: waypost.Handle{1}, New: waypost.Handle{2}}
	release, err := waypost.Release{
		RosterVersion: 1, Environment: waypost.Test, Change: [16]byte{3}, From: "CA", To: "AZ", Expires: time.Unix(1767225600, 0), Passings: []waypost.Passing{passing},
	}.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	name := records.PassedName{Handle: passing.New, Version: 1, Epoch: 1, NextEpoch: 2, Reached: 1, Name: waypost.Person{Family: "Moreno", Given: "Ana", Born: waypost.Date{Year: 1988, Month: 4, Day: 9}, Sex: "F"}}
	for i := range matchkey.NameSlots {
		name.Tokens = append(name.Tokens, bytes.Repeat([]byte{byte(i)}, 32))
		name.Next = append(name.Next, bytes.Repeat([]byte{byte(i + 100)}, 32))
	}
	return released{release: release, names: []records.PassedName{name}}
}

// What is read of a former state's reply is what it writes, and nothing of an SSN
// has a place in it.
func FuzzParseReleased(f *testing.F) {
	raw, err := sent(f).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseReleased(raw)
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		again, err := got.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseReleased(again)
		if err != nil || len(back.names) != len(got.release.Passings) || !bytes.Equal(back.release.Bytes(), got.release.Bytes()) {
			t.Fatalf("read, and not read again: %v", err)
		}
		for i, n := range back.names {
			if n.Handle != got.release.Passings[i].New || len(n.Tokens) != matchkey.NameSlots || n.Name.SSN5 != "" || n.Name.Validate() != nil {
				t.Fatalf("%+v", n)
			}
		}
	})
}

// The small messages are read strictly, and never make a reason that is not of
// the list.
func FuzzParseRequests(f *testing.F) {
	reference := bytes.Repeat([]byte{7}, 16)
	for _, m := range []proto.Message{
		&waypostv1.ChangeRequest{Reference: reference}, &waypostv1.IssuanceNotice{Reference: reference, Issued: "2026-11-20"},
		&waypostv1.TerminationRequest{Reference: reference, Surrendered: true}, &waypostv1.TerminationReply{Reason: reasonCourtOrder},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ref, err := parseChange(raw); err == nil && len(ref) != len(waypost.Reference{}) {
			t.Fatalf("reference of %d bytes", len(ref))
		}
		if n, err := parseAnnouncement(raw); err == nil {
			if _, err := time.Parse(time.DateOnly, n.Issued); err != nil || len(n.Reference) != len(waypost.Reference{}) {
				t.Fatal(n)
			}
		}
		if r, err := parseTermination(raw); err == nil && len(r.Reference) != len(waypost.Reference{}) {
			t.Fatal(r)
		}
		if reason, err := parseReason(raw); err == nil {
			if _, known := reasons[reason]; !known {
				t.Fatalf("the reason %q", reason)
			}
		}
	})
}

// Everything that could go wrong with one of them is refused.
func TestParseReleased(t *testing.T) {
	for name, spoil := range map[string]func(r *released, m *waypostv1.ChangeReply){
		"no name":                func(_ *released, m *waypostv1.ChangeReply) { m.Names = nil },
		"another handle":         func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Handle[0]++ },
		"only former names":      func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Alias = true },
		"a token too many":       func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Tokens = make([]byte, 7*32) },
		"never published":        func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Version = 0 },
		"no birthday":            func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Name.Born = "" },
		"a date in other form":   func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Name.Born = "19880409" },
		"a sex in other form":    func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Name.Sex = "2" },
		"a card number":          func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Name.CardNumber = "C1" },
		"nobody":                 func(_ *released, m *waypostv1.ChangeReply) { m.Names[0].Name = nil },
		"a history that is none": func(_ *released, m *waypostv1.ChangeReply) { m.History = []byte("history") },
		"no release":             func(_ *released, m *waypostv1.ChangeReply) { m.Release = nil },
	} {
		r := sent(t)
		raw, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		var m waypostv1.ChangeReply
		if err := proto.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		spoil(&r, &m)
		if raw, err = proto.Marshal(&m); err != nil {
			t.Fatal(err)
		}
		if _, err := parseReleased(raw); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Words of others can be shown: printable, and cut.
func TestClean(t *testing.T) {
	if got := clean("a\x1b[31mb\n\u202ec" + string(bytes.Repeat([]byte{'x'}, 500))); len([]rune(got)) != 200 || strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}
