package waypost_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

var (
	stateKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	otherKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	stateName = waypost.Jurisdiction("AZ")
)

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// goodTicket is a check that every role would accept at its time of issue.
func goodTicket() waypost.Ticket {
	return waypost.Ticket{
		Kind: waypost.KindCheck, RosterVersion: 1, Epoch: 1, Environment: waypost.Test, SOI: stateName,
		Operator: [32]byte{1}, Class: waypost.Attended, Purpose: waypost.IssueRealID, Case: [32]byte{2},
		IssuedAt: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Nonce: [16]byte{3}, Elements: waypost.CheckElements,
		Probes: [32]byte{4}, Tau: [32]byte{5},
	}
}

func signed(t testing.TB, ticket waypost.Ticket) waypost.SignedTicket {
	t.Helper()
	s, err := ticket.Sign(stateKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func array32(t *rapid.T, label string) [32]byte {
	return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
}

// anyTicket draws from all that can be signed, sensible or not.
func anyTicket(t *rapid.T) waypost.Ticket {
	word := rapid.StringMatching(`[a-z][a-z_]{0,31}`)
	ticket := waypost.Ticket{
		Kind: waypost.Kind(word.Draw(t, "kind")), RosterVersion: rapid.Uint64().Draw(t, "roster"), Epoch: rapid.Uint32().Draw(t, "epoch"),
		Environment: waypost.Environment(word.Draw(t, "environment")), SOI: waypost.Jurisdiction(rapid.StringMatching(`[A-Z]{2}`).Draw(t, "soi")),
		Operator: array32(t, "operator"), Class: waypost.OperatorClass(word.Draw(t, "class")), Purpose: waypost.Purpose(word.Draw(t, "purpose")),
		Case: array32(t, "case"), Cites: array32(t, "cites"), IssuedAt: time.UnixMilli(rapid.Int64Range(1, 253402300799999).Draw(t, "ms")).UTC(),
		Nonce:    [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "nonce")),
		Elements: rapid.IntRange(0, 0xffff).Draw(t, "elements"), Probes: array32(t, "probes"), Tau: array32(t, "tau"),
	}
	ticket.Nonce[0], ticket.Tau[0], ticket.Operator[0] = ticket.Nonce[0]|1, ticket.Tau[0]|1, ticket.Operator[0]|1
	return ticket
}

func TestTicketRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ticket := anyTicket(t)
		s, err := ticket.Sign(stateKey)
		if err != nil {
			t.Fatal(err)
		}
		wire := s.Bytes()
		back, err := waypost.ParseTicket(wire)
		if err != nil {
			t.Fatal(err)
		}
		if back.Ticket != ticket || back.ID != s.ID || !bytes.Equal(back.Bytes(), wire) {
			t.Fatalf("signed %+v, read %+v", ticket, back.Ticket)
		}
		// What is handed out is a copy: nobody changes a ticket by its bytes.
		clear(back.Bytes())
		clear(wire)
		if !bytes.Equal(back.Bytes(), s.Bytes()) {
			t.Fatal("the bytes of a ticket are shared")
		}
	})
}

// Every bit of a ticket counts: with one flipped it is not a ticket any more,
// or not a signed one, or, in the payload, another ticket.
func TestTicketBits(t *testing.T) {
	s := signed(t, goodTicket())
	if err := s.Verify(publicOf(stateKey)); err != nil {
		t.Fatal(err)
	}
	wire := s.Bytes()
	for i := range len(wire) * 8 {
		flipped := bytes.Clone(wire)
		flipped[i/8] ^= 1 << (i % 8)
		got, err := waypost.ParseTicket(flipped)
		if err == nil && got.Verify(publicOf(stateKey)) == nil {
			t.Errorf("bit %d of byte %d may be flipped", i%8, i/8)
		}
		if inPayload := i/8 < len(wire)-ed25519.SignatureSize; err == nil && inPayload && got.ID == s.ID {
			t.Errorf("bit %d of byte %d is not in the ticket's id", i%8, i/8)
		}
	}
	for n := range len(wire) {
		if _, err := waypost.ParseTicket(wire[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(wire))
		}
	}
	if _, err := waypost.ParseTicket(append(bytes.Clone(wire), 0)); err == nil {
		t.Error("a trailing byte is accepted")
	}
	if err := s.Verify(publicOf(otherKey)); waypost.CodeOf(err) != waypost.PermissionDenied || !strings.Contains(err.Error(), "not signed by AZ") {
		t.Errorf("another state's key: %v", err)
	}
}

