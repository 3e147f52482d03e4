package waypost_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost/waypost"
)

// goodRelease is one that a hub would accept before it expires.
func goodRelease() waypost.Release {
	return waypost.Release{
		RosterVersion: 1, Environment: waypost.Test, Change: [16]byte{1}, From: "CA", To: "AZ",
		Expires:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Passings: []waypost.Passing{{Old: waypost.Handle{1}, New: waypost.Handle{9}}, {Old: waypost.Handle{2}, New: waypost.Handle{8}}},
	}
}

// anyRelease draws from all that can be signed.
func anyRelease(t *rapid.T) waypost.Release {
	r := waypost.Release{
		RosterVersion: rapid.Uint64().Draw(t, "roster"), Environment: waypost.Environment(rapid.StringMatching(`[a-z][a-z_]{0,31}`).Draw(t, "environment")),
		Change: [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "change")), From: waypost.Jurisdiction(rapid.StringMatching(`[A-M][A-Z]`).Draw(t, "from")),
		To: waypost.Jurisdiction(rapid.StringMatching(`[N-Z][A-Z]`).Draw(t, "to")), Expires: time.Unix(rapid.Int64Range(1, 253402300799).Draw(t, "expires"), 0).UTC(),
	}
	r.Change[0] |= 1
	for i := range rapid.IntRange(1, waypost.MaxPointers).Draw(t, "pointers") {
		r.Passings = append(r.Passings, waypost.Passing{Old: waypost.Handle{byte(i + 1), rapid.Byte().Draw(t, "old")}, New: waypost.Handle{rapid.Byte().Draw(t, "new"), byte(i + 1)}})
	}
	return r
}

func TestReleaseRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRelease(t)
		s, err := r.Sign(stateKey)
		if err != nil {
			t.Fatal(err)
		}
		wire := s.Bytes()
		back, err := waypost.ParseRelease(wire)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, back.Release); d != "" || !bytes.Equal(back.Bytes(), wire) || back.Verify(publicOf(stateKey)) != nil {
			t.Fatal(d)
		}
		if waypost.CodeOf(back.Verify(publicOf(otherKey))) != waypost.PermissionDenied {
			t.Fatal("anybody's key verifies it")
		}
		// No bit of it can be changed.
		at := rapid.IntRange(0, len(wire)*8-1).Draw(t, "bit")
		wire[at/8] ^= 1 << (at % 8)
		if other, err := waypost.ParseRelease(wire); err == nil && other.Verify(publicOf(stateKey)) == nil {
			t.Fatalf("bit %d says nothing", at)
		}
	})
}

// What has no place in a release is neither signed nor read.
func TestReleaseRefused(t *testing.T) {
	handle := func(n byte) waypost.Handle { return waypost.Handle{n} }
	for name, spoil := range map[string]func(r *waypost.Release){
		"an environment in capitals":   func(r *waypost.Release) { r.Environment = "Test" },
		"from nowhere":                 func(r *waypost.Release) { r.From = "" },
		"to a state in small letters":  func(r *waypost.Release) { r.To = "az" },
		"to itself":                    func(r *waypost.Release) { r.To = r.From },
		"no change":                    func(r *waypost.Release) { r.Change = [16]byte{} },
		"no end":                       func(r *waypost.Release) { r.Expires = time.Time{} },
		"an end beyond the calendar":   func(r *waypost.Release) { r.Expires = time.Unix(253402300800, 0) },
		"no pointers":                  func(r *waypost.Release) { r.Passings = nil },
		"too many pointers":            func(r *waypost.Release) { r.Passings = passings(waypost.MaxPointers + 1) },
		"pointers out of order":        func(r *waypost.Release) { slices.Reverse(r.Passings) },
		"a pointer twice":              func(r *waypost.Release) { r.Passings[1].Old = r.Passings[0].Old },
		"two pointers with one handle": func(r *waypost.Release) { r.Passings[1].New = r.Passings[0].New },
		"no old handle":                func(r *waypost.Release) { r.Passings[0].Old = handle(0) },
		"no new handle":                func(r *waypost.Release) { r.Passings[0].New = handle(0) },
	} {
		r := goodRelease()
		spoil(&r)
		if _, err := r.Sign(stateKey); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: signed, %v", name, err)
		}
	}
	good, err := goodRelease().Sign(stateKey)
	if err != nil {
		t.Fatal(err)
	}
	wire := good.Bytes()
	for name, raw := range map[string][]byte{
		"nothing": nil, "cut": wire[:len(wire)-1], "longer": append(slices.Clone(wire), 0), "a ticket": signed(t, goodTicket()).Bytes(),
		"without a pointer": append(slices.Clone(wire[:len(wire)-64-32]), wire[len(wire)-64:]...),
	} {
		if _, err := waypost.ParseRelease(raw); waypost.CodeOf(err) != waypost.InvalidArgument {
			t.Errorf("%s: read, %v", name, err)
		}
	}
}

func passings(n int) (all []waypost.Passing) {
	for i := range n {
		all = append(all, waypost.Passing{Old: waypost.Handle{byte(i + 1)}, New: waypost.Handle{0, byte(i + 1)}})
	}
	return all
}

// A release with all pointers that a person can have fits into what is signed.
func TestLargestRelease(t *testing.T) {
	r := goodRelease()
	r.Environment, r.Passings = "abcdefghijklmnopqrstuvwxyz_abcde", passings(waypost.MaxPointers)
	s, err := r.Sign(stateKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := waypost.ParseRelease(s.Bytes()); err != nil {
		t.Error(err)
	}
}

// The vectors were made by another implementation, see spec/vectors/signed.py.
func TestReleaseVectors(t *testing.T) {
	v := readVectors(t)
	if len(v.Releases) == 0 {
		t.Fatal("there are none")
	}
	for _, x := range v.Releases {
		r := waypost.Release{
			RosterVersion: x.RosterVersion, Environment: x.Environment, Change: [16]byte(x.Change), From: x.From, To: x.To, Expires: time.Unix(x.Expires, 0).UTC(),
		}
		for _, p := range x.Passings {
			r.Passings = append(r.Passings, waypost.Passing{Old: waypost.Handle(p.Old), New: waypost.Handle(p.New)})
		}
		s, err := r.Sign(ed25519.NewKeyFromSeed(v.Seed))
		if err != nil {
			t.Fatal(err)
		}
		sameHex(t, "release", s.Bytes(), x.Wire)
		parsed, err := waypost.ParseRelease(x.Wire)
		if err != nil || parsed.Verify(ed25519.PublicKey(v.PublicKey)) != nil {
			t.Error(err)
		}
		if d := cmp.Diff(r, parsed.Release); d != "" {
			t.Error(d)
		}
	}
}

func FuzzParseRelease(f *testing.F) {
	for _, x := range readVectors(f).Releases {
		f.Add([]byte(x.Wire))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := waypost.ParseRelease(raw)
		if err != nil {
			if waypost.CodeOf(err) != waypost.InvalidArgument {
				t.Fatal(err)
			}
			return
		}
		again, err := s.Sign(stateKey)
		if err != nil || !bytes.Equal(s.Bytes(), raw) || !bytes.Equal(again.Bytes()[:len(raw)-64], raw[:len(raw)-64]) {
			t.Fatalf("%+v is not canonical: %v", s.Release, err)
		}
	})
}