// What has no place in a ticket can be neither signed nor read.
func TestTicketShapes(t *testing.T) {
	long := strings.Repeat("a", 33)
	for name, spoil := range map[string]func(*waypost.Ticket){
		"empty kind":        func(t *waypost.Ticket) { t.Kind = "" },
		"upper case kind":   func(t *waypost.Ticket) { t.Kind = "Check" },
		"long kind":         func(t *waypost.Ticket) { t.Kind = waypost.Kind(long) },
		"kind with newline": func(t *waypost.Ticket) { t.Kind = "check\n" },
		"free text purpose": func(t *waypost.Ticket) { t.Purpose = "for Ines Okonkwo" },
		"no class":          func(t *waypost.Ticket) { t.Class = "" },
		"digits in class":   func(t *waypost.Ticket) { t.Class = "attended2" },
		"underscore first":  func(t *waypost.Ticket) { t.Environment = "_test" },
		"state in words":    func(t *waypost.Ticket) { t.SOI = "Arizona" },
		"lower case state":  func(t *waypost.Ticket) { t.SOI = "az" },
		"no time":           func(t *waypost.Ticket) { t.IssuedAt = time.Time{} },
		"at the epoch":      func(t *waypost.Ticket) { t.IssuedAt = time.UnixMilli(0) },
		"year 10000":        func(t *waypost.Ticket) { t.IssuedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"fewer than none":   func(t *waypost.Ticket) { t.Elements = -1 },
		"beyond 16 bits":    func(t *waypost.Ticket) { t.Elements = 65536 + 32 },
		"zero nonce":        func(t *waypost.Ticket) { t.Nonce = [16]byte{} },
		"zero audit secret": func(t *waypost.Ticket) { t.Tau = [32]byte{} },
		"zero operator":     func(t *waypost.Ticket) { t.Operator = [32]byte{} },
	} {
		ticket := goodTicket()
		spoil(&ticket)
		_, err := ticket.Sign(stateKey)
		if waypost.CodeOf(err) != waypost.InvalidArgument || strings.Contains(err.Error(), "Ines") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The zero fields, as bytes that another program may have signed.
	s := signed(t, goodTicket())
	for name, field := range map[string][]byte{
		"nonce":        append([]byte{3}, make([]byte, 15)...),
		"audit secret": append([]byte{5}, make([]byte, 31)...),
		"operator":     append([]byte{1}, make([]byte, 31)...),
	} {
		zeroed := bytes.Replace(s.Bytes(), field, make([]byte, len(field)), 1)
		if bytes.Equal(zeroed, s.Bytes()) {
			t.Fatal("the field is not found")
		}
		if _, err := waypost.ParseTicket(zeroed); err == nil {
			t.Errorf("a ticket with zero %s is read", name)
		}
	}
}

// The table of kinds, purposes, operators and numbers of elements (design,
// sections 3, 5 and 9), spelled out a second time.
func TestKinds(t *testing.T) {
	kinds := []waypost.Kind{waypost.KindCheck, waypost.KindPublish, "search", "list"}
	purposes := []waypost.Purpose{
		waypost.IssueLicence, waypost.IssuePermit, waypost.IssueID, waypost.IssueRealID, waypost.Renew, waypost.DuplicateResolution,
		waypost.PostConviction, waypost.AcceptAsID, waypost.ChangeSOR, waypost.ResolvePossibleMatch, waypost.DriverHistory,
		waypost.MaintainPointer, "law_enforcement", "immigration",
	}
	classes := []waypost.OperatorClass{waypost.Attended, waypost.Unattended, waypost.Loader, "robot"}
	sizes := []int{0, 1, 9, 10, 11, 20, 31, 32, 33, 64, 100, 990, 1000, 1001, 1010, 32000, 65535}
	allowed := func(k waypost.Kind, p waypost.Purpose, c waypost.OperatorClass, n int) bool {
		switch k {
		case waypost.KindCheck:
			if slices.Contains(purposes[:7], p) {
				return n == 32 && (c == waypost.Attended || c == waypost.Unattended)
			}
		case waypost.KindPublish:
			return p == waypost.MaintainPointer && c == waypost.Loader && n >= 10 && n <= 1000 && n%10 == 0
		}
		return false
	}
	good := 0
	for _, k := range kinds {
		for _, p := range purposes {
			for _, c := range classes {
				for _, n := range sizes {
					ticket := goodTicket()
					ticket.Kind, ticket.Purpose, ticket.Class, ticket.Elements = k, p, c, n
					err := signed(t, ticket).Verify(publicOf(stateKey))
					if (err == nil) != allowed(k, p, c, n) {
						t.Errorf("%s %s %s with %d elements: %v", k, p, c, n, err)
					}
					if err == nil {
						good++
					}
				}
			}
		}
	}
	if want := 7*2 + 5; good != want {
		t.Errorf("%d combinations are allowed, want %d", good, want)
	}
}

func TestTicketFreshness(t *testing.T) {
	s := signed(t, goodTicket())
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{0, ""}, {waypost.TicketWindow, ""}, {-waypost.ClockSkew, ""},
		{waypost.TicketWindow + time.Millisecond, "older than"}, {-waypost.ClockSkew - time.Millisecond, "in the future"},
		{200 * 365 * 24 * time.Hour, "older than"}, {-250 * 365 * 24 * time.Hour, "in the future"},
	} {
		err := s.CheckFresh(s.IssuedAt.Add(c.age))
		if c.want == "" && err != nil || c.want != "" && (waypost.CodeOf(err) != waypost.Expired || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("at age %v: %v, want %q", c.age, err, c.want)
		}
	}
}

func TestTicketCoversProbes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		elements := rapid.SliceOfN(rapid.Byte(), n*32, n*32).Draw(t, "elements")
		ticket := waypost.Ticket{Elements: n, Probes: waypost.HashProbes(elements)}
		if err := ticket.CoversProbes(elements); err != nil {
			t.Fatal(err)
		}
		altered := bytes.Clone(elements)
		altered[rapid.IntRange(0, len(altered)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		if waypost.CodeOf(ticket.CoversProbes(altered)) != waypost.PermissionDenied {
			t.Fatal("altered elements are covered")
		}
		for _, other := range [][]byte{elements[:len(elements)-1], elements[32:], append(altered, elements...), append(altered, 0), nil} {
			if waypost.CodeOf(ticket.CoversProbes(other)) != waypost.InvalidArgument {
				t.Fatalf("%d bytes are covered by a ticket for %d elements", len(other), n)
			}
		}
	})
}

func TestCommitCase(t *testing.T) {
	a := waypost.CommitCase([32]byte{1}, "AZ-1")
	if a == waypost.CommitCase([32]byte{2}, "AZ-1") || a == waypost.CommitCase([32]byte{1}, "AZ-2") || a != waypost.CommitCase([32]byte{1}, "AZ-1") {
		t.Error("a commitment is a function of salt and reference, and of both")
	}
}
